"""What earlier operations of a stack say of the present one's end."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from slipway.stack.forecast import Forecast

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
NOW = START.timestamp()
ARN = "arn:aws:cloudformation:eu-west-1:123456789012:stack/web/1"


def event(logical: str, status: str, at: float, kind: str = "AWS::ECS::Service", path: str = "") -> dict[str, Any]:
    whole = logical == "web"
    return {"LogicalResourceId": logical, "ResourceStatus": status, "Timestamp": START + timedelta(seconds=at),
            "ResourceType": "AWS::CloudFormation::Stack" if whole else kind, "StackId": ARN, "Path": path,
            "PhysicalResourceId": ARN if whole else logical}


def forecast(earlier: list[dict[str, Any]], *events: dict[str, Any], ahead: float = 0) -> Forecast:
    """Of earlier events, oldest first, and of new ones that are seen at once by a clock that is `ahead`."""
    found = Forecast()
    found.learn(earlier[::-1])
    for new in events:
        found.note(new, new["Timestamp"].timestamp() + ahead)
    return found


LAST = [event("web", "UPDATE_IN_PROGRESS", -600), event("Service", "UPDATE_IN_PROGRESS", -598),
        event("Service", "UPDATE_COMPLETE", -498), event("web", "UPDATE_COMPLETE", -497)]


def test_a_resource_takes_about_as_long_as_the_last_time() -> None:
    found = forecast(LAST, event("Service", "UPDATE_IN_PROGRESS", 0))
    assert found.window(NOW) == pytest.approx((80, 120))
    assert found.window(NOW + 100) == pytest.approx((-20, 20))
    assert found.window(NOW + 200) == pytest.approx((-120, -80))


def test_a_stack_may_end_in_the_millisecond_of_its_last_resource() -> None:
    earlier = [*LAST[:2], event("Service", "UPDATE_COMPLETE", -498), event("web", "UPDATE_COMPLETE", -498)]
    assert forecast(earlier, event("Service", "UPDATE_IN_PROGRESS", 0)).window(NOW) == pytest.approx((80, 120))


def test_the_newest_duration_counts() -> None:
    older = [event("Service", "UPDATE_IN_PROGRESS", -2000), event("Service", "UPDATE_COMPLETE", -1000)]
    assert forecast(older + LAST, event("Service", "UPDATE_IN_PROGRESS", 0)).window(NOW) == pytest.approx((80, 120))


def test_of_several_the_one_that_ends_last() -> None:
    earlier = [LAST[0], event("Queue", "UPDATE_IN_PROGRESS", -598), event("Queue", "UPDATE_COMPLETE", -593), *LAST[1:]]
    begun = [event("Queue", "UPDATE_IN_PROGRESS", 0), event("Service", "UPDATE_IN_PROGRESS", 1)]
    assert forecast(earlier, *begun).window(NOW + 1) == pytest.approx((80, 120))
    ended = event("Service", "UPDATE_COMPLETE", 2)
    assert forecast(earlier, *begun, ended).window(NOW + 2) == pytest.approx((2, 4))


@pytest.mark.parametrize(("logical", "status", "kind", "expected"), [
    ("Other", "UPDATE_IN_PROGRESS", "AWS::ECS::Service", (80, 120)),
    ("Service", "CREATE_IN_PROGRESS", "AWS::ECS::Service", (80, 120)),
    ("Service", "DELETE_IN_PROGRESS", "AWS::ECS::Service", None),
    ("Other", "UPDATE_IN_PROGRESS", "AWS::SQS::Queue", None)])
def test_nearest_of_kin(logical: str, status: str, kind: str, expected: tuple[float, float] | None) -> None:
    """Another of its type; the same resource made instead of changed; nothing else."""
    found = forecast(LAST, event(logical, status, 0, kind)).window(NOW)
    assert found == (pytest.approx(expected) if expected else None)


def test_a_clock_that_is_wrong_does_not_matter() -> None:
    for ahead in (-300.0, 300.0):
        found = forecast(LAST, event("Service", "UPDATE_IN_PROGRESS", 0), ahead=ahead)
        assert found.window(NOW + ahead + 100) == pytest.approx((-20, 20))


def test_failures_and_what_was_cut_short_say_nothing() -> None:
    failed = [event("Service", "UPDATE_IN_PROGRESS", -300), event("Service", "UPDATE_FAILED", -200)]
    assert forecast(failed, event("Service", "UPDATE_IN_PROGRESS", 0)).window(NOW) is None
    half = [event("Service", "UPDATE_IN_PROGRESS", -9000), event("web", "UPDATE_ROLLBACK_COMPLETE", -8000),
            event("web", "UPDATE_IN_PROGRESS", -100), event("Service", "UPDATE_COMPLETE", -50)]
    assert forecast(half, event("Service", "UPDATE_IN_PROGRESS", 0)).window(NOW) is None


def test_nested_stacks_have_names_of_their_own() -> None:
    earlier = [{**e, "Path": "Inner/"} for e in LAST]
    assert forecast(earlier, event("Service", "UPDATE_IN_PROGRESS", 0, path="Inner/")).window(NOW) is not None
    found = forecast(earlier, event("Service", "UPDATE_IN_PROGRESS", 0, "AWS::SQS::Queue", path="Other/"))
    assert found.window(NOW) is None


def test_nothing_in_progress() -> None:
    assert forecast(LAST).window(NOW) is None
    assert forecast(LAST, event("web", "UPDATE_IN_PROGRESS", 0)).window(NOW) is None
