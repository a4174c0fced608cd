"""Commits: reading them, and making them without a clone."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from .. import changes, git, names, objects, references
from ..errors import ServiceError
from ..objects import Entry, FullCommit, Person
from ..records import Repository
from .repositories import here

_BATCH = 100
_EMAIL = re.compile(r"[^\s<>@]+@[^\s<>@]+")


@dataclass(frozen=True)
class Author:
    name: str
    email: str
    message: str


def resolved(repository: Repository, specifier: str | None) -> FullCommit:
    """The commit that a request means; without a specifier the default branch's. Raises ServiceError."""
    found = objects.resolve(repository.git_dir, specifier or "HEAD")
    if found is None and not names.is_commit(specifier or "HEAD") and not names.is_reference(specifier or "HEAD"):
        raise ServiceError("InvalidCommitException", f"{str(specifier)[:100]!r} is neither a commit nor a reference.")
    if found is None:
        raise ServiceError("CommitDoesNotExistException", f"There is no commit {specifier or 'in the repository yet'}.")
    return found


def shown(commit: FullCommit) -> dict[str, Any]:
    return {"commitId": commit.id, "treeId": commit.tree, "parents": list(commit.parents), "message": commit.message,
            "author": _person(commit.author), "committer": _person(commit.committer), "additionalData": ""}


def _person(person: Person) -> dict[str, str]:
    return {"name": person.name, "email": person.email, "date": f"{person.when} {person.zone}"}


def get(request: dict[str, Any]) -> dict[str, Any]:
    repository, commit = here(request), request.get("commitId")
    if not commit:
        raise ServiceError("CommitIdRequiredException", "Give the id of a commit.")
    if not names.is_commit(commit):
        raise ServiceError("InvalidCommitIdException", f"{commit[:100]} is not the id of a commit.")
    found = objects.commit(repository.git_dir, commit)
    if found is None:
        raise ServiceError("CommitIdDoesNotExistException", f"The commit {commit} does not exist.")
    return {"commit": shown(found)}


def batch_get(request: dict[str, Any]) -> dict[str, Any]:
    repository, wanted = here(request), request.get("commitIds")
    if not wanted:
        raise ServiceError("CommitIdsListRequiredException", "Give the ids of commits.")
    if len(wanted) > _BATCH:
        raise ServiceError("CommitIdsLimitExceededException", f"At most {_BATCH} commits at a time.")
    found = [(name, objects.commit(repository.git_dir, name) if names.is_commit(name) else None) for name in wanted]
    return {"commits": [shown(commit) for _, commit in found if commit],
            "errors": [{"commitId": name, "errorCode": "CommitIdDoesNotExistException",
                        "errorMessage": f"The commit {name} does not exist."} for name, commit in found if not commit]}


def author(request: dict[str, Any], member: str = "name") -> Author:
    """Who a new commit is of, and what it says. Raises ServiceError."""
    name, email = request.get(member) or "", request.get("email") or ""
    message = request.get("commitMessage") or ""
    if len(name) > 128 or re.search(r"[<>\n\x00]", name):
        raise ServiceError("NameLengthExceededException", "A name has at most 128 characters, none of them < or >.")
    if email and (len(email) > 254 or not _EMAIL.fullmatch(email)):
        raise ServiceError("InvalidEmailException", f"{email[:100]!r} is not an email address.")
    if len(message) > 10240:
        raise ServiceError("CommitMessageLengthExceededException", "A commit's message has at most 10,240 characters.")
    return Author(name or "unknown", email, message)


def parent(repository: Repository, branch: str, given: str | None) -> FullCommit | None:
    """The newest commit of the branch, which is what a new one has to be based on; None in an empty repository. Raises
    ServiceError."""
    tip = objects.commit(repository.git_dir, f"refs/heads/{branch}")
    if tip is None:
        if references.branches(repository):
            raise ServiceError("BranchDoesNotExistException", f"The branch {branch} does not exist in the repository "
                               f"{repository.name}.")
        if given:
            raise ServiceError("ParentCommitDoesNotExistException", "The repository is empty: leave out the parent.")
        if objects.commit(repository.git_dir, f"refs/tags/{branch}"):
            raise ServiceError("BranchNameIsTagNameException", f"{branch} is the name of a tag.")
        return None
    if not given:
        raise ServiceError("ParentCommitIdRequiredException", f"Give the id of the newest commit of {branch}.")
    if not names.is_commit(given):
        raise ServiceError("InvalidParentCommitIdException", f"{given[:100]} is not the id of a commit.")
    if given != tip.id:
        if objects.commit(repository.git_dir, given) is None:
            raise ServiceError("ParentCommitDoesNotExistException", f"The commit {given} does not exist.")
        raise _outdated(branch)
    return tip


def store(repository: Repository, branch: str, base: FullCommit | None, files: dict[str, Entry], of: Author
          ) -> FullCommit:
    """Make a commit of the files on top of `base`, and let the branch point at it. Raises ServiceError where somebody
    else was faster."""
    tree = changes.tree(repository.git_dir, files)
    who = {"GIT_AUTHOR_NAME": of.name, "GIT_AUTHOR_EMAIL": of.email, "GIT_COMMITTER_NAME": of.name,
           "GIT_COMMITTER_EMAIL": of.email}
    parents = ["-p", base.id] if base else []
    answer = git.run(repository.git_dir, "commit-tree", tree, *parents, given=of.message.encode(), env=who)
    made = answer.decode().strip()
    if not references.move(repository, branch, base.id if base else git.NOTHING, made):
        raise _outdated(branch)
    found = objects.commit(repository.git_dir, made)
    assert found is not None
    return found


def create(request: dict[str, Any]) -> dict[str, Any]:
    repository, branch = here(request), names.check_branch(request.get("branchName"))
    base = parent(repository, branch, request.get("parentCommitId"))
    before = objects.files(repository.git_dir, base.tree) if base else {}
    wanted = changes.asked(before, request)
    after = changes.applied(repository.git_dir, before, *wanted, keep_folders=bool(request.get("keepEmptyFolders")))
    if after == before:
        raise ServiceError("NoChangeException", "The commit would change nothing: every file is so already.")
    commit = store(repository, branch, base, after, author(request, "authorName"))

    def told(paths: set[str], of: dict[str, Entry]) -> list[dict[str, Any]]:
        return [{"absolutePath": path, "blobId": of[path].id, "fileMode": changes.MODE_NAMES[of[path].mode]}
                for path in sorted(paths) if of[path].mode in changes.MODE_NAMES]

    return {"commitId": commit.id, "treeId": commit.tree,
            "filesAdded": told(set(after) - set(before), after),
            "filesUpdated": told({path for path in set(after) & set(before) if after[path] != before[path]}, after),
            "filesDeleted": told(set(before) - set(after), before)}


def _outdated(branch: str) -> ServiceError:
    return ServiceError("ParentCommitIdOutdatedException", f"The branch {branch} has a newer commit than this parent: "
                        "read the branch, and base the commit on it.")


OPERATIONS = {"GetCommit": get, "BatchGetCommits": batch_get, "CreateCommit": create}
