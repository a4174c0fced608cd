"""The service as MiniStack sees it: one request, one answer; state saved and restored."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

from . import cloudformation, interventions, ministack, records, shapes
from .actions import approval, codecommit, connection, custom, function, s3_object
from .errors import ServiceError
from .operations import (
    action_executions,
    approvals,
    custom_types,
    executions,
    job_workers,
    pipelines,
    revisions,
    state,
    tags,
    transitions,
)
from .scheduler import scheduler
from .store import Json, store

#: Importing a kind of action registers it.
KINDS = (approval, codecommit, connection, custom, function, s3_object)
Operation = Callable[[Json, str], Json]
OPERATIONS: dict[str, Operation] = {
    name: operation for module in (pipelines, executions, action_executions, state, transitions, approvals, job_workers,
                                   custom_types, revisions, tags) for name, operation in module.OPERATIONS.items()}

_interrupted: list[tuple[str, str, str]] = []


async def handle_request(_method: str, _path: str, headers: Json, body: bytes, _query: Json) -> Any:
    """Answers at once: no operation waits for anything."""
    try:
        answer = perform(headers.get("x-amz-target", ""), body, ministack.caller_arn(headers))
        return _answer(200, answer)
    except ServiceError as error:
        return _answer(400, {"__type": error.code, "message": error.message})


def perform(target: str, body: bytes, caller: str) -> Json:
    prefix, _, name = target.partition(".")
    if prefix != shapes.TARGET_PREFIX or name not in shapes.MODEL.operation_names:
        raise ServiceError("UnknownOperationException", f"CodePipeline has no operation {target}.")
    if name not in OPERATIONS:
        raise ServiceError("UnknownOperationException", f"The embedded CodePipeline has no {name}.")
    try:
        request = json.loads(body or b"{}")
    except ValueError:
        raise ServiceError("SerializationException", "The request's body is not JSON.") from None
    checked = shapes.check_request(name, request)
    # A poll that finds nothing must not write the whole state to disk every few seconds.
    only_read = name.startswith(("Get", "List", "PollForJobs"))
    with store.reading() if only_read else store.changing():
        return OPERATIONS[name](checked, caller)


def _answer(status: int, content: Json) -> Any:
    return status, {"Content-Type": shapes.CONTENT_TYPE}, json.dumps(content).encode()


def get_state() -> Json:
    return store.snapshot()


def load_persisted_state(saved: Json) -> None:
    store.restore(saved)
    # Noted now: what begins from here on is nobody's to resume.
    _interrupted.extend(records.at_work())


def reset() -> None:
    scheduler.clear()
    store.clear()


def resume() -> None:
    """After a start, once all services have their state: go on with what was running."""
    interventions.resume(_interrupted)
    _interrupted.clear()
    pipelines.resume()


def install(changed: Callable[[], None]) -> None:
    """Make this one of MiniStack's services. changed: called whenever there is something new to save."""
    store.changed = changed
    ministack.register(sys.modules[__name__], shapes.TARGET_PREFIX, cloudformation.HANDLERS, cloudformation.REPLACING,
                       executions.by_rule)
