"""Shows what a module says while it works.

The modules cfn_stack, ecr_push, ecs_rollout and others each have a link to this file under their own name: the plugin
runs the module of its own name and meanwhile prints the lines that the module writes to a progress file (module_utils/
slipway/progress.py). On a remote host, or with `live: false`, the module runs without it.

Interrupted (SIGINT, SIGTERM) it passes the signal on and stays until the module has cleaned up. Ansible reads nothing
from its workers any more by then, so the last lines go straight to where ansible writes. A worker that ansible is just
starting when Ctrl-C comes is not told of it, and would keep the playbook waiting: so it looks for itself.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import re
import signal
import stat
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Any

from ansible.module_utils.parsing.convert_bool import boolean
from ansible.plugins.loader import action_loader
from ansible.utils.display import Display

Quick: Any = action_loader.get("quick", class_only=True)
sys.modules[Quick.__module__].prepare(__name__)
display = Display()

_COLOURS = {"good": "green", "warn": "yellow", "bad": "red"}
_EVERY = 0.1
#: How often to look, in as many of those, whether ansible was interrupted without telling us.
_LOOK = 10
#: What a release's record takes of a result, should the run end before it is closed. No parameters: some are secret.
_NOTED = ("failed", "tag", "digest", "image_uri", "built", "pushed", "phases", "api_calls", "task_definition",
          "deployment_id", "verdict")


class ActionModule(Quick):
    """Runs the module of the task's name and shows its progress."""

    _show: _Show | None = None

    def run(self, tmp: Any = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        module = str(self._task.action).rpartition(".")[2]
        self._note(task_vars, {"module": module, "at": time.time()})
        result: dict[str, Any] = super().run(tmp, task_vars)
        self._note(task_vars, {"module": module, "at": time.time(),
                               "result": {name: result[name] for name in _NOTED if name in result}})
        # What the user did not write does not belong to what the task reports of its arguments.
        result.get("invocation", {}).get("module_args", {}).pop("progress_file", None)
        if self._show and self._show.interrupted:
            self._show.say(str(result.get("msg", "")), "bad")
            # Nobody waits for a result any more, and handing one over could block for ever.
            os._exit(1)
        return result

    def _execute(self, arguments: dict[str, Any], task_vars: dict[str, Any] | None) -> dict[str, Any]:
        local = self._connection.transport == "local"
        if not (local and boolean(arguments.get("live", True), strict=False)):
            plain: dict[str, Any] = super()._execute({**arguments, "live": False}, task_vars)
            return plain

        handle, name = tempfile.mkstemp(prefix="slipway-progress-")
        os.close(handle)
        path = Path(name)
        self._show = _Show(path)
        try:
            shown: dict[str, Any] = super()._execute({**arguments, "progress_file": name}, task_vars)
        finally:
            path.unlink()
        return shown

    def _notes(self, task_vars: dict[str, Any] | None, fresh: bool = False) -> Path | None:
        """The file in which this run's work on this host is noted for the keeper of its release; None where there is
        none. fresh: make it, empty."""
        host = hashlib.sha256(str((task_vars or {}).get("inventory_hostname")).encode()).hexdigest()[:16]
        path = Path(tempfile.gettempdir(), f"slipway-notes-{os.getppid()}-{host}")
        with suppress(OSError):
            if fresh:
                # Of a run that had our number and was killed; somebody else's stays, and is not used.
                with suppress(FileNotFoundError):
                    path.unlink()
                os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
            found = path.lstat()
            if stat.S_ISREG(found.st_mode) and found.st_uid == os.getuid():
                return path
        return None

    def _note(self, task_vars: dict[str, Any] | None, what: dict[str, Any]) -> None:
        if path := self._notes(task_vars):
            with suppress(OSError), path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(what) + "\n")

    def _while_it_runs(self) -> AbstractContextManager[None]:
        shown: AbstractContextManager[None] = self._show.running() if self._show else super()._while_it_runs()
        return shown


class _Show:
    """Prints each complete line of the file at `path` as it arrives."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._done = threading.Event()
        self._controller = os.getppid()
        self._console = _console_of(self._controller)
        self.interrupted = False

    @contextmanager
    def running(self) -> Iterator[None]:
        shower = threading.Thread(target=self._follow, daemon=True)
        shower.start()
        before = {}
        if threading.current_thread() is threading.main_thread():
            before = {s: signal.signal(s, self._stop) for s in (signal.SIGINT, signal.SIGTERM)}
        self._before = before
        try:
            yield
        finally:
            for number, handler in before.items():
                # Once interrupted there is no way back to a handler that would end us before the last line.
                signal.signal(number, signal.SIG_IGN if self.interrupted else handler)
            self._done.set()
            shower.join(timeout=2)

    def say(self, text: str, tone: str) -> None:
        colour = _COLOURS.get(tone)
        if not self.interrupted:
            display.display(f"  {text}", color=colour)
        elif self._console is not None:
            with suppress(OSError):
                os.write(self._console, f"  {text}\n".encode())

    def _stop(self, number: int, frame: Any) -> None:
        if self.interrupted:
            return
        pid = self._pid()
        if pid is None:  # the module is not there yet, or says nothing: ansible's own way out
            before = self._before[signal.Signals(number)]
            if callable(before):
                before(number, frame)
            return
        self.interrupted = True
        with suppress(OSError):
            os.kill(pid, number)

    def _pid(self) -> int | None:
        """The module's process, which is the first thing it tells."""
        with suppress(OSError, ValueError, KeyError), self._path.open(encoding="utf-8") as file:
            return int(json.loads(file.readline())["pid"])
        return None

    def _follow(self) -> None:
        with self._path.open(encoding="utf-8") as file:
            rest = ""
            for number in itertools.count(1):
                last = self._done.is_set()
                rest += file.read()
                *lines, rest = rest.split("\n")
                for line in lines:
                    record = json.loads(line)
                    if "text" in record:
                        self.say(record["text"], record["tone"])
                if last:
                    return
                if number % _LOOK == 0 and not self.interrupted and _was_interrupted(self._controller):
                    os.kill(os.getpid(), signal.SIGINT)
                self._done.wait(_EVERY)


def _was_interrupted(controller: int) -> bool:
    """Whether ansible's own process does not catch SIGINT any more: it gives that up with the first one."""
    with suppress(OSError, ValueError, IndexError):
        status = Path(f"/proc/{controller}/status").read_text(encoding="utf-8", errors="replace")
        caught = int(re.findall(r"^SigCgt:\s*(\w+)", status, re.MULTILINE)[0], 16)
        return controller == os.getppid() and not caught & 1 << signal.SIGINT - 1
    return False


def _console_of(pid: int) -> int | None:
    """Where process `pid` writes, opened for us; None where that cannot be had. Our own output leads nowhere."""
    try:
        # Without O_NOCTTY the terminal would become ours, and its signals with it.
        return os.open(f"/proc/{pid}/fd/1", os.O_WRONLY | os.O_APPEND | os.O_NOCTTY | os.O_NONBLOCK)
    except OSError:
        return None
