"""What a commit made through the API changes: files put, deleted, given another mode."""

from __future__ import annotations

import os
import posixpath
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import git, names
from .errors import ServiceError
from .objects import Entry

#: How the service names modes of git.
MODE_NAMES = {"100644": "NORMAL", "100664": "NORMAL", "100755": "EXECUTABLE", "120000": "SYMLINK"}
_MODES = {"NORMAL": "100644", "EXECUTABLE": "100755", "SYMLINK": "120000"}
_LARGEST_FILE = 6 << 20
_LARGEST_COMMIT = 20 << 20
_MOST_FILES = 100


@dataclass(frozen=True)
class Put:
    """content: the file's bytes, or the id of a blob that the repository has."""

    path: str
    content: bytes | str
    mode: str


def mode(name: str | None) -> str:
    """git's mode for the service's name of it. Raises ServiceError."""
    if name is not None and name not in _MODES:
        raise ServiceError("InvalidFileModeException", f"{name[:50]!r} is none of {', '.join(_MODES)}.")
    return _MODES[name or "NORMAL"]


def asked(before: dict[str, Entry], request: dict[str, Any]) -> tuple[list[Put], list[str], dict[str, str]]:
    """The changes that a CreateCommit asks for: files to put, paths to delete, modes by path. Raises ServiceError."""
    puts, deletes, modes = (request.get(member) or [] for member in ("putFiles", "deleteFiles", "setFileModes"))
    total = len(puts) + len(deletes) + len(modes)
    if total == 0:
        raise ServiceError("FileEntryRequiredException", "Give at least one file to put, to delete or to change.")
    if total > _MOST_FILES:
        raise ServiceError("MaximumFileEntriesExceededException", f"{total} files are named, of at most "
                           f"{_MOST_FILES}.")
    wanted = [_put(before, item) for item in puts]
    paths = [item.path for item in wanted]
    if len(set(paths)) < len(paths):
        raise ServiceError("PutFileEntryConflictException", "Two files to put have the same path.")
    removed = [names.check_path(item.get("filePath")) for item in deletes]
    changed = {names.check_path(item.get("filePath")): mode(item.get("fileMode")) for item in modes}
    every = [*paths, *removed, *changed]
    if len(set(every)) < total:
        raise ServiceError("SamePathRequestException", "A path is named more than once.")
    return wanted, removed, changed


def applied(git_dir: Path, before: dict[str, Entry], puts: Iterable[Put], deletes: Iterable[str], modes: dict[str, str],
            keep_folders: bool = False) -> dict[str, Entry]:
    """The files after the changes; contents are stored in the repository. Raises ServiceError.

    keep_folders: a folder that loses its last file gets an empty .gitkeep.
    """
    after = dict(before)
    for path in deletes:
        if path not in after:
            raise ServiceError("FileDoesNotExistException", f"The file {path} is not in the commit.")
        del after[path]
    for path, new in modes.items():
        if path not in after:
            raise ServiceError("FileDoesNotExistException", f"The file {path} is not in the commit.")
        after[path] = Entry(new, after[path].id)
    wanted = list(puts)
    _check_sizes(wanted)
    for put in wanted:
        _check_place(after, put.path)
        blob = put.content if isinstance(put.content, str) else stored(git_dir, put.content)
        after[put.path] = Entry(put.mode, blob)
    if keep_folders:
        folders = {posixpath.dirname(path) for path in set(before) - set(after)} - {""}
        for folder in sorted(folders):
            if not any(path.startswith(f"{folder}/") for path in after):
                after[f"{folder}/.gitkeep"] = Entry(_MODES["NORMAL"], stored(git_dir, b""))
    return after


def tree(git_dir: Path, files: dict[str, Entry]) -> str:
    """The id of a tree of these files, stored in the repository."""
    lines = b"".join(f"{entry.mode} {entry.id}\t".encode() + os.fsencode(path) + b"\0" for path, entry in files.items())
    with tempfile.TemporaryDirectory() as folder:
        index = {"GIT_INDEX_FILE": f"{folder}/index"}
        git.run(git_dir, "update-index", "-z", "--index-info", given=lines, env=index)
        return git.run(git_dir, "write-tree", env=index).decode().strip()


def _put(before: dict[str, Entry], item: dict[str, Any]) -> Put:
    path = names.check_path(item.get("filePath"))
    source = item.get("sourceFile")
    if source and "fileContent" in item:
        raise ServiceError("FileContentAndSourceFileSpecifiedException", f"{path}: give its content or a source file.")
    if source:
        origin = before.get(names.check_path(source.get("filePath")))
        if origin is None:
            raise ServiceError("FileDoesNotExistException", f"The file {source.get('filePath')} is not in the commit.")
        return Put(path, origin.id, mode(item["fileMode"]) if "fileMode" in item else origin.mode)
    if "fileContent" not in item:
        raise ServiceError("SourceFileOrContentRequiredException", f"{path}: give its content or a source file.")
    return Put(path, item["fileContent"], mode(item.get("fileMode")))


def _check_sizes(puts: list[Put]) -> None:
    sizes = [len(put.content) for put in puts if isinstance(put.content, bytes)]
    if any(size > _LARGEST_FILE for size in sizes):
        raise ServiceError("FileContentSizeLimitExceededException", "A file is larger than 6 MB: push it with git.")
    if sum(sizes) > _LARGEST_COMMIT:
        raise ServiceError("FolderContentSizeLimitExceededException", "The files are larger than 20 MB together: push "
                           "them with git.")


def _check_place(files: dict[str, Entry], path: str) -> None:
    """A path cannot be a file and a folder."""
    parts = path.split("/")
    for end in range(1, len(parts)):
        above = files.get("/".join(parts[:end]))
        if above and above.mode == "160000":
            raise ServiceError("FilePathConflictsWithSubmodulePathException", f"{path} lies in a submodule.")
        if above:
            raise ServiceError("DirectoryNameConflictsWithFileNameException", f"{path}: a part of it is a file.")
    if any(other.startswith(f"{path}/") for other in files):
        raise ServiceError("FileNameConflictsWithDirectoryNameException", f"{path} is a folder.")


def stored(git_dir: Path, content: bytes) -> str:
    """The id of a blob of this content, stored in the repository."""
    return git.run(git_dir, "hash-object", "-w", "--stdin", given=content).decode().strip()
