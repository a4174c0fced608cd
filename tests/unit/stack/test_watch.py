"""Watching a stack, without AWS: what is asked when, and what is believed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from slipway.aws import cloudformation
from slipway.errors import AwsError, WaitTimeout
from slipway.polling import Deadline
from slipway.progress import Progress
from slipway.stack import waiting
from slipway.stack.pace import Pace
from slipway.stack.waiting import Watch

ARN = "arn:aws:cloudformation:eu-west-1:1:stack/web/1"
INNER = "arn:aws:cloudformation:eu-west-1:1:stack/web-Inner/1"
BEGAN = datetime(2026, 1, 2, 8, 31, 2, tzinfo=UTC)
THROTTLED = AwsError("Rate exceeded", code="Throttling")


def event(logical: str, status: str, kind: str = "AWS::SQS::Queue", arn: str = ARN, physical: str = "p",
          token: str = "", second: int = 5) -> dict[str, Any]:
    return {"EventId": f"{logical}-{status}-{second}", "StackId": arn, "LogicalResourceId": logical,
            "PhysicalResourceId": arn if kind == "stack" else physical, "ResourceStatus": status,
            "ResourceType": "AWS::CloudFormation::Stack" if kind in ("stack", "nested") else kind,
            "ClientRequestToken": token, "Timestamp": BEGAN + timedelta(seconds=second)}


class Cloud:
    """histories: pages of events by stack, newest first; an AwsError in the place of a page is raised once. looks:
    what DescribeStacks answers, the last one for ever. at_look: called then. asked: what was asked, and the pauses.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.histories: dict[str, list[Any]] = {ARN: [[]]}
        self.looks: list[dict[str, Any]] = []
        self.at_look: Callable[[], None] = lambda: None
        self.asked: list[Any] = []
        self.now = 0.0
        monkeypatch.setattr(cloudformation, "stack_events", self._events)
        monkeypatch.setattr(cloudformation, "describe_stack", self._stack)
        monkeypatch.setattr(waiting.time, "sleep", self._sleep)
        monkeypatch.setattr(waiting, "Pace", lambda: Pace(lambda: self.now))

    def watch(self, **more: Any) -> Watch:
        aws: Any = SimpleNamespace(shared=None)
        return Watch(aws, ARN, Progress(None), BEGAN, **more)

    def wait(self, watch: Watch, limit: float = 120) -> dict[str, Any]:
        return watch.wait(Deadline(limit, lambda: self.now), "the update of web")

    def _events(self, _aws: Any, arn: str) -> Iterator[list[dict[str, Any]]]:
        self.asked.append("events")
        pages = self.histories[arn]
        for number, page in enumerate(pages):
            if isinstance(page, AwsError):
                del pages[number]
                raise page
            yield page

    def _stack(self, _aws: Any, _arn: str) -> dict[str, Any]:
        self.asked.append("stack")
        self.at_look()
        return self.looks.pop(0) if len(self.looks) > 1 else self.looks[0]

    def _sleep(self, seconds: float) -> None:
        self.asked.append(seconds)
        self.now += seconds


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch) -> Cloud:
    return Cloud(monkeypatch)


def stack(status: str, updated: int = 0) -> dict[str, Any]:
    return {"StackName": "web", "StackId": ARN, "StackStatus": status,
            "LastUpdatedTime": BEGAN + timedelta(seconds=updated)}


NESTED = event("Inner", "UPDATE_IN_PROGRESS", "nested", physical=INNER, second=1)
FAILURE = event("Db", "UPDATE_FAILED", "AWS::RDS::DBInstance")


def test_events_survive_a_nested_stack_that_cannot_be_asked(cloud: Cloud) -> None:
    cloud.histories = {ARN: [[NESTED]], INNER: [[]]}
    watch = cloud.watch()
    watch.poll()
    cloud.histories = {ARN: [[FAILURE, NESTED]], INNER: [THROTTLED, []]}
    with pytest.raises(AwsError):
        watch.poll()
    assert [e["LogicalResourceId"] for e in watch.poll()] == ["Db"]
    assert watch.poll() == []
    assert len(watch.events) == 2


def test_events_survive_a_second_page_that_cannot_be_asked(cloud: Cloud) -> None:
    cloud.histories = {ARN: [[FAILURE], THROTTLED, [NESTED]], INNER: [[]]}
    watch = cloud.watch()
    with pytest.raises(AwsError):
        watch.poll()
    assert [e["LogicalResourceId"] for e in watch.poll()] == ["Inner", "Db"]


def test_the_last_events_are_waited_for(cloud: Cloud) -> None:
    """What failed in a nested stack, for one, is told after the end of all."""
    ended = event("web", "UPDATE_ROLLBACK_COMPLETE", "stack", second=9)
    cloud.histories = {ARN: [[ended, NESTED]], INNER: [[]]}
    cloud.looks = [stack("UPDATE_ROLLBACK_COMPLETE")]
    late = [THROTTLED, [event("Db", "UPDATE_FAILED", arn=INNER, second=7)]]
    cloud.at_look = lambda: cloud.histories.update({INNER: late})
    watch = cloud.watch()
    cloud.wait(watch)
    assert "Db" in [e["LogicalResourceId"] for e in watch.events]


def test_the_first_question_comes_within_half_a_second(cloud: Cloud) -> None:
    cloud.histories = {ARN: [[event("web", "UPDATE_COMPLETE", "stack")]]}
    cloud.looks = [stack("UPDATE_COMPLETE")]
    cloud.wait(cloud.watch())
    assert cloud.asked[1] == "events"
    assert 0 < cloud.asked[0] <= 0.5


BEFORE = stack("UPDATE_COMPLETE")


@pytest.mark.parametrize(("before", "looks"), [
    pytest.param(BEFORE, [BEFORE, stack("UPDATE_COMPLETE", 9)], id="as it was, then updated"),
    pytest.param(BEFORE, [BEFORE, stack("UPDATE_ROLLBACK_COMPLETE")], id="as it was, then rolled back"),
    pytest.param(BEFORE, [stack("UPDATE_IN_PROGRESS", 9), stack("UPDATE_COMPLETE", 9)], id="in progress"),
    pytest.param(None, [stack("REVIEW_IN_PROGRESS"), stack("CREATE_COMPLETE")], id="not created yet"),
    pytest.param(stack("DELETE_FAILED"), [stack("DELETE_FAILED"), stack("DELETE_COMPLETE")], id="not deleted yet"),
])
def test_what_was_before_is_not_taken_for_the_end(cloud: Cloud, before: Any, looks: list[dict[str, Any]]) -> None:
    """No event tells, so the stack itself is asked, which may not know yet."""
    cloud.looks = list(looks)
    assert cloud.wait(cloud.watch(token="t", before=before)) == looks[-1]
    assert cloud.asked.count("stack") == 2


def test_events_of_others_are_not_taken_for_ours(cloud: Cloud) -> None:
    cloud.histories = {ARN: [[event("web", "UPDATE_COMPLETE", "stack", token="theirs")]]}
    cloud.looks = [BEFORE]
    with pytest.raises(WaitTimeout):
        cloud.wait(cloud.watch(token="ours", before=BEFORE))
    cloud.histories = {ARN: [[event("web", "UPDATE_COMPLETE", "stack", token="ours")]]}
    assert cloud.wait(cloud.watch(token="ours", before=BEFORE)) == BEFORE


@pytest.mark.parametrize("answers", [[True], [False, True]])
def test_the_change_set_is_asked_in_doubt(cloud: Cloud, answers: list[bool]) -> None:
    cloud.looks = [BEFORE]
    given = iter(answers)
    finished: Callable[[], bool] = lambda: next(given)  # noqa: E731
    assert cloud.wait(cloud.watch(token="t", before=BEFORE, finished=finished)) == BEFORE
    assert next(given, None) is None


def test_the_change_set_is_not_asked_where_an_event_told(cloud: Cloud) -> None:
    cloud.histories = {ARN: [[event("web", "UPDATE_COMPLETE", "stack", token="t")]]}
    cloud.looks = [BEFORE]
    cloud.wait(cloud.watch(token="t", before=BEFORE, finished=lambda: pytest.fail("asked")))


@pytest.mark.parametrize(("token", "open_"), [("", ["Queue (AWS::SQS::Queue)"]), ("ours", [])])
def test_what_others_began_before_we_came_is_open(cloud: Cloud, token: str, open_: list[str]) -> None:
    cloud.histories = {ARN: [[
        event("Queue", "UPDATE_IN_PROGRESS", second=-1), event("Db", "UPDATE_COMPLETE", second=-2),
        event("web", "UPDATE_ROLLBACK_IN_PROGRESS", "stack", second=-3), event("Db", "UPDATE_IN_PROGRESS", second=-4),
        event("web", "UPDATE_IN_PROGRESS", "stack", second=-5), event("Old", "CREATE_IN_PROGRESS", second=-6)]]}
    watch = cloud.watch(token=token)
    assert watch.poll() == []
    assert watch.unfinished() == open_
