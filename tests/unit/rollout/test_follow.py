"""The wait itself: what it bears, when it gives up, and what it says."""

from __future__ import annotations

import os
import signal
from datetime import UTC, datetime
from typing import Any

import pytest

from slipway.changes import UNKNOWN
from slipway.errors import AwsError, Interrupted, InvalidInput, SlipwayError, WaitTimeout
from slipway.progress import Progress
from slipway.rollout.follow import Request, follow
from tests.loopback import answering

T0 = datetime(2024, 5, 31, 12, 0, tzinfo=UTC)
PARAMS = {"cluster": "shop", "service": "web", "wait_timeout": 30.0, "url_timeout": 0.0}


def services(state: str, running: int = 1, task_definition: str = "web:2") -> dict[str, Any]:
    """DescribeServices' answer with one deployment."""
    return {"services": [{"serviceName": "web", "status": "ACTIVE", "events": [], "deployments": [
        {"id": "ecs-svc/2", "status": "PRIMARY", "taskDefinition": task_definition, "desiredCount": 1,
         "runningCount": running, "pendingCount": 0, "createdAt": T0, "updatedAt": T0, "rolloutState": state}]}]}


class FakeAws:
    """Gives its answers to DescribeServices one by one, the last for ever; other calls are denied."""

    region = "eu-central-1"
    retries = 0
    shared = None

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.polls = 0

    def call(self, service: str, operation: str, region: str | None = None, **arguments: Any) -> Any:
        if operation != "describe_services":
            raise AwsError(f"{service} {operation}: not allowed", code="AccessDeniedException")
        self.polls += 1
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    def api_calls(self) -> dict[str, int]:
        return {"ecs.DescribeServices": self.polls}


def run(aws: Any, check_mode: bool = False, **params: Any) -> dict[str, Any]:
    return follow(aws, Request.of({**PARAMS, **params}), Progress(), check_mode, lambda seconds: None)


def test_it_asks_until_the_end() -> None:
    aws = FakeAws(services("IN_PROGRESS", 0), services("IN_PROGRESS"), services("COMPLETED"))
    result = run(aws, task_definition="web:2")
    assert (result["verdict"], aws.polls) == ("completed", 3)
    assert result["msg"] == "web:2 is rolled out on service web (cluster shop, eu-central-1): 1 of 1 tasks running."


def test_calls_without_an_answer_are_borne() -> None:
    blip, throttled = AwsError("AWS does not answer"), AwsError("slow down", code="ThrottlingException")
    aws = FakeAws(services("IN_PROGRESS"), blip, throttled, services("COMPLETED"))
    assert run(aws)["verdict"] == "completed"


def test_calls_without_an_answer_are_not_borne_for_ever() -> None:
    with pytest.raises(AwsError, match="AWS does not answer"):
        run(FakeAws(services("IN_PROGRESS"), AwsError("AWS does not answer")))


@pytest.mark.parametrize("answers", [
    [AwsError("AWS does not answer")],
    [services("IN_PROGRESS"), AwsError("no", code="AccessDeniedException")],
])
def test_what_will_not_get_better_is_an_error_at_once(answers: list[Any]) -> None:
    aws = FakeAws(*answers)
    with pytest.raises(AwsError):
        run(aws)
    assert aws.polls == len(answers)


def test_out_of_time_names_the_state_and_stays_true_without_evidence() -> None:
    with pytest.raises(WaitTimeout) as caught:
        run(FakeAws(services("IN_PROGRESS", 0)), wait_timeout=0.05)
    assert caught.value.message.startswith("The rollout of web:2 on service web (cluster shop, eu-central-1) is not "
                                           "done after 0.05 s: new 0 of 1 running.")
    assert caught.value.details["verdict"] == "timed_out"
    assert "could not read stopped tasks" in caught.value.details["diagnosis"]["evidence"][0]


def test_a_page_that_is_not_as_expected_leaves_the_new_version_live_and_says_the_way_back() -> None:
    with answering(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\ntag 7") as url:
        assert run(FakeAws(services("COMPLETED")), url=url, url_contains="tag 7")["verdict"] == "completed"
        with pytest.raises(SlipwayError) as caught:
            run(FakeAws(services("COMPLETED")), url=url, url_contains="tag 8")
    assert caught.value.details["verdict"] == "no_answer"
    assert "its page does not contain 'tag 8'. The new version stays live." in caught.value.message
    assert "playbooks/rollback.yml goes back to the last good release" in caught.value.remedy


def test_the_certificates_of_aws_and_of_the_page_are_two_things() -> None:
    assert Request.of({**PARAMS, "validate_certs": False}).url_validate_certs
    assert not Request.of({**PARAMS, "validate_certs": True, "url_validate_certs": False}).url_validate_certs


def test_a_cluster_that_does_not_exist_is_no_stack_trace() -> None:
    with pytest.raises(SlipwayError, match="There is no service web"):
        run(FakeAws(AwsError("Cluster not found.", code="ClusterNotFoundException")))


def test_a_stop_signal_says_that_the_rollout_goes_on() -> None:
    def stop(_seconds: float) -> None:
        os.kill(os.getpid(), signal.SIGTERM)

    aws: Any = FakeAws(services("IN_PROGRESS"))
    with pytest.raises(Interrupted, match="Interrupted by SIGTERM. Nothing was changed"):
        follow(aws, Request.of(PARAMS), Progress(), False, stop)


@pytest.mark.parametrize("params", [{"cluster": UNKNOWN}, {"service": UNKNOWN}, {"task_definition": UNKNOWN}])
def test_check_mode_asks_nothing_about_what_is_not_there(params: dict[str, str]) -> None:
    aws = FakeAws(services("COMPLETED"))
    result = run(aws, check_mode=True, url=f"http://{UNKNOWN}", **params)
    assert (result["verdict"], aws.polls) == (None, 0)
    assert result["msg"].startswith("Would await the rollout of ")


def test_check_mode_fails_no_rollout() -> None:
    result = run(FakeAws(services("FAILED")), check_mode=True)
    assert (result["verdict"], result["changed"]) == ("failed", False)


@pytest.mark.parametrize(("params", "message"), [
    ({"url": "shop.example.com"}, "url 'shop.example.com' is no http or https address."),
    ({"since": "noon"}, "since 'noon' is no ISO 8601 time."),
])
def test_bad_values(params: dict[str, str], message: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        Request.of({**PARAMS, **params})
    assert caught.value.message == message


def test_a_time_without_an_offset_is_utc() -> None:
    assert Request.of({**PARAMS, "since": "2024-05-31T12:00:00"}).since == T0
