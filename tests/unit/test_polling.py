"""When to ask again."""

from __future__ import annotations

from itertools import islice

from slipway.polling import Deadline, delays


def test_first_soon_then_slower_never_above_the_limit() -> None:
    for _ in range(50):
        values = list(islice(delays(first=0.4, limit=5.0), 20))
        assert values[0] <= 0.5
        assert max(values) <= 5.0
        assert min(values[-5:]) >= 5.0 * 0.84


def test_calls_per_minute_of_waiting() -> None:
    asked, spent = 0, 0.0
    for delay in delays():
        spent += delay
        if spent > 60:
            break
        asked += 1
    assert asked <= 20


def test_two_waits_are_not_in_step() -> None:
    assert list(islice(delays(), 10)) != list(islice(delays(), 10))


def test_deadline_passes_and_caps_the_last_sleep() -> None:
    now = 100.0
    deadline = Deadline(10, clock=lambda: now)
    assert not deadline.passed
    assert deadline.cap(20) == 10
    now = 109.0
    assert deadline.cap(5) == 1
    now = 110.0
    assert deadline.passed
    assert deadline.cap(5) == 0


def test_no_limit_never_passes() -> None:
    deadline = Deadline(None, clock=lambda: 1e12)
    assert not deadline.passed
    assert deadline.cap(7) == 7
