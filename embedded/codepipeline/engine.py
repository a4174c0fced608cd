"""What runs when: executions enter stages, stages run their actions, actions end.

Every function here wants the store's lock held and only changes records; what takes time is done by the kinds of
actions, which then come back with succeed() or fail(). A stage holds one execution at a time, except in the mode
PARALLEL.
"""

from __future__ import annotations

import time

from . import artifacts, declaration, events, ministack, settings, variables
from .actions import kind_of
from .errors import ActionFailed, ServiceError
from .records import (
    RUNNING,
    action_of,
    alive,
    declared,
    failed_actions,
    forget_old,
    latest_actions,
    stage_of,
    stages_of,
)
from .store import Json, store

# --- an execution's life --------------------------------------------------------------------------------------------

def start(pipeline: Json, trigger: Json, given: dict[str, str] | None = None,
          overrides: list[Json] | None = None, rollback_of: str = "", stage: str = "") -> Json:
    """A new execution, at the first stage or, for a rollback, at the named one. Raises ServiceError."""
    mode, now = declaration.mode(declared(pipeline)), time.time()
    running = sum(store.executions[one]["status"] in RUNNING for one in pipeline["executions"])
    if mode != "SUPERSEDED" and running >= settings.MAX_EXECUTIONS:
        raise ServiceError("ConcurrentPipelineExecutionsLimitExceededException", f"The pipeline {pipeline['name']} has "
                           f"{running} executions at work, and may have {settings.MAX_EXECUTIONS}.")
    pipeline["sequence"] += 1
    execution = {
        "id": ministack.new_uuid(), "pipeline": pipeline["name"], "version": pipeline["version"], "mode": mode,
        "status": "InProgress", "type": "ROLLBACK" if rollback_of else "STANDARD", "rollbackOf": rollback_of,
        "started": now, "updated": now, "sequence": pipeline["sequence"], "attempt": 1, "trigger": trigger,
        "variables": _pipeline_variables(pipeline, given or {}), "overrides": overrides or [], "artifacts": {},
        "revisions": [], "namespaces": {}, "stages": {}, "summary": "", "stop": None, "waitingFor": ""}
    if rollback_of:
        target = store.executions[rollback_of]
        for name in ("artifacts", "revisions", "namespaces", "variables"):
            execution[name] = target[name].copy()
    store.executions[execution["id"]] = execution
    pipeline["executions"].append(execution["id"])
    forget_old(pipeline)
    events.pipeline_changed(pipeline, execution)
    enter(pipeline, execution, stage or stages_of(execution)[0]["name"])
    return execution


def _pipeline_variables(pipeline: Json, given: dict[str, str]) -> dict[str, str]:
    declared_ones = declared(pipeline).get("variables") or []
    unknown = set(given) - {item["name"] for item in declared_ones}
    if unknown:
        raise ServiceError("ValidationException", f"The pipeline {pipeline['name']} declares no variable "
                           f"{sorted(unknown)[0]}.")
    values = {item["name"]: given.get(item["name"], item.get("defaultValue")) for item in declared_ones}
    missing = [name for name, value in values.items() if value is None]
    if missing:
        raise ServiceError("ValidationException", f"The pipeline variable {missing[0]} has no default value; give "
                           "one when the pipeline is started.")
    return values


def enter(pipeline: Json, execution: Json, stage: str) -> None:
    """Wait at the stage's door; of two that wait in the mode SUPERSEDED, the newer one stays."""
    execution["waitingFor"] = stage
    waiting = pipeline["waiting"].setdefault(stage, [])
    if execution["mode"] == "SUPERSEDED":
        for other in [store.executions[one] for one in waiting]:
            older, newer = sorted((other, execution), key=lambda one: one["sequence"])
            _supersede(pipeline, older, newer)
        if execution["status"] not in RUNNING:
            return
    waiting.append(execution["id"])
    admit(pipeline, stage)


def _supersede(pipeline: Json, older: Json, newer: Json) -> None:
    older["waitingFor"] = ""
    for waiting in pipeline["waiting"].values():
        if older["id"] in waiting:
            waiting.remove(older["id"])
    end(pipeline, older, "Superseded", f"Superseded by the execution {newer['id']}")


def admit(pipeline: Json, stage: str) -> None:
    """Let the execution that waits longest into the stage, when nothing is in its way."""
    waiting = pipeline["waiting"].get(stage) or []
    while waiting:
        execution = store.executions[waiting[0]]
        if execution["mode"] != "PARALLEL" and (pipeline["occupied"].get(stage)
                                                or not transition_open(pipeline, execution, stage)):
            return
        waiting.pop(0)
        execution["waitingFor"] = ""
        _run_stage(pipeline, execution, stage, None)


def transition_open(pipeline: Json, execution: Json, stage: str) -> bool:
    """Whether nobody disabled the way into the stage, or out of the one before."""
    names = [one["name"] for one in stages_of(execution)]
    before = names[names.index(stage) - 1] if names.index(stage) else ""
    closed = pipeline["transitions"]
    return not (closed.get(f"{stage}/Inbound", {}).get("disabledReason")
                or closed.get(f"{before}/Outbound", {}).get("disabledReason"))


def _run_stage(pipeline: Json, execution: Json, stage: str, only: list[str] | None) -> None:
    """only: the actions to run of its first group, where it is a retry of failed ones."""
    if execution["mode"] != "PARALLEL":
        pipeline["occupied"][stage] = execution["id"]
    pipeline["latest"][stage] = execution["id"]
    run = execution["stages"].setdefault(stage, {"actions": [], "retries": 0, "automatic": 0, "trigger": ""})
    # What an earlier attempt came to is no matter of this one.
    run.update(status="InProgress", started=time.time(), only=only, order=0, since=len(run["actions"]))
    touch(execution)
    events.stage_changed(pipeline, execution, stage, "InProgress")
    _next_group(pipeline, execution, stage)


def _next_group(pipeline: Json, execution: Json, stage: str) -> None:
    """Start the actions whose turn it is; end the stage where none is left."""
    run = execution["stages"][stage]
    for actions in declaration.by_run_order(stage_of(execution, stage)):
        order = declaration.run_order(actions[0])
        if order <= run["order"]:
            continue
        wanted = [one for one in actions if run["only"] is None or one["name"] in run["only"]]
        if not wanted:
            continue
        run.update(order=order, only=None)
        # All of them are known before the first one starts: it may be over at once.
        begun = [_new_action(pipeline, execution, stage, one) for one in wanted]
        for action in begun:
            _begin(pipeline, execution, action)
        return
    _stage_over(pipeline, execution, stage, "Succeeded")


def _new_action(pipeline: Json, execution: Json, stage: str, one: Json) -> Json:
    now = time.time()
    action = {
        "id": ministack.new_uuid(), "pipeline": pipeline["name"], "execution": execution["id"], "stage": stage,
        "action": one["name"], "version": execution["version"], "started": now, "updated": now, "status": "InProgress",
        "typeId": one["actionTypeId"], "configuration": one.get("configuration") or {}, "resolved": {},
        "roleArn": one.get("roleArn") or declared(pipeline, execution["version"])["roleArn"],
        "ownRole": one.get("roleArn") or "", "region": ministack.region_name(), "namespace": one.get("namespace") or "",
        "inputs": [], "outputs": [], "variables": {}, "updatedBy": "", "job": ""}
    store.actions[action["id"]] = action
    execution["stages"][stage]["actions"].append(action["id"])
    pipeline["actions"][f"{stage}/{one['name']}"] = action["id"]
    return action


def _begin(pipeline: Json, execution: Json, action: Json) -> None:
    one = action_of(action)
    try:
        missing = [item["name"] for item in one.get("inputArtifacts") or []
                   if item["name"] not in execution["artifacts"]]
        if missing:
            raise ActionFailed("ConfigurationError", f"The input artifact {missing[0]} does not exist: the action that "
                               "makes it did not run in this execution.")
        action["inputs"] = [execution["artifacts"][item["name"]] for item in one.get("inputArtifacts") or []]
        action["outputs"] = [artifacts.place(declared(pipeline, execution["version"]), item["name"])
                             for item in one.get("outputArtifacts") or []]
        action["resolved"] = variables.resolve(action["configuration"], {
            **execution["namespaces"], variables.VARIABLES: execution["variables"],
            variables.PIPELINE: {"PipelineExecutionId": execution["id"]}})
        events.action_changed(pipeline, execution, action)
        kind_of(action["typeId"]).begin(action)
    except ActionFailed as error:
        fail(action["id"], error.code, error.message)


# --- an action's end ------------------------------------------------------------------------------------------------

def succeed(action_id: str, output: Json | None = None, revision: Json | None = None) -> None:
    """The action did its work. output: its variables; revision: revisionId, revisionSummary and so on of a source."""
    action = alive(action_id)
    if action is None:
        return
    execution = store.executions[action["execution"]]
    pipeline = store.pipelines[action["pipeline"]]
    if revision:
        _note_revision(pipeline, execution, action, revision)
    for artifact in action["outputs"]:
        execution["artifacts"][artifact["name"]] = artifact
    action["variables"] = output or {}
    if action["namespace"]:
        execution["namespaces"][action["namespace"]] = action["variables"]
    action_over(pipeline, execution, action, "Succeeded")


def _note_revision(pipeline: Json, execution: Json, action: Json, revision: Json) -> None:
    for artifact in action["outputs"]:
        artifact["revision"] = revision["revisionId"]
    if action["typeId"]["category"] != "Source":
        return
    for artifact in action["outputs"]:
        known = [item for item in execution["revisions"] if item["name"] != artifact["name"]]
        execution["revisions"] = [*known, {**revision, "name": artifact["name"], "actionName": action["action"]}]
    pipeline["revisions"][f"{action['stage']}/{action['action']}"] = {
        "revisionId": revision["revisionId"], "created": revision.get("created") or time.time(),
        "revisionChangeId": revision.get("revisionChangeIdentifier") or revision["revisionId"],
        "revisionUrl": revision.get("revisionUrl") or ""}


def fail(action_id: str, code: str, message: str) -> None:
    """The action failed, with its error details."""
    action = alive(action_id)
    if action is None:
        return
    action["error"] = {"code": code, "message": message}
    action_over(store.pipelines[action["pipeline"]], store.executions[action["execution"]], action, "Failed")


def action_over(pipeline: Json, execution: Json, action: Json, status: str) -> None:
    action.update(status=status, updated=time.time())
    touch(execution)
    events.action_changed(pipeline, execution, action)
    run = execution["stages"][action["stage"]]
    statuses = {store.actions[one]["status"] for one in run["actions"][run.get("since", 0):]}
    if run["status"] not in RUNNING or "InProgress" in statuses:
        return
    if statuses & {"Failed", "Abandoned"}:
        _stage_over(pipeline, execution, action["stage"], "Failed")
    elif execution["status"] == "Stopping":
        _stage_over(pipeline, execution, action["stage"], "Stopped")
    else:
        _next_group(pipeline, execution, action["stage"])


# --- a stage's end --------------------------------------------------------------------------------------------------

def _stage_over(pipeline: Json, execution: Json, stage: str, status: str) -> None:
    run = execution["stages"][stage]
    if execution["status"] == "Stopping" and status == "Failed":
        status = "Stopped" if execution["stop"]["abandon"] else status
    run["status"] = status
    touch(execution)
    events.stage_changed(pipeline, execution, stage, status)
    if status == "Failed" and execution["status"] == "InProgress" and _retried(pipeline, execution, stage):
        return
    names = [one["name"] for one in stages_of(execution)]
    # A rollback is of one stage.
    after = names[names.index(stage) + 1:] if execution["type"] == "STANDARD" else []
    if execution["status"] == "Stopping":
        end(pipeline, execution, "Stopped", execution["stop"]["reason"])
    elif status != "Succeeded":
        end(pipeline, execution, "Failed")
    elif not after:
        end(pipeline, execution, "Succeeded")
    # The one that leaves goes first: its next door may be open, and its place here is for the next.
    if pipeline["occupied"].get(stage) == execution["id"]:
        del pipeline["occupied"][stage]
    if execution["status"] == "InProgress":
        enter(pipeline, execution, after[0])
    admit(pipeline, stage)
    if execution["status"] == "Failed":
        _roll_back(pipeline, execution, stage)


def _retried(pipeline: Json, execution: Json, stage: str) -> bool:
    """Once by itself, where the stage's declaration says so."""
    failure, run = stage_of(execution, stage).get("onFailure") or {}, execution["stages"][stage]
    if failure.get("result") != "RETRY" or run["automatic"]:
        return False
    run.update(automatic=1, trigger="AutomatedStageRetry")
    again(pipeline, execution, stage, (failure.get("retryConfiguration") or {}).get("retryMode") or "ALL_ACTIONS")
    return True


def again(pipeline: Json, execution: Json, stage: str, mode: str) -> None:
    run = execution["stages"][stage]
    # A stopped stage may have no failed action, and none of a later group yet.
    failed = failed_actions(run)
    only = failed if mode == "FAILED_ACTIONS" and failed else None
    if mode == "FAILED_ACTIONS" and not failed:
        done = [name for name, action in latest_actions(run).items() if action["status"] == "Succeeded"]
        only = [one["name"] for one in stage_of(execution, stage)["actions"] if one["name"] not in done]
    _run_stage(pipeline, execution, stage, only)


def _roll_back(pipeline: Json, execution: Json, stage: str) -> None:
    """To the last execution that was good in this stage, where the stage's declaration says so."""
    failure = stage_of(execution, stage).get("onFailure") or {}
    if failure.get("result") != "ROLLBACK" or execution["type"] == "ROLLBACK":
        return
    good = [one for one in pipeline["executions"] if can_roll_back_to(pipeline, store.executions[one], stage)]
    if good:
        start(pipeline, {"triggerType": "AutomatedRollback", "triggerDetail": execution["id"]}, rollback_of=good[-1],
              stage=stage)


def can_roll_back_to(pipeline: Json, target: Json, stage: str) -> bool:
    run = target["stages"].get(stage)
    return bool(run and run["status"] == "Succeeded" and target["version"] == pipeline["version"]
                and target["type"] == "STANDARD")


def end(pipeline: Json, execution: Json, status: str, summary: str = "") -> None:
    execution.update(status=status, summary=summary or execution["summary"])
    touch(execution)
    events.pipeline_changed(pipeline, execution)


def touch(execution: Json) -> None:
    execution["updated"] = time.time()
