"""The role docker on a host where things are wrong: one host, whose troubles come one after the other.

Each test leaves the host as it found it, and the last ones an engine. What goes well is in molecule/docker.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from embedded import engine, hosts

ROOT = Path(__file__).resolve().parents[2]
NAME = "hostile-docker"
LIMIT = 600
#: Also on a machine whose apt looks at no dates.
DATED = "/etc/apt/apt.conf.d/zz-dates"


@dataclass
class Target:
    """The host, by the way the role takes (SSH) and by one that nothing on the host can block (exec)."""

    container: Any
    directory: Path

    def run(self, script: str) -> str:
        done = self.container.exec_run(["sh", "-euc", script])
        assert done.exit_code == 0, f"{script}\n{done.output.decode()}"
        return str(done.output.decode())

    def start(self, **options: Any) -> subprocess.Popen[str]:
        """Begin to apply the role with these options."""
        (self.directory / "options.json").write_text(json.dumps(options))
        return subprocess.Popen(
            [Path(sys.executable).with_name("ansible-playbook"), "-i", self.directory / "hosts.json",
             "-e", f"@{self.directory / 'options.json'}", self.directory / "play.yml"],
            cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            start_new_session=True,
            env={**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_STDOUT_CALLBACK": "default",
                 "ANSIBLE_PIPELINING": "true", "ANSIBLE_ROLES_PATH": str(ROOT / "roles"), "ANSIBLE_NOCOLOR": "1",
                 "ANSIBLE_SSH_ARGS": "-o ControlMaster=auto -o ControlPersist=60s -o UserKnownHostsFile=/dev/null "
                                     "-o StrictHostKeyChecking=no -o ServerAliveInterval=5"})

    def apply(self, **options: Any) -> tuple[int, str]:
        """Apply the role; its exit code and what it said."""
        play = self.start(**options)
        try:
            said, _ = play.communicate(timeout=LIMIT)
        finally:
            end(play)
        return play.returncode, said

    def succeeds(self, **options: Any) -> str:
        code, said = self.apply(**options)
        assert code == 0, said
        return said

    def refuses(self, **options: Any) -> str:
        """What the role's failure says, on one line."""
        code, said = self.apply(**options)
        assert code == 2, said
        assert "Traceback" not in said
        return " ".join(said.split())


def end(play: subprocess.Popen[str]) -> None:
    """With all its children, as a machine that loses its power would."""
    with suppress(ProcessLookupError):
        os.killpg(play.pid, signal.SIGKILL)
    play.wait()


def changes(said: str) -> int:
    found = re.findall(r"changed=(\d+)", said)
    assert len(found) == 1, said
    return int(found[0])


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    directory = tmp_path_factory.mktemp("hostile")
    engine.ensure_engine(directory, print)
    hosts.remove([NAME])
    host = hosts.create(NAME, "debian-13")
    (directory / "hosts.json").write_text(json.dumps({"all": {"hosts": {NAME: {
        "ansible_host": host.address, "ansible_user": host.user, "ansible_port": host.port,
        "ansible_ssh_private_key_file": host.private_key, "ansible_python_interpreter": "/usr/bin/python3"}}}}))
    (directory / "play.yml").write_text(json.dumps([
        {"hosts": "all", "become": True, "gather_facts": False, "roles": ["docker"]}]))
    try:
        yield Target(engine.client().containers.get(hosts.container_name(NAME)), directory)
    finally:
        hosts.remove([NAME])


def installed(target: Target) -> bool:
    return "yes" in target.run("test -e /usr/sbin/dockerd && echo yes || echo no")


@contextmanager
def only_source(target: Target, line: str) -> Iterator[None]:
    """The host takes its packages from there alone."""
    target.run("mkdir -p /root/sources; mv /etc/apt/sources.list /etc/apt/sources.list.d /root/sources/; "
               f"rm -rf /var/lib/apt/lists/*; mkdir /etc/apt/sources.list.d; echo '{line}' > /etc/apt/sources.list")
    try:
        yield
    finally:
        target.run("rm -rf /etc/apt/sources.list /etc/apt/sources.list.d; mv /root/sources/* /etc/apt/")


def test_a_user_who_is_not_there_is_named_before_anything_is_touched(target: Target) -> None:
    said = target.refuses(docker_users=["admin", "nobody-of-this-name"])
    assert "docker_users names nobody-of-this-name" in said and "create the user first" in said
    assert not installed(target)


def test_a_repository_that_cannot_be_reached_is_named(target: Target) -> None:
    with only_source(target, "deb [trusted=yes] http://127.0.0.1:9/debian trixie main"):
        said = target.refuses()
    assert f"installing packages on {NAME} failed" in said
    assert "http://127.0.0.1:9/debian" in said and "connect to 127.0.0.1:9" in said


def test_a_wrong_clock_is_named(target: Target) -> None:
    """A repository that was made tomorrow is a host that lives yesterday."""
    target.run(f"""
        echo 'Acquire::Check-Date "true";' > {DATED}
        mkdir -p /srv/tomorrow; cd /srv/tomorrow; : > Packages
        sum=$(sha256sum Packages | cut -d' ' -f1)
        printf 'Origin: test\\nDate: %s\\nSHA256:\\n %s 0 Packages\\n' \
            "$(date -u -R -d tomorrow | sed 's/+0000/UTC/')" $sum > Release""")
    try:
        with only_source(target, "deb [trusted=yes] file:///srv/tomorrow ./"):
            said = target.refuses()
    finally:
        target.run(f"rm -r {DATED} /srv/tomorrow")
    assert "is not valid yet" in said and "check the clock of" in said


def test_a_full_disk_is_named_before_the_packages(target: Target) -> None:
    target.run("mount -t tmpfs -o size=64k full /var/cache/apt/archives")
    try:
        said = target.refuses()
    finally:
        target.run("umount /var/cache/apt/archives")
    assert "enough free space in /var/cache/apt/archives" in said
    assert not installed(target)


def test_a_lock_of_another_process_is_waited_for(target: Target) -> None:
    """Before apt's Python binding is there, too: then the lock is met by another program, with other words."""
    assert target.run("dpkg-query -W -f '${db:Status-Status}' python3-apt 2>/dev/null || true") != "installed"
    target.container.exec_run(["python3", "-c", (
        "import fcntl, os, time\n"
        "lock = open('/var/lib/dpkg/lock-frontend', 'w'); fcntl.lockf(lock, fcntl.LOCK_EX)\n"
        "open('/run/locked', 'w').write(str(os.getpid())); time.sleep(600)")], detach=True)
    target.run("until test -s /run/locked; do sleep 0.1; done")
    play = target.start()
    try:
        assert play.stdout is not None
        said = ""
        for line in play.stdout:
            said += line
            if "RETRYING" in line:
                target.run("kill $(cat /run/locked)")
        assert play.wait(LIMIT) == 0, said
    finally:
        end(play)
    assert "RETRYING" in said
    assert installed(target)


def test_an_interrupted_installation_is_finished(target: Target) -> None:
    """dpkg is killed while it configures the engine; then the role comes."""
    target.run("DEBIAN_FRONTEND=noninteractive apt-get -qq purge docker.io >/dev/null 2>&1")
    # A trigger of the engine's own configuration, at which dpkg can be caught.
    target.run("""
        cat > /usr/sbin/policy-rc.d <<'END'
#!/bin/sh
touch /run/configuring
pkill -KILL -x dpkg
END
        chmod +x /usr/sbin/policy-rc.d
        export DEBIAN_FRONTEND=noninteractive
        apt-get -qq -y --no-install-recommends install docker.io >/dev/null 2>&1 && exit 1
        rm /usr/sbin/policy-rc.d; test -e /run/configuring""")
    assert "docker.io" in target.run("dpkg --audit")
    target.succeeds()
    assert target.run("dpkg --audit; docker info --format '{{.LiveRestoreEnabled}}'").split() == ["true"]


def test_an_option_that_the_engine_refuses_leaves_its_configuration(target: Target) -> None:
    before = target.run("cat /etc/docker/daemon.json; systemctl show -p MainPID docker")
    said = target.refuses(docker_daemon_options={"log-level": 7})
    assert f"the Docker engine on {NAME} refuses its configuration" in said and "correct docker_daemon_options" in said
    assert "log-level" in said and ".ansible/tmp" not in said.split("refuses its configuration")[1]
    assert target.run("cat /etc/docker/daemon.json; systemctl show -p MainPID docker") == before


def test_an_engine_that_does_not_start_is_shown_with_its_own_words(target: Target) -> None:
    """The engine's check of its configuration does not see this; the start does. The next run repairs it."""
    said = target.refuses(docker_daemon_options={"storage-driver": "no-such-driver"})
    assert "does not answer on /var/run/docker.sock" in said
    assert "no-such-driver" in said.split("last lines of its journal")[1]
    target.succeeds()
    assert "overlay2" in target.run("docker info --format '{{.Driver}}'")


def test_a_run_that_is_killed_at_any_task_is_completed_by_the_next(target: Target) -> None:
    """Each run is killed at one task later than the one before; what it has begun on the host goes on or ends there."""
    target.run("DEBIAN_FRONTEND=noninteractive apt-get -qq purge docker.io >/dev/null 2>&1; rm -rf /etc/docker")
    for task in ("Install the packages with apt", "Write the engine's configuration", "Add users to the docker group",
                 "Stop the engine's unit", "Enable and start the engine's unit", "Wait until the engine answers"):
        play = target.start(docker_users=["admin"])
        try:
            assert play.stdout is not None
            said = ""
            for line in play.stdout:
                said += line
                if task in line:
                    break
            assert task in said, said
        finally:
            end(play)
    target.succeeds(docker_users=["admin"])
    state = target.run("systemctl is-active docker; docker info --format '{{.LiveRestoreEnabled}}'; id -nG admin")
    assert state.split() == ["active", "true", "admin", "docker"]
    assert changes(target.succeeds(docker_users=["admin"])) == 0


def test_a_reboot_in_the_middle_is_survived(target: Target) -> None:
    """The configuration is written, and the host goes away before the engine has taken it."""
    play = target.start(docker_daemon_options={"log-level": "warn"})
    try:
        assert play.stdout is not None
        for line in play.stdout:
            if "Stop the engine's unit" in line:
                break
        target.container.restart(timeout=30)
    finally:
        end(play)
    deadline = time.monotonic() + LIMIT
    while target.container.exec_run(["systemctl", "is-system-running", "--wait"]).output.decode().strip() != "running":
        assert time.monotonic() < deadline
    target.succeeds(docker_daemon_options={"log-level": "warn"})
    assert changes(target.succeeds(docker_daemon_options={"log-level": "warn"})) == 0
