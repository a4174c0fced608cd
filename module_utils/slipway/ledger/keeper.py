"""The process beside a release that keeps its lock, and ends its entry when the release cannot.

    python -m slipway.ledger.keeper    (its arguments as JSON on standard input: aws, table, entry, token, pid)

It shows every lock.BEAT seconds that the release lives. A release that is to make room for another one gets a SIGTERM,
which leaves the old version serving. When the release's process is gone without having closed its entry - killed, or
interrupted - it waits until the stack has come to rest, writes what became of it, and gives the lock back.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from contextlib import suppress
from typing import Any

from ..aws import dynamodb
from ..aws.session import Aws
from ..errors import SlipwayError
from ..progress import Progress
from . import book, lock, owner
from .entry import settle
from .record import Record

_LOOK = 1.0
#: A release that hangs for longer than this has lost its keeper, and with it the lock.
_LIFE = 12 * 3600.0


def keep(aws: Aws, table: str, entry: Record, token: str, pid: int) -> None:
    """Stay until the entry is closed, by the release or, after its end, by us."""
    # As it was when the entry was opened: by now it may have ended.
    service, whose = entry["service"], str(entry["process"])
    started = beaten = time.monotonic()
    asked = False

    def beat() -> bool:
        """Whether the lock is still ours. AWS out of reach is no answer to that."""
        nonlocal asked
        try:
            superseded = lock.beat(aws, table, service, token)
        except dynamodb.Conflict:
            return False
        except SlipwayError:
            return True
        if superseded and not asked and not owner.is_dead(whose):
            asked = True
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
        return True

    while time.monotonic() - started < _LIFE:
        time.sleep(_LOOK)
        gone = owner.is_dead(whose)
        if gone or time.monotonic() - beaten >= lock.BEAT:
            beaten = time.monotonic()
            if not beat():
                return
        if gone:
            book.write(aws, table, settle(aws, entry, Progress(), beat), token)
            return


def main() -> None:
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        # What ends the release is not to end its keeper; it ends by itself soon after.
        signal.signal(number, signal.SIG_IGN)
    given: dict[str, Any] = json.load(sys.stdin)
    keep(Aws(given["aws"]), given["table"], given["entry"], given["token"], int(given["pid"]))


if __name__ == "__main__":
    main()
