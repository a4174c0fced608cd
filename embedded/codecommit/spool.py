"""What pushes did, written down by git's post-receive hook and picked up when the push has ended.

Each push leaves one file with a line `old new reference` for every reference that it changed. The file survives a kill
of the embedded AWS, so its events are told after the next start.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

# The file gets its name when it is whole. The time comes first, so that the names sort as the pushes did.
_HOOK = """#!/bin/sh
part="../received/.$$.part"
cat > "$part" && mv "$part" "../received/$(date +%s%N)-$$"
"""


@dataclass(frozen=True)
class Change:
    """old, new: ids of objects, or git.NOTHING; reference: with refs/heads/ or refs/tags/."""

    old: str
    new: str
    reference: str


def install(git_dir: Path, received: Path) -> None:
    received.mkdir()
    hook = git_dir / "hooks" / "post-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(_HOOK)
    hook.chmod(0o755)


def pushes(received: Path) -> Iterator[tuple[Path, list[Change]]]:
    """The pushes that were not told yet, oldest first: the file to remove once they are, and what they changed."""
    if not received.is_dir():
        return
    for file in sorted(path for path in received.iterdir() if not path.name.startswith(".")):
        lines = (line.split(" ", 2) for line in file.read_text(errors="replace").splitlines())
        yield file, [Change(*words) for words in lines if len(words) == 3]
