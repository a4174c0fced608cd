"""The processes of a build, found as Jenkins finds them: below the step's own, and by a cookie in their environment."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from pathlib import Path

COOKIE = "JENKINS_SERVER_COOKIE"
SOFT_SECONDS = 5.0


def with_cookie(cookie: str) -> list[int]:
    mark = f"{COOKIE}={cookie}".encode()
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            with contextlib.suppress(OSError):
                if mark in (entry / "environ").read_bytes().split(b"\0"):
                    found.append(int(entry.name))
    return found


def end(cookie: str, step: int | None = None) -> None:
    """What Jenkins does: SIGTERM to each process, the innermost first, which gets what is left of some seconds to go.
    One that stays is left alone: there is no SIGKILL."""
    if step is not None:
        _end_tree(step, time.monotonic() + SOFT_SECONDS)
    for process in with_cookie(cookie):
        _end_tree(process, time.monotonic() + SOFT_SECONDS)


def _end_tree(process: int, deadline: float) -> None:
    for child in _children(process):
        _end_tree(child, deadline)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(process, signal.SIGTERM)
        pause = 0.01
        while _parent(process) is not None:
            time.sleep(pause)
            pause = min(2 * pause, 1.0)
            if time.monotonic() >= deadline:
                return


def _children(process: int) -> list[int]:
    numbers = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
    return [number for number in numbers if _parent(number) == process]


def _parent(process: int) -> int | None:
    """Number of its parent, None when there is no such process any more."""
    try:
        fields = Path(f"/proc/{process}/stat").read_text(errors="replace").rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] == "Z" else int(fields[1])
