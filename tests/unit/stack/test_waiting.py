from __future__ import annotations

import pytest

from slipway.stack.waiting import Pace, duration, in_progress


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def _polls(seconds: float, active: bool) -> int:
    clock = Clock()
    pace = Pace(clock=clock)
    polls = 0
    while clock.now < seconds:
        polls += 1
        clock.now += pace.next(active)
    return polls


@pytest.mark.parametrize("active", [False, True])
def test_calls_of_the_first_minute_and_of_those_after(active: bool) -> None:
    assert _polls(60, active) <= 22
    assert _polls(600, active) <= 150


def test_soon_after_something_happened() -> None:
    clock = Clock()
    pace = Pace(clock=clock)
    for _ in range(12):
        clock.now += 5
        pace.next(False)
    assert pace.next(True) <= 0.7


@pytest.mark.parametrize(("seconds", "text"), [(7.4, "7s"), (130, "2m10s"), (3900, "1h05m")])
def test_duration(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(("status", "busy"), [("UPDATE_COMPLETE_CLEANUP_IN_PROGRESS", True), ("UPDATE_COMPLETE", False),
                                              ("REVIEW_IN_PROGRESS", False), ("DELETE_IN_PROGRESS", True)])
def test_in_progress(status: str, busy: bool) -> None:
    assert in_progress(status) is busy
