"""Merges that only move a branch forward."""

from __future__ import annotations

from typing import Any

from .. import git, names, references
from ..errors import ServiceError
from ..records import Repository
from .commits import resolved
from .repositories import here


def fast_forward(request: dict[str, Any]) -> dict[str, Any]:
    repository = here(request)
    for member in ("sourceCommitSpecifier", "destinationCommitSpecifier"):
        if not request.get(member):
            raise ServiceError("CommitRequiredException", f"Give {member}.")
    branch = names.check_branch(request.get("targetBranch") or request["destinationCommitSpecifier"])
    source = resolved(repository, request["sourceCommitSpecifier"])
    target = resolved(repository, request["destinationCommitSpecifier"])
    if references.branch(repository, branch) != target.id:
        raise ServiceError("ConcurrentReferenceUpdateException", f"The branch {branch} is not at {target.id} any more.")
    if source.id == target.id:
        return {"commitId": target.id, "treeId": target.tree}
    if not _leads_to(repository, target.id, source.id):
        raise ServiceError("ManualMergeRequiredException", f"{branch} has commits that the source has not: this is no "
                           "fast-forward merge.")
    if not references.move(repository, branch, target.id, source.id):
        raise ServiceError("ConcurrentReferenceUpdateException", f"The branch {branch} was moved by somebody else.")
    return {"commitId": source.id, "treeId": source.tree}


def _leads_to(repository: Repository, older: str, newer: str) -> bool:
    """Whether `newer` has `older` among its ancestors."""
    return not git.run(repository.git_dir, "rev-list", "--max-count=1", older, f"^{newer}")


OPERATIONS = {"MergeBranchesByFastForward": fast_forward}
