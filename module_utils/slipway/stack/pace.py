"""How often to ask how a stack is doing."""

from __future__ import annotations

import time
from collections.abc import Callable

from ..polling import delays

#: The longest silence of ours.
_LONGEST = 5.0
#: Beyond the calls that the longest silence costs: so many may be spent where they count.
_SPARE = 8.0


class Pace:
    """Seconds to the next question.

    Each call is paid from a budget of `_SPARE` that refills by one in each of the longest silences: 20 calls in any
    minute, 12 in those that follow. It is spent where the end is likely: within the window that a forecast gives, and
    where nothing is known soon after the beginning or the last event. With nested stacks an answer costs a call for
    each that is at work; what cannot be paid for then still comes after the longest silence.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._left = _SPARE
        self._at = clock()
        self._begin()

    def first(self) -> float:
        """Seconds to the first question."""
        return next(delays(first=0.2))

    def next(self, calls: int = 1, news: bool = False, soon: bool = False,
             window: tuple[float, float] | None = None) -> float:
        """calls: what the last answer cost, and the next will. news: it said something new. soon: nothing is left that
        could take long. window: between how many seconds from now the end is expected (negative: before now).
        """
        now = self._clock()
        self._left = min(_SPARE, self._left + (now - self._at) / _LONGEST) - calls
        self._at = now
        if news:
            self._begin()
        if soon:
            wanted = max(0.4, 4 / max(self._left, 0.5))
        elif window is None:
            wanted = next(self._quiet)
        else:
            wanted = self._within(*window)
        unpaid = (calls - self._left) * _LONGEST
        return min(_LONGEST, max(wanted, unpaid))

    def _within(self, earliest: float, latest: float) -> float:
        if earliest > 0:
            return min(next(self._early), max(0.4, earliest))
        if latest > 0:
            # What there is for the rest of it, more of it near its middle.
            evenly = latest / max(1.0, self._left + latest / _LONGEST)
            off = abs(latest + earliest) / (latest - earliest)
            return max(0.4, evenly * (0.6 + 0.9 * off))
        return max(0.6, -latest / 3)

    def _begin(self) -> None:
        self._quiet = delays(first=0.9, factor=1.1)
        self._early = delays(first=1.0, factor=2.5)
