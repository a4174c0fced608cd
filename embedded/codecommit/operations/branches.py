"""Branches."""

from __future__ import annotations

from typing import Any

from .. import git, names, objects, references
from ..errors import ServiceError
from . import pages
from .repositories import here

_PAGE = 100


def get(request: dict[str, Any]) -> dict[str, Any]:
    repository, name = here(request), names.check_branch(request.get("branchName"))
    return {"branch": {"branchName": name, "commitId": references.branch(repository, name)}}


def list_all(request: dict[str, Any]) -> dict[str, Any]:
    page, following = pages.of(sorted(references.branches(here(request))), request.get("nextToken"), _PAGE)
    return {"branches": list(page), **following}


def create(request: dict[str, Any]) -> dict[str, Any]:
    repository, name = here(request), names.check_branch(request.get("branchName"))
    commit = request.get("commitId")
    if not commit:
        raise ServiceError("CommitIdRequiredException", "Give the id of a commit.")
    if not names.is_commit(commit):
        raise ServiceError("InvalidCommitIdException", f"{commit[:100]} is not the id of a commit.")
    if objects.commit(repository.git_dir, commit) is None:
        raise ServiceError("CommitDoesNotExistException", f"The commit {commit} does not exist.")
    if name in references.branches(repository) or not references.move(repository, name, git.NOTHING, commit):
        raise ServiceError("BranchNameExistsException", f"A branch named {name} exists already, or one that has this "
                           "name as a folder.")
    return {}


def delete(request: dict[str, Any]) -> dict[str, Any]:
    """One that does not exist is no error, and is not in the answer."""
    repository, name = here(request), names.check_branch(request.get("branchName"))
    commit = references.branches(repository).get(name)
    if commit is None:
        return {}
    if name == references.default_branch(repository):
        raise ServiceError("DefaultBranchCannotBeDeletedException", f"{name} is the default branch: choose another one "
                           "first.")
    if not references.move(repository, name, commit, git.NOTHING):
        return delete(request)
    return {"deletedBranch": {"branchName": name, "commitId": commit}}


def make_default(request: dict[str, Any]) -> dict[str, Any]:
    repository, name = here(request), names.check_branch(request.get("defaultBranchName"))
    references.branch(repository, name)
    references.set_default_branch(repository, name)
    return {}


OPERATIONS = {"GetBranch": get, "ListBranches": list_all, "CreateBranch": create, "DeleteBranch": delete,
              "UpdateDefaultBranch": make_default}
