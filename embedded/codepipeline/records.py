"""Finding things in the store, and forgetting them. With the store's lock held."""

from __future__ import annotations

from . import settings
from .store import Json, store

RUNNING = ("InProgress", "Stopping")
ENDED = ("Succeeded", "Failed", "Stopped", "Superseded", "Cancelled")


def declared(pipeline: Json, version: int = 0) -> Json:
    """The pipeline's declaration, the newest without a version."""
    found: Json = pipeline["versions"][str(version or pipeline["version"])]
    return found


def stages_of(execution: Json) -> list[Json]:
    """The stages as they were declared when the execution started."""
    found: list[Json] = declared(store.pipelines[execution["pipeline"]], execution["version"])["stages"]
    return found


def stage_of(execution: Json, name: str) -> Json:
    return next(stage for stage in stages_of(execution) if stage["name"] == name)


def action_of(action: Json) -> Json:
    """An action execution's declaration."""
    stage = stage_of(store.executions[action["execution"]], action["stage"])
    return next(one for one in stage["actions"] if one["name"] == action["action"])


def alive(action_id: str) -> Json | None:
    """The action execution, where it is still at work."""
    action: Json | None = store.actions.get(action_id)
    return action if action and action["status"] == "InProgress" else None


def latest_actions(run: Json) -> dict[str, Json]:
    """The newest execution of each of a stage's actions, by name."""
    return {store.actions[one]["action"]: store.actions[one] for one in run["actions"]}


def failed_actions(run: Json) -> list[str]:
    """The names of those whose newest execution did not succeed."""
    return [name for name, action in latest_actions(run).items() if action["status"] in ("Failed", "Abandoned")]


def at_work() -> list[tuple[str, str, str]]:
    """Account, region and id of every action that is in progress."""
    return [key for key, action in store.actions.all_items() if action["status"] == "InProgress"]


def forget_old(pipeline: Json) -> None:
    while len(pipeline["executions"]) > settings.KEPT_EXECUTIONS:
        old = next((one for one in pipeline["executions"] if store.executions[one]["status"] in ENDED), None)
        if old is None:
            return
        pipeline["executions"].remove(old)
        forget(old)


def forget(execution_id: str) -> None:
    """Drop an execution, its actions and jobs."""
    execution = store.executions.pop(execution_id)
    gone = {one for run in execution["stages"].values() for one in run["actions"]}
    for one in gone:
        store.actions.pop(one)
    for job in [key for key, job in store.jobs.items() if job["action"] in gone]:
        store.jobs.pop(job)
    newest = store.pipelines[execution["pipeline"]]["actions"]
    for name in [name for name, one in newest.items() if one in gone]:
        del newest[name]
