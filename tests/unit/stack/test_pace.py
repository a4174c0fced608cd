"""When the next question is asked: often where the end is likely, and never more than is paid for."""

from __future__ import annotations

import random
import statistics
from collections.abc import Callable
from typing import Any

import pytest

from slipway.stack.pace import Pace

Window = tuple[float, float] | None
UNKNOWN: Callable[[float], Window] = lambda now: None  # noqa: E731


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def between(earliest: float, latest: float) -> Callable[[float], Window]:
    return lambda now: (earliest - now, latest - now)


def polls(seconds: float, window: Callable[[float], Window] = UNKNOWN, news: bool = False, soon: bool = False,
          calls: int = 1) -> list[float]:
    """When the questions of so many seconds of waiting come."""
    clock = Clock()
    pace, found = Pace(clock), []
    while clock.now < seconds:
        found.append(clock.now)
        clock.now += pace.next(calls, news or not found[1:], soon, window(clock.now))
    return found


@pytest.mark.parametrize("waiting", [
    {}, {"news": True}, {"soon": True}, {"window": between(40, 60)}, {"window": between(2, 4)},
    {"window": between(0, 600)}], ids=str)
def test_at_most_20_calls_in_any_minute_and_12_in_the_long_run(waiting: dict[str, Any]) -> None:
    times = polls(600, **waiting)
    assert max(sum(start <= t < start + 60 for t in times) for start in times) <= 20
    assert len(times) <= 20 + 9 * 12


def test_never_more_than_five_seconds_apart() -> None:
    for times in (polls(600), polls(600, between(100, 200)), polls(600, between(1, 2)), polls(60, calls=4)):
        assert max(b - a for a, b in zip(times, times[1:], strict=False)) <= 5.001


def test_soon_at_first_and_after_news() -> None:
    times = polls(60)
    assert times[1] <= 1.1
    clock = Clock()
    pace = Pace(clock)
    for _ in range(12):
        clock.now += 5
        pace.next()
    assert pace.next(news=True) <= 1.1
    clock.now += 30
    assert pace.next(soon=True) <= 0.7


@pytest.mark.parametrize("took", [4.0, 10.0, 20.0, 40.0, 60.0])
def test_the_end_is_noticed_soon_where_it_was_expected(took: float) -> None:
    """Ends that differ by a tenth (standard deviation) from what they took the last time."""
    chance = random.Random(7)  # noqa: S311
    late = []
    for _ in range(200):
        end = took * chance.gauss(1, 0.1)
        times = polls(end + 10, between(took * 0.8, took * 1.2))
        late.append(next(t for t in times if t >= end) - end)
    assert statistics.median(late) <= (1.0 if took <= 40 else 1.4)
    unknown = [next(t for t in polls(end + 10) if t >= end) - end
               for end in (took * chance.gauss(1, 0.1) for _ in range(200))]
    assert took < 15 or statistics.median(late) < statistics.median(unknown) * 0.7


def test_the_first_question_comes_within_half_a_second() -> None:
    firsts = {Pace().first() for _ in range(200)}
    assert max(firsts) <= 0.5
    assert len(firsts) > 100, "runs that begin together would ask together"
