"""The event that EventBridge gets when a branch or tag changes."""

from __future__ import annotations

import json
from typing import Any

from . import git, ministack, objects
from .records import Repository
from .spool import Change

SOURCE = "aws.codecommit"
DETAIL_TYPE = "CodeCommit Repository State Change"
_KINDS = {"refs/heads/": "branch", "refs/tags/": "tag"}


def tell(repository: Repository, change: Change) -> None:
    found = detail(repository, change)
    if found:
        ministack.put_event(repository.account, repository.region, {
            "Source": SOURCE, "DetailType": DETAIL_TYPE, "Resources": [repository.arn], "Detail": json.dumps(found)})


def detail(repository: Repository, change: Change) -> dict[str, Any] | None:
    """The event's detail; None for references that are neither branch nor tag, and where nothing changed."""
    prefix = next((prefix for prefix in _KINDS if change.reference.startswith(prefix)), None)
    if prefix is None or change.old == change.new:
        return None
    known = {"callerUserArn": f"arn:aws:iam::{repository.account}:root", "repositoryName": repository.name,
             "repositoryId": repository.id, "referenceType": _KINDS[prefix],
             "referenceName": change.reference.removeprefix(prefix), "referenceFullName": change.reference}
    if change.new == git.NOTHING:
        return {**known, "event": "referenceDeleted", "oldCommitId": _commit(repository, change.old)}
    new = _commit(repository, change.new)
    if change.old == git.NOTHING:
        return {**known, "event": "referenceCreated", "commitId": new}
    return {**known, "event": "referenceUpdated", "commitId": new, "oldCommitId": _commit(repository, change.old)}


def _commit(repository: Repository, identity: str) -> str:
    """The commit that an annotated tag names; any other object is named itself."""
    found = objects.commit(repository.git_dir, identity)
    return found.id if found else identity
