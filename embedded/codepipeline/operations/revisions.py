"""PutActionRevision: somebody tells of a new revision, and the pipeline starts."""

from __future__ import annotations

from .. import engine, records
from ..store import Json, store
from . import action_named, pipeline_named, stage_named


def put(request: Json, caller: str) -> Json:
    pipeline = pipeline_named(request["pipelineName"])
    stage = stage_named(records.declared(pipeline), request["stageName"])
    name = f"{stage['name']}/{action_named(stage, request['actionName'])['name']}"
    revision = request["actionRevision"]
    known = pipeline["revisions"].get(name) or {}
    new = known.get("revisionChangeId") != revision["revisionChangeId"]
    pipeline["revisions"][name] = {**revision, "revisionUrl": ""}
    if not new and pipeline["executions"]:
        return {"newRevision": False, "pipelineExecutionId": store.executions[pipeline["executions"][-1]]["id"]}
    execution = engine.start(pipeline, {"triggerType": "PutActionRevision", "triggerDetail": caller})
    return {"newRevision": new, "pipelineExecutionId": execution["id"]}


OPERATIONS = {"PutActionRevision": put}
