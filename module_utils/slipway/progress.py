"""What a module says while it works.

A module's standard output belongs to its result, so lines go to a file that the action plugin of the same name reads
and shows. Without that file (a role on a remote host) the module works silently.
"""

from __future__ import annotations

import json
import os
import time
from contextlib import suppress
from pathlib import Path
from typing import IO, Any


class Progress:
    """Writes one JSON object a line: {"text": str, "tone": "info" | "good" | "warn" | "bad"}.

    The first line is {"pid": int}: whom to pass a signal on to.
    """

    def __init__(self, path: str | None = None, heartbeat: float = 20.0) -> None:
        self._file: IO[str] | None = None
        with suppress(OSError):  # another user's file (become): then silently
            # Open for as long as the module runs.
            self._file = Path(path).open("a", encoding="utf-8", buffering=1) if path else None  # noqa: SIM115
        self._heartbeat = heartbeat
        self._last = time.monotonic()
        if self._file:
            self._write({"pid": os.getpid()})

    def say(self, text: str, tone: str = "info") -> None:
        self._last = time.monotonic()
        if self._file:
            self._write({"text": text, "tone": tone})

    def heartbeat(self, text: str) -> None:
        """`text`, but only when nothing was said for a while."""
        if time.monotonic() - self._last >= self._heartbeat:
            self.say(text)

    def _write(self, record: dict[str, Any]) -> None:
        assert self._file is not None
        try:
            self._file.write(json.dumps(record) + "\n")
        except OSError:
            # Nobody reads any more (disk full, file gone): the work matters, the talk does not.
            self._file = None


class Phases:
    """Seconds spent in each named phase, in the order of their first use."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    def __call__(self, name: str) -> _Phase:
        return _Phase(self, name)


class _Phase:
    def __init__(self, phases: Phases, name: str) -> None:
        self._phases = phases
        self._name = name
        self._started = 0.0

    def __enter__(self) -> None:
        self._started = time.monotonic()

    def __exit__(self, *_: object) -> None:
        spent = time.monotonic() - self._started
        self._phases.seconds[self._name] = round(self._phases.seconds.get(self._name, 0.0) + spent, 3)
