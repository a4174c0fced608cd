"""Commits and trees, read from a bare repository."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from . import git, names
from .git import GitError

_PERSON = re.compile(r"(?P<name>.*?) ?<(?P<email>[^>]*)> (?P<when>-?\d+) (?P<zone>[+-]\d{4})")


@dataclass(frozen=True)
class Person:
    """when: seconds since 1970; zone: as git writes it (+0100)."""

    name: str
    email: str
    when: int
    zone: str


@dataclass(frozen=True)
class FullCommit:
    id: str
    tree: str
    parents: tuple[str, ...]
    author: Person
    committer: Person
    message: str


@dataclass(frozen=True)
class Entry:
    """A file of a tree. mode: as git writes it (100644, 100755, 120000, 160000); id: of its blob, or of the commit of a
    submodule."""

    mode: str
    id: str


def commit(git_dir: Path, name: str) -> FullCommit | None:
    """The commit of this name (an id or a full reference); None where there is none. An annotated tag's is its
    target's."""
    for _ in range(10):  # a tag may be of a tag
        found = next(git.objects(git_dir, [name]))
        if found is None:
            return None
        identity, kind, content = found
        if kind == "commit":
            return _parsed(identity, content)
        if kind != "tag":
            return None
        name = content.split(b"\n", 1)[0].removeprefix(b"object ").decode()
    return None


def resolve(git_dir: Path, specifier: str) -> FullCommit | None:
    """What a person means by a commit's id, a branch, a tag, HEAD or a full reference; None if there is none."""
    if names.is_commit(specifier):
        return commit(git_dir, specifier)
    if not names.is_reference(specifier):
        return None
    places = [specifier] if specifier == "HEAD" or specifier.startswith("refs/") else []
    for place in [*places, f"refs/heads/{specifier}", f"refs/tags/{specifier}"]:
        if found := commit(git_dir, place):
            return found
    return None


def files(git_dir: Path, tree: str) -> dict[str, Entry]:
    """Every file of a tree (of a commit, too), by its path."""
    entries = {}
    for line in git.run(git_dir, "ls-tree", "-r", "-z", "--full-tree", tree).split(b"\0")[:-1]:
        facts, _, path = line.partition(b"\t")
        mode, _, identity = facts.decode().split(" ")
        entries[path.decode(errors="surrogateescape")] = Entry(mode, identity)
    return entries


def tree_at(git_dir: Path, tree: str, path: str) -> str | None:
    """The id of the folder `path` ('' is the top) in a tree; None where there is no folder of this name."""
    if not path:
        return tree
    try:
        line = git.run(git_dir, "ls-tree", "-z", "-d", "--full-tree", tree, "--", path).split(b"\0")[0]
    except GitError:
        return None
    facts = line.partition(b"\t")[0].decode().split(" ")
    return facts[2] if len(facts) == 3 and facts[1] == "tree" else None


def blob(git_dir: Path, identity: str) -> bytes | None:
    found = next(git.objects(git_dir, [identity]))
    return found[2] if found and found[1] == "blob" else None


def _parsed(identity: str, content: bytes) -> FullCommit:
    head, _, message = content.partition(b"\n\n")
    lines = [line.partition(b" ")[::2] for line in head.split(b"\n") if not line.startswith(b" ")]
    fields = {key: value.decode(errors="replace") for key, value in lines}
    return FullCommit(identity, fields[b"tree"], tuple(value.decode() for key, value in lines if key == b"parent"),
                      _person(fields.get(b"author", "")), _person(fields.get(b"committer", "")),
                      message.decode(errors="replace"))


def _person(text: str) -> Person:
    found = _PERSON.fullmatch(text)
    if not found:
        return Person(text, "", 0, "+0000")
    return Person(found["name"], found["email"], int(found["when"]), found["zone"])
