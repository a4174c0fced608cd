"""Planning anew: not at once, and not for ever."""

from __future__ import annotations

from typing import Any

import pytest

from slipway import polling
from slipway.errors import AwsError, SlipwayError
from slipway.progress import Progress
from slipway.stack import lifecycle
from slipway.stack.options import Options
from slipway.stack.proposal import Superseded

REFUSED = AwsError("Stack is in UPDATE_IN_PROGRESS state and can not be updated.")


def test_each_round_is_later_than_the_one_before(monkeypatch: pytest.MonkeyPatch) -> None:
    rounds: list[str] = []
    pauses: list[float] = []
    monkeypatch.setattr(lifecycle.time, "sleep", pauses.append)
    # Without jitter: the longest pauses are so near to each other that it would change their order now and then.
    monkeypatch.setattr(polling.random, "uniform", lambda low, high: (low + high) / 2)
    aws: Any = None
    present = lifecycle.Present(aws, Options("web"), Progress(None), False)

    def refused() -> dict[str, Any]:
        rounds.append("round")
        raise Superseded("busy", REFUSED, busy=True)

    monkeypatch.setattr(present, "_round", refused)
    with pytest.raises(SlipwayError, match="changed by somebody else 6 times"):
        present.run()
    assert len(rounds) == 6
    assert pauses[:5] == [0.5, 1.0, 2.0, 4.0, 5.0]


def test_the_same_refusal_of_a_stack_at_rest_is_final(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lifecycle.time, "sleep", lambda _: None)
    aws: Any = None
    present = lifecycle.Present(aws, Options("web"), Progress(None), False)
    rounds: list[int] = []

    def refused() -> dict[str, Any]:
        rounds.append(1)
        raise Superseded("stuck", REFUSED)

    monkeypatch.setattr(present, "_round", refused)
    with pytest.raises(AwsError, match="can not be updated"):
        present.run()
    assert len(rounds) == 2


def test_a_new_plan_begins_with_a_new_look(monkeypatch: pytest.MonkeyPatch) -> None:
    """What other services of the run saw a moment ago will not do then."""
    looks: list[bool] = []

    def settled(*_: Any, anew: bool) -> None:
        looks.append(anew)

    def plan(_: Any) -> None:
        raise Superseded("stuck", REFUSED)

    monkeypatch.setattr(lifecycle.time, "sleep", lambda _: None)
    monkeypatch.setattr(lifecycle, "settled", settled)
    aws: Any = None
    present = lifecycle.Present(aws, Options("web"), Progress(None), False)
    monkeypatch.setattr(present, "_plan", plan)
    with pytest.raises(AwsError):
        present.run()
    assert looks == [False, True]
