"""Custom actions: a job waits until a worker of the account asks for it."""

from __future__ import annotations

from .. import action_types, jobs, records, settings
from ..errors import ActionFailed
from ..store import store
from . import Json, Kind, register


class Custom(Kind):
    def begin(self, action: Json) -> None:
        kind = action["typeId"]
        if action_types.find(kind) is None:
            raise ActionFailed("ConfigurationError", f"The action type {action_types.key(kind)} was deleted. Give the "
                               "pipeline a version of it that exists.")
        jobs.create(action, "Queued", settings.JOB_SECONDS)

    def resume(self, action_id: str) -> None:
        with store.changing():
            if records.alive(action_id):
                jobs.watch(store.jobs[store.actions[action_id]["job"]])

    def abandon(self, action: Json) -> None:
        jobs.close(action, "Failed")


register("Custom", "", Custom())
