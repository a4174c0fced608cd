"""PutApprovalResult: a person's answer to a manual approval."""

from __future__ import annotations

import time

from .. import engine, records
from ..errors import ServiceError
from ..store import Json, store
from . import action_named, pipeline_named, stage_named


def put(request: Json, caller: str) -> Json:
    pipeline = pipeline_named(request["pipelineName"])
    stage = stage_named(records.declared(pipeline), request["stageName"])
    declared = action_named(stage, request["actionName"])
    asked: list[Json] = [action for action in store.actions.values() if action["pipeline"] == pipeline["name"]
                         and (action["stage"], action["action"]) == (stage["name"], declared["name"])
                         and action.get("token") == request["token"]]
    if not asked:
        raise ServiceError("InvalidApprovalTokenException", "The approval token is not that of the action's newest "
                           "execution. Read it from the state of the pipeline.")
    action = asked[0]
    if action["status"] != "InProgress":
        raise ServiceError("ApprovalAlreadyCompletedException", f"The approval {declared['name']} was completed "
                           f"already: {action['status']}.")
    result = request["result"]
    action.update(summary=result["summary"], updatedBy=caller)
    if result["status"] == "Approved":
        engine.succeed(action["id"])
    else:
        engine.fail(action["id"], "JobFailed", f"The approval was rejected by {caller}: {result['summary']}"
                    if result["summary"] else f"The approval was rejected by {caller}.")
    return {"approvedAt": time.time()}


OPERATIONS = {"PutApprovalResult": put}
