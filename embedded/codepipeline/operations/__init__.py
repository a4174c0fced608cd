"""The service's operations: each takes a checked request and the caller's ARN, and gives the answer, or raises
ServiceError. They run with the store's lock held."""

from __future__ import annotations

import base64
from typing import Any

from ..errors import ServiceError
from ..store import Json, store


def pipeline_named(name: str) -> Json:
    found: Json | None = store.pipelines.get(name)
    if found is None:
        raise ServiceError("PipelineNotFoundException", f"Account does not have a pipeline with name '{name}'")
    return found


def stage_named(declared: Json, name: str) -> Json:
    found: Json | None = next((stage for stage in declared["stages"] if stage["name"] == name), None)
    if found is None:
        raise ServiceError("StageNotFoundException", f"The pipeline {declared['name']} has no stage {name}.")
    return found


def action_named(stage: Json, name: str) -> Json:
    found: Json | None = next((action for action in stage["actions"] if action["name"] == name), None)
    if found is None:
        raise ServiceError("ActionNotFoundException", f"The stage {stage['name']} has no action {name}.")
    return found


def execution_of(pipeline: Json, execution_id: str) -> Json:
    found: Json | None = store.executions.get(execution_id)
    if found is None or found["pipeline"] != pipeline["name"]:
        raise ServiceError("PipelineExecutionNotFoundException", f"The pipeline {pipeline['name']} has no execution "
                           f"{execution_id}.")
    return found


def page(items: list[Any], request: Json, name: str, most: int) -> Json:
    """The answer's part of a list, with the token for the next one."""
    start = 0
    if request.get("nextToken"):
        try:
            start = int(base64.urlsafe_b64decode(request["nextToken"]).decode())
        except ValueError:
            raise ServiceError("InvalidNextTokenException", "The next token was not given out by this list.") from None
    end = start + (request.get("maxResults") or most)
    more = {"nextToken": base64.urlsafe_b64encode(str(end).encode()).decode()} if end < len(items) else {}
    return {name: items[start:end], **more}


def without_empty(value: Json) -> Json:
    """The members that have a value; AWS leaves the others out."""
    return {key: item for key, item in value.items() if item not in (None, "", {}, [])}
