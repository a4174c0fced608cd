"""What library/release_status.py calls."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from ..aws.session import Aws
from ..progress import Progress
from .read import read
from .screen import draw

#: Columns that the console puts before each line.
_INDENT = 2
_NARROWEST = 40


def show(aws: Aws, params: Mapping[str, Any], progress: Progress) -> dict[str, Any]:
    """Read everything, show the screen; the module's result."""
    found = read(aws, params["services"], params["table"])
    width = max(_NARROWEST, params["width"] - _INDENT)
    lines = draw(found, params["jenkins"], aws.region, datetime.now(UTC), width)
    for text, tone in lines:
        progress.say(text, tone)
    return {"changed": False, "screen": [text for text, _ in lines],
            "healthy": all(tone != "bad" for _, tone in lines), "api_calls": aws.api_calls()}
