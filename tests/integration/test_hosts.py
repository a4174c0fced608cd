"""A host is a machine of its own: made once, rebooted, killed, and gone with everything in it."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator

import pytest

from embedded import engine, hosts, settings
from embedded.process import EmbeddedError

NAME = "test-hosts"


@pytest.fixture
def host() -> Iterator[hosts.Host]:
    engine.ensure_engine(settings.STATE, print)
    hosts.remove([NAME])
    try:
        yield hosts.create(NAME, "debian-13")
    finally:
        hosts.remove([NAME])


def ssh(host: hosts.Host, *command: str) -> str:
    return subprocess.run(["ssh", "-i", host.private_key, "-o", "StrictHostKeyChecking=no", "-o", "LogLevel=ERROR",
                           "-o", "UserKnownHostsFile=/dev/null", f"{host.user}@{host.address}", *command],
                          check=True, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=120).stdout.strip()


def test_a_host_lives_as_a_machine_does(host: hosts.Host) -> None:
    container = engine.client().containers.get(hosts.container_name(NAME))
    (volume,) = [mount["Name"] for mount in container.attrs["Mounts"] if mount["Destination"] == "/var/lib/docker"]

    assert ssh(host, "sudo", "systemctl", "is-system-running") == "running"
    assert ssh(host, "hostname") == NAME
    # Packages come from where the machine's own do.
    assert ssh(host, "sudo apt-get -qq update && apt-cache policy hello | grep -c Candidate") == "1"

    booted = ssh(host, "stat --format %Y /proc/1")
    ssh(host, "touch kept && sudo systemd-run --on-active=1 systemctl reboot")
    deadline = time.monotonic() + 120
    while hosts.create(NAME, "debian-13") and ssh_or_nothing(host, "stat --format %Y /proc/1") in ("", booted):
        assert time.monotonic() < deadline
    assert ssh(host, "ls") == "kept"

    container.kill()
    assert hosts.create(NAME, "debian-13") == host
    assert ssh(host, "ls") == "kept"

    with pytest.raises(EmbeddedError, match="system debian-13 and not debian-12"):
        hosts.create(NAME, "debian-12")

    assert hosts.remove([NAME]) == 1
    assert hosts.remove([NAME]) == 0
    assert volume not in [one.name for one in engine.client().volumes.list()]


def ssh_or_nothing(host: hosts.Host, *command: str) -> str:
    """While a host reboots it answers nothing, or not any more."""
    try:
        return ssh(host, *command)
    except subprocess.SubprocessError:
        return ""
