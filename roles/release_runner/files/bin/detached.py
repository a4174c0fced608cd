"""Run a command out of reach of whoever ends all processes of a build, and let it end in its own order.

    detached.py CONTROL RESULT COMMAND...

Jenkins ends a build that is aborted by a SIGTERM to each of its processes, the innermost first: to a module of
Ansible's before Ansible itself. So release.py starts this one, which leaves the build's tree and has none of its marks,
and becomes the parent of all that the command starts.

CONTROL: a pipe to read from. A byte is the number of a signal for the command; its end is the end of release.py, which
is a SIGTERM. Only the first counts. RESULT: a pipe that gets {"code", "tail"} as JSON when the command has ended: its
exit code, negative for a signal, and the last that it printed. After a signal that also waits for everything that the
command left behind, for LIMIT seconds. Standard library only.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import selectors
import signal
import subprocess
import sys
import time
from pathlib import Path

LIMIT = 280.0
TAIL = 4096
_PR_SET_CHILD_SUBREAPER = 36
_DRAIN = 0.2


class Detached:
    def __init__(self, control: int, result: int, command: list[str]) -> None:
        self._control, self._result, self._command = control, result, command
        self._ended: dict[int, int] = {}
        self._alone = False
        self._stopped: float | None = None
        self._tail = b""
        self._selector = selectors.DefaultSelector()

    def run(self) -> None:
        # Whatever the command leaves behind becomes ours, so that it can be waited for.
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        wake, woken = os.pipe()
        for end in (wake, woken):
            os.set_blocking(end, False)
        signal.set_wakeup_fd(woken, warn_on_full_buffer=False)
        # Handlers, not SIG_IGN: that would be inherited.
        for number in (signal.SIGCHLD, signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, lambda *_: None)
        kept = [fd for fd in (int(entry.name) for entry in Path("/dev/fd").iterdir()) if _inheritable(fd)]
        process = subprocess.Popen(self._command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0,
                                   pass_fds=[fd for fd in kept if fd not in (self._control, self._result)],
                                   start_new_session=True)
        for fd in kept:
            if fd > 2 and fd not in (self._control, self._result):
                os.close(fd)
        assert process.stdout is not None and process.stderr is not None
        self._selector.register(self._control, selectors.EVENT_READ, ("control", 0))
        self._selector.register(wake, selectors.EVENT_READ, ("wake", 0))
        for stream, target in ((process.stdout, 1), (process.stderr, 2)):
            os.set_blocking(stream.fileno(), False)
            self._selector.register(stream, selectors.EVENT_READ, ("output", target))
        while not self._over(process.pid):
            self._step(process.pid, self._patience())
        # What was printed last may still be on its way.
        until = time.monotonic() + _DRAIN
        while self._outputs() and time.monotonic() < until and self._step(process.pid, _DRAIN):
            pass
        answer = json.dumps({"code": self._ended.get(process.pid, -signal.SIGKILL),
                             "tail": self._tail.decode("utf-8", "replace")})
        with contextlib.suppress(OSError):
            os.write(self._result, answer.encode())

    def _over(self, pid: int) -> bool:
        self._reap(pid)
        if pid not in self._ended:
            if self._late():
                with contextlib.suppress(OSError):
                    os.killpg(pid, signal.SIGKILL)
            return False
        unfinished = self._stopped is not None or self._ended[pid] < 0
        return not unfinished or self._alone or self._late()

    def _reap(self, main: int) -> None:
        with contextlib.suppress(ChildProcessError):
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if not pid:
                    return
                self._ended[pid] = os.waitstatus_to_exitcode(status)
                if pid == main and self._ended[pid] < 0 and self._stopped is None:
                    # Somebody else ended it: what it was in the midst of may still be putting itself in order.
                    self._stopped = time.monotonic()
        self._alone = True

    def _late(self) -> bool:
        return self._stopped is not None and time.monotonic() - self._stopped > LIMIT

    def _patience(self) -> float | None:
        return None if self._stopped is None else max(0.1, self._stopped + LIMIT - time.monotonic() + 0.1)

    def _outputs(self) -> bool:
        return any(key.data[0] == "output" for key in self._selector.get_map().values())

    def _step(self, pid: int, seconds: float | None) -> bool:
        """Take what there is; whether there was anything."""
        events = self._selector.select(seconds)
        for key, _ in events:
            kind, target = key.data
            if kind == "wake":
                with contextlib.suppress(BlockingIOError):
                    os.read(key.fd, 1024)
            elif kind == "output":
                self._pass_on(key, target)
            else:
                numbers = os.read(key.fd, 16)
                if not numbers:
                    self._selector.unregister(key.fileobj)
                self._stop(pid, numbers[0] if numbers else signal.SIGTERM)
        return bool(events)

    def _pass_on(self, key: selectors.SelectorKey, target: int) -> None:
        try:
            data = os.read(key.fd, 1 << 16)
        except BlockingIOError:
            return
        if not data:
            self._selector.unregister(key.fileobj)
        self._tail = (self._tail + data)[-TAIL:]
        # Nobody may read any more what is printed. That is no reason to end in the midst of a release.
        with contextlib.suppress(OSError):
            while data:
                data = data[os.write(target, data):]

    def _stop(self, pid: int, number: int) -> None:
        if self._stopped is None:
            self._stopped = time.monotonic()
            if pid not in self._ended:
                os.kill(pid, number)


def _inheritable(fd: int) -> bool:
    try:
        return os.get_inheritable(fd)
    except OSError:
        return False


if __name__ == "__main__":
    if os.fork():
        # Whoever started us is not our parent any more.
        os._exit(0)
    os.setsid()
    Detached(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]).run()
