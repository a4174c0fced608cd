"""What source actions share: fetch a revision on a thread, store it as a zip, say which one it is."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from .. import artifacts, engine, records
from ..store import store
from . import Json, Kind
from .background import in_background


@dataclass(frozen=True)
class Revision:
    """id: of a commit or a version. content: a zip. created: seconds since 1970. variables: the action's output."""

    id: str
    summary: str
    content: bytes
    url: str = ""
    created: float = field(default_factory=time.time)
    variables: dict[str, str] = field(default_factory=dict)


class Source(Kind):
    """fetch gets the action and the revision that its start asked for, {} where none; it may raise ActionFailed."""

    def __init__(self, fetch: Callable[[Json, Json], Revision]) -> None:
        self._fetch = fetch

    def begin(self, action: Json) -> None:
        store.after(partial(in_background, self._work, action["id"]))

    def resume(self, action_id: str) -> None:
        in_background(self._work, action_id)

    def _work(self, action_id: str) -> None:
        with store.reading():
            action = records.alive(action_id)
            if action is None:
                return
            execution = store.executions[action["execution"]]
            declared = records.declared(store.pipelines[action["pipeline"]], action["version"])
            wanted: dict[str, Any] = next((one for one in execution["overrides"]
                                           if one["actionName"] == action["action"]), {})
        revision = self._fetch(action, wanted)
        artifacts.upload(declared, action["roleArn"], action["outputs"][0], revision.content)
        with store.changing():
            action.update(summary=revision.summary[:2048], externalId=revision.id, externalUrl=revision.url)
            engine.succeed(action_id, revision.variables, {
                "revisionId": revision.id, "revisionSummary": revision.summary[:2048], "created": revision.created,
                "revisionUrl": revision.url})
