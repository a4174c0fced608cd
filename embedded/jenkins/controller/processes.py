"""The processes of a build, found as Jenkins finds them: by a cookie in their environment."""

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


def kill(cookie: str) -> None:
    """SIGTERM to all of them, SIGKILL to whichever is there some seconds later."""
    _send(with_cookie(cookie), signal.SIGTERM)
    deadline = time.monotonic() + SOFT_SECONDS
    while (left := with_cookie(cookie)) and time.monotonic() < deadline:
        time.sleep(0.05)
    _send(left, signal.SIGKILL)


def _send(processes: list[int], number: int) -> None:
    for process in processes:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(process, number)
