"""The service's door: reads a request, calls its operation, answers."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable
from typing import Any

from . import ministack, model
from .errors import ServiceError
from .operations import branches, commits, differences, files, folders, merges, repositories, tags

Operation = Callable[[dict[str, Any]], dict[str, Any]]
log = logging.getLogger("slipway")

OPERATIONS: dict[str, Operation] = {
    **repositories.OPERATIONS, **branches.OPERATIONS, **commits.OPERATIONS, **files.OPERATIONS, **folders.OPERATIONS,
    **differences.OPERATIONS, **merges.OPERATIONS, **tags.OPERATIONS}


async def handle(_method: str, _path: str, headers: dict[str, str], body: bytes, _query: dict[str, Any]) -> Any:
    """A request of MiniStack's router. Work with git is done apart from the loop that serves requests."""
    return await asyncio.to_thread(answer, headers.get("x-amz-target", ""), body)


def answer(target: str, body: bytes) -> Any:
    prefix, _, name = target.partition(".")
    found = model.operation(name) if prefix == model.target_prefix() else None
    operation = OPERATIONS.get(name)
    if found is None or operation is None:
        return ministack.error("UnknownOperationException", f"The embedded CodeCommit has no operation {name!r}.")
    try:
        content = json.loads(body or b"{}")
        if not isinstance(content, dict):
            raise ValueError("not an object")
    except ValueError:
        return ministack.error("SerializationException", "The request's body is no JSON object.")
    try:
        return ministack.answer(model.answer(found, operation(model.request(found, content))))
    except ServiceError as error:
        return ministack.error(model.check_error(found, error.code), error.message)
