"""What a build prints, understood: the instruction at work, its last lines, how it ended. Pure."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable

from ..errors import EngineError
from .engine import refusal

_KEPT = 20
_VERTEX = re.compile(r"#(?P<number>\d+) (?P<text>.*)")
_OUTPUT = re.compile(r"(?P<time>\d+\.\d+) ?(?P<line>.*)")
_ANSI = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
_CHATTER = re.compile(r" ---> .*|Removing intermediate container .*|")
_STEP = re.compile(r"Step (?P<step>\d+/\d+) : (?P<instruction>.*)")
_DONE = re.compile(r"(DONE|CACHED|CANCELED|ERROR)\b.*")
_QUIET = re.compile(r"sha256:[0-9a-f]{64}\b.*|\[internal\].*|\[auth\].*|transferring .*")


class Transcript:
    """Reads a build's output line by line and tells each instruction once, as it starts. tell(text) shows a line;
    murmur(text) shows it only when nothing was shown for a while."""

    def __init__(self, tell: Callable[[str], None], murmur: Callable[[str], None]) -> None:
        self._tell = tell
        self._murmur = murmur
        self._names: dict[str, str] = {}
        self._lines: dict[str, deque[str]] = {}
        self._told: set[str] = set()
        self._failed = ""
        self._current = ""
        self._rest: deque[str] = deque(maxlen=_KEPT)

    def buildkit(self, line: str) -> None:
        """One line of `--progress=plain`."""
        line = _ANSI.sub("", line)
        match = _VERTEX.fullmatch(line)
        if not match:
            if line.strip(" -"):
                self._rest.append(line)
            return
        number, text = match["number"], match["text"]
        if text.startswith("ERROR"):
            # "context canceled" marks the steps that were stopped because another one failed.
            if "canceled" not in text:
                self._failed = self._failed or number
                self._output(number, text.removeprefix("ERROR: "))
        elif output := _OUTPUT.fullmatch(text):
            self._output(number, output["line"])
            self._murmur(f"build: {output['line']}")
        elif _DONE.fullmatch(text) or _QUIET.fullmatch(text):
            if number not in self._names and text.startswith("["):
                self._names[number] = text
        elif text.startswith("[") and text not in self._told:
            self._names[number] = text
            self._told.add(text)
            self._tell(f"build: {text}")

    def classic(self, text: str) -> None:
        """The `stream` of one record of the classic builder; may hold several lines."""
        for line in _ANSI.sub("", text).splitlines():
            if step := _STEP.fullmatch(line.strip()):
                self._current = f"[{step['step']}] {step['instruction']}"
                self._failed = self._current
                self._names[self._current] = self._current
                self._tell(f"build: {self._current}")
            elif not _CHATTER.fullmatch(line.rstrip()):
                self._output(self._current, line)
                self._murmur(f"build: {line.strip()}")

    def failure(self, reason: str = "") -> EngineError:
        """The error of a build that failed: the instruction first, then its last lines."""
        lines = list(self._lines.get(self._failed, ())) if self._failed else list(self._rest)
        reason = reason.strip() or (lines[-1] if lines else "the builder gave no reason")
        known = refusal("\n".join([*lines, reason]))
        instruction = self._names.get(self._failed, "")
        message = f"The build failed at {instruction}" if instruction else "The build failed"
        if reason not in lines:
            lines.append(reason)
        message += ":\n" + "\n".join(f"    {line}" for line in lines[-_KEPT:])
        return EngineError(message + "\n", known.remedy or "Mend the Dockerfile or the context, then run this again.",
                           failed_instruction=instruction, build_output=lines)

    def _output(self, key: str, line: str) -> None:
        self._lines.setdefault(key, deque(maxlen=_KEPT)).append(line.rstrip())
