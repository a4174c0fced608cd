"""A container engine of a test's own beside that of the machine: to be killed, filled up, or of another version."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import docker
import pytest

from embedded import images


class SecondEngine:
    """folder: all that it has; address: for DOCKER_HOST; no firewall rules: it builds and pushes.

    With a bridge of its own: an engine with none removes the default one, which is the machine's engine's.
    """

    def __init__(self, folder: Path, programs: str = "", features: dict[str, bool] | None = None) -> None:
        self.folder = folder
        self.data = folder / "data"
        self.address = f"unix://{folder}/socket"
        self._bridge = f"slipway{os.urandom(3).hex()}"
        self._path = os.pathsep.join([*([programs] if programs else []), os.environ["PATH"], "/usr/sbin", "/sbin"])
        self._process: subprocess.Popen[bytes] | None = None
        (folder / "daemon.json").write_text(json.dumps({"features": features or {}}))

    def start(self) -> None:
        """Returns when it answers."""
        if not Path(f"/sys/class/net/{self._bridge}").exists():
            # Of a range that is for tests of networks.
            address = f"198.18.{os.getpid() % 256}.1/24"
            for command in (["add", "name", self._bridge, "type", "bridge"], ["set", self._bridge, "up"]):
                subprocess.run(["ip", "link", *command], check=True)
            subprocess.run(["ip", "address", "add", address, "dev", self._bridge], check=True)
        self._forget()
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [shutil.which("dockerd", path=self._path) or "dockerd", f"--config-file={self.folder}/daemon.json",
                 f"--data-root={self.data}", f"--exec-root={self.folder}/exec", f"--pidfile={self.folder}/pid",
                 f"--host={self.address}", f"--bridge={self._bridge}", "--iptables=false",
                 "--ip6tables=false", "--ip-forward=false", "--ip-masq=false"],
                env={**os.environ, "PATH": self._path}, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and self._process.poll() is None:
            with contextlib.suppress(docker.errors.DockerException):
                if self.client().ping():
                    return
            time.sleep(0.05)
        raise AssertionError((self.folder / "log").read_text()[-3000:])

    def _forget(self) -> None:
        """What a killed one leaves behind: its containerd ends with it, which an engine does not see where nobody reaps
        that process."""
        (self.folder / "pid").unlink(missing_ok=True)
        with contextlib.suppress(OSError, ValueError):
            _wait(lambda: not _runs(int(self._containerd.read_text())))
            self._containerd.unlink()

    @property
    def _containerd(self) -> Path:
        return self.folder / "exec" / "containerd" / "containerd.pid"

    def client(self) -> Any:
        return docker.DockerClient(self.address, timeout=60)

    def end(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)
        self._process.wait(timeout=60)

    def remove(self) -> None:
        """Ends what it started, unmounts what it mounted."""
        if self._process and self._process.poll() is None:
            self.end(signal.SIGTERM)
        with contextlib.suppress(OSError, ValueError):
            _wait(lambda: not _runs(int(self._containerd.read_text())))
        mounted = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
        for place in sorted((place for place in mounted if place.startswith(f"{self.folder}/")), reverse=True):
            subprocess.run(["umount", "--lazy", place], check=True)
        if Path(f"/sys/class/net/{self._bridge}").exists():
            subprocess.run(["ip", "link", "delete", self._bridge], check=True)
        shutil.rmtree(self.folder)


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def _wait(done: Any) -> None:
    deadline = time.monotonic() + 60
    while not done() and time.monotonic() < deadline:
        time.sleep(0.05)


@contextmanager
def second_engine(memory: str = "", programs: str = "", features: dict[str, bool] | None = None
                  ) -> Iterator[SecondEngine]:
    """One that runs. memory: size of a file system in memory for its data, '' for the disk. Skips where it cannot."""
    if os.geteuid() != 0:
        pytest.skip("a second engine takes root")
    # Not pytest's folder: the name of a socket has an end.
    engine = SecondEngine(Path(tempfile.mkdtemp(prefix="slipway-engine-")), programs, features)
    if not shutil.which("dockerd", path=engine._path):
        shutil.rmtree(engine.folder)
        pytest.skip("no dockerd to start: the machine's engine is a remote one")
    if not shutil.which("ip"):
        shutil.rmtree(engine.folder)
        pytest.skip("no ip (iproute2) to make the engine's network with")
    try:
        engine.data.mkdir()
        if memory:
            made = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={memory}", "tmpfs", str(engine.data)],
                                  capture_output=True, text=True, check=False)
            if made.returncode:
                pytest.skip(f"nothing can be mounted here: {made.stderr.strip()}")
        engine.start()
        yield engine
    finally:
        engine.remove()


#: The first Debian whose engine has the containerd image store, and that has buildx.
_SUITE = "trixie"
_PACKAGES = ("docker.io", "docker-cli", "docker-buildx", "containerd")


def newer_programs(folder: Path) -> Path:
    """Directory with the programs of Debian 13's engine, its CLI and buildx, which run on any system with their libc.

    Downloaded by apt from the mirrors that this machine uses, with the archive's signatures checked, and kept in
    `folder`. Skips where that cannot be.
    """
    root, ready = folder / "root", folder / "ready"
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not ready.exists():
            _download(folder, root)
            ready.touch()
    plugin = root / "usr/libexec/docker/cli-plugins/docker-buildx"
    for program in (root / "usr/sbin/dockerd", root / "usr/bin/docker", root / "usr/bin/containerd", plugin):
        if subprocess.run([program, "--help"], capture_output=True, check=False).returncode:
            pytest.skip(f"Debian 13's {program.name} does not run here")
    return root / "usr"


def _download(folder: Path, root: Path) -> None:
    listed = subprocess.run(["apt-get", "indextargets", "--format", images.INDEX_FORMAT], capture_output=True,
                            text=True, check=False).stdout
    keyring = str(images.DEBIAN_KEYRING) if images.DEBIAN_KEYRING.exists() else None
    lines = [line for line in images.source_lines(images.parse_sources(listed), _SUITE, keyring)
             if line.endswith(f" {_SUITE} main")]
    if not lines:
        pytest.skip("this machine uses no Debian mirror to take Debian 13's engine from")
    (folder / "sources.list").write_text("\n".join(lines) + "\n")
    (folder / "lists" / "partial").mkdir(parents=True, exist_ok=True)
    apt = ["apt-get", "--quiet", "-o", f"Dir::Etc::SourceList={folder}/sources.list", "-o", "Dir::Etc::SourceParts=-",
           "-o", f"Dir::State::Lists={folder}/lists", "-o", f"Dir::Cache={folder}/cache",
           "-o", "Dir::State::status=/dev/null", "-o", "APT::Sandbox::User=root", "-o", "Acquire::Languages=none"]
    for command in ([*apt, "update"], [*apt, "download", *_PACKAGES]):
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"the mirror does not give Debian 13's engine: {done.stderr.strip()[-300:]}")
    for package in folder.glob("*.deb"):
        subprocess.run(["dpkg-deb", "--extract", package, root], check=True)
        package.unlink()
    shutil.rmtree(folder / "lists")
