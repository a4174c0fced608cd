"""A folder's files as git would take them: modes, links, ignored files and ids are git's own."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ..errors import InvalidInput, SlipwayError

NORMAL, EXECUTABLE, SYMLINK, SUBMODULE = "100644", "100755", "120000", "160000"


@dataclass(frozen=True)
class Entry:
    """One file. mode: NORMAL, EXECUTABLE or SYMLINK. blob: git's id of its content. size: bytes; -1 for unknown."""

    mode: str
    blob: str
    size: int = -1


@dataclass(frozen=True)
class Tree:
    """id: git's id of the tree. files: by path, with slashes."""

    id: str
    files: Mapping[str, Entry]


class Folder:
    """The files of a folder, in a store of git's of its own that goes with the block. Raises InvalidInput.

    Neither the folder nor a repository around it is touched, and no configuration of the user's counts.
    """

    def __init__(self, path: str) -> None:
        self._path = Path(path)
        if not self._path.is_dir():
            raise InvalidInput(f"{path} is not a folder.", "Name the folder that holds the application's source.")

    def __enter__(self) -> Folder:
        self._store = tempfile.TemporaryDirectory(prefix="slipway-seed-")
        try:
            self._git("init", "--quiet", "--bare", self._store.name)
            self._git("add", "--all", "--", ".")
            self.tree = self._read()
        except BaseException:
            self._store.cleanup()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._store.cleanup()

    def content(self, blob: str) -> bytes:
        """What git stores for a blob of this folder."""
        return self._git("cat-file", "blob", blob)

    def _read(self) -> Tree:
        files = {}
        listed = self._git("ls-files", "--stage", "-z").decode(errors="surrogateescape")
        for line in filter(None, listed.split("\0")):
            facts, _, name = line.partition("\t")
            mode, blob, _ = facts.split()
            if mode == SUBMODULE:
                raise InvalidInput(f"{self._path / name} is a git repository of its own, which git would not take.",
                                   "Remove its .git, or leave it out with a .gitignore.")
            if "\udc80" <= max(name, default="") <= "\udcff":
                raise InvalidInput(f"The name of {name!r} in {self._path} is not UTF-8.", "Rename it.")
            files[name] = Entry(mode, blob, (self._path / name).lstat().st_size)
        if not files:
            raise InvalidInput(f"{self._path} holds no file that git would take.",
                               "Put the application's source there.")
        return Tree(self._git("write-tree").decode().strip(), files)

    def _git(self, *arguments: str) -> bytes:
        place = [] if arguments[0] == "init" else ["--git-dir", self._store.name, "--work-tree", "."]
        environment = {k: v for k, v in os.environ.items() if not k.startswith("GIT_")}
        environment |= {"GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": os.devnull, "LC_ALL": "C.UTF-8"}
        try:
            done = subprocess.run(["git", *place, *arguments], cwd=self._path, env=environment, capture_output=True,
                                  check=False)
        except FileNotFoundError as error:
            raise SlipwayError("There is no git on this machine.", "Install it, for example with apt-get install git."
                               ) from error
        if done.returncode:
            said = done.stderr.decode(errors="replace").strip()
            raise InvalidInput(f"git does not take the files of {self._path}: {said}.", "Correct that, and run again.")
        return done.stdout
