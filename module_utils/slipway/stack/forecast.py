"""When an operation is likely to end, from what the stack's earlier ones took. Pure: reads events.

A resource takes about as long as it did the last time; what the stack does last decides. Where nothing is known of a
resource, what others of its type took has to do.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from . import events

#: By how much of itself the present duration is expected to differ from the last one.
_SPREAD = 0.2


class Forecast:
    """Of one operation, nested stacks included. Events as events.py describes them."""

    def __init__(self) -> None:
        self._took: dict[tuple[str, str], float] = {}
        self._took_by_type: dict[tuple[str, str], float] = {}
        self._open: dict[str, tuple[datetime, str, str]] = {}
        #: Seconds that this machine's clock is ahead of the server's: at most that, by the quickest event.
        self._ahead = float("inf")

    def learn(self, earlier: Sequence[dict[str, Any]]) -> None:
        """Events from before the operation, newest first; of the same millisecond, too."""
        began: dict[tuple[str, str], datetime] = {}
        for event in reversed(earlier):
            verb, state = _parts(event)
            key = (_name(event), verb)
            if events.is_of_stack(event):
                # What was open before belongs to an operation that is over.
                began.clear()
            elif state == "IN_PROGRESS":
                began.setdefault(key, event["Timestamp"])
            elif key in began:
                seconds = (event["Timestamp"] - began.pop(key)).total_seconds()
                if state == "COMPLETE":
                    self._took[key] = self._took_by_type[event.get("ResourceType", ""), verb] = seconds

    def note(self, event: dict[str, Any], now: float) -> None:
        """An event of the operation, seen at `now` (seconds since the epoch)."""
        self._ahead = min(self._ahead, now - event["Timestamp"].timestamp())
        verb, state = _parts(event)
        if events.is_of_stack(event):
            return
        if state == "IN_PROGRESS":
            self._open.setdefault(_name(event), (event["Timestamp"], verb, event.get("ResourceType", "")))
        else:
            self._open.pop(_name(event), None)

    def window(self, now: float) -> tuple[float, float] | None:
        """Between how many seconds from `now` the last of what is in progress should end; negative ones have passed.

        None where nothing is known.
        """
        found = []
        for name, (began, verb, kind) in self._open.items():
            took = self._seconds(name, verb, kind)
            if took is not None:
                gone = now - self._ahead - began.timestamp()
                found.append((took * (1 - _SPREAD) - gone, took * (1 + _SPREAD) - gone))
        return max(found, key=lambda span: span[1], default=None)

    def _seconds(self, name: str, verb: str, kind: str) -> float | None:
        other = {"CREATE": "UPDATE", "UPDATE": "CREATE"}.get(verb, "")
        for found in (self._took.get((name, verb)), self._took_by_type.get((kind, verb)),
                      self._took.get((name, other))):
            if found is not None:
                return found
        return None


def _name(event: dict[str, Any]) -> str:
    return str(event.get("Path", "") + event.get("LogicalResourceId", ""))


def _parts(event: dict[str, Any]) -> tuple[str, str]:
    """('UPDATE', 'IN_PROGRESS') of UPDATE_IN_PROGRESS; of a rollback ('UPDATE_ROLLBACK', ...)."""
    status = str(event.get("ResourceStatus", ""))
    for state in ("IN_PROGRESS", "COMPLETE", "FAILED", "SKIPPED"):
        if status.endswith(f"_{state}"):
            return status.removesuffix(f"_{state}"), state
    return status, ""
