"""The roles jenkins and jenkins_plugins on a host where things are wrong: one host, one trouble after the other.

Jenkins is the stand-in, from the packages that embedded/jenkins builds. What goes well is in molecule/jenkins and
molecule/jenkins_plugins.
"""

from __future__ import annotations

import base64
import json
import os
import re
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

from embedded import engine, hosts

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ROOT / ".embedded" / "packages"
NAME = "hostile-jenkins"
STAND_IN = str(ROOT / "molecule/shared/vars/stand-in.yml")
LIMIT = 900
PASSWORD = "a given $ecret, 'quoted'"
STEP = "until test -e /tmp/go; do sleep 0.2; done"


@dataclass
class Target:
    """The host, by the way the roles take (SSH) and by one that nothing on the host can block (exec)."""

    container: Any
    directory: Path

    def run(self, script: str) -> str:
        done = self.container.exec_run(["sh", "-euc", script])
        assert done.exit_code == 0, f"{script}\n{done.output.decode()}"
        return str(done.output.decode())

    def start(self, role: str, *arguments: str, **options: Any) -> subprocess.Popen[str]:
        """Begin to apply a role with these options."""
        (self.directory / "play.yml").write_text(json.dumps([
            {"hosts": "all", "become": True, "gather_facts": False, "roles": [role],
             "vars_files": [] if options.pop("real_defaults", False) else [STAND_IN]}]))
        (self.directory / "options.json").write_text(json.dumps(options))
        return subprocess.Popen(
            [Path(sys.executable).with_name("ansible-playbook"), "-i", self.directory / "hosts.json",
             "-e", f"@{self.directory / 'options.json'}", *arguments, self.directory / "play.yml"],
            cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            start_new_session=True,
            env={**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_STDOUT_CALLBACK": "default",
                 "ANSIBLE_PIPELINING": "true", "ANSIBLE_ROLES_PATH": str(ROOT / "roles"), "ANSIBLE_NOCOLOR": "1",
                 "MOLECULE_PROJECT_DIRECTORY": str(ROOT),
                 "ANSIBLE_SSH_ARGS": "-o ControlMaster=auto -o ControlPersist=60s -o UserKnownHostsFile=/dev/null "
                                     "-o StrictHostKeyChecking=no"})

    def apply(self, role: str, *arguments: str, **options: Any) -> tuple[int, str]:
        """Apply a role; its exit code and what it said."""
        play = self.start(role, *arguments, **options)
        try:
            said, _ = play.communicate(timeout=LIMIT)
        finally:
            end(play)
        return play.returncode, said

    def succeeds(self, role: str, *arguments: str, **options: Any) -> str:
        code, said = self.apply(role, *arguments, **options)
        assert code == 0, said
        return said

    def refuses(self, role: str, **options: Any) -> str:
        """What the role's failure says, on one line."""
        code, said = self.apply(role, **options)
        assert code == 2, said
        assert "Traceback" not in said
        return " ".join(said.split())

    def until(self, condition: Callable[[], bool], play: subprocess.Popen[str]) -> None:
        """Wait for something on the host, as long as the play goes on."""
        while not condition():
            assert play.poll() is None, play.communicate()[0]
            time.sleep(0.2)

    def secret(self, name: str) -> str:
        return self.run(f"cat /etc/slipway/jenkins/{name}").strip()

    def status(self, user: str, path: str = "/api/json", method: str = "GET") -> int:
        """The status with which Jenkins answers this user:secret; nobody when empty."""
        code = ("import sys, urllib.request as u, urllib.error as e\n"
                f"r = u.Request('http://127.0.0.1:8080{path}', method='{method}')\n"
                "a = sys.stdin.readline().strip()\n"
                "r.add_header('Authorization', 'Basic ' + a) if a else None\n"
                "try: print(u.urlopen(r).status)\n"
                "except e.HTTPError as error: print(error.code)\n")
        header = base64.b64encode(user.encode()).decode() if user else ""
        return int(self.run(f"echo '{header}' | python3 -c \"{code}\""))


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
    subprocess.run([sys.executable, "-m", "embedded.jenkins", "repository", PACKAGES], cwd=ROOT, check=True)
    hosts.remove([NAME])
    host = hosts.create(NAME, "debian-13", mounts=[(str(PACKAGES), "/srv/packages")])
    (directory / "hosts.json").write_text(json.dumps({"all": {"hosts": {NAME: {
        "ansible_host": host.address, "ansible_user": host.user, "ansible_port": host.port,
        "ansible_ssh_private_key_file": host.private_key, "ansible_python_interpreter": "/usr/bin/python3"}}}}))
    try:
        yield Target(engine.client().containers.get(hosts.container_name(NAME)), directory)
    finally:
        hosts.remove([NAME])


def untouched(target: Target) -> bool:
    return target.run("ls -d /etc/slipway /var/lib/jenkins /etc/apt/keyrings/jenkins.asc 2>/dev/null || true") == ""


REFUSED: list[tuple[str, Any, str]] = [
    ("jenkins_version", "2.568", "give an LTS release"),
    ("jenkins_version", "2.401.3", "2.541.1 at least"),
    ("jenkins_java_version", 17, "runs on Java 21 or 25, and jenkins_java_version is 17"),
    ("jenkins_admin_password", "short-pass", "12 characters at least"),
    ("jenkins_admin_password", "ä" * 37, "72 bytes at most"),
    ("jenkins_admin_user", "$(id)", "jenkins_admin_user may hold letters"),
    ("jenkins_listen_address", "0.0.0.0\nExecStart=/bin/sh", "jenkins_listen_address is no IPv4 address"),
    ("jenkins_url", 'http://x/"\nExecStart=/bin/sh', "jenkins_url is no URL"),
    ("jenkins_java_options", ["-Xmx1g -Xms1g"], "white space"),
    ("jenkins_repository_key_fingerprints", [], "at least one fingerprint"),
]


def test_values_that_cannot_do_are_refused_before_anything_is_touched(target: Target) -> None:
    """One play, in which the host has many names and each of them another fault."""
    inventory = json.loads((target.directory / "hosts.json").read_text())
    (reach,) = inventory["all"]["hosts"].values()
    faulty = {f"fault-{number}": {**reach, option: value} for number, (option, value, _) in enumerate(REFUSED)}
    (target.directory / "faults.json").write_text(json.dumps({"all": {"hosts": faulty}}))
    code, said = target.apply("jenkins", "-i", str(target.directory / "faults.json"), "--limit", "fault-*",
                              real_defaults=True)
    assert code == 2, said
    assert re.findall(r"changed=(\d+) .*failed=(\d+)", said) == [("0", "1")] * len(REFUSED), said
    words = " ".join(said.split())
    for number, (option, _, expected) in enumerate(REFUSED):
        failures = [part for part in re.split(r"(?=(?:fatal|failed): \[)", words) if f"[fault-{number}]" in part[:20]]
        assert expected in " ".join(failures), (option, failures)
    assert "short-pass" not in said
    assert untouched(target)


def test_a_taken_port_is_refused_with_the_name_of_its_holder(target: Target) -> None:
    target.container.exec_run(["python3", "-m", "http.server", "8080", "--bind", "127.0.0.1"], detach=True)
    target.run("until python3 -c 'import socket; socket.create_connection((\"127.0.0.1\", 8080))' 2>/dev/null; "
               "do sleep 0.1; done")
    try:
        said = target.refuses("jenkins")
    finally:
        target.run("pkill -f [h]ttp.server")
    assert f"port 8080 of {NAME} is taken by python3" in said and "-m http.server 8080" in said
    assert "set jenkins_port to another one" in said
    assert untouched(target)


def test_a_disk_without_space_is_refused_before_anything_is_touched(target: Target) -> None:
    target.run("mount -t tmpfs -o size=8m full /var/cache")
    try:
        said = target.refuses("jenkins")
    finally:
        target.run("umount /var/cache")
    assert f"{NAME} has no space for Jenkins" in said and "8 MB in /var/cache" in said
    assert untouched(target)


def test_a_wrong_clock_is_refused_before_anything_is_touched(target: Target) -> None:
    target.run("""
        apt-get -qq update >/dev/null; apt-get -qq -y --no-install-recommends install libfaketime >/dev/null 2>&1
        cat > /usr/local/bin/python-yesterday <<'END'
#!/bin/sh
LD_PRELOAD=$(echo /usr/lib/*/faketime/libfaketime.so.1) FAKETIME=-1d exec /usr/bin/python3 "$@"
END
        chmod +x /usr/local/bin/python-yesterday""")
    said = target.refuses("jenkins", ansible_python_interpreter="/usr/local/bin/python-yesterday")
    assert f"the clock of {NAME} is 1440 minutes behind" in said and "timedatectl" in said
    assert untouched(target)


def test_a_repository_without_a_route_is_named(target: Target) -> None:
    said = target.refuses("jenkins", jenkins_repository_url="http://127.0.0.1:9/debian-stable")
    assert "http://127.0.0.1:9/debian-stable/jenkins.io-2026.key cannot be fetched: Connection refused" in said
    assert "route" in said
    # The key may be there from before, and the repository be gone.
    said = target.refuses("jenkins", jenkins_repository_url="http://127.0.0.1:9/debian-stable",
                          jenkins_repository_key_url="file:///srv/packages/debian-stable/jenkins.io-2026.key")
    assert f"Jenkins 2.568.1 was not installed on {NAME}" in said and "connect to 127.0.0.1:9" in said
    assert "Check that http://127.0.0.1:9/debian-stable can be reached" in said


def test_a_key_that_is_not_the_expected_one_is_refused(target: Target) -> None:
    target.run("rm -f /etc/apt/keyrings/jenkins.asc")
    said = target.refuses("jenkins", jenkins_repository_key_fingerprints=["5E38 6EAD B55F 0150 4CAE 8BCF 7198 F4B7"])
    assert "expected is 5E386EADB55F01504CAE8BCF7198F4B7" in said
    assert target.run("ls /etc/apt/keyrings") == ""


def test_a_lock_of_another_process_is_waited_for(target: Target) -> None:
    """And then Jenkins does not come up: its own words are shown."""
    target.container.exec_run(["python3", "-c", (
        "import fcntl, os, time\n"
        "lock = open('/var/lib/dpkg/lock-frontend', 'w'); fcntl.lockf(lock, fcntl.LOCK_EX)\n"
        "open('/run/locked', 'w').write(str(os.getpid())); time.sleep(600)")], detach=True)
    target.run("until test -s /run/locked; do sleep 0.1; done")
    play = target.start("jenkins", jenkins_listen_address="192.0.2.1")
    try:
        target.until(lambda: "apt-get" in target.run("ps -eo args | grep '[i]nstall.*jenkins=' || true"), play)
        target.run("kill $(cat /run/locked)")
        said = " ".join(play.communicate(timeout=LIMIT)[0].split())
    finally:
        end(play)
    assert play.returncode == 2, said
    assert f"Jenkins 2.568.1 was not installed on {NAME}" in said
    assert "annot assign requested address" in said.split("The end of Jenkins' journal")[1]


def test_what_that_left_half_installed_is_finished(target: Target) -> None:
    assert "jenkins" in target.run("dpkg --audit")
    target.succeeds("jenkins")
    assert target.run("dpkg --audit") == ""
    assert changes(target.succeeds("jenkins")) == 0


def test_no_secret_is_in_the_loudest_output_and_a_new_password_replaces_the_old_one(target: Target) -> None:
    old = target.secret("admin-password")
    said = target.succeeds("jenkins", "-vvvv", "--diff", jenkins_admin_password=PASSWORD)
    said += target.succeeds("jenkins_plugins", "-vvvv", "--diff")
    secrets = [PASSWORD, json.dumps(PASSWORD)[1:-1], old, target.secret("api-token"), target.secret("credentials")]
    assert target.secret("admin-password") == PASSWORD
    encoded = [base64.b64encode(text.encode()).decode() for text in [*secrets, f"admin:{PASSWORD}"]]
    assert [secret for secret in [*secrets, *encoded] if secret in said] == []
    assert [target.status(user) for user in (f"admin:{old}", f"admin:{PASSWORD}", target.secret("credentials"), "")
            ] == [401, 200, 200, 403]
    journal = target.run("journalctl --no-pager -o cat; grep -rhs . /home/admin /root /tmp /var/tmp || true")
    assert [secret for secret in secrets if secret in journal] == []


def test_a_running_build_is_waited_for(target: Target) -> None:
    target.run("rm -f /tmp/go; cat > /run/job.xml <<'END'\n<project><builders><hudson.tasks.Shell><command>"
               f"{STEP}</command></hudson.tasks.Shell></builders></project>\nEND")
    api = ("curl() { python3 - \"$@\" <<'END'\nimport base64, sys, urllib.request as u\n"
           "c = base64.b64encode(open('/etc/slipway/jenkins/credentials').read().strip().encode()).decode()\n"
           "d = open(sys.argv[2], 'rb').read() if len(sys.argv) > 2 else b'' if 'POST' in sys.argv[1] else None\n"
           "r = u.Request('http://127.0.0.1:8080' + sys.argv[1].removeprefix('POST '), data=d)\n"
           "r.add_header('Authorization', 'Basic ' + c); r.add_header('Content-Type', 'application/xml')\n"
           "print(u.urlopen(r).read().decode())\nEND\n}\n")
    target.run(api + "curl 'POST /createItem?name=slow' /run/job.xml; curl 'POST /job/slow/build'\n"
               "until curl /computer/api/json | grep -q '\"busyExecutors\": *1'; do sleep 0.2; done")
    play = target.start("jenkins", jenkins_executors=4)
    try:
        target.until(lambda: "true" in target.run(api + "curl /api/json | grep -o '\"quietingDown\": *true' || true"),
                     play)
        assert play.poll() is None
        target.run("touch /tmp/go")
        said, _ = play.communicate(timeout=LIMIT)
    finally:
        end(play)
    assert play.returncode == 0, said
    assert '"result": "SUCCESS"' in target.run(api + "curl /job/slow/lastBuild/api/json").replace('":"', '": "')
    assert "quietingDown\": true" not in target.run(api + "curl /api/json").replace('":', '": ').replace("  ", " ")
    target.succeeds("jenkins")


def test_a_token_that_jenkins_does_not_know_is_said_and_made_good(target: Target) -> None:
    target.run("umask 077; echo admin:11ffffffffffffffffffffffffffffffff > /etc/slipway/jenkins/credentials")
    said = target.refuses("jenkins_plugins")
    assert "Jenkins does not accept the token of /etc/slipway/jenkins/credentials" in said
    assert "Run the role jenkins again" in said
    target.succeeds("jenkins")
    # Both files are of another token, as from a backup: Jenkins has to learn it.
    other = "11" + "e" * 32
    target.run(f"cd /etc/slipway/jenkins; umask 077; echo {other} > api-token; rm credentials")
    target.succeeds("jenkins")
    assert target.status(f"admin:{other}") == 200
    assert changes(target.succeeds("jenkins")) == 0


def test_a_script_that_opens_jenkins_is_noticed_and_jenkins_stopped(target: Target) -> None:
    """Played by what answers in its place: the anonymous caller gets an answer."""
    target.run("""
        systemctl stop jenkins
        cat > /etc/systemd/system/jenkins.service.d/zz-open.conf <<'END'
[Service]
Type=exec
ExecStart=
ExecStart=/usr/bin/python3 -c "import http.server as h; H = type('H', (h.BaseHTTPRequestHandler,), \\
    {'do_GET': lambda s: (s.send_response(200), s.send_header('X-Jenkins', '2.568.1'), s.end_headers())}); \\
    h.HTTPServer(('127.0.0.1', 8080), H).serve_forever()"
END""")
    try:
        said = target.refuses("jenkins")
        assert "answered an anonymous caller with 200 instead of 403, and was stopped" in said
        assert target.run("systemctl is-active jenkins || true").strip() == "inactive"
    finally:
        target.run("rm /etc/systemd/system/jenkins.service.d/zz-open.conf")
    target.succeeds("jenkins")


def test_a_run_that_is_killed_at_any_task_is_completed_by_the_next(target: Target) -> None:
    """Each run is killed at one task later than the one before; what it has begun on the host goes on or ends there."""
    target.run("systemctl stop jenkins || true; apt-mark -qq unhold jenkins || true; "
               "DEBIAN_FRONTEND=noninteractive apt-get -qq purge jenkins >/dev/null 2>&1 || true; "
               "rm -rf /etc/slipway /etc/apt/sources.list.d/jenkins.sources /etc/systemd/system/jenkins.service.d "
               "/var/lib/jenkins")
    for task in ("Keep the secrets", "Write the unit's settings", "Fetch the repository's key",
                 "Install Jenkins with apt", "Hold the version", "Run Jenkins with what is configured"):
        play = target.start("jenkins", jenkins_version="2.568.2" if "Run" in task else "2.568.1")
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
    target.succeeds("jenkins")
    assert target.status(target.secret("credentials")) == 200
    assert target.status("") == 403
    assert changes(target.succeeds("jenkins")) == 0
    # On the host itself, for the folder is there for a moment only.
    target.run("nohup sh -c 'until test -e /var/cache/slipway-jenkins-plugins; do sleep 0.01; done; "
               "pkill -KILL -xf \"/usr/bin/python3[0-9.]*\"' >/dev/null 2>&1 &")
    code, said = target.apply("jenkins_plugins")
    assert code != 0, said
    target.succeeds("jenkins_plugins")
    assert changes(target.succeeds("jenkins_plugins")) == 0


def test_the_script_that_closes_jenkins_is_valid_in_jenkins_own_groovy(target: Target) -> None:
    """Groovy 2.4.21, which Jenkins ships, runs it against stubs of Jenkins' classes: four starts of one Jenkins."""
    archive = BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        tar.add(ROOT / "tests/integration/jenkins_stubs", "stubs")
        tar.add(ROOT / "roles/jenkins/files/init.groovy.d/slipway.groovy", "stubs/slipway.groovy")
    target.container.put_archive("/root", archive.getvalue())
    said = target.run("""
        mkdir -p /usr/share/man/man1
        DEBIAN_FRONTEND=noninteractive apt-get -qq -y --no-install-recommends install \
            groovy openjdk-21-jdk-headless >/dev/null 2>&1
        cd /root/stubs
        export JAVA_HOME=$(echo /usr/lib/jvm/java-21-openjdk-*) JAVA_OPTS='--add-opens java.base/java.lang=ALL-UNNAMED'
        javac -d classes $(find hudson jenkins -name '*.java')
        mkdir credentials
        echo 'first password' > credentials/admin-password
        printf '11%032d\\n' 0 > credentials/api-token
        export CREDENTIALS_DIRECTORY=$PWD/credentials SLIPWAY_ADMIN=admin SLIPWAY_URL=http://x/ SLIPWAY_EXECUTORS=2
        groovy -cp classes starts.groovy slipway.groovy 2>&1 || echo "status $?" """)
    same = ["anonymous may read: false", "sign-up: false", "crumbs", "agent port -1", "executors 2", "saved Jenkins",
            "url http://x/"]
    assert said.splitlines() == [
        "Groovy 2.4.21",
        "start 1", *same, "account admin", "token slipway", "saved user",
        "start 2", *same, "saved user",
        "start 3", *same, "account admin", "revoked", "token slipway", "saved user",
        "start 4", *same, ("slipway: Jenkins could not be secured and ends now: java.io.FileNotFoundException: "
                           "/root/stubs/credentials/api-token (No such file or directory)"), "status 1"]
