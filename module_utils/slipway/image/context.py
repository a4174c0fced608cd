"""A build context: which files are in it, and one digest of them all.

The digest covers names, kinds, permission bits, contents and link targets. It does not cover times, owners or the
order in which a directory lists its entries, so that two checkouts of one commit are equal.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from ..errors import InvalidInput
from .ignore import Ignore, Matched
from .secrets import looks_secret

_CHUNK = 1 << 20
_SMALL = 1 << 16


class Entry(NamedTuple):
    """One thing in the context. path: relative, '/' between parts; kind: f d l p c b; target: of a link."""

    path: str
    kind: str
    mode: int
    size: int = 0
    target: str = ""
    device: int = 0


@dataclass
class Summary:
    """digest: hex sha256; size: bytes of file contents; secret: paths that look like secrets; git: .git is inside."""

    digest: str = ""
    files: int = 0
    size: int = 0
    secret: list[str] = field(default_factory=list)
    git: bool = False


def read_ignore(root: str, dockerfile: str) -> Ignore:
    """The patterns for `dockerfile` (a path): its own <name>.dockerignore, else the context's .dockerignore."""
    for path in (f"{dockerfile}.dockerignore", f"{root}/.dockerignore"):
        try:
            return Ignore.parse(Path(path).read_text(encoding="utf-8", errors="surrogateescape"))
        except FileNotFoundError:
            continue
        except OSError as error:
            raise _unreadable(path, error) from error
    return Ignore()


def walk(root: str, ignore: Ignore) -> Iterator[Entry]:
    """What the builder gets, parents before children, names sorted by their bytes. One listing in memory at a time and
    level. Raises InvalidInput for a directory that cannot be read."""
    yield from _walk(root, "", ignore, ignore.nothing)


def _walk(root: str, directory: str, ignore: Ignore, parent: Matched) -> Iterator[Entry]:
    where = f"{root}/{directory}" if directory else root
    try:
        with os.scandir(where) as listing:
            entries = sorted(listing, key=lambda e: os.fsencode(e.name))
    except OSError as error:
        raise _unreadable(where, error) from error
    for item in entries:
        path = f"{directory}/{item.name}" if directory else item.name
        ignored, matched = ignore.check(path, parent) if ignore.patterns else (False, parent)
        is_directory = item.is_dir(follow_symlinks=False)
        if ignored and not (is_directory and ignore.may_hold_exceptions(path)):
            continue
        if not ignored:
            try:
                entry = _entry(item, path)
            except OSError as error:
                raise _unreadable(item.path, error) from error
            if entry is None:
                continue
            yield entry
        if is_directory:
            yield from _walk(root, path, ignore, matched)


def _entry(item: os.DirEntry[str], path: str) -> Entry | None:
    info = item.stat(follow_symlinks=False)
    mode = stat.S_IMODE(info.st_mode)
    if stat.S_ISREG(info.st_mode):
        return Entry(path, "f", mode, size=info.st_size)
    if stat.S_ISDIR(info.st_mode):
        return Entry(path, "d", mode)
    if stat.S_ISLNK(info.st_mode):
        # A link's own permission bits mean nothing and differ between systems.
        return Entry(path, "l", 0o777, target=str(Path(item.path).readlink()))
    if stat.S_ISFIFO(info.st_mode):
        return Entry(path, "p", mode)
    if stat.S_ISCHR(info.st_mode) or stat.S_ISBLK(info.st_mode):
        return Entry(path, "c" if stat.S_ISCHR(info.st_mode) else "b", mode, device=info.st_rdev)
    return None  # A socket: builders leave it out.


def summarise(root: str, ignore: Ignore, commit: Callable[[], str] = lambda: "",
              tell: Callable[[int, int], None] = lambda files, size: None) -> Summary:
    """Read the whole context once. tell(files, bytes) is called after each file.

    commit() stands for the contents of a top-level .git, whose files differ between two clones of one commit.
    """
    summary = Summary()
    whole = hashlib.sha256()
    buffer = bytearray(_CHUNK)
    for entry in walk(root, ignore):
        path = os.fsencode(entry.path)
        if entry.path == ".git" or entry.path.startswith(".git/"):
            if not summary.git:
                summary.git = True
                whole.update(_record(b"g", 0, b".git", commit().encode()))
            continue
        value = b""
        if entry.kind == "f":
            value = _contents(f"{root}/{entry.path}", entry.size, buffer, summary)
            summary.files += 1
            tell(summary.files, summary.size)
        elif entry.kind == "l":
            value = os.fsencode(entry.target)
        elif entry.kind in "cb":
            value = str(entry.device).encode()
        whole.update(_record(entry.kind.encode(), entry.mode, path, value))
        if entry.kind in "fl" and looks_secret(entry.path):
            summary.secret.append(entry.path)
    summary.digest = whole.hexdigest()
    return summary


def _record(kind: bytes, mode: int, path: bytes, value: bytes) -> bytes:
    # Lengths in front keep two different trees from running together into the same bytes.
    return b"%s%o %d:%s %d:%s\n" % (kind, mode, len(path), path, len(value), value)


def _contents(path: str, size: int, buffer: bytearray, summary: Summary) -> bytes:
    """The sha256 of a file whose size was `size` a moment ago."""
    try:
        # The system's own calls: most files are small, and a file object costs more than reading one.
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            if size < _SMALL:
                data = os.read(handle, size + 1)
                if len(data) == size:
                    summary.size += size
                    return hashlib.sha256(data).digest()
                os.lseek(handle, 0, os.SEEK_SET)
            digest = hashlib.sha256()
            view = memoryview(buffer)
            while count := os.readv(handle, [buffer]):
                digest.update(view[:count])
                summary.size += count
        finally:
            os.close(handle)
    except OSError as error:
        raise _unreadable(path, error) from error
    return digest.digest()


def _unreadable(path: str, error: OSError) -> InvalidInput:
    if isinstance(error, FileNotFoundError):
        return InvalidInput(f"{path} vanished while the build context was read.",
                            "Something else writes there; run again when it is done, or exclude it in .dockerignore.")
    return InvalidInput(f"{path} cannot be read: {error.strerror}.",
                        "Make it readable, or exclude it in .dockerignore.")
