"""The command `release`: what it refuses, and what it gives to Ansible."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from tests.processes import alive

ROOT = Path(__file__).resolve().parents[3]
ANSIBLE = """#!/bin/bash
printf '%s\\0' "$@" > "$HOME/arguments"
env -0 > "$HOME/environment"
pwd > "$HOME/directory"
umask > "$HOME/umask"
exit 17
"""
# As the runner's, with what it was given written down in place of a release.
PLAYBOOK = """
- hosts: services
  gather_facts: false
  tasks:
    - ansible.builtin.copy:
        content: "{{ vars | dict2items | selectattr('key', 'match', 'ecs_release_|aws_') | items2dict | to_json }}"
        dest: "{{ lookup('env', 'HOME') }}/seen"
        mode: "0600"
"""
HOSTILE = ["{{ lookup('pipe', 'touch executed') }}", "{% set x = 1 %}", "{{", "{# #}", "$(touch executed)", "!unsafe x",
           "a: b", "\u2028", "\x00\x1b[31m", "'\"\\", "@/etc/passwd", "", " ", "true", "0123", "]]>",
           '{"__ansible_unsafe": "x"}']


class Runner:
    """A version of the runner as it is installed, with an ansible-playbook of the test's own."""

    def __init__(self, place: Path) -> None:
        self.root, self.home, self.source = place / "root", place / "home", place / "a source"
        for folder in (self.root / "venv" / "bin", self.root / "playbooks", self.home, self.source):
            folder.mkdir(parents=True)
        shutil.copytree(ROOT / "roles/release_runner/files/bin", self.root / "bin")
        shutil.copytree(ROOT / "inventories/runner", self.root / "inventories" / "runner")
        shutil.copytree(ROOT / "callback_plugins", self.root / "callback_plugins")
        (self.root / "module_utils").symlink_to(ROOT / "module_utils")
        shutil.copy(ROOT / "ansible.cfg", self.root)
        (self.root / ".in-use").touch()
        (self.root / "venv" / "bin" / "python").symlink_to(sys.executable)
        self.ansible(ANSIBLE)
        (self.source / "Dockerfile").touch()
        (place / "current").symlink_to(self.root)
        self.command = place / "current" / "bin" / "release"
        self.private = self.home / ".slipway"

    def ansible(self, script: str) -> None:
        program = self.root / "venv" / "bin" / "ansible-playbook"
        program.write_text(script)
        program.chmod(0o755)

    def environment(self, **more: str) -> dict[str, str]:
        return {"PATH": os.environ["PATH"], "HOME": str(self.home), **more}

    def run(self, *arguments: str, text: str = "{}", **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([self.command, *arguments], input=text, text=True, capture_output=True, check=False,
                              cwd=self.source, env=self.environment(**environment), timeout=120)

    def release(self, *arguments: str, variables: Any = None, **environment: str) -> subprocess.CompletedProcess[str]:
        return self.run("--source", str(self.source), "--variables", "-", *arguments,
                        text=json.dumps({} if variables is None else variables), **environment)

    def given(self) -> list[str]:
        return (self.private / "arguments").read_text().split("\0")[:-1]

    def seen_environment(self) -> dict[str, str]:
        entries = (self.private / "environment").read_text().split("\0")[:-1]
        return dict(entry.split("=", 1) for entry in entries)

    def variables(self) -> Any:
        (file,) = [argument for argument in self.given() if argument.startswith("@")]
        return json.loads(Path(file[1:]).read_text())


@pytest.fixture
def runner(tmp_path: Path) -> Runner:
    return Runner(tmp_path)


@pytest.mark.parametrize(("arguments", "said"), [
    ([], "required: --variables"),
    (["--variables", "-"], "one of the arguments --source --promote is required"),
    (["--source", ".", "--promote", ".", "--variables", "-"], "not allowed with argument"),
    (["--promote", ".", "--variables", "-"], "there is no release.json"),
    (["--promote", "/nowhere", "--variables", "-"], "/nowhere: No such file"),
    (["--source", "/nowhere", "--variables", "-"], "/nowhere: No such file"),
    (["--source", "/etc/hostname", "--variables", "-"], "Not a directory"),
    (["--source", ".", "--variables", "/nowhere"], "--variables /nowhere: No such file"),
    (["--source", ".", "--variables", "-", "--revision", "a b"], "no name of a revision"),
    (["--source", ".", "--variables", "-", "--revision", "-x"], "expected one argument"),
    (["--source", ".", "--variables", "-", "--report", "/nowhere"], "/nowhere: No such file"),
    (["--sour", ".", "--variables", "-"], "arguments --source --promote is required"),
    (["--source", ".", "--variables", "-", "-e", "x=y"], "unrecognized arguments"),
])
def test_wrong_arguments_end_with_the_usage(runner: Runner, arguments: list[str], said: str) -> None:
    done = runner.run(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("usage: release ")
    assert said in done.stderr
    assert not (runner.private / "arguments").exists()


@pytest.mark.parametrize(("text", "said"), [
    ("", "not JSON"), ("{", "not JSON"), ("[]", "not a JSON object"), ("1", "not a JSON object"),
    ('{"ansible_connection": "ssh"}', "'ansible_connection' is not taken"), ('{"a b": 1}', "'a b' is not taken"),
    ('{"A": 1}', "is not taken"), ('{"a\\n": 1}', "is not taken"), ('{"": 1}', "is not taken"),
    ('{"ecs_release_source": "/"}', "ecs_release_source is given by an option"),
    ('{"ecs_release_promote": "/"}', "ecs_release_promote is given by an option"),
    ('{"a": "' + "x" * 1_000_000 + '"}', "more than 1000000 characters")])
def test_wrong_variables_are_refused(runner: Runner, text: str, said: str) -> None:
    done = runner.run("--source", ".", "--variables", "-", text=text)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_an_empty_source_is_refused(runner: Runner) -> None:
    (runner.source / "Dockerfile").unlink()
    done = runner.release()
    assert (done.returncode, "the folder is empty" in done.stderr) == (2, True)


def test_ansible_gets_the_version_that_the_run_began_with(runner: Runner) -> None:
    done = runner.release("--check")
    assert done.returncode == 17
    arguments = runner.given()
    assert arguments[:2] == ["-i", str(runner.root / "inventories" / "runner")]
    assert arguments[-3:] == [str(runner.root / "playbooks" / "release.yml"), "--check", "--diff"]
    assert (runner.private / "directory").read_text() == f"{runner.root}\n"
    assert (runner.private / "umask").read_text() == "0077\n"


def test_everything_that_is_written_is_private(runner: Runner) -> None:
    runner.release(variables={"a": "b"})
    seen = runner.seen_environment()
    for name in ("HOME", "TMPDIR", "ANSIBLE_HOME", "ANSIBLE_LOCAL_TEMP", "ANSIBLE_REMOTE_TEMP"):
        assert Path(seen[name]).is_relative_to(runner.private)
    assert runner.private.stat().st_mode & 0o777 == 0o700
    (file,) = (runner.private / "tmp").iterdir()
    assert file.name.startswith("variables-")
    assert file.stat().st_mode & 0o777 == 0o600


def test_a_builds_environment_does_not_decide_how_ansible_works(runner: Runner) -> None:
    runner.release(ANSIBLE_LIBRARY="/evil", ANSIBLE_FORCE_COLOR="1", PYTHONPATH="/evil", PYTHONSTARTUP="/evil",
                   LANG="d", VIRTUAL_ENV="/evil", BUILD_URL="http://x/1/", AWS_REGION="eu-central-1")
    seen = runner.seen_environment()
    assert "/evil" not in seen.values()
    assert {name: seen[name] for name in ("ANSIBLE_FORCE_COLOR", "PYTHONUNBUFFERED", "LANG", "BUILD_URL",
                                          "AWS_REGION")} == {
        "ANSIBLE_FORCE_COLOR": "0", "PYTHONUNBUFFERED": "1", "LANG": "C.UTF-8", "BUILD_URL": "http://x/1/",
        "AWS_REGION": "eu-central-1"}


def test_options_become_variables(runner: Runner) -> None:
    runner.release("--revision", "refs/heads/main+abc", "--report", ".", variables={"n": 1, "b": True, "l": ["x"]})
    assert runner.variables() == {
        "n": 1, "b": True, "l": [{"__ansible_unsafe": "x"}],
        "ecs_release_source": {"__ansible_unsafe": str(runner.source)},
        "ecs_release_revision": {"__ansible_unsafe": "refs/heads/main+abc"},
        "ecs_release_report_dir": {"__ansible_unsafe": str(runner.source)}}


def test_no_text_is_a_template_to_ansible(runner: Runner) -> None:
    real = Path(sys.executable).with_name("ansible-playbook")
    runner.ansible(f"#!/bin/sh\nexec {real} \"$@\"\n")
    (runner.root / "playbooks" / "release.yml").write_text(PLAYBOOK)
    values = {f"ecs_release_v{number}": text for number, text in enumerate(HOSTILE)}
    nested = {"ecs_release_build_args": {text: [text] for text in HOSTILE}, "aws_environment": {"X": HOSTILE[0]}}
    done = runner.release(variables={**values, **nested})
    assert done.returncode == 0, done.stdout + done.stderr
    seen = json.loads((runner.private / "seen").read_text())
    assert seen == {**values, **nested, "ecs_release_source": str(runner.source)}
    assert not list(runner.root.parent.rglob("executed"))


def test_an_artifact_gets_the_modes_of_a_checkout(runner: Runner) -> None:
    outside = runner.home / "outside"
    for path, head in {runner.source / "run.sh": b"#!/bin/sh\n", runner.source / "sub" / "program": b"\x7fELF\x02",
                       runner.source / "index.php": b"<?php", runner.source / "empty": b"",
                       outside: b"#!/bin/sh\n"}.items():
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(head)
        path.chmod(0o640)
    (runner.source / "link").symlink_to(outside)
    (runner.source / "dangling").symlink_to("/nowhere")
    runner.release()
    assert not os.access(runner.source / "run.sh", os.X_OK)
    runner.release("--artifact")
    modes = {path.name: path.stat().st_mode & 0o777 for path in [*runner.source.rglob("*"), outside] if path.is_file()}
    assert {name: modes[name] for name in ("run.sh", "program", "index.php", "empty", "outside")} == {
        "run.sh": 0o755, "program": 0o755, "index.php": 0o644, "empty": 0o644, "outside": 0o640}


def test_the_version_is_in_use_for_as_long_as_the_run_lasts(runner: Runner) -> None:
    runner.ansible("#!/bin/bash\necho begun\nread -r\n")
    with subprocess.Popen([runner.command, "--source", runner.source, "--variables", "/dev/fd/3"], text=True,
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=runner.environment(), pass_fds=(),
                          preexec_fn=lambda: os.dup2(os.open(variables_file(runner), os.O_RDONLY), 3),
                          close_fds=False) as run:
        assert run.stdout is not None
        assert run.stdout.readline() == "begun\n"
        with (runner.root / ".in-use").open() as file, pytest.raises(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        run.communicate("\n", timeout=60)
    with (runner.root / ".in-use").open() as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def until(what: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not what():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.02)


def variables_file(runner: Runner) -> Path:
    file = runner.home / "variables.json"
    file.write_text("{}")
    return file


@contextmanager
def started(runner: Runner, script: str, **environment: str) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """A run whose ansible-playbook is `script`, which begins with its process number; whatever happens, both end."""
    runner.ansible(f"#!/bin/bash\necho $$\n{script}")
    with subprocess.Popen([runner.command, "--source", runner.source, "--variables", variables_file(runner)], text=True,
                          stdout=subprocess.PIPE, env=runner.environment(**environment)) as run:
        assert run.stdout is not None
        ansible = int(run.stdout.readline())
        try:
            yield run, ansible
        finally:
            for pid in (run.pid, ansible):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)


TRAPPED = ("for s in INT TERM; do trap \"echo put away by $s; exit 7\" $s; done\n"
           "echo ready\nwhile :; do sleep 0.1; done\n")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_reaches_ansible_and_its_end_is_awaited(runner: Runner, number: signal.Signals) -> None:
    with started(runner, TRAPPED) as (run, _):
        assert run.stdout is not None
        assert run.stdout.readline() == "ready\n"
        run.send_signal(number)
        said, _ = run.communicate(timeout=60)
    assert (run.returncode, said) == (7, f"put away by {'INT' if number == signal.SIGINT else 'TERM'}\n")


def test_a_signal_reaches_ansible_once(runner: Runner) -> None:
    count = ("trap 'echo one' TERM\necho ready\nuntil test -e $HOME/go; do sleep 0.1; done\n")
    with started(runner, count) as (run, _):
        assert run.stdout is not None
        assert run.stdout.readline() == "ready\n"
        run.send_signal(signal.SIGTERM)
        assert run.stdout.readline() == "one\n"
        run.send_signal(signal.SIGTERM)
        run.send_signal(signal.SIGTERM)
        (runner.private / "go").touch()
        said, _ = run.communicate(timeout=60)
    assert said == ""
    assert run.returncode == 0


def test_what_ansible_leaves_behind_when_it_is_stopped_is_awaited(runner: Runner) -> None:
    # As Ansible's worker processes do: they end after Ansible itself, once their module has cleaned up.
    script = ("setsid bash -c 'trap \"\" TERM; until test -e $HOME/go; do sleep 0.1; done; echo cleaned up' &\n"
              "echo ready\nwhile :; do sleep 0.1; done\n")
    with started(runner, script) as (run, ansible):
        assert run.stdout is not None
        assert run.stdout.readline() == "ready\n"
        run.send_signal(signal.SIGTERM)
        until(lambda: not alive(ansible))
        assert run.poll() is None
        (runner.private / "go").touch()
        said, _ = run.communicate(timeout=60)
    assert (run.returncode, said) == (128 + signal.SIGTERM, "cleaned up\n")


def test_nobody_who_ends_a_build_finds_ansible(runner: Runner) -> None:
    marks = {"HUDSON_COOKIE": "c", "JENKINS_SERVER_COOKIE": "d", "HUDSON_SERVER_COOKIE": "e"}
    with started(runner, "while :; do sleep 0.1; done\n", **marks) as (run, ansible):
        pid, chain = ansible, []
        while pid > 1:
            chain.append(pid)
            pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        assert run.pid not in chain
        # Ansible and the process that watches over it.
        for process in chain[:2]:
            names = [entry.split(b"=")[0].decode() for entry in
                     Path(f"/proc/{process}/environ").read_bytes().split(b"\0")]
            assert not set(names) & set(marks)
        run.send_signal(signal.SIGTERM)
        run.communicate(timeout=60)


def test_ansible_ends_in_its_own_way_when_the_command_is_killed(runner: Runner) -> None:
    script = "trap 'touch $HOME/away; exit 7' TERM\necho ready\nwhile :; do sleep 0.1; done\n"
    with started(runner, script) as (run, ansible):
        assert run.stdout is not None
        assert run.stdout.readline() == "ready\n"
        run.kill()
        until(lambda: not alive(ansible))
    assert (runner.private / "away").exists()


def test_output_that_nobody_reads_does_not_end_a_release(runner: Runner) -> None:
    script = "echo ready\nread -r\nfor i in 1 2 3; do echo $i || exit 9; done\ntouch $HOME/done\nexit 5\n"
    runner.ansible(f"#!/bin/bash\n{script}")
    with subprocess.Popen([runner.command, "--source", runner.source, "--variables", variables_file(runner)], text=True,
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=runner.environment()) as run:
        assert run.stdout is not None and run.stdin is not None
        assert run.stdout.readline() == "ready\n"
        run.stdout.close()
        run.stdin.write("\n")
        run.stdin.flush()
        assert run.wait(60) == 5
    assert (runner.private / "done").exists()


def test_what_a_killed_run_left_is_removed_by_the_next(runner: Runner) -> None:
    tmp = runner.private / "tmp"
    tmp.mkdir(parents=True)
    ended = subprocess.Popen(["true"])
    ended.wait()
    (tmp / f"variables-{ended.pid}.json").touch()
    (tmp / f"variables-{os.getpid()}.json").touch()
    (tmp / "ansible-old").mkdir()
    os.utime(tmp / "ansible-old", (1, 1))
    (tmp / "ansible-new").mkdir()
    runner.release()
    names = {path.name for path in tmp.iterdir()}
    assert {f"variables-{os.getpid()}.json", "ansible-new"} < names
    assert not names & {f"variables-{ended.pid}.json", "ansible-old"}


def test_a_private_place_of_somebody_else_is_refused(runner: Runner, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    runner.private.symlink_to(tmp_path / "elsewhere")
    done = runner.release()
    assert (done.returncode, "is not a folder of this user" in done.stderr) == (2, True)
