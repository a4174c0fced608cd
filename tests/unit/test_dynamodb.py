"""Transactions that others are in the way of, as AWS answers them: the embedded AWS has none."""

from __future__ import annotations

from typing import Any

import pytest

from slipway.aws import dynamodb
from slipway.errors import AwsError

KEYS: list[dynamodb.Item] = [{"service": name, "id": "lock"} for name in ("ash", "beech", "cedar")]


class Busy:
    """Cancels a transaction with these codes for its items, a list for each attempt, then lets it through."""

    def __init__(self, *attempts: list[str], forever: bool = False) -> None:
        self.attempts, self.forever, self.tried = list(attempts), forever, 0

    def call(self, _service: str, operation: str, **arguments: Any) -> Any:
        assert operation == "transact_write_items"
        self.tried += 1
        if not self.attempts:
            return {}
        codes = self.attempts[0] if self.forever else self.attempts.pop(0)
        assert len(codes) == len(arguments["TransactItems"])
        error = AwsError(f"Transaction cancelled [{', '.join(codes)}]", code="TransactionCanceledException")
        error.response = {"CancellationReasons": [{"Code": code} for code in codes]}
        raise error


@pytest.fixture
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    waits: list[float] = []
    monkeypatch.setattr(dynamodb.time, "sleep", waits.append)
    return waits


def beat(aws: Any) -> list[str]:
    """The services whose item was changed."""
    found = dynamodb.update_all(aws, "ledger", KEYS, "SET #beat = #beat + :one", "#token = :token",
                                [{"one": 1, "token": "t"}] * 3)
    return [key["service"] for key, item in zip(KEYS, found, strict=True) if item is None]


def test_who_lost_its_lock_is_left_out_at_once(slept: list[float]) -> None:
    assert beat(Busy(["None", "ConditionalCheckFailed", "None"])) == ["ash", "cedar"]
    assert slept == []


def test_a_conflict_is_waited_out_longer_each_time_and_not_in_step(slept: list[float]) -> None:
    conflict = ["TransactionConflict", "None", "None"]
    assert beat(Busy(conflict, conflict, conflict)) == ["ash", "beech", "cedar"]
    first = list(slept)
    beat(Busy(conflict, conflict, conflict))
    assert len(first) == 3 and 0.05 <= first[0] <= 0.15 and first[2] > first[0]
    assert slept[3:] != first


def test_nobody_loses_its_lock_to_conflicts_without_end(slept: list[float]) -> None:
    aws = Busy(["TransactionConflict", "None", "TransactionConflict"], forever=True)
    with pytest.raises(AwsError) as failed:
        beat(aws)
    assert failed.value.code == "TransactionCanceledException"
    assert aws.tried == len(slept) + 1 >= 6
    # Far less than a lock is given that is silent (lock.DEAD).
    assert 3 < sum(slept) < 15


def test_all_may_have_lost_theirs(slept: list[float]) -> None:
    aws = Busy(["ConditionalCheckFailed"] * 3)
    assert (beat(aws), aws.tried, slept) == ([], 1, [])
