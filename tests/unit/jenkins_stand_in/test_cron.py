"""The clock of Jenkins' triggers."""

from __future__ import annotations

import time

import pytest

from embedded.jenkins.controller.cron import BadSpec, Cron


def at(text: str) -> time.struct_time:
    return time.strptime(text, "%Y-%m-%d %H:%M")


@pytest.mark.parametrize(("spec", "when", "matches"), [
    ("* * * * *", "2026-11-23 11:59", True),
    ("5 * * * *", "2026-11-23 11:05", True),
    ("5 * * * *", "2026-11-23 11:06", False),
    ("*/15 9-17 * * 1-5", "2026-11-23 09:45", True),
    ("*/15 9-17 * * 1-5", "2026-11-22 09:45", False),
    ("0 0 * * 0", "2026-11-22 00:00", True),
    ("0 0 * * 7", "2026-11-22 00:00", True),
    ("0 0 1,15 * *", "2026-11-15 00:00", True),
    ("# none\n\n1 1 1 1 *\n2 2 * * *", "2026-11-23 02:02", True),
    ("", "2026-11-23 02:02", False),
])
def test_matching(spec: str, when: str, matches: bool) -> None:
    assert Cron(spec).matches(at(when)) is matches


def test_h_is_one_minute_of_the_job_and_another_of_another_job() -> None:
    def minutes(seed: str, spec: str) -> list[int]:
        return [minute for minute in range(60) if Cron(spec, seed).matches(at(f"2026-11-23 10:{minute:02}"))]

    assert len(minutes("one", "H * * * *")) == 1
    assert len({tuple(minutes(f"job {number}", "H * * * *")) for number in range(20)}) > 1
    assert len(minutes("one", "H/15 * * * *")) == 4
    assert all(minute < 10 for minute in minutes("one", "H(0-9) * * * *"))
    assert len(minutes("one", "@hourly")) == 1


@pytest.mark.parametrize("spec", ["*", "* * * *", "60 * * * *", "* 24 * * *", "* * 0 * *", "a * * * *", "5-1 * * * *",
                                  "*/0 * * * *", "* * * * * *", "@never"])
def test_bad_lines(spec: str) -> None:
    with pytest.raises(BadSpec):
        Cron(spec)
