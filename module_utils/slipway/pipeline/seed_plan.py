"""What a seed commit has to change, and in which portions. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from ..errors import InvalidInput
from .tree import EXECUTABLE, SYMLINK, Entry

#: What AWS takes in one CreateCommit: files, bytes of one file, bytes together (FileContentSizeLimitExceededException).
FILES, FILE_BYTES, BYTES = 100, 6 * 1024 * 1024, 7 * 1024 * 1024
_MODES = {EXECUTABLE: "EXECUTABLE", SYMLINK: "SYMLINK"}


@dataclass
class Portion:
    """What one CreateCommit does."""

    put: list[str] = field(default_factory=list)
    delete: list[str] = field(default_factory=list)
    size: int = 0


def differences(local: Mapping[str, Entry], there: Mapping[str, Entry]) -> tuple[list[str], list[str]]:
    """(paths to put, paths to delete), each sorted."""
    put = [path for path, entry in local.items()
           if path not in there or (there[path].mode, there[path].blob) != (entry.mode, entry.blob)]
    return sorted(put), sorted(set(there) - set(local))


def portions(local: Mapping[str, Entry], put: list[str], delete: list[str]) -> list[Portion]:
    """In the order in which they are committed: what goes first, for a file may stand where a folder was.

    Raises InvalidInput for a file that AWS does not take.
    """
    large = [path for path in put if local[path].size > FILE_BYTES]
    if large:
        raise InvalidInput(f"{large[0]} has {local[large[0]].size} bytes; AWS takes {FILE_BYTES} in a file of a commit "
                           "that is made by its API.",
                           "Leave it out with a .gitignore, or push the first commit with git yourself.")
    found: list[Portion] = []
    for path in delete:
        if not found or len(found[-1].delete) == FILES:
            found.append(Portion())
        found[-1].delete.append(path)
    # One call less, where nothing that is put stands in the way of what goes.
    if found and set(parents(put)) & set(delete) or set(parents(delete)) & set(put):
        found.append(Portion())
    for path in put:
        size = local[path].size
        if (not found or len(found[-1].put) + len(found[-1].delete) == FILES
                or found[-1].size + size > BYTES):
            found.append(Portion())
        found[-1].put.append(path)
        found[-1].size += size
    return [portion for portion in found if portion.put or portion.delete]


def parents(paths: list[str]) -> Iterator[str]:
    """The folders above the paths."""
    for path in paths:
        parts = path.split("/")[:-1]
        yield from ("/".join(parts[:count]) for count in range(1, len(parts) + 1))


def mode(entry: Entry) -> str:
    """CodeCommit's word for a mode."""
    return _MODES.get(entry.mode, "NORMAL")
