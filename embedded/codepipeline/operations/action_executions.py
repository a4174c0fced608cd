"""ListActionExecutions: what each action got, gave and said."""

from __future__ import annotations

from .. import action_types
from ..store import Json, store
from . import execution_of, page, pipeline_named, without_empty


def listed(request: Json, _caller: str) -> Json:
    pipeline = pipeline_named(request["pipelineName"])
    wanted = request.get("filter") or {}
    latest = wanted.get("latestInPipelineExecution") or {}
    one = wanted.get("pipelineExecutionId") or latest.get("pipelineExecutionId")
    executions = [execution_of(pipeline, one)["id"]] if one else pipeline["executions"]
    actions = [store.actions[action] for execution in executions
               for run in store.executions[execution]["stages"].values() for action in run["actions"]]
    if latest.get("startTimeRange") == "Latest":
        actions = list({(action["stage"], action["action"]): action for action in actions}.values())
    newest_first = sorted(actions, key=lambda action: action["started"], reverse=True)
    return page([_shown(action) for action in newest_first], request, "actionExecutionDetails", 100)


def _shown(action: Json) -> Json:
    shown = {
        "pipelineExecutionId": action["execution"], "actionExecutionId": action["id"],
        "pipelineVersion": action["version"], "stageName": action["stage"], "actionName": action["action"],
        "startTime": action["started"], "lastUpdateTime": action["updated"], "updatedBy": action["updatedBy"],
        "status": action["status"],
        "input": without_empty({
            "actionTypeId": action["typeId"], "configuration": _hidden(action, "configuration"),
            "resolvedConfiguration": _hidden(action, "resolved"), "roleArn": action["ownRole"],
            "region": action["region"], "namespace": action["namespace"]})
        | {"inputArtifacts": [artifact(one) for one in action["inputs"]]},
        "output": {
            "outputArtifacts": [artifact(one) for one in action["outputs"]] if action["status"] == "Succeeded" else [],
            "executionResult": without_empty({
                "externalExecutionId": action.get("externalId"), "externalExecutionSummary": action.get("summary"),
                "externalExecutionUrl": action.get("externalUrl"), "errorDetails": action.get("error")}),
            "outputVariables": action["variables"]}}
    return without_empty(shown)


def _hidden(action: Json, name: str) -> Json:
    """The configuration, without what the type calls secret."""
    found = action_types.find(action["typeId"])
    secret = [key for key, item in action_types.properties(found or {}).items() if item["secret"]]
    return {key: "****" if key in secret else value for key, value in action[name].items()}


def artifact(one: Json) -> Json:
    return {"name": one["name"], "s3location": {"bucket": one["bucket"], "key": one["key"]}}


OPERATIONS = {"ListActionExecutions": listed}
