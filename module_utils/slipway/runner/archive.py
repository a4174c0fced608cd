"""What a release needs of a checkout, as one archive that is the same wherever and whenever it is packed."""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ..errors import InvalidInput

#: Files and folders of the checkout. Nothing that makes or configures a host, nothing of the tests.
CONTENTS = ("action_plugins", "ansible.cfg", "callback_plugins", "doc_fragments", "files/cloudformation",
            "inventories/runner", "library", "module_utils", "playbooks/release.yml", "requirements.txt",
            "roles/ecs_release")
#: What the role itself adds: the command, and the pins of everything that the requirements require in turn.
ADDED = {"roles/release_runner/files/bin": "bin", "roles/release_runner/files/constraints.txt": "constraints.txt"}
#: Any moment would do, as long as it is always the same. Not 0: some tools take that for "unknown".
MOMENT = 315_532_800
LENGTH = 12


@dataclass(frozen=True)
class Archive:
    """version: changes with any byte, name or mode of the content, and with nothing else; data: a tar.gz."""

    version: str
    data: bytes


def pack(root: str) -> Archive:
    """The archive of the checkout at `root`. Raises InvalidInput when a part of it is missing."""
    base = Path(root)
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, path in sorted(_files(base)):
            entry = _entry(name, path)
            if entry.isreg():
                with path.open("rb") as file:
                    tar.addfile(entry, file)
            else:
                tar.addfile(entry)
    plain = buffer.getvalue()
    return Archive(hashlib.sha256(plain).hexdigest()[:LENGTH], gzip.compress(plain, mtime=0))


def _files(base: Path) -> Iterator[tuple[str, Path]]:
    """Each file, as it is called in the archive, and where it is."""
    for name, target in {**{name: name for name in CONTENTS}, **ADDED}.items():
        found = base / name
        if found.is_dir() and not found.is_symlink():
            for path in found.rglob("*"):
                inside = path.relative_to(found)
                if _wanted(inside) and (path.is_symlink() or path.is_file()):
                    yield f"{target}/{inside}", path
        elif found.is_file():
            yield target, found
        else:
            raise InvalidInput(f"{found} is missing, and a release needs it.",
                               "Run the playbook from a complete checkout.")


def _wanted(inside: Path) -> bool:
    """Neither what Python made of a file, nor what an editor left beside it."""
    return not (any(part == "__pycache__" or part.startswith(".") for part in inside.parts)
                or inside.name.endswith((".pyc", "~")))


def _entry(name: str, path: Path) -> tarfile.TarInfo:
    """Name, kind, content and whether it is a program; who owns the file here, and since when, is nobody's business."""
    entry = tarfile.TarInfo(name)
    entry.mtime = MOMENT
    if path.is_symlink():
        entry.type = tarfile.SYMTYPE
        entry.linkname = str(path.readlink())
        entry.mode = 0o777
        return entry
    found = path.stat()
    entry.size = found.st_size
    entry.mode = 0o755 if found.st_mode & 0o100 else 0o644
    return entry
