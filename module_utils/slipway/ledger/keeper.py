"""The process beside a release that keeps its lock, and ends its entry when the release cannot.

    python -m slipway.ledger.keeper    (its arguments as JSON on standard input: aws, table, entry, token, pid, notes,
                                        report_dir, notify)

It shows every lock.BEAT seconds that the release lives. A release that is to make room for another one gets a SIGTERM,
which leaves the old version serving. When the release's process is gone without having closed its entry - killed, or
interrupted - it waits until the stack has come to rest, writes what became of it, and gives the lock back.

Every service of a run has a keeper, and most have nothing to do: what they need for that they import, and connect to,
only then.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from ..aws import dynamodb
from ..aws.session import Aws
from ..aws.shared import Shared
from ..errors import SlipwayError
from . import lock, owner
from .record import Record

_LOOK = 1.0
#: A release that hangs for longer than this has lost its keeper, and with it the lock.
_LIFE = 12 * 3600.0


def keep(aws: Callable[[], Aws], company: lock.Company, table: str, entry: Record, token: str, pid: int,
         notes: str = "", report_dir: str = "", notify: Mapping[str, Any] | None = None) -> None:
    """Stay until the entry is closed, by the release or, after its end, by us.

    notes: file in which the action plugins note what they begin and end; report_dir: where the report goes; '' is none.
    notify: whom to tell what became of it, as notify.send.Settings.of() takes it.
    """
    # As it was when the entry was opened: by now it may have ended.
    whose = str(entry["process"])
    started = beaten = time.monotonic()
    entry = dict(entry)

    def beat() -> bool:
        """Whether the lock is still ours. AWS out of reach is no answer to that."""
        try:
            superseded = company.beat()
        except dynamodb.Conflict:
            return False
        except SlipwayError:
            return True
        if superseded and "superseded_by" not in entry and not owner.is_dead(whose):
            entry["superseded_by"] = superseded
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
        return True

    while time.monotonic() - started < _LIFE:
        time.sleep(_LOOK)
        if any(note.get("closed") == token for note in _read(notes)):
            company.leave()
            return
        gone = owner.is_dead(whose)
        if gone or time.monotonic() - beaten >= lock.BEAT:
            beaten = time.monotonic()
            if not beat():
                return
        if gone:
            _end(aws(), table, entry, token, beat, notes, report_dir, notify)
            return


def _end(aws: Aws, table: str, entry: Record, token: str, beat: Callable[[], object], notes: str, report_dir: str,
         notify: Mapping[str, Any] | None) -> None:
    """Write what became of a release whose process is gone."""
    from ..notify.send import Settings, send
    from ..progress import Progress
    from . import book, report
    from .stack import settle

    record = settle(aws, entry, Progress(), beat, _read(notes))
    if report_dir:
        with suppress(OSError):
            report.write(record, report_dir)
    book.write(aws, table, record, token)
    # Nobody reads a warning any more.
    send(Settings.of(notify), record, lambda: aws)


def _read(notes: str) -> list[dict[str, Any]]:
    """What was noted; a line that was cut off by the end is left out."""
    found = []
    with suppress(OSError):
        for line in Path(notes).read_text(encoding="utf-8", errors="replace").splitlines() if notes else []:
            with suppress(ValueError):
                found.append(json.loads(line))
    return [note for note in found if isinstance(note, dict)]


def _whose(options: Mapping[str, Any]) -> str:
    """Tells apart who calls AWS, and how; as Aws.scope, but without a session."""
    around = {name: value for name, value in os.environ.items() if name.startswith("AWS_")}
    return hashlib.sha256(json.dumps([options, around], sort_keys=True).encode()).hexdigest()[:16]


def main() -> None:
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        # What ends the release is not to end its keeper; it ends by itself soon after.
        signal.signal(number, signal.SIG_IGN)
    given: dict[str, Any] = json.load(sys.stdin)
    notes = str(given.get("notes") or "")
    aws = functools.cache(lambda: Aws(given["aws"]))
    company = lock.Company(Shared.of(os.environ), _whose(given["aws"]), aws, given["table"],
                           given["entry"]["service"], given["token"])
    try:
        keep(aws, company, given["table"], given["entry"], given["token"], int(given["pid"]), notes,
             str(given.get("report_dir") or ""), given.get("notify"))
    finally:
        if notes:
            Path(notes).unlink(missing_ok=True)


if __name__ == "__main__":
    main()
