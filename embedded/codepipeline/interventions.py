"""What happens to executions from outside: stopped, retried, cancelled by another structure, resumed by a start."""

from __future__ import annotations

import time

from . import engine, events, ministack
from .actions import kind_of
from .records import RUNNING, alive
from .store import Json, store


def stop(pipeline: Json, execution: Json, abandon: bool, reason: str) -> None:
    """Let what is at work finish, or abandon it. An execution that waits has nothing to finish."""
    execution.update(status="Stopping", stop={"abandon": abandon, "reason": reason})
    engine.touch(execution)
    events.pipeline_changed(pipeline, execution)
    stage = execution["waitingFor"]
    if stage:
        pipeline["waiting"][stage].remove(execution["id"])
        execution["waitingFor"] = ""
        engine.end(pipeline, execution, "Stopped", reason)
        return
    if not abandon:
        return
    for run in list(execution["stages"].values()):
        for one in list(run["actions"]):
            action = alive(one)
            if action:
                kind_of(action["typeId"]).abandon(action)
                engine.action_over(pipeline, execution, action, "Abandoned")


def cancel_all(pipeline: Json) -> None:
    """End whatever is running: the pipeline is about to have another structure."""
    for execution in [store.executions[one] for one in pipeline["executions"]]:
        if execution["status"] not in RUNNING:
            continue
        if execution["waitingFor"]:
            pipeline["waiting"][execution["waitingFor"]].remove(execution["id"])
            execution["waitingFor"] = ""
        for stage, run in execution["stages"].items():
            if run["status"] == "InProgress":
                _cancel_stage(pipeline, execution, stage)
        engine.end(pipeline, execution, "Cancelled", "The pipeline's definition was updated before the pipeline "
                   "execution could be completed.")


def _cancel_stage(pipeline: Json, execution: Json, stage: str) -> None:
    run = execution["stages"][stage]
    for action in filter(None, map(alive, run["actions"])):
        kind_of(action["typeId"]).abandon(action)
        # What runs outside goes on, but nobody takes its result any more.
        action.update(status="Abandoned", updated=time.time())
        events.action_changed(pipeline, execution, action, "Cancelled")
    run["status"] = "Cancelled"
    if pipeline["occupied"].get(stage) == execution["id"]:
        del pipeline["occupied"][stage]
    events.stage_changed(pipeline, execution, stage, "Cancelled")


def retry(pipeline: Json, execution: Json, stage: str, mode: str) -> None:
    """Run a stage that failed, or was stopped, once more in the same execution."""
    run = execution["stages"][stage]
    run.update(retries=run["retries"] + 1, trigger="ManualStageRetry")
    execution.update(status="InProgress", stop=None, summary="", attempt=execution["attempt"] + 1)
    events.pipeline_changed(pipeline, execution, "RESUMED")
    engine.again(pipeline, execution, stage, mode)


def resume(interrupted: list[tuple[str, str, str]]) -> None:
    """After a restart: go on with the actions that were at work before it."""
    for account, region, action_id in interrupted:
        with ministack.request_scope(account, region):
            action = alive(action_id)
            if action:
                kind_of(action["typeId"]).resume(action_id)
