"""What CodePipeline tells EventBridge: changes of state of pipelines, stages and actions."""

from __future__ import annotations

import time
from functools import partial

from . import ministack
from .store import Json, store

#: What a status is called in an event, where that is not its name in capitals.
_STATES = {"InProgress": "STARTED", "Abandoned": "ABANDONED", "Cancelled": "CANCELED"}


def pipeline_changed(pipeline: Json, execution: Json, state: str = "") -> None:
    """state: where the status alone does not say it (RESUMED)."""
    detail = {**_common(pipeline, execution, execution["started"]), "state": state or _state(execution["status"])}
    if execution["type"] == "ROLLBACK":
        detail["rollback-metadata"] = {"rollback-target-pipeline-execution-id": execution["rollbackOf"]}
    _emit("Pipeline", pipeline, detail)


def stage_changed(pipeline: Json, execution: Json, stage: str, status: str) -> None:
    run = execution["stages"][stage]
    detail = {**_common(pipeline, execution, run["started"]), "stage": stage, "state": _state(status)}
    failed = [store.actions[one] for one in run["actions"] if store.actions[one]["status"] == "Failed"]
    if status == "Failed" and failed:
        detail["failed-actions"] = [{"action": one["action"], "additional-information": one["error"]["message"]}
                                    for one in failed]
    _emit("Stage", pipeline, detail)


def action_changed(pipeline: Json, execution: Json, action: Json, status: str = "") -> None:
    """status: where it is not the action's own."""
    detail = {**_common(pipeline, execution, action["started"]), "stage": action["stage"], "action": action["action"],
              "action-execution-id": action["id"], "state": _state(status or action["status"]),
              "region": action["region"], "type": action["typeId"],
              "input-artifacts": [_artifact(one) for one in action["inputs"]],
              "output-artifacts": [_artifact(one) for one in action["outputs"]]}
    result = {"external-execution-summary": action.get("summary"), "external-execution-id": action.get("externalId"),
              "external-execution-url": action.get("externalUrl"), "error-code": action.get("error", {}).get("code")}
    if action["status"] != "InProgress" and any(result.values()):
        detail["execution-result"] = {key: value for key, value in result.items() if value}
    _emit("Action", pipeline, detail)


def _common(pipeline: Json, execution: Json, started: float) -> Json:
    trigger = execution["trigger"]
    return {"pipeline": pipeline["name"], "execution-id": execution["id"], "version": float(execution["version"]),
            "start-time": _time(started), "pipeline-execution-attempt": float(execution["attempt"]),
            "execution-trigger": {"trigger-type": trigger["triggerType"],
                                  "trigger-detail": trigger.get("triggerDetail", "")}}


def _state(status: str) -> str:
    return _STATES.get(status, status.upper())


def _time(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{int(seconds % 1 * 1000):03}Z"


def _artifact(artifact: Json) -> Json:
    return {"name": artifact["name"], "s3location": {"bucket": artifact["bucket"], "key": artifact["key"]}}


def _emit(what: str, pipeline: Json, detail: Json) -> None:
    # Built now, sent when nothing is locked any more: a rule's target may start a pipeline.
    store.after(partial(ministack.emit, f"CodePipeline {what} Execution State Change", pipeline["arn"], detail))
