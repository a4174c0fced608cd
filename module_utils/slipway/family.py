"""The end of a task definition family: what a service's stack keeps for rollback outlives the stack."""

from __future__ import annotations

from typing import Any

from .aws import task_definitions
from .aws.session import Aws
from .changes import Changes
from .progress import Progress


def remove(aws: Aws, family: str, check: bool, progress: Progress) -> dict[str, Any]:
    """Deregister and delete every revision of `family`, which takes AWS up to an hour after this returned."""
    active = task_definitions.revisions(aws, family, "ACTIVE")
    inactive = task_definitions.revisions(aws, family, "INACTIVE")
    changes = Changes(f"task definitions {family}")
    for arn in [*active, *inactive]:
        changes.add(arn.rpartition("/")[2], "registered", None)
    if not check and changes.changed:
        progress.say(f"{family}: {len(changes.items)} task definitions to delete")
        for arn in active:
            task_definitions.deregister(aws, arn)
        task_definitions.delete(aws, [*inactive, *active])
    return {"changed": changes.changed, "diff": changes.diff(), "removed": [change.subject for change in changes.items],
            "api_calls": aws.api_calls()}
