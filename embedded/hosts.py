"""Hosts of their own: containers that systemd boots and sshd answers for, to be configured like any other machine.

A host has its own engine room (`/var/lib/docker` is a volume), restarts when it is rebooted, and keeps its address. It
reaches packages as this machine does: what that takes is copied into it when it is made, and nothing of it is kept.
"""

from __future__ import annotations

import contextlib
import io
import ipaddress
import json
import os
import random
import re
import socket
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from . import engine, images, settings
from .process import EmbeddedError, Say

NETWORK = "slipway-hosts"
USER = "admin"
BOOT_SECONDS = 240
LOCAL_CERTIFICATES = Path("/usr/local/share/ca-certificates")
#: What a systemd that is process 1 of a container needs of the kernel, and an engine inside that container too.
CAPABILITIES = ("SYS_ADMIN", "NET_ADMIN", "SYS_PTRACE", "SYS_BOOT", "MKNOD")


@dataclass(frozen=True)
class Host:
    """How to reach a host by SSH."""

    name: str
    address: str
    user: str
    port: int
    private_key: str


def create(name: str, system: str, aws_port: int | None = None, mounts: Iterable[tuple[str, str]] = (),
           say: Say = lambda text: None) -> Host:
    """Return the running host of this name, made where it is missing.

    system: a key of images.HOST_IMAGES. aws_port: an embedded AWS that answers on localhost in the host too.
    mounts: (directory of this machine, directory in the host), read-only.
    """
    import docker

    _check_name(name)
    if system not in images.HOST_IMAGES:
        raise EmbeddedError(f"There is no host system {system}: choose one of {', '.join(images.HOST_IMAGES)}.")
    mounts = [(str(Path(source).resolve()), target) for source, target in mounts]
    if missing := [source for source, _ in mounts if not Path(source).exists()]:
        raise EmbeddedError(f"{missing[0]}, which host {name} is to see, is not there: make it, or leave it out.")
    client = engine.client()
    forward = {} if aws_port is None else forwarding_units(aws_port, _aws_address(client, aws_port))
    made_of = json.dumps({"system": system, "aws": aws_port, "mounts": sorted(mounts)})
    try:
        container = client.containers.get(container_name(name))
    except docker.errors.NotFound:
        container = _make(client, name, system, mounts, made_of, say)
    if other := differences(json.loads(container.labels["slipway.made-of"]), json.loads(made_of)):
        raise EmbeddedError(f"Host {name} is there, but with {other}: "
                            f"remove it first (python -m embedded host remove {name}).")
    key = public_key()
    # Before a start, so that a run that was killed between the making and the start is completed by the next.
    if container.status != "running" or container.labels.get("slipway.state") != str(settings.STATE):
        container.put_archive("/", _belongings(key, forward))
        try:
            container.start()
        except docker.errors.APIError as error:
            raise EmbeddedError(f"The Docker engine cannot start host {name}: {error.explanation}. Remove the host "
                                f"(python -m embedded host remove {name}), then run this again.") from error
    return _wait_until_up(container, name)


def remove(names: Iterable[str]) -> int:
    """Remove the hosts with everything in them; returns how many were there."""
    client = engine.client()
    wanted = set(names)
    return _remove(client, [c for c in _containers(client) if c.labels["slipway.host"] in wanted])


def remove_ours() -> int:
    """Remove every host that was made with this state directory."""
    client = engine.client()
    removed = _remove(client, [c for c in _containers(client) if c.labels.get("slipway.state") == str(settings.STATE)])
    _remove_unused_network(client)
    return removed


def known() -> list[dict[str, Any]]:
    """Every host on the engine: name, system, status and address."""
    return [{"name": c.labels["slipway.host"], "system": json.loads(c.labels["slipway.made-of"])["system"],
             "status": c.status, "address": c.labels["slipway.address"]} for c in _containers(engine.client())]


def differences(there: dict[str, Any], wanted: dict[str, Any]) -> str:
    """What a host was made of where that is not what is wanted."""
    return ", ".join(f"{key} {there[key] or 'none'} and not {wanted[key] or 'none'}"
                     for key in wanted if there[key] != wanted[key])


def container_name(name: str) -> str:
    return f"slipway-host-{name}"


# -- making one ------------------------------------------------------------------------------------------------------

def _make(client: Any, name: str, system: str, mounts: Sequence[tuple[str, str]], made_of: str, say: Say) -> Any:
    import docker

    image = images.ensure_image(client, images.HOST_IMAGES[system], settings.STATE, say)
    net = _network(client)
    volumes = [f"{source}:{target}:ro" for source, target in [*mounts, *((p, p) for p in local_indexes(_pip_config()))]]
    for _ in range(10):
        address = _free_address(net)
        try:
            return client.containers.create(
                image, name=container_name(name), hostname=name, detach=True, network=net.name,
                networking_config={net.name: client.api.create_endpoint_config(ipv4_address=address)},
                cap_add=list(CAPABILITIES), security_opt=["seccomp=unconfined", "apparmor=unconfined"],
                cgroupns="private", tmpfs={"/run": "rw,nosuid,nodev,mode=755"}, volumes=["/var/lib/docker", *volumes],
                # A reboot ends the container like any other end of its first process.
                restart_policy={"Name": "unless-stopped"},
                labels={"slipway.host": name, "slipway.state": str(settings.STATE), "slipway.made-of": made_of,
                        "slipway.address": address})
        except docker.errors.APIError as error:
            if error.status_code != 409:
                raise EmbeddedError(f"The Docker engine cannot make host {name}: {error.explanation}") from error
            # Another run made it in the meantime.
            with contextlib.suppress(docker.errors.NotFound):
                return client.containers.get(container_name(name))
    raise EmbeddedError(f"The Docker engine cannot make host {name}: its name stays taken. Run this again.")


def _network(client: Any) -> Any:
    """The network of all hosts, made where it is missing.

    The engine keeps a container's address only where the network's subnet was given, and chooses a free one only where
    it was not: so it chooses first, and is then given what it chose.
    """
    with images.alone(Path(tempfile.gettempdir()) / f"slipway-hosts-{os.getuid()}.lock"):
        found = _find_network(client, NETWORK)
        if found is None:
            chosen = client.networks.create(NETWORK, driver="bridge", labels={"slipway": "hosts"})
            chosen.reload()
            pool = docker_ipam(chosen.attrs["IPAM"]["Config"][0])
            chosen.remove()
            found = client.networks.create(NETWORK, driver="bridge", labels={"slipway": "hosts"}, ipam=pool)
            found.reload()
        return found


def docker_ipam(chosen: dict[str, str]) -> Any:
    import docker

    pool = docker.types.IPAMPool(subnet=chosen["Subnet"], gateway=chosen["Gateway"])
    return docker.types.IPAMConfig(pool_configs=[pool])


def _find_network(client: Any, name: str) -> Any:
    for found in client.networks.list(names=[name]):
        if found.name == name:
            return found
    return None


def _aws_address(client: Any, port: int) -> str:
    """The machine's address at which the embedded AWS of this port answers."""
    found = _find_network(client, settings.network_name(port))
    if found is None:
        raise EmbeddedError(f"There is no embedded AWS on port {port}: start it first "
                            f"(SLIPWAY_AWS_PORT={port} python -m embedded up).")
    return f"{found.attrs['IPAM']['Config'][0]['Gateway']}:{port}"


def _free_address(net: Any) -> str:
    """An address of one's own, so that a host keeps it over a reboot.

    From the upper half: the engine itself gives addresses out from the lower end.
    """
    subnet = ipaddress.ip_network(net.attrs["IPAM"]["Config"][0]["Subnet"])
    taken = {c.labels["slipway.address"] for c in _containers(net.client)}
    while True:
        address = str(subnet[random.randrange(subnet.num_addresses // 2, subnet.num_addresses - 1)])
        if address not in taken:
            return address


def public_key() -> str:
    """The public key by which hosts made with this state directory are reached, made once."""
    directory = settings.STATE / "hosts"
    key = directory / "id_ed25519"
    if not key.with_suffix(".pub").exists():
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        with images.alone(directory / "lock"):
            if not key.with_suffix(".pub").exists():
                key.unlink(missing_ok=True)
                images.ensure_command("ssh-keygen", "openssh-client", "makes the key by which hosts are reached")
                made = subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "slipway", "-f", key],
                                      capture_output=True, text=True)
                if made.returncode:
                    raise EmbeddedError(f"ssh-keygen cannot make {key}: {made.stderr.strip()}")
    return key.with_suffix(".pub").read_text()


def _wait_until_up(container: Any, name: str) -> Host:
    address = str(container.labels["slipway.address"])
    deadline = time.monotonic() + BOOT_SECONDS
    state = ""
    while time.monotonic() < deadline:
        with contextlib.suppress(Exception):  # a container that is not up yet has many ways to say so
            said = container.exec_run(["systemctl", "is-system-running"], stderr=False).output.decode().strip()
            state = said.splitlines()[-1] if said else state
            if state in ("running", "degraded") and _answers(address):
                return Host(name=name, address=address, user=USER, port=22,
                            private_key=str(settings.STATE / "hosts" / "id_ed25519"))
        time.sleep(0.1)
    raise EmbeddedError(f"Host {name} did not come up within {BOOT_SECONDS} s (systemd: {state or 'no answer'}). "
                        f"Its log: docker exec {container_name(name)} journalctl -b")


def _answers(address: str) -> bool:
    with socket.create_connection((address, 22), timeout=5) as connection:
        return connection.recv(4) == b"SSH-"


# -- what it gets of this machine ------------------------------------------------------------------------------------

def _belongings(public_key: str, units: dict[str, str]) -> bytes:
    """A tar of the files that make an image this one host."""
    files: dict[str, str | bytes] = {f"home/{USER}/.ssh/authorized_keys": public_key}
    for certificate in sorted(LOCAL_CERTIFICATES.rglob("*.crt")):
        files[f"usr/local/share/ca-certificates/{certificate.name}"] = certificate.read_bytes()
    if pip := pip_conf(_pip_config()):
        files["etc/pip.conf"] = pip
    _, proxies = images.acquire_settings(images.output(["apt-config", "dump", "Acquire"]))
    if proxies:
        files["etc/apt/apt.conf.d/90proxy"] = "".join(
            f'Acquire::{name.removesuffix("_proxy")}::Proxy "{address}";\n' for name, address in proxies.items())
    if variables := {k: v for k, v in os.environ.items() if k.lower() in ("http_proxy", "https_proxy", "no_proxy")}:
        files["etc/environment"] = "".join(f"{name}={value}\n" for name, value in variables.items())
    directory = "etc/systemd/system"
    links = {f"{directory}/sockets.target.wants/{unit}": f"../{unit}" for unit in units if unit.endswith(".socket")}
    return _tar(files | {f"{directory}/{unit}": text for unit, text in units.items()}, links)


def forwarding_units(port: int, address: str) -> dict[str, str]:
    """systemd's own proxy, by which an AWS on the machine is on localhost in the host too."""
    return {
        "slipway-aws.socket":
            f"[Socket]\nListenStream=127.0.0.1:{port}\nListenStream=[::1]:{port}\nBindIPv6Only=ipv6-only\nFreeBind=yes\n"
            "[Install]\nWantedBy=sockets.target\n",
        "slipway-aws.service":
            "[Unit]\nRequires=slipway-aws.socket\nAfter=slipway-aws.socket\n"
            f"[Service]\nExecStart=/lib/systemd/systemd-socket-proxyd {address}\n",
    }


def _pip_config() -> list[tuple[str, str]]:
    """pip's settings on this machine, from its files and from the environment, the strongest last."""
    return parse_pip_config(images.output([sys.executable, "-m", "pip", "config", "list"]))


PIP_OPTIONS = ("index-url", "extra-index-url", "find-links", "trusted-host", "timeout", "default-timeout", "cert",
               "proxy")


def parse_pip_config(text: str) -> list[tuple[str, str]]:
    """(option, value) of what `pip config list` says about reaching packages; variables of the environment win."""
    found: dict[str, str] = {}
    for kind in ("global", "install", ":env:"):
        for option, value in re.findall(rf"^{kind}\.([a-z-]+)='(.*)'$", text, re.MULTILINE):
            if option in PIP_OPTIONS:
                found["timeout" if option == "default-timeout" else option] = value
    return sorted(found.items())


def pip_conf(config: Iterable[tuple[str, str]]) -> str:
    """The same settings as a host's pip.conf. The host has its own bundle of certificates."""
    settled = dict(config)
    if "cert" in settled:
        settled["cert"] = "/etc/ssl/certs/ca-certificates.crt"
    return "\n".join(["[global]", *(f"{option} = {value}" for option, value in settled.items()), ""]) if settled else ""


def local_indexes(config: Iterable[tuple[str, str]]) -> list[str]:
    """Directories of this machine that pip takes packages from, which a host needs in the same place."""
    found: list[str] = []
    for option, value in config:
        for place in value.split() if option in ("index-url", "extra-index-url", "find-links") else []:
            parts = urlsplit(place)
            # An index names its files relative to itself, beside it.
            path = Path(unquote(parts.path)).parent if parts.scheme == "file" else Path(place)
            if parts.scheme in ("", "file") and path.is_absolute() and path.is_dir() and path != Path("/"):
                found.append(str(path))
    return sorted(set(found))


def _tar(files: dict[str, str | bytes], links: dict[str, str]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        home = tarfile.TarInfo(f"home/{USER}/.ssh")
        home.type, home.mode, home.uid, home.gid = tarfile.DIRTYPE, 0o700, 1000, 1000
        tar.addfile(home)
        for path, content in files.items():
            data = content.encode() if isinstance(content, str) else content
            entry = tarfile.TarInfo(path)
            entry.size, entry.mode, entry.mtime = len(data), 0o644, int(time.time())
            if path.startswith("home/"):
                entry.uid = entry.gid = 1000
            tar.addfile(entry, io.BytesIO(data))
        for path, target in links.items():
            entry = tarfile.TarInfo(path)
            entry.type, entry.linkname = tarfile.SYMTYPE, target
            tar.addfile(entry)
    return buffer.getvalue()


# -- helpers ---------------------------------------------------------------------------------------------------------

def _check_name(name: str) -> None:
    if not re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,48}[a-z0-9])?", name):
        raise EmbeddedError(f"{name!r} is no name for a host: use lower case letters, digits and dashes, at most 50.")


def _containers(client: Any) -> list[Any]:
    return list(client.containers.list(all=True, ignore_removed=True, filters={"label": "slipway.host"}))


def _remove(client: Any, containers: Iterable[Any]) -> int:
    import docker

    removed = 0
    for container in containers:
        with contextlib.suppress(docker.errors.NotFound):
            container.remove(force=True, v=True)
            removed += 1
    return removed


def _remove_unused_network(client: Any) -> None:
    import docker

    if not _containers(client):
        for found in client.networks.list(names=[NETWORK]):
            with contextlib.suppress(docker.errors.APIError):
                found.remove()
