"""When to ask again: soon at first, then less often, never in step with others."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator


def delays(first: float = 0.4, limit: float = 5.0, factor: float = 1.5, jitter: float = 0.15) -> Iterator[float]:
    """Seconds to sleep before each next question, without end.

    Grows from `first` by `factor` up to `limit`; each value is moved by up to ±`jitter` of itself, never above `limit`.
    """
    delay = first
    while True:
        yield min(limit, delay * random.uniform(1 - jitter, 1 + jitter))
        delay = min(limit, delay * factor)


class Deadline:
    """A limit in seconds from now; None is no limit."""

    def __init__(self, seconds: float | None, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self.started = clock()
        self.seconds = seconds

    @property
    def elapsed(self) -> float:
        return self._clock() - self.started

    @property
    def passed(self) -> bool:
        return self.seconds is not None and self.elapsed >= self.seconds

    def cap(self, delay: float) -> float:
        """`delay`, shortened so that a sleep of it does not run past the limit."""
        if self.seconds is None:
            return delay
        return max(0.0, min(delay, self.seconds - self.elapsed))
