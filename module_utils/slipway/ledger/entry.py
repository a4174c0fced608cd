"""Opening and closing the ledger's entry of one release: lock, record, keeper's arguments."""

from __future__ import annotations

import getpass
import os
import platform
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from ..aws import cloudformation
from ..aws.session import Aws
from ..errors import AwsError, InvalidInput
from ..image.revision import read_revision
from ..polling import Deadline, delays
from ..progress import Progress
from . import book, lock, owner
from .record import Record, closed, is_release, opened, orphaned

#: How long the update of a release that died is waited for.
_SETTLE = 3600.0
#: AWS tells its time to the second, so a smaller difference is none.
_CLOCKS_AGREE = 2.0


@dataclass(frozen=True)
class Opening:
    """What a release says of itself when it begins. pid: of the process that must live as long as it does; revision:
    of the source, where it is known; otherwise git is asked about the folder `source`."""

    table: str
    service: str
    stack_name: str
    kind: str
    busy: lock.Busy
    timeout: float
    pid: int
    who: str = ""
    source: str = ""
    revision: str = ""


def open_entry(aws: Aws, wanted: Opening, progress: Progress) -> dict[str, Any]:
    """Take the lock. Returns entry, token, inherited (the record of a release found dead, or None), waited (seconds).

    Raises lock.Busied, Interrupted; SlipwayError when the table is missing.
    """
    state = look(aws, wanted.stack_name)
    token = str(uuid.uuid4())
    commit = wanted.revision or (read_revision(wanted.source).commit if wanted.source else "")
    entry = opened(wanted.service, wanted.stack_name, wanted.kind, state.now.isoformat(timespec="seconds"), token,
                   {"tag": state.tag} if state.tag else {}, commit=commit, who=wanted.who, user=_user(),
                   host=platform.node(), build_url=os.environ.get("BUILD_URL", ""), process=owner.name(wanted.pid),
                   clock_offset=state.offset)
    try:
        held = lock.acquire(aws, wanted.table, entry, token, wanted.busy, wanted.timeout, progress)
    except AwsError as error:
        if error.code != "ResourceNotFoundException":
            raise
        raise InvalidInput(f"The ledger's table {wanted.table} does not exist in {aws.region}.",
                           "site.yml makes it (stack ...-ledger); with ecs_release_ledger_table: '' a release does "
                           "without a lock and a record.") from error
    inherited = None
    if held.inherited:
        inherited = settle(aws, held.inherited, progress, lambda: lock.beat(aws, wanted.table, wanted.service, token))
        book.add(aws, wanted.table, inherited)
        progress.say(inherited["message"], "warn")
    return {"entry": entry, "token": token, "inherited": inherited, "waited": round(held.waited, 1)}


def close_entry(aws: Aws, table: str, entry: Record, token: str, image: dict[str, Any], stack: dict[str, Any],
                rollout: dict[str, Any], keep: int) -> Record | None:
    """Write what became of the release and give the lock back. Returns the record; None for a run that released
    nothing, which only gives the lock back."""
    if not is_release(image, stack, rollout):
        lock.release(aws, table, entry["service"], token)
        return None
    # The clock of this machine may be wrong; how far, DescribeStacks told when the entry was opened.
    now = datetime.now(UTC) + timedelta(seconds=float(entry.get("clock_offset", 0)))
    record = closed(entry, image, stack, rollout, now.isoformat(timespec="seconds"))
    book.write(aws, table, record, token)
    book.prune(aws, table, entry["service"], keep)
    return record


@dataclass(frozen=True)
class State:
    """A service stack now: its status ('' when there is none), its ImageTag, and AWS's time. offset: seconds that AWS's
    clock is ahead of this machine's, 0 where they agree."""

    status: str
    tag: str
    offset: float

    @property
    def now(self) -> datetime:
        return datetime.now(UTC) + timedelta(seconds=self.offset)


def look(aws: Aws, stack_name: str) -> State:
    """One call of DescribeStacks."""
    stack = cloudformation.describe_stack(aws, stack_name) or {}
    parameters = {p["ParameterKey"]: p.get("ParameterValue", "") for p in stack.get("Parameters", [])}
    here = datetime.now(UTC)
    offset = (stack.get("ServerTime", here) - here).total_seconds()
    return State(stack.get("StackStatus", ""), parameters.get("ImageTag", ""),
                 offset if abs(offset) > _CLOCKS_AGREE else 0.0)


def settle(aws: Aws, entry: Record, progress: Progress, beat: Callable[[], object]) -> Record:
    """What became of a release whose process has ended: its stack's update may still go on, and is awaited. beat()
    keeps the lock meanwhile."""
    waits, deadline, last = delays(first=1.0, limit=5.0), Deadline(_SETTLE), 0.0
    while True:
        state = look(aws, entry["stack_name"])
        if not state.status.endswith("_IN_PROGRESS") or deadline.passed:
            return orphaned(entry, state.status, state.tag, state.now.isoformat(timespec="seconds"))
        if deadline.elapsed - last >= lock.BEAT:
            last = deadline.elapsed
            beat()
        progress.heartbeat(f"waiting for the update that it left behind ({state.status})")
        time.sleep(deadline.cap(next(waits)))


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user without a name
        return str(os.getuid())
