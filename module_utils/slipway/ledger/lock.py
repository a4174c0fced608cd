"""One release of a service at a time, whoever starts it and wherever.

The lock is one item of the ledger's table, written under a condition. It holds the record of the release that runs, so
that whoever takes it over from a dead owner also knows what that one did. Its owner counts `beat` up every BEAT
seconds. A waiter never compares clocks: a beat that did not change for DEAD seconds of the waiter's own is a dead one.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from ..aws import dynamodb
from ..aws.session import Aws
from ..aws.shared import Shared
from ..errors import SlipwayError
from ..interrupt import interruptible
from ..polling import Deadline, delays
from ..progress import Progress
from . import owner
from .record import PROVISIONAL, Record

BEAT = 10.0
DEAD = 45.0
KEY = "lock"

#: What to do when another release holds the lock.
Busy = Literal["wait", "supersede", "fail"]


@dataclass
class Held:
    """A lock that is ours. inherited: the record of a release that died with the lock in its hand, None as a rule.
    waited: seconds, 0 where nobody else had it."""

    token: str
    inherited: Record | None = None
    waited: float = 0.0


class Busied(SlipwayError):
    """Another release holds the lock."""


def holder(aws: Aws, table: str, service: str) -> Record | None:
    """The record of the release that runs now; None when none does. One call."""
    item = dynamodb.get(aws, table, {"service": service, "id": KEY})
    return json.loads(item["entry"]) if item else None


def acquire(aws: Aws, table: str, entry: Record, token: str, busy: Busy, timeout: float, progress: Progress,
            clock: Callable[[], float] = time.monotonic, sleep: Callable[[float], None] = time.sleep) -> Held:
    """Take the lock of entry["service"], waiting for who has it, `timeout` seconds at most. Of several that wait, any
    may be the next one.

    What the entry says was looked up before the wait: one that waited is PROVISIONAL until restate(). Raises Busied
    when the lock cannot be had, Interrupted at SIGINT or SIGTERM.
    """
    started = clock()
    deadline = Deadline(timeout, clock)
    waits = delays(first=1.0, limit=5.0)
    item = {"service": entry["service"], "id": KEY, "token": token, "beat": 0, "entry": json.dumps(entry)}
    seen, since = ("", -1), started
    asked = met = False
    with interruptible():
        while True:
            try:
                dynamodb.put(aws, table, item, "attribute_not_exists(#service)")
                return Held(token, waited=clock() - started if met else 0.0)
            except dynamodb.Conflict as conflict:
                other = conflict.item
            if other and other["token"] == token:  # our own write, whose answer was lost
                return Held(token, waited=clock() - started if met else 0.0)
            met = True
            item["entry"] = json.dumps({**entry, PROVISIONAL: True})
            if not other:  # given back in this moment
                sleep(deadline.cap(next(waits)))
                continue
            theirs: Record = json.loads(other["entry"])
            if (other["token"], other["beat"]) != seen:
                if other["token"] != seen[0]:
                    asked = False
                    progress.say(f"{describe(theirs)}; waiting for it" if busy == "wait" else describe(theirs), "warn")
                seen, since = (other["token"], other["beat"]), clock()
            if owner.is_dead(str(theirs.get("process", ""))) or clock() - since >= DEAD:
                held = _take_over(aws, table, item, other)
                if held:
                    progress.say("its process is gone; taking over", "warn")
                    asker = {"superseded_by": other["superseded_by"]} if other.get("superseded_by") else {}
                    return Held(token, {**theirs, **asker}, clock() - started)
                continue
            if busy == "fail":
                raise Busied(f"{describe(theirs)}.", "Wait for its end, or set ecs_release_busy to wait or supersede.")
            if busy == "supersede" and not asked:
                asked = True
                _supersede(aws, table, other, by(entry))
                progress.say("asked it to stop; it leaves the old version serving", "warn")
            if deadline.passed:
                raise Busied(f"{describe(theirs)}, and it did not end within {timeout:.0f} s.",
                             "Look at it, then run this again; ecs_release_lock_timeout is how long a release waits.")
            progress.heartbeat(f"still waiting for it ({clock() - started:.0f} s)")
            sleep(deadline.cap(next(waits)))


def restate(aws: Aws, table: str, entry: Record, token: str) -> None:
    """Put our entry as it is by now into the lock. Raises dynamodb.Conflict when the lock is somebody else's."""
    dynamodb.update(aws, table, {"service": entry["service"], "id": KEY}, "SET #entry = :entry", "#token = :token",
                    {"entry": json.dumps(entry), "token": token})


def beat(aws: Aws, table: str, service: str, token: str) -> str:
    """Show that the owner lives. Returns who wants this release to stop, as by() names it, '' as a rule.

    Raises dynamodb.Conflict when the lock is somebody else's by now.
    """
    item = dynamodb.update(aws, table, {"service": service, "id": KEY}, "SET #beat = #beat + :one", "#token = :token",
                           {"one": 1, "token": token})
    return str(item.get("superseded_by", ""))


class Company:
    """The locks of a run of several services, whose keepers show together that their releases live.

    shared: what the run shares, None for a release of its own. whose: tells apart who calls AWS, and how. aws: called
    for a session when there is something to ask, which most of the keepers never have.
    """

    def __init__(self, shared: Shared | None, whose: str, aws: Callable[[], Aws], table: str, service: str,
                 token: str) -> None:
        self._shared = shared
        self._group = f"beats {whose} {table}"
        self._key = f"{token} {service}"
        self._aws, self._table, self._service, self._token = aws, table, service, token
        if shared:
            shared.expect(self._group, self._key)

    def beat(self) -> str:
        """As beat(). In a run of several services the last one may be some seconds ago, far less than DEAD."""
        if not self._shared:
            return beat(self._aws(), self._table, self._service, self._token)
        found = self._shared.gather(self._group, self._key, self._beat_all, BEAT * 0.8, limit=100, memory=2 * BEAT,
                                    whole=True)
        if found is None:
            raise dynamodb.Conflict({})
        return str(found)

    def leave(self) -> None:
        """This release has given its lock back."""
        if self._shared:
            self._shared.forget(self._group, self._key)

    def _beat_all(self, keys: list[str]) -> dict[str, str]:
        """By key of those whose lock is still theirs: who wants that release to stop. One call as long as nobody does.
        """
        asked: dict[str, str] = dict.fromkeys(keys, "")
        said = self._count(keys, "#token = :token AND attribute_not_exists(#superseded_by)")
        for key, item in said.items():
            if item is not None and item.get("token") == key.partition(" ")[0]:
                asked[key] = str(item.get("superseded_by", ""))
            elif item is not None:
                del asked[key]
        if late := [key for key, who in asked.items() if who]:
            for key, item in self._count(late, "#token = :token").items():
                if item is not None:
                    del asked[key]
        return asked

    def _count(self, keys: list[str], condition: str) -> dict[str, dynamodb.Item | None]:
        pairs = [key.split(" ", 1) for key in keys]
        found = dynamodb.update_all(
            self._aws(), self._table, [{"service": name, "id": KEY} for _, name in pairs],
            "SET #beat = #beat + :one", condition, [{"one": 1, "token": token} for token, _ in pairs])
        return dict(zip(keys, found, strict=True))


def release(aws: Aws, table: str, service: str, token: str) -> None:
    """Give the lock back; one that is somebody else's, or gone, is left alone."""
    with suppress(dynamodb.Conflict):
        dynamodb.delete(aws, table, {"service": service, "id": KEY}, "#token = :token", {"token": token})


def _take_over(aws: Aws, table: str, item: dict[str, Any], other: dict[str, Any]) -> bool:
    try:
        dynamodb.put(aws, table, item, "#token = :token AND #beat = :beat",
                     {"token": other["token"], "beat": other["beat"]})
    except dynamodb.Conflict:
        return False
    return True


def _supersede(aws: Aws, table: str, other: dict[str, Any], who: str) -> None:
    with suppress(dynamodb.Conflict):
        dynamodb.update(aws, table, {"service": other["service"], "id": KEY}, "SET #superseded_by = :who",
                        "#token = :token", {"who": who, "token": other["token"]})


def describe(theirs: Record) -> str:
    """'A release of shop-web runs since 08:24:33 UTC: ann on build-1, https://...'"""
    since = datetime.fromisoformat(theirs["started"]).astimezone(UTC)
    whose = by(theirs, "")
    return (f"A {theirs.get('kind', 'release')} of {theirs['service']} runs since {since:%H:%M:%S} UTC"
            + (f": {whose}" if whose else ""))


def by(entry: Record, unknown: str = "another release") -> str:
    """'ann on build-1, https://...'; `unknown` where the entry does not say."""
    person = " on ".join(part for part in (entry.get("user"), entry.get("host")) if part)
    return ", ".join(part for part in (person, entry.get("build_url")) if part) or unknown
