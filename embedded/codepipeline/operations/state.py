"""GetPipelineState: what each stage holds now, and how its actions went last."""

from __future__ import annotations

from .. import action_types, records
from ..store import Json, store
from . import pipeline_named, without_empty


def get(request: Json, _caller: str) -> Json:
    pipeline = pipeline_named(request["name"])
    stages = records.declared(pipeline)["stages"]
    return {"pipelineName": pipeline["name"], "pipelineVersion": pipeline["version"],
            "stageStates": [_stage(pipeline, stage) for stage in stages], "created": pipeline["created"],
            "updated": pipeline["updated"]}


def _stage(pipeline: Json, stage: Json) -> Json:
    name = stage["name"]
    waiting = [{"pipelineExecutionId": one, "status": "InProgress", "type": store.executions[one]["type"]}
               for one in pipeline["waiting"].get(name) or []]
    closed = pipeline["transitions"].get(f"{name}/Inbound") or {}
    latest = store.executions.get(pipeline["latest"].get(name))
    run = latest["stages"][name] if latest else {}
    state = {
        "stageName": name, "inboundExecution": waiting[-1] if waiting else None, "inboundExecutions": waiting,
        "inboundTransitionState": without_empty({**closed, "enabled": not closed.get("disabledReason")}),
        "actionStates": [_action(pipeline, stage, action) for action in stage["actions"]],
        "latestExecution": latest and {"pipelineExecutionId": latest["id"], "status": _status(latest, run),
                                       "type": latest["type"]},
        "retryStageMetadata": without_empty({
            "autoStageRetryAttempt": run.get("automatic") or None,
            "manualStageRetryAttempt": run.get("retries") or None,
            "latestRetryTrigger": run.get("trigger")}) if run.get("trigger") else None}
    return without_empty(state)


def _status(execution: Json, run: Json) -> str:
    return "Stopping" if execution["status"] == "Stopping" and run["status"] == "InProgress" else str(run["status"])


def _action(pipeline: Json, stage: Json, declared: Json) -> Json:
    name = f"{stage['name']}/{declared['name']}"
    action = store.actions.get(pipeline["actions"].get(name))
    revision = pipeline["revisions"].get(name)
    kind = action_types.find(declared["actionTypeId"])
    configuration = action["resolved"] if action else declared.get("configuration") or {}
    return without_empty({
        "actionName": declared["name"],
        "currentRevision": revision and {key: revision[key] for key in ("revisionId", "revisionChangeId", "created")},
        "latestExecution": action and _latest(action),
        "entityUrl": action_types.url(kind, "entityUrlTemplate", configuration) or _entity(declared),
        "revisionUrl": (revision or {}).get("revisionUrl")
        or action_types.url(kind, "revisionUrlTemplate", configuration)})


def _entity(declared: Json) -> str:
    """Where the console shows what an action of AWS works on."""
    configuration, provider = declared.get("configuration") or {}, declared["actionTypeId"]["provider"]
    if provider == "CodeCommit":
        return ("https://console.aws.amazon.com/codecommit/home#/repository/"
                f"{configuration.get('RepositoryName')}/browse/{configuration.get('BranchName')}/--/")
    if provider == "Lambda":
        return f"https://console.aws.amazon.com/lambda/home#/functions/{configuration.get('FunctionName')}"
    return str(configuration.get("ExternalEntityLink") or "") if provider == "Manual" else ""


def _latest(action: Json) -> Json:
    return without_empty({
        "actionExecutionId": action["id"], "status": action["status"], "summary": action.get("summary"),
        "lastStatusChange": action["updated"], "lastUpdatedBy": action["updatedBy"],
        "token": action.get("token") if action["status"] == "InProgress" else None,
        "externalExecutionId": action.get("externalId"), "externalExecutionUrl": action.get("externalUrl"),
        "percentComplete": action.get("percent"), "errorDetails": action.get("error")})


OPERATIONS = {"GetPipelineState": get}
