"""Makes the service part of the embedded AWS."""

from __future__ import annotations

import asyncio

from ..process import EmbeddedError
from . import cloudformation, git, ministack, model, references, service
from .records import records


def register() -> None:
    """Route the API, and teach CloudFormation the resource type. Ends the process where git is missing."""
    try:
        git.http_backend()
    except EmbeddedError as error:
        raise SystemExit(str(error)) from error
    ministack.add_service(model.SERVICE, f"{model.target_prefix()}.", service.handle, records.clear)
    ministack.add_resource_type(cloudformation.TYPE, cloudformation.HANDLERS)


async def tell_what_is_left() -> None:
    """After a start: the events of pushes that a kill cut off."""
    for repository in records.all():
        await asyncio.to_thread(references.tell_of_pushes, repository)
