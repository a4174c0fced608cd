"""A module run in a fork of ansible's worker: no different, to itself and to the playbook, from the usual way."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from tests.processes import alive

ROOT = Path(__file__).resolve().parents[2]
PLAYBOOK = Path(sys.executable).with_name("ansible-playbook")
#: What an interpreter reads when it starts only, so that the module takes the usual way.
USUAL = {"PYTHONNOTHING": "1"}

PROBE = '''
import os, pathlib, signal, subprocess, sys, threading, time
from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.slipway.door import PROGRESS_ARGUMENTS, run
from ansible.module_utils.slipway.errors import Interrupted
from ansible.module_utils.slipway.interrupt import interruptible


def look(module, progress):
    umask = os.umask(0)
    os.umask(umask)
    files = [os.readlink(f"/proc/self/fd/{fd}") for fd in range(3, 256) if os.path.exists(f"/proc/self/fd/{fd}")]
    handlers = {str(n): str(signal.getsignal(n)) for n in (signal.SIGINT, signal.SIGTERM, signal.SIGALRM,
                                                           signal.SIGPIPE, signal.SIGCHLD)}
    return {
        "environment": {k: v for k, v in os.environ.items() if k not in ("_", "OLDPWD", "PYTHONNOTHING", "SHLVL")},
        "cwd": os.getcwd(), "umask": umask, "stdin": sys.stdin.read(), "blocked": len(signal.pthread_sigmask(0, [])),
        "handlers": handlers, "threads": threading.active_count(), "main": __name__,
        "file": pathlib.Path(__file__).name, "arguments": len(sys.argv),
        "controller": sorted(m for m in sys.modules if m.startswith(("ansible.plugins", "ansible.cli"))),
        "finders": [type(f).__module__ for f in sys.meta_path if type(f).__module__.startswith("ansible.utils")],
        "foreign_files": [f for f in files if not f.startswith(("/dev/null", "/dev/urandom", "/proc", "pipe"))
                          and "slipway-progress-" not in f and "ansible_probe_payload" not in f],
        "check": module.check_mode, "diff_mode": module._diff, "verbosity": module._verbosity, "name": module._name,
        "private": pathlib.Path(module.tmpdir).exists(), "group": os.getpgrp() == os.getpid(),
        "timezone": time.tzname[0],
    }


def act(module, progress):
    what, folder = module.params["what"], pathlib.Path(module.params["folder"] or "/")
    progress.say(f"{module.params['who']} begins")
    own = {"pid": os.getpid(), "parent": os.getppid()}
    if what == "look":
        return {**own, "seen": look(module, progress), "temporary": module.tmpdir}
    if what == "warn":
        module.warn("mind the gap")
        module.deprecate("old ways", version="9.9", collection_name="ansible.builtin")
        return {**own, "changed": True, "stdout": "one\\ntwo"}
    if what == "much":
        return {"text": "x" * 3_000_000}
    if what == "raise":
        raise ValueError("boom in the probe")
    if what == "leave":
        sys.exit("left without a result")
    if what == "kill":
        print("half a res", flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
    if what == "orphan":
        child = subprocess.Popen(["sleep", "300"])
        (folder / "orphan").write_text(str(child.pid))
        os.kill(os.getpid(), signal.SIGKILL)
    if what == "wait":
        (folder / "pid").write_text(str(os.getpid()))
        try:
            with interruptible():
                (folder / "waiting").touch()
                time.sleep(300)
        except Interrupted as interruption:
            progress.say("tidying up")
            time.sleep(0.5)
            (folder / "tidied").touch()
            raise Interrupted(f"{interruption.message} All was tidied.") from interruption
    return own


module = AnsibleModule(argument_spec={
    "what": {"type": "str", "default": "look"}, "folder": {"type": "path"}, "who": {"type": "str", "default": "probe"},
    "secret": {"type": "str", "no_log": True}, **PROGRESS_ARGUMENTS}, supports_check_mode=True)
run(module, act)
'''


class Plays:
    """Plays of the task `probe`, whose action plugin is a link as those of our modules are."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in ("library", "action_plugins", "connection_plugins"):
            (folder / name).mkdir()
        (folder / "library" / "probe.py").write_text(PROBE)
        (folder / "action_plugins" / "probe.py").symlink_to(ROOT / "action_plugins" / "live.py")
        (folder / "ansible.cfg").write_text(
            f"[defaults]\nlibrary = library\naction_plugins = action_plugins:{ROOT / 'action_plugins'}\n"
            "connection_plugins = connection_plugins\n"
            f"module_utils = {ROOT / 'module_utils'}\ninterpreter_python = auto_silent\nretry_files_enabled = false\n"
            "deprecation_warnings = true\nlocalhost_warning = false\n")

    def start(self, *options: str, hosts: str = "localhost,", interpreter: str = "{{ ansible_playbook_python }}",
              task: dict[str, Any] | None = None, variables: dict[str, Any] | None = None, connection: str = "local",
              **arguments: Any) -> subprocess.Popen[str]:
        """The task, ignoring its failure, and then its result in a file of the host's name."""
        play = self.folder / "play.yml"
        play.write_text(json.dumps([{
            "hosts": "all", "gather_facts": False, "connection": connection,
            "vars": {"ansible_python_interpreter": interpreter, **(variables or {})},
            "tasks": [{"probe": {"folder": str(self.folder), **arguments}, "register": "found", "ignore_errors": True,
                       **(task or {})},
                      {"ansible.builtin.copy": {"dest": f"{self.folder}/{{{{ inventory_hostname }}}}.json",
                                                "content": "{{ found | to_json }}"},
                       "check_mode": False, "no_log": True, "become": False, "connection": "local"}]}]))
        return subprocess.Popen([str(PLAYBOOK), "-i", hosts, *options, str(play)], cwd=self.folder, text=True,
                                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                start_new_session=True, env={**os.environ, "ANSIBLE_NOCOLOR": "1", "GREETING": "hello"})

    def run(self, *options: str, **more: Any) -> dict[str, Any]:
        """The task's result; what ansible printed is in `output`."""
        self.output, _ = self.start(*options, **more).communicate(timeout=120)
        found: dict[str, Any] = json.loads((self.folder / "localhost.json").read_text())
        return found

    def wait_for(self, name: str) -> None:
        deadline = time.monotonic() + 60
        while not (self.folder / name).exists():
            assert time.monotonic() < deadline, f"{name} did not come"
            time.sleep(0.05)

    @property
    def forked(self) -> bool:
        """Whether the last one, run with -vvv, took the way that is tested here."""
        return "in a fork of the worker" in self.output

    @property
    def reason(self) -> str:
        found = re.search(r"probe runs as a program of its own: (.*)", self.output)
        return found[1] if found else ""


@pytest.fixture
def plays(tmp_path: Path) -> Plays:
    return Plays(tmp_path)


def test_to_the_module_it_is_no_different(plays: Plays) -> None:
    for options in (("-vvv",), ("-vvv", "--check", "--diff")):
        task = {"environment": {"GREETING": "good 'day'", "NUMBER": 7, "TZ": "Asia/Tokyo"}}
        fork = plays.run(*options, task=task)
        assert plays.forked, plays.output
        task["environment"] |= USUAL
        usual = plays.run(*options, task=task)
        assert plays.reason == "PYTHONNOTHING in the task's environment"
        for name in ("LC_CTYPE", "PWD"):  # of the shell and of the start of an interpreter
            usual["seen"]["environment"].pop(name, None)
            fork["seen"]["environment"].pop(name, None)
        assert fork["seen"] == usual["seen"]
        assert fork["seen"]["environment"]["GREETING"] == "good 'day'"
        assert fork["seen"]["environment"]["NUMBER"] == "7"
        assert fork["seen"]["timezone"] == "JST"
        assert fork["seen"]["foreign_files"] == fork["seen"]["controller"] == fork["seen"]["finders"] == []
        assert fork["seen"]["check"] is fork["seen"]["diff_mode"] is ("--check" in options)
        assert fork["seen"]["verbosity"] == 3
        assert not Path(fork["temporary"]).exists(), "its private directory outlived it"


@pytest.mark.parametrize("what", ["warn", "raise", "leave", "much"])
def test_to_the_playbook_it_is_no_different(plays: Plays, what: str) -> None:
    found, outputs = [], []
    for environment in ({}, USUAL):
        result = plays.run(what=what, task={"environment": environment})
        for name in ("pid", "parent", "module_stderr"):
            result.pop(name, None)
        found.append(result)
        told = plays.output.partition("TASK [ansible.builtin.copy")[0]
        outputs.append(re.sub(r"(?m)^.*(/tmp|File|line \d).*$", "", told))
    if what != "leave":
        assert found[0] == found[1]
        assert outputs[0] == outputs[1]
    assert bool(found[0].get("failed")) == (what in ("raise", "leave"))
    expected = {"warn": "mind the gap", "raise": "boom in the probe", "leave": "failed", "much": "xxx"}[what]
    assert expected in json.dumps(found[0]) + plays.output


@pytest.mark.parametrize("strategy", ["linear", "free"])
def test_what_a_module_imports_is_imported_once_for_all_hosts(plays: Plays, strategy: str) -> None:
    """By ansible's own process, which goes on with imports of its own."""
    (plays.folder / "module_utils").mkdir()
    (plays.folder / "module_utils" / "counted.py").write_text(
        f"import os\nwith open({str(plays.folder / 'imports')!r}, 'a') as file: file.write(f'{{os.getpid()}}\\n')\n")
    config = plays.folder / "ansible.cfg"
    text = config.read_text().replace("module_utils = ", "module_utils = module_utils:")
    config.write_text(f"{text}strategy = {strategy}\n")
    module = plays.folder / "library" / "probe.py"
    module.write_text(f"from ansible.module_utils import counted\n{PROBE}")
    hosts = [f"h{number}" for number in range(4)]
    process = plays.start("-vvv", hosts=",".join(hosts), who="{{ inventory_hostname }}")
    output, _ = process.communicate(timeout=120)
    assert output.count("in a fork of the worker") == len(hosts), output
    assert (plays.folder / "imports").read_text().split() == [str(process.pid)]
    for host in hosts:
        assert json.loads((plays.folder / f"{host}.json").read_text())["seen"]["controller"] == []


def test_warnings_and_lines(plays: Plays) -> None:
    result = plays.run(what="warn")
    assert result["changed"]
    assert result["stdout_lines"] == ["one", "two"]
    assert "mind the gap" in plays.output
    assert "old ways" in plays.output
    assert "  probe begins\n" in plays.output
    assert "invocation" not in plays.output


def test_the_environment_of_the_worker_stays(plays: Plays) -> None:
    """A task's environment is the child's alone: of two items in one worker, the second does not see the first's."""
    result = plays.run(task={"environment": "{{ {item: 'set'} }}", "loop": ["ONE", "TWO"]})
    first, second = (r["seen"]["environment"] for r in result["results"])
    assert first["ONE"] == "set"
    assert second["TWO"] == "set"
    assert "ONE" not in second
    assert result["results"][0]["parent"] == result["results"][1]["parent"]


@pytest.mark.parametrize("what", ["kill", "orphan"])
def test_killed_it_says_so_at_once(plays: Plays, what: str) -> None:
    began = time.monotonic()
    result = plays.run(what=what)
    if what == "orphan":
        # It holds the output open, and nobody waits for it.
        orphan = int((plays.folder / "orphan").read_text())
        assert alive(orphan)
        os.kill(orphan, signal.SIGKILL)
    assert time.monotonic() - began < 60
    assert result["failed"]
    assert result["rc"] == -9
    assert "The module probe was ended by SIGKILL before it had a result." in result["msg"]
    assert "memory" in result["msg"]
    assert what == "orphan" or result["module_stdout"] == "half a res\n"


def test_killed_from_outside(plays: Plays) -> None:
    process = plays.start(what="wait")
    plays.wait_for("waiting")
    os.kill(int((plays.folder / "pid").read_text()), signal.SIGKILL)
    out, _ = process.communicate(timeout=60)
    assert "ended by SIGKILL" in out
    assert "ok=2" in out


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_it_tidies_up_before_ansible_ends(plays: Plays, number: signal.Signals) -> None:
    process = plays.start(what="wait")
    plays.wait_for("waiting")
    process.send_signal(number)
    out, _ = process.communicate(timeout=60)
    assert (plays.folder / "tidied").exists()
    assert "  tidying up\n" in out
    assert f"Interrupted by {number.name}. All was tidied." in out
    assert not alive(int((plays.folder / "pid").read_text()))


def test_interrupted_before_the_module_listens(plays: Plays) -> None:
    """Wherever it is by then, nothing stays behind."""
    for wait in (0.6, 0.9, 1.2, 1.5):
        process = plays.start(what="wait")
        time.sleep(wait)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
        assert module_is_gone(plays.folder / "pid")
        for name in ("pid", "waiting", "tidied"):
            (plays.folder / name).unlink(missing_ok=True)
        assert group_is_gone(process.pid)


FORGETFUL = """
import signal
from ansible.plugins.callback import CallbackBase


class CallbackModule(CallbackBase):
    CALLBACK_VERSION, CALLBACK_NAME, CALLBACK_TYPE = 2.0, "forgetful", "notification"

    def v2_playbook_on_task_start(self, task, is_conditional):
        signal.signal(signal.SIGINT, signal.SIG_DFL)
"""


def test_an_interruption_that_ansible_does_not_pass_on_is_found(plays: Plays) -> None:
    """As when it comes while the worker is being started: ansible has taken note of it, and waits for the worker."""
    (plays.folder / "callback_plugins").mkdir()
    (plays.folder / "callback_plugins" / "forgetful.py").write_text(FORGETFUL)
    process = plays.start(what="wait")
    plays.wait_for("tidied")
    process.communicate(timeout=60)
    assert process.returncode != 0 and module_is_gone(plays.folder / "pid")
    assert group_is_gone(process.pid)


def module_is_gone(note: Path) -> bool:
    """Whether the module that writes its number into `note` ends soon; it may have been ended before it did."""
    text = note.read_text() if note.exists() else ""
    deadline = time.monotonic() + 10
    while text and alive(int(text)) and time.monotonic() < deadline:
        time.sleep(0.1)
    return not text or not alive(int(text))


def group_is_gone(leader: int) -> bool:
    """Whether nothing of the session that `leader` began is left, workers' sessions aside."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            os.killpg(leader, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.1)
    return False


def test_a_time_limit_of_the_task_ends_the_module(plays: Plays) -> None:
    result = plays.run(what="wait", task={"timeout": 2})
    assert result["failed"]
    assert "timeout" in json.dumps(result).lower() or "timed out" in json.dumps(result).lower()
    plays.wait_for("tidied")


def test_secrets_are_hidden_at_vvv(plays: Plays) -> None:
    result = plays.run("-vvv", secret="hunter22hunter", who="his secret is hunter22hunter")
    assert plays.forked
    assert "hunter22hunter" not in json.dumps(result)
    assert "VALUE_SPECIFIED_IN_NO_LOG_PARAMETER" in plays.output
    assert plays.output.count("hunter22hunter") == plays.output.count("  his secret is hunter22hunter begins") == 1
    result = plays.run("-vvv", who="visible-to-nobody", live=False, task={"no_log": True})
    assert plays.forked
    assert "visible-to-nobody" not in plays.output
    assert "censored" in plays.output


def test_quiet_on_request(plays: Plays) -> None:
    result = plays.run("-vvv", live=False)
    assert plays.forked
    assert "probe begins" not in plays.output
    assert result["seen"]["check"] is False
    assert "progress_file" not in plays.output


def test_several_hosts_at_once(plays: Plays) -> None:
    process = plays.start("--forks", "3", hosts="a,b,c,", who="{{ inventory_hostname }}")
    out, _ = process.communicate(timeout=120)
    found = [json.loads((plays.folder / f"{name}.json").read_text()) for name in "abc"]
    assert len({result["pid"] for result in found}) == len({result["parent"] for result in found}) == 3
    assert all(f"  {name} begins\n" in out for name in "abc")


@pytest.fixture
def sudo(tmp_path: Path) -> Path:
    """Becomes nobody else, as sudo would."""
    path = tmp_path / "sudo"
    path.write_text('#!/bin/sh\nwhile [ "${1#-}" != "$1" ]; do [ "$1" = -u ] && shift; shift; done\nexec "$@"\n')
    path.chmod(0o755)
    return path


def test_with_become_it_takes_the_usual_way(plays: Plays, sudo: Path) -> None:
    result = plays.run("-vvv", task={"become": True},
                       variables={"ansible_become_method": "sudo", "ansible_become_exe": str(sudo),
                                  "ansible_become_user": "root"})
    assert plays.reason == "become"
    assert result["seen"]["file"] == "probe.py"


def test_with_another_interpreter_it_takes_the_usual_way(plays: Plays) -> None:
    other = plays.folder / "python"
    other.symlink_to(sys.executable)
    result = plays.run("-vvv", interpreter=str(other))
    assert plays.reason == f"the interpreter is {other}"
    assert result["seen"]["file"] == "probe.py"
    assert plays.run("-vvv", interpreter="auto_silent")["seen"]["file"] == "probe.py"
    assert not plays.forked


def test_over_another_connection_it_takes_the_usual_way(plays: Plays) -> None:
    (plays.folder / "connection_plugins" / "elsewhere.py").write_text(
        "from ansible.plugins.connection import local\nDOCUMENTATION = local.DOCUMENTATION.replace('name: local', "
        "'name: elsewhere')\n\n\nclass Connection(local.Connection):\n    transport = 'elsewhere'\n")
    result = plays.run("-vvv", connection="elsewhere")
    assert plays.reason == "the connection is elsewhere"
    assert result["seen"]["file"] == "probe.py"
    assert "probe begins" not in plays.output


def test_asked_to_keep_its_files_it_takes_the_usual_way(plays: Plays, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANSIBLE_KEEP_REMOTE_FILES", "1")
    assert plays.run("-vvv")["seen"]["file"] == "probe.py"
    assert "configuration" in plays.reason


@pytest.fixture(scope="module")
def forked() -> Iterator[ModuleType]:
    spec = importlib.util.spec_from_file_location("forked", ROOT / "action_plugins" / "forked.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module


def test_an_ansible_that_it_does_not_know_takes_the_usual_way(forked: ModuleType,
                                                              monkeypatch: pytest.MonkeyPatch) -> None:
    action = SimpleNamespace(_connection=SimpleNamespace(transport="local", become=None),
                             _task=SimpleNamespace(async_val=0, delegate_to=None))
    monkeypatch.setattr(forked, "__version__", "2.20.1")
    assert forked.why_not(action, {}, {}) == "ansible-core is 2.20.1, not 2.19.x"
