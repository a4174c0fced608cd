"""Branches and tags: reading them, moving them, and telling of it."""

from __future__ import annotations

import threading
from collections import defaultdict

from . import events, git, objects, spool
from .errors import ServiceError
from .records import Repository, records

_HEADS = "refs/heads/"
#: One teller for each repository, so that two requests do not tell of the same push.
_telling: dict[str, threading.Lock] = defaultdict(threading.Lock)


def branches(repository: Repository) -> dict[str, str]:
    """The commit of each branch, by the branch's name."""
    lines = git.run(repository.git_dir, "for-each-ref", "--format=%(objectname) %(refname)", _HEADS).decode()
    pairs = (line.split(" ", 1) for line in lines.splitlines())
    return {name.removeprefix(_HEADS): commit for commit, name in pairs}


def branch(repository: Repository, name: str) -> str:
    """The id of the commit that the branch points at. Raises ServiceError where there is no such branch."""
    found = objects.commit(repository.git_dir, _HEADS + name)
    if found is None:
        raise ServiceError("BranchDoesNotExistException",
                           f"The branch {name} does not exist in the repository {repository.name}.")
    return found.id


def default_branch(repository: Repository) -> str | None:
    """None as long as there is no branch."""
    name = git.run(repository.git_dir, "symbolic-ref", "HEAD").decode().strip().removeprefix(_HEADS)
    return name if objects.commit(repository.git_dir, _HEADS + name) else None


def set_default_branch(repository: Repository, name: str) -> None:
    git.run(repository.git_dir, "symbolic-ref", "HEAD", _HEADS + name)
    records.changed(repository)


def move(repository: Repository, name: str, old: str, new: str) -> bool:
    """Let the branch point at `new` (git.NOTHING deletes it) where it still points at `old`, and tell of it; False
    where somebody else was faster."""
    try:
        git.run(repository.git_dir, "update-ref", "--stdin", given=f"update {_HEADS}{name} {new} {old}\n".encode())
    except git.GitError:
        return False
    _settle(repository, [spool.Change(old, new, _HEADS + name)])
    return True


def tell_of_pushes(repository: Repository) -> None:
    """Tell of every push that was not told of yet, in their order. What fails is told by the next."""
    with _telling[repository.id]:
        for file, changes in spool.pushes(repository.received):
            _settle(repository, changes)
            file.unlink(missing_ok=True)


def _settle(repository: Repository, changes: list[spool.Change]) -> None:
    # The first branch of an empty repository is its default branch.
    created = [change.reference.removeprefix(_HEADS) for change in changes
               if change.old == git.NOTHING and change.reference.startswith(_HEADS)]
    if created and default_branch(repository) is None:
        git.run(repository.git_dir, "symbolic-ref", "HEAD", _HEADS + created[0])
    records.changed(repository)
    for change in changes:
        events.tell(repository, change)
