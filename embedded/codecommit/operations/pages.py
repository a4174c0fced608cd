"""Long answers in pages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..errors import ServiceError


def of(items: Sequence[Any], token: str | None, size: int, member: str = "nextToken"
       ) -> tuple[Sequence[Any], dict[str, str]]:
    """The page that the token names, and the answer's member with the token of the next one, if there is one."""
    if token is not None and not (token.isascii() and token.isdigit()):
        raise ServiceError("InvalidContinuationTokenException", "The token is none that an earlier answer gave.")
    start = int(token or 0)
    end = start + size
    return items[start:end], {member: str(end)} if end < len(items) else {}
