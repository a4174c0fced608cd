"""Old versions of the pipeline's custom action, deleted once no pipeline names them any more."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ..aws import codepipeline
from ..aws.session import Aws
from ..changes import Changes
from ..errors import AwsError

_CATEGORY = "Build"


def prune(aws: Aws, provider: str, keep: str, check_mode: bool) -> dict[str, Any]:
    """The result of module pipeline_action_prune. keep: the version that stays in any case, '' for none."""
    versions = [one["version"] for one in codepipeline.custom_actions(aws)
                if (one["category"], one["provider"]) == (_CATEGORY, provider)]
    # Pipelines are asked only where there is something to delete.
    used = codepipeline.actions_in_use(aws) if set(versions) - {keep} else []
    old = unused(versions, keep, provider, used)
    changes = Changes(f"versions of pipeline action {provider}")
    for version in old:
        changes.add(version, "not used by any pipeline", None)
    if not check_mode:
        for version in old:
            _delete(aws, provider, version)
    return {"changed": changes.changed, "diff": changes.diff(), "deleted": old, "api_calls": aws.api_calls()}


def unused(versions: Iterable[str], keep: str, provider: str, used: Iterable[dict[str, str]]) -> list[str]:
    """Those of `versions` that nobody needs, sorted. used: ActionTypeId of every action of every pipeline; pure."""
    needed = {one["version"] for one in used
              if (one["owner"], one["category"], one["provider"]) == ("Custom", _CATEGORY, provider)}
    return sorted(set(versions) - needed - {keep})


def _delete(aws: Aws, provider: str, version: str) -> None:
    try:
        codepipeline.delete_custom_action(aws, _CATEGORY, provider, version)
    except AwsError as error:
        # Another run was faster.
        if error.code != "ActionTypeNotFoundException":
            raise
