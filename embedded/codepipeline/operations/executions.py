"""Executions: started, stopped, retried, rolled back, listed."""

from __future__ import annotations

from typing import Any

from .. import engine, interventions, records
from ..errors import ServiceError
from ..store import Json, store
from . import execution_of, page, pipeline_named, stage_named, without_empty


def start(request: Json, caller: str) -> Json:
    pipeline = pipeline_named(request["name"])
    token = request.get("clientRequestToken")
    given = {item["name"]: item["value"] for item in request.get("variables") or []}
    overrides = request.get("sourceRevisions") or []
    asked = [given, overrides]
    if token in pipeline["requests"]:
        known, before = pipeline["requests"][token]
        if before != asked:
            raise ServiceError("ConflictException", "The client request token was used with other parameters before.")
        return {"pipelineExecutionId": known}
    sources = [action["name"] for action in records.declared(pipeline)["stages"][0]["actions"]]
    for override in overrides:
        if override["actionName"] not in sources:
            raise ServiceError("ValidationException", f"The pipeline {pipeline['name']} has no source action "
                               f"{override['actionName']} whose revision could be overridden.")
    execution = engine.start(pipeline, {"triggerType": "StartPipelineExecution", "triggerDetail": caller}, given,
                             overrides)
    if token:
        pipeline["requests"][token] = [execution["id"], asked]
    return {"pipelineExecutionId": execution["id"]}


def by_rule(name: str, rule_arn: str, given: Json) -> None:
    """A rule of EventBridge has the pipeline as its target."""
    with store.changing():
        variables = {item["name"]: item["value"] for item in given.get("variables") or []}
        engine.start(pipeline_named(name), {"triggerType": "CloudWatchEvent", "triggerDetail": rule_arn}, variables,
                     given.get("sourceRevisions") or [])


def stop(request: Json, _caller: str) -> Json:
    pipeline = pipeline_named(request["pipelineName"])
    execution: Json | None = store.executions.get(request["pipelineExecutionId"])
    abandon, reason = bool(request.get("abandon")), request.get("reason") or ""
    if execution is None or execution["pipeline"] != pipeline["name"] or execution["status"] in records.ENDED:
        raise ServiceError("PipelineExecutionNotStoppableException", "Unable to stop the pipeline execution "
                           f"{request['pipelineExecutionId']}: it is not in progress.")
    if execution["status"] == "Stopping" and not abandon:
        raise ServiceError("DuplicatedStopRequestException", f"The pipeline execution {execution['id']} is stopping "
                           "already.")
    interventions.stop(pipeline, execution, abandon, reason)
    return {"pipelineExecutionId": execution["id"]}


def retry(request: Json, _caller: str) -> Json:
    pipeline = pipeline_named(request["pipelineName"])
    declared = records.declared(pipeline)
    stage = stage_named(declared, request["stageName"])["name"]
    execution: Json | None = store.executions.get(request["pipelineExecutionId"])
    newest = pipeline["latest"].get(stage)
    if execution is None or stage not in execution["stages"]:
        raise ServiceError("StageNotRetryableException", f"The execution {request['pipelineExecutionId']} did not run "
                           f"the stage {stage}.")
    if execution["mode"] != "PARALLEL" and newest != execution["id"]:
        raise ServiceError("NotLatestPipelineExecutionException", f"The stage {stage} cannot be retried in the "
                           f"execution {execution['id']}, because the execution {newest} ran it later.")
    if (execution["status"] not in ("Failed", "Stopped")
            or execution["stages"][stage]["status"] not in ("Failed", "Stopped")):
        raise ServiceError("StageNotRetryableException", f"The stage {stage} cannot be retried: it is in the state "
                           f"{execution['stages'][stage]['status']}, and the execution in {execution['status']}.")
    if _actions(records.stage_of(execution, stage)) != _actions(stage_named(declared, stage)):
        raise ServiceError("StageNotRetryableException", "Unable to retry. The pipeline structure or stage state might "
                           "have changed while actions awaited retry, or the stage contains no failed actions.")
    interventions.retry(pipeline, execution, stage, request["retryMode"])
    return {"pipelineExecutionId": execution["id"]}


def _actions(stage: Json) -> list[Any]:
    return sorted((action["name"], str(action["actionTypeId"]), action["runOrder"]) for action in stage["actions"])


def roll_back(request: Json, caller: str) -> Json:
    pipeline = pipeline_named(request["pipelineName"])
    declared = records.declared(pipeline)
    stage = stage_named(declared, request["stageName"])["name"]
    target = execution_of(pipeline, request["targetPipelineExecutionId"])
    if target["version"] != pipeline["version"]:
        raise ServiceError("PipelineExecutionOutdatedException", f"The execution {target['id']} ran version "
                           f"{target['version']} of the pipeline, which has version {pipeline['version']} now.")
    if declared["executionMode"] == "PARALLEL":
        raise ServiceError("UnableToRollbackStageException", f"The pipeline {pipeline['name']} has the mode PARALLEL, "
                           "in which no stage can be rolled back.")
    if stage == declared["stages"][0]["name"] or not engine.can_roll_back_to(pipeline, target, stage):
        raise ServiceError("UnableToRollbackStageException", f"The stage {stage} cannot be rolled back to the "
                           f"execution {target['id']}: it must have succeeded in this stage, which must not be the "
                           "first one.")
    execution = engine.start(pipeline, {"triggerType": "ManualRollback", "triggerDetail": caller},
                             rollback_of=target["id"], stage=stage)
    return {"pipelineExecutionId": execution["id"]}


def get(request: Json, _caller: str) -> Json:
    pipeline = pipeline_named(request["pipelineName"])
    execution = execution_of(pipeline, request["pipelineExecutionId"])
    return {"pipelineExecution": without_empty({
        "pipelineName": pipeline["name"], "pipelineVersion": execution["version"],
        "pipelineExecutionId": execution["id"], "status": execution["status"], "statusSummary": execution["summary"],
        "variables": [{"name": name, "resolvedValue": value} for name, value in execution["variables"].items()],
        "trigger": execution["trigger"], "executionMode": execution["mode"], "executionType": execution["type"],
        "rollbackMetadata": _rollback(execution)})
        | {"artifactRevisions": [_only(item, "name", "revisionId", "revisionChangeIdentifier", "revisionSummary",
                                       "created", "revisionUrl") for item in execution["revisions"]]}}


def listed(request: Json, _caller: str) -> Json:
    pipeline = pipeline_named(request["pipelineName"])
    stage = ((request.get("filter") or {}).get("succeededInStage") or {}).get("stageName")
    if stage:
        stage_named(records.declared(pipeline), stage)
    executions = [store.executions[one] for one in reversed(pipeline["executions"])]
    return page([_summary(one) for one in executions
                 if not stage or one["stages"].get(stage, {}).get("status") == "Succeeded"],
                request, "pipelineExecutionSummaries", 100)


def _summary(execution: Json) -> Json:
    stopped = execution["stop"]
    return without_empty({
        "pipelineExecutionId": execution["id"], "status": execution["status"], "statusSummary": execution["summary"],
        "startTime": execution["started"], "lastUpdateTime": execution["updated"], "trigger": execution["trigger"],
        "stopTrigger": {"reason": stopped["reason"]} if stopped else None, "executionMode": execution["mode"],
        "executionType": execution["type"], "rollbackMetadata": _rollback(execution)}) | {
        "sourceRevisions": [_only(item, "actionName", "revisionId", "revisionSummary", "revisionUrl")
                            for item in execution["revisions"]]}


def _rollback(execution: Json) -> Json:
    target = execution["rollbackOf"]
    return {"rollbackTargetPipelineExecutionId": target} if target else {}


def _only(item: Json, *names: str) -> Json:
    return {name: item[name] for name in names if item.get(name) not in (None, "")}


OPERATIONS = {"StartPipelineExecution": start, "StopPipelineExecution": stop, "RetryStageExecution": retry,
              "RollbackStage": roll_back, "GetPipelineExecution": get, "ListPipelineExecutions": listed}
