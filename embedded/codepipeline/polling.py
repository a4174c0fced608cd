"""PollForSourceChanges: looks at a CodeCommit branch every minute, as source actions do that nobody told not to."""

from __future__ import annotations

import time
from functools import partial

from . import engine, records, settings
from .actions import codecommit
from .scheduler import scheduler
from .store import Json, store


def watch(pipeline: Json) -> None:
    """Look again and again, until the pipeline is gone or has another version."""
    if any(_polled(pipeline)):
        scheduler.at(time.time() + settings.POLL_SECONDS, partial(_look, pipeline["name"], pipeline["version"]))


def _polled(pipeline: Json) -> list[Json]:
    return [action for action in records.declared(pipeline)["stages"][0]["actions"]
            if action["actionTypeId"]["provider"] == "CodeCommit" and action["actionTypeId"]["owner"] == "AWS"
            and action.get("configuration", {}).get("PollForSourceChanges", "true") != "false"]


def _look(name: str, version: int) -> None:
    with store.reading():
        pipeline: Json | None = store.pipelines.get(name)
        if pipeline is None or pipeline["version"] != version:
            return
        stage = records.declared(pipeline)["stages"][0]["name"]
        branches = {f"{stage}/{action['name']}": action["configuration"] for action in _polled(pipeline)}
    try:
        # Asked without the lock: git takes its time.
        tips = {action: codecommit.tip(configuration) for action, configuration in branches.items()}
        with store.changing():
            new = {action: commit.id for action, commit in tips.items()
                   if commit and commit.id not in _known(pipeline, action)}
            pipeline["seen"].update(new)
            if new and store.pipelines.get(name) is pipeline:
                engine.start(pipeline, {"triggerType": "PollForSourceChanges", "triggerDetail": ""})
    finally:
        watch(pipeline)


def _known(pipeline: Json, action: str) -> tuple[str | None, str | None]:
    """The commits that it was started for already, or that an execution fetched which something else started."""
    return pipeline["seen"].get(action), pipeline["revisions"].get(action, {}).get("revisionId")
