"""Opening and closing the ledger's entry of one release: lock, record, keeper's arguments."""

from __future__ import annotations

import getpass
import os
import platform
import random
import uuid
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from ..aws import cloudformation, dynamodb
from ..aws.session import Aws
from ..errors import AwsError, InvalidInput, SlipwayError
from ..image.revision import read_revision
from ..progress import Progress
from . import book, lock, owner
from .record import COMPLETED, Record, opened
from .stack import State, look, settle

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
    """Take the lock. Returns entry (as of the moment from which the lock is ours), token, inherited (the record of a
    release found dead, or None), waited (seconds).

    Raises lock.Busied, Interrupted; SlipwayError when the table is missing.
    """
    state = look(aws, wanted.stack_name, cloudformation.RECENT)
    token = str(uuid.uuid4())
    origin = {"commit": _commit(wanted), "who": wanted.who, "process": owner.name(wanted.pid), **_here()}
    entry = _entry(wanted, state, token, origin)
    try:
        held = lock.acquire(aws, wanted.table, entry, token, wanted.busy, wanted.timeout, progress)
    except AwsError as error:
        if error.code != "ResourceNotFoundException":
            raise
        raise InvalidInput(f"The ledger's table {wanted.table} does not exist in {aws.region}.",
                           "site.yml makes it (stack ...-ledger); with ecs_release_ledger_table: '' a release does "
                           "without a lock and a record.") from error
    inherited, waited = None, round(held.waited, 1)
    try:
        if held.inherited:
            inherited = settle(aws, held.inherited, progress,
                               lambda: lock.beat(aws, wanted.table, wanted.service, token))
            book.add(aws, wanted.table, inherited)
            progress.say(inherited["message"], "warn")
        # What another one has changed meanwhile is not ours: neither its image, nor its time, nor its events.
        if held.waited or held.inherited or state.status.endswith("_IN_PROGRESS"):
            entry = _entry(wanted, look(aws, wanted.stack_name), token, origin, waited)
            lock.restate(aws, wanted.table, entry, token)
    except dynamodb.Conflict as error:
        raise lock.Busied(f"Another release of {wanted.service} took this one for dead, and has the turn now.",
                          "Run this again; it waits for the other one.") from error
    except SlipwayError:
        with suppress(SlipwayError, dynamodb.Conflict):
            if held.inherited and not inherited:  # the next one may find out
                lock.restate(aws, wanted.table, held.inherited, token)
            else:
                lock.release(aws, wanted.table, wanted.service, token)
        raise
    return {"entry": entry, "token": token, "inherited": inherited, "waited": waited}


def _entry(wanted: Opening, state: State, token: str, origin: dict[str, Any], waited: float = 0.0) -> Record:
    before = {name: value for name, value in (("tag", state.tag), ("digest", state.digest)) if value}
    return opened(wanted.service, wanted.stack_name, wanted.kind, state.now, token, before,
                  **origin, clock_offset=state.offset, waited=waited)


def _commit(wanted: Opening) -> str:
    if wanted.revision or not wanted.source:
        return wanted.revision
    found = read_revision(wanted.source)
    return f"{found.commit}-dirty" if found.dirty else found.commit


def close_entry(aws: Aws, table: str, record: Record, token: str, keep: int, worth: bool,
                unproved: bool = False) -> tuple[bool, list[str]]:
    """Give the lock back, and write the record of the release where it is `worth` one: also where it proves good what
    an earlier one left `unproved`. Returns whether it was written, and warnings.

    unproved: the stack has a new image of which this release does not know whether it is good.
    """
    if not worth:
        doubt = book.leave(aws, table, record["service"], token)
        if doubt is None:
            return False, []
        if record["verdict"] != COMPLETED or (record["tag"], record["digest"]) != (doubt["tag"], doubt["digest"]):
            lock.release(aws, table, record["service"], token)
            return False, []
        record["commit"] = record.get("commit") or doubt["commit"]
    book.write(aws, table, record, token, unproved)
    # The list is read as a whole for it, which a release in ten or so is enough for: the longest lists grow by a tenth.
    if random.random() * keep < _PRUNE_AT_LEAST:
        try:
            book.prune(aws, table, record["service"], keep)
        except SlipwayError as error:
            return True, [f"Old records of {record['service']} stay in {table} for now: {error}"]
    return True, []


def unopened(service: str, stack_name: str, kind: str, commit: str = "", who: str = "") -> Record:
    """The entry of a release that never took its turn: refused before, or without a ledger. By this machine's clock."""
    return opened(service, stack_name, kind, datetime.now(UTC), "", {}, commit=commit, who=who,
                  **_here())


def now_of(entry: Record) -> str:
    """The present time for the record. The clock of this machine may be wrong; how far, DescribeStacks told when the
    entry was opened."""
    now = datetime.now(UTC) + timedelta(seconds=float(entry.get("clock_offset", 0)))
    return now.isoformat(timespec="seconds")


def _here() -> dict[str, str | float]:
    return {"user": _user(), "host": platform.node(), "build_url": os.environ.get("BUILD_URL", "")}


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user without a name
        return str(os.getuid())
