"""Runs git on bare repositories, apart from whatever a person's own configuration says."""

from __future__ import annotations

import functools
import os
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from ..process import EmbeddedError

#: What git calls "no object": before a branch's first commit, after its deletion.
NOTHING = "0" * 40
#: The object of a folder without files. Git knows it without anybody having stored it.
EMPTY_TREE = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"


class GitError(Exception):
    """git ended with an error; its text is what git said."""


def environment(**more: str) -> dict[str, str]:
    """git's environment: nothing of the user's or the system's configuration, no question at a terminal."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    return {**kept, "GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": os.devnull, "GIT_TERMINAL_PROMPT": "0",
            "LC_ALL": "C.UTF-8", **more}


def run(git_dir: Path, *arguments: str, given: bytes = b"", env: Mapping[str, str] | None = None) -> bytes:
    """What `git --git-dir=git_dir arguments` answers to `given` on its input. Raises GitError."""
    done = subprocess.run(["git", f"--git-dir={git_dir}", *arguments], input=given, capture_output=True,
                          env=environment(**(env or {})), cwd=git_dir if git_dir.is_dir() else None)
    if done.returncode != 0:
        raise GitError(done.stderr.decode(errors="replace").strip() or f"git {arguments[0]} failed")
    return done.stdout


def objects(git_dir: Path, names: Iterable[str]) -> Iterator[tuple[str, str, bytes] | None]:
    """For each name (an id, or a full name as refs/heads/main): the object's id, type and content; None where there is
    none."""
    wanted = list(names)
    answer = run(git_dir, "cat-file", "--batch", given="".join(f"{name}\n" for name in wanted).encode())
    at = 0
    for _ in wanted:
        end = answer.index(b"\n", at)
        words = answer[at:end].decode(errors="replace").rsplit(" ", 2)
        at = end + 1
        if len(words) != 3 or not words[2].isdigit():
            yield None
            continue
        size = int(words[2])
        yield words[0], words[1], answer[at:at + size]
        at += size + 1


@functools.cache
def http_backend() -> str:
    """The path of git's own server side of smart HTTP. Raises EmbeddedError where git or this part of it is missing."""
    try:
        folder = subprocess.run(["git", "--exec-path"], capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError) as error:
        raise EmbeddedError("git is missing, which keeps the repositories of the embedded CodeCommit: install the "
                            "package git.") from error
    backend = Path(folder) / "git-http-backend"
    if not os.access(backend, os.X_OK):
        raise EmbeddedError(f"{backend} is missing, which serves the repositories of the embedded CodeCommit: install "
                            "git from a package that has it, as Debian's package git does.")
    return str(backend)
