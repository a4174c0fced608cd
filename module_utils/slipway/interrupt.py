"""SIGINT and SIGTERM as an exception, so that a wait can clean up."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from .errors import Interrupted

_calling = False


class Cut(BaseException):
    """A signal in the midst of a call. No Exception: botocore would take that for a lost connection and try again."""


@contextmanager
def interruptible() -> Iterator[None]:
    """Within the block the first SIGINT or SIGTERM raises Interrupted; later ones are ignored until the block ends."""
    seen = False

    def stop(number: int, _frame: Any) -> None:
        nonlocal seen
        if not seen:
            seen = True
            raise (Cut if _calling else Interrupted)(f"Interrupted by {signal.Signals(number).name}.")

    before = {s: signal.signal(s, stop) for s in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def calling() -> Iterator[None]:
    """Around a call through a library that catches exceptions: an interruption leaves it as Interrupted still."""
    global _calling
    outer, _calling = _calling, True
    try:
        yield
    except Cut as cut:
        raise Interrupted(str(cut)) from cut
    finally:
        _calling = outer


@contextmanager
def held() -> Iterator[None]:
    """Within the block SIGINT and SIGTERM wait: for a call whose answer must be known."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
