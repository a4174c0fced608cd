"""Opening and closing the ledger's entry of one release: lock, record, keeper's arguments."""

from __future__ import annotations

import getpass
import os
import platform
import random
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from ..aws import cloudformation
from ..aws.session import Aws
from ..errors import AwsError, InvalidInput
from ..image.revision import read_revision
from ..polling import Deadline, delays
from ..progress import Progress
from ..stack import events
from . import book, lock, owner
from .record import Record, opened, orphaned

#: How long the update of a release that died is waited for.
_SETTLE = 3600.0
#: AWS tells its time to the second, so a smaller difference is none.
_CLOCKS_AGREE = 2.0
#: Seconds after which what a stack is has to be asked again.
_RECENT = 5.0
#: Of the events of a stack that a dead release left behind, as many are read.
_EVENTS = 200
#: Lists of up to so many records are cut at every release, longer ones now and then.
_PRUNE_AT_LEAST = 10


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
    state = look(aws, wanted.stack_name, _RECENT)
    token = str(uuid.uuid4())
    commit = wanted.revision or (read_revision(wanted.source).commit if wanted.source else "")
    entry = opened(wanted.service, wanted.stack_name, wanted.kind, state.now.isoformat(timespec="seconds"), token,
                   {"tag": state.tag} if state.tag else {}, commit=commit, who=wanted.who,
                   process=owner.name(wanted.pid), clock_offset=state.offset, **_here())
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


def close_entry(aws: Aws, table: str, record: Record, token: str, keep: int, worth: bool) -> None:
    """Give the lock back, and write the record of the release where it is `worth` one."""
    if not worth:
        lock.release(aws, table, record["service"], token)
        return
    book.write(aws, table, record, token)
    # The list is read as a whole for it, which a release in ten or so is enough for: the longest lists grow by a tenth.
    if random.random() * keep < _PRUNE_AT_LEAST:
        book.prune(aws, table, record["service"], keep)


def unopened(service: str, stack_name: str, kind: str, commit: str = "", who: str = "") -> Record:
    """The entry of a release that never took its turn: refused before, or without a ledger. By this machine's clock."""
    return opened(service, stack_name, kind, datetime.now(UTC).isoformat(timespec="seconds"), "", {}, commit=commit,
                  who=who, **_here())


def now_of(entry: Record) -> str:
    """The present time for the record. The clock of this machine may be wrong; how far, DescribeStacks told when the
    entry was opened."""
    now = datetime.now(UTC) + timedelta(seconds=float(entry.get("clock_offset", 0)))
    return now.isoformat(timespec="seconds")


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


def look(aws: Aws, stack_name: str, age: float = 0.0) -> State:
    """One call of DescribeStacks; in a run of several services perhaps none, and as of `age` seconds ago."""
    found = cloudformation.glance(aws, stack_name, age) if age else cloudformation.describe_stack(aws, stack_name)
    stack = found or {}
    parameters = {p["ParameterKey"]: p.get("ParameterValue", "") for p in stack.get("Parameters", [])}
    offset = (stack["ServerTime"] - stack["SeenAt"]).total_seconds() if stack else 0.0
    return State(stack.get("StackStatus", ""), parameters.get("ImageTag", ""),
                 offset if abs(offset) > _CLOCKS_AGREE else 0.0)


def settle(aws: Aws, entry: Record, progress: Progress, beat: Callable[[], object],
           notes: Sequence[Mapping[str, Any]] = ()) -> Record:
    """What became of a release whose process has ended: its stack's update may still go on, and is awaited. beat()
    keeps the lock meanwhile; notes: as record.orphaned() takes them."""
    waits, deadline, last = delays(first=1.0, limit=5.0), Deadline(_SETTLE), 0.0
    while True:
        state = look(aws, entry["stack_name"])
        if not state.status.endswith("_IN_PROGRESS") or deadline.passed:
            return orphaned(entry, state.status, state.tag, state.now.isoformat(timespec="seconds"),
                            _events_since(aws, entry) if state.status else [], notes)
        if deadline.elapsed - last >= lock.BEAT:
            last = deadline.elapsed
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


def _here() -> dict[str, str | float]:
    return {"user": _user(), "host": platform.node(), "build_url": os.environ.get("BUILD_URL", "")}


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user without a name
        return str(os.getuid())
