"""What the service's stack shows of a release: what ran before it, and what became of one that cannot tell any more."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from ..aws import cloudformation
from ..aws.session import Aws
from ..errors import AwsError
from ..polling import Deadline, delays
from ..progress import Progress
from ..stack import events
from . import lock
from .record import Record, orphaned

#: How long the update of a release that died is waited for.
_SETTLE = 3600.0
#: AWS tells its time to the second, so a smaller difference is none.
_CLOCKS_AGREE = 2.0
#: Of the events of a stack that a dead release left behind, as many are read.
_EVENTS = 200


@dataclass(frozen=True)
class State:
    """A service stack now: its status ('' when there is none), its ImageTag and ImageDigest, and AWS's time.

    pins: whether it has a parameter ImageDigest at all. offset: seconds that AWS's clock is ahead of this machine's, 0
    where they agree.
    """

    status: str
    tag: str
    offset: float
    digest: str = ""
    pins: bool = False

    @property
    def now(self) -> datetime:
        return datetime.now(UTC) + timedelta(seconds=self.offset)


def look(aws: Aws, stack_name: str, age: float = 0.0) -> State:
    """One call of DescribeStacks; in a run of several services perhaps none, and as of `age` seconds ago."""
    found = cloudformation.glance(aws, stack_name, age) if age else cloudformation.describe_stack(aws, stack_name)
    stack = found or {}
    parameters = {p["ParameterKey"]: p.get("ParameterValue", "") for p in stack.get("Parameters", [])}
    offset = (stack["ServerTime"] - stack["SeenAt"]).total_seconds() if stack else 0.0
    return State(stack.get("StackStatus", ""), parameters.get("ImageTag", ""),
                 offset if abs(offset) > _CLOCKS_AGREE else 0.0, parameters.get("ImageDigest", ""),
                 "ImageDigest" in parameters)


def settle(aws: Aws, entry: Record, progress: Progress, beat: Callable[[], object],
           notes: Sequence[Mapping[str, Any]] = ()) -> Record:
    """What became of a release whose process has ended: its stack's update may still go on, and is awaited. beat()
    keeps the lock meanwhile; notes: as record.orphaned() takes them."""
    waits, deadline, last = delays(first=1.0, limit=5.0), Deadline(_SETTLE), 0.0
    while True:
        state = look(aws, entry["stack_name"])
        if not state.status.endswith("_IN_PROGRESS") or deadline.passed:
            return orphaned(entry, state.status, state.tag, state.now.isoformat(timespec="seconds"),
                            _events_since(aws, entry) if state.status else [], notes, state.digest)
        if deadline.elapsed - last >= lock.BEAT:
            last = deadline.elapsed
            with suppress(AwsError):  # out of reach for a moment, or somebody at it in this one
                beat()
        progress.heartbeat(f"waiting for the update that it left behind ({state.status})")
        time.sleep(deadline.cap(next(waits)))


def _events_since(aws: Aws, entry: Record) -> list[dict[str, Any]]:
    """The stack's events since the release began, oldest first; none where AWS refuses them."""
    since, found = datetime.fromisoformat(entry["started"]), []
    with suppress(AwsError):
        for page in cloudformation.stack_events(aws, entry["stack_name"]):
            found += [event for event in page if event["Timestamp"] >= since]
            if len(found) >= _EVENTS or not page or page[-1]["Timestamp"] < since:
                break
    return [events.report({**event, "Path": ""}) for event in found[::-1]]
