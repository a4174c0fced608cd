from __future__ import annotations

import pytest

from slipway.stack.waiting import duration, in_progress


@pytest.mark.parametrize(("seconds", "text"), [(7.4, "7s"), (130, "2m10s"), (3900, "1h05m")])
def test_duration(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(("status", "busy"), [("UPDATE_COMPLETE_CLEANUP_IN_PROGRESS", True), ("UPDATE_COMPLETE", False),
                                              ("REVIEW_IN_PROGRESS", False), ("DELETE_IN_PROGRESS", True)])
def test_in_progress(status: str, busy: bool) -> None:
    assert in_progress(status) is busy
