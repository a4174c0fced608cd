"""The arguments of ecs_task as what is to be run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..changes import UNKNOWN
from ..errors import InvalidInput
from .plan import Wanted
from .run import Request


def of(params: Mapping[str, Any]) -> Request:
    """Raises InvalidInput."""
    if not params["command"]:
        raise InvalidInput("The task has no command.", "Give one in ecs_release_task, a word each.")
    image, digest = str(params["image"]), str(params.get("digest") or "")
    # In check mode an image that is not built yet has no digest.
    pinned = f"{image}@{digest}" if digest and UNKNOWN not in digest else image
    tag = image.rpartition(":")[2]
    return Request(params["cluster"], params["service"],
                   Wanted(pinned, tag, tuple(params["command"]), params["container"], tuple(params["entry_point"]),
                          {name: str(value) for name, value in params["environment"].items()}), params["wait_timeout"])
