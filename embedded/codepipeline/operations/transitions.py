"""Transitions between stages: disabled by a person, and enabled again."""

from __future__ import annotations

import time

from .. import engine, records
from ..errors import ServiceError
from ..store import Json
from . import pipeline_named, stage_named


def disable(request: Json, caller: str) -> Json:
    _set(request, caller, request["reason"])
    return {}


def enable(request: Json, caller: str) -> Json:
    pipeline = _set(request, caller, "")
    for stage in records.declared(pipeline)["stages"]:
        engine.admit(pipeline, stage["name"])
    return {}


def _set(request: Json, caller: str, reason: str) -> Json:
    pipeline = pipeline_named(request["pipelineName"])
    declared = records.declared(pipeline)
    stage = stage_named(declared, request["stageName"])["name"]
    if reason and declared["executionMode"] == "PARALLEL":
        raise ServiceError("ValidationException", f"The pipeline {pipeline['name']} has the mode PARALLEL, in which no "
                           "transition can be disabled.")
    pipeline["transitions"][f"{stage}/{request['transitionType']}"] = {
        "lastChangedBy": caller, "lastChangedAt": time.time(), "disabledReason": reason}
    return pipeline


OPERATIONS = {"DisableStageTransition": disable, "EnableStageTransition": enable}
