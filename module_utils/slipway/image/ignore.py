""".dockerignore, read and matched exactly as the engine does (github.com/moby/patternmatcher).

Kept here because the matcher of the docker SDK ignores case and treats '!' inside brackets as a negation, so that it
would call two different contexts equal.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable
from dataclasses import dataclass

from ..errors import InvalidInput

#: For each pattern whether it matched a path or one of its parents.
Matched = tuple[bool, ...]


@dataclass(frozen=True)
class Pattern:
    """One line: `text` cleaned, `exception` when it began with '!', `matches` for one path relative to the context."""

    text: str
    exception: bool
    matches: Callable[[str], bool]


class Ignore:
    """The patterns of one file. An empty one ignores nothing."""

    def __init__(self, lines: list[str] | None = None) -> None:
        self.patterns = [_pattern(line) for line in lines or []]
        exceptions = [p.text for p in self.patterns if p.exception]
        self._prefixes = [_without_trailing_glob(text) + "/" for text in exceptions]
        # An exception with a wildcard may match at any depth: every ignored directory has to be looked into then.
        self._anywhere = any(re.search(r"[*?\[\\]", prefix) for prefix in self._prefixes)
        self.nothing: Matched = (False,) * len(self.patterns)

    @classmethod
    def parse(cls, text: str) -> Ignore:
        """From a file's text. Raises InvalidInput naming a malformed pattern."""
        lines = []
        for raw in text.removeprefix("\ufeff").splitlines():
            line = raw.strip()
            if raw.startswith("#") or not line:
                continue
            exception = line.startswith("!")
            pattern = line[1:].strip() if exception else line
            if pattern:
                pattern = _clean(pattern)
                if len(pattern) > 1:
                    pattern = pattern.removeprefix("/")
            if exception and not pattern:
                raise InvalidInput(".dockerignore: the pattern '!' names nothing.", "Write the path after the '!'.")
            lines.append("!" + pattern if exception else pattern)
        return cls(lines)

    def check(self, path: str, parent: Matched) -> tuple[bool, Matched]:
        """Whether `path` is ignored, and what to pass as `parent` for its children. For the top level: `nothing`."""
        ignored = False
        matched = list(parent)
        for i, pattern in enumerate(self.patterns):
            if not matched[i]:
                # A pattern that cannot change the verdict is not tried; its children are asked again.
                if pattern.exception != ignored:
                    continue
                matched[i] = pattern.matches(path)
            if matched[i]:
                ignored = not pattern.exception
        return ignored, tuple(matched)

    def may_hold_exceptions(self, directory: str) -> bool:
        """Whether something below an ignored directory may be wanted after all.

        As current BuildKit does it. Older builders look there for exceptions without wildcards only; for them a file
        too many is counted, which costs a build at worst.
        """
        return self._anywhere or any(prefix.startswith(directory + "/") for prefix in self._prefixes)


def _clean(path: str) -> str:
    cleaned = posixpath.normpath(path)
    return "/" + cleaned.lstrip("/") if cleaned.startswith("//") else cleaned


def _without_trailing_glob(text: str) -> str:
    return re.sub(r"(/\*\*?)+$", "", text)


def _pattern(line: str) -> Pattern:
    exception = line.startswith("!")
    text = line[1:] if exception else line
    return Pattern(text, exception, _matcher(text))


def _matcher(text: str) -> Callable[[str], bool]:
    if not re.search(r"[*?\[\]\\]", text):
        return text.__eq__
    if text.startswith("**") and not re.search(r"[*?\[\]\\]", text[2:]):
        suffix = text[2:]
        return lambda path: path.endswith(suffix) or (suffix.startswith("/") and path == suffix[1:])
    try:
        expression = re.compile(_regex(text))
    except re.error as error:
        raise InvalidInput(f".dockerignore: the pattern {text!r} is malformed ({error}).",
                           "Write '\\[' for a literal bracket.") from error
    return lambda path: expression.fullmatch(path) is not None


def _regex(text: str) -> str:
    """Go's filepath.Match plus '**', as a regular expression. A '!' in brackets is a plain character there."""
    out, i = "", 0
    while i < len(text):
        c = text[i]
        i += 1
        if c == "*" and text[i:i + 1] == "*":
            i += 1
            if text[i:i + 1] == "/":
                i += 1
            out += ".*" if i >= len(text) else "(?:.*/)?"
        elif c == "*":
            out += "[^/]*"
        elif c == "?":
            out += "[^/]"
        elif c == "\\":
            out += re.escape(text[i:i + 1] or "\\")
            i += 1
        elif c in "[]^-":
            out += c
        else:
            out += re.escape(c)
    return out
