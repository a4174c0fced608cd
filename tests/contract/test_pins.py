"""What is installed is what was tested, whatever is published meanwhile."""

from __future__ import annotations

import importlib.metadata
import re
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[2]
RELEASE = ("requirements.txt", "roles/release_runner/files/constraints.txt")
TESTS = ("embedded/requirements.txt", "requirements-dev.txt", "constraints-dev.txt")


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def pins(*files: str) -> dict[str, str]:
    """Version by package, of each line of these files."""
    return {normal(name): version for file in files
            for name, version in re.findall(r"^([\w.-]+)==(\S+)", (ROOT / file).read_text(), re.MULTILINE)}


def installed(*names: str) -> dict[str, str]:
    """Version by package: these and all that they require, as this environment has them, in which the tests run."""
    waiting, seen = {(normal(name), "") for name in names}, set[tuple[str, str]]()
    while waiting:
        name, extra = one = waiting.pop()
        seen.add(one)
        for text in importlib.metadata.requires(name) or []:
            needed = Requirement(text)
            if needed.marker is None or needed.marker.evaluate({"extra": extra}):
                waiting |= {(normal(needed.name), more) for more in ("", *needed.extras)} - seen
    return {name: importlib.metadata.version(name) for name, _ in seen}


@pytest.mark.parametrize(("direct", "files"), [(RELEASE[:1], RELEASE), (TESTS[:2], RELEASE + TESTS)],
                         ids=["release", "tests"])
def test_every_requirement_of_a_requirement_is_pinned(direct: tuple[str, ...], files: tuple[str, ...]) -> None:
    assert pins(*files) == installed(*pins(RELEASE[0], *direct))
