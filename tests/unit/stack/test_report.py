from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from slipway.errors import AwsError, Interrupted
from slipway.progress import Phases
from slipway.rollout import diagnosis
from slipway.stack import report

SERVICE = {"EventId": "e1", "StackId": "a",
           "LogicalResourceId": "Service", "Path": "", "ResourceType": "AWS::ECS::Service",
           "PhysicalResourceId": "arn:aws:ecs:eu-west-1:1:service/slipway/web", "ResourceStatus": "UPDATE_FAILED",
           "ResourceStatusReason": "ECS Deployment Circuit Breaker was triggered", "Timestamp": datetime.now(UTC)}
AWS: Any = SimpleNamespace(api_calls=dict, retries=0)


def test_an_ecs_service_is_asked_why(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, str, datetime]] = []

    def diagnose(_aws: Any, cluster: str, service: str, since: datetime) -> diagnosis.Diagnosis:
        asked.append((cluster, service, since))
        return diagnosis.Diagnosis("The container app exits with code 1.", ["app: no such file"])

    monkeypatch.setattr(diagnosis, "diagnose", diagnose)
    began = datetime(2026, 1, 1, tzinfo=UTC)
    why = report.explain(AWS, SERVICE, began)
    assert asked == [("slipway", "web", began)]
    error = report.failure(AWS, "web", "update", {"StackStatus": "UPDATE_ROLLBACK_COMPLETE"}, [SERVICE], Phases(),
                           {"e1": why})
    assert error.message.startswith("Service (AWS::ECS::Service): The container app exits with code 1.")
    assert error.details["evidence"] == ["CloudFormation: ECS Deployment Circuit Breaker was triggered",
                                         "app: no such file"]


def test_cloudformations_reason_stays_where_ecs_cannot_be_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    def diagnose(*_: Any) -> diagnosis.Diagnosis:
        raise AwsError("denied", code="AccessDenied")

    monkeypatch.setattr(diagnosis, "diagnose", diagnose)
    assert report.explain(AWS, SERVICE, datetime.now(UTC)) is None
    error = report.failure(AWS, "web", "update", {"StackStatus": "UPDATE_ROLLBACK_COMPLETE"}, [SERVICE], Phases())
    assert error.message.startswith("Service (AWS::ECS::Service): ECS Deployment Circuit Breaker was triggered.")
    assert error.details["failed_events"][0]["logical_id"] == "Service"


def test_an_interruption_is_not_taken_for_a_refusal(monkeypatch: pytest.MonkeyPatch) -> None:
    def diagnose(*_: Any) -> diagnosis.Diagnosis:
        raise Interrupted("Interrupted by SIGINT.")

    monkeypatch.setattr(diagnosis, "diagnose", diagnose)
    with pytest.raises(Interrupted):
        report.explain(AWS, SERVICE, datetime.now(UTC))


BREAKER = ("Resource handler returned message: \"Error occurred during operation 'ECS Deployment Circuit Breaker was "
           "triggered'.\" (HandlerErrorCode: GeneralServiceException)")
INVALID = "Resource handler returned message: \"Invalid request\" (HandlerErrorCode: InvalidRequest)"
CRASH = diagnosis.Diagnosis("Container web crashes on start.", kind="crash")


@pytest.mark.parametrize(("status", "change", "why", "verdict"), [
    ("UPDATE_ROLLBACK_COMPLETE", {"ResourceStatusReason": BREAKER}, None, "rolled_back"),
    ("UPDATE_ROLLBACK_COMPLETE", {"ResourceStatusReason": "Service arn:x did not stabilize."}, None, "rolled_back"),
    # Whatever CloudFormation says: there are tasks that failed.
    ("UPDATE_ROLLBACK_COMPLETE", {"ResourceStatusReason": "Failed"}, CRASH, "rolled_back"),
    ("UPDATE_ROLLBACK_COMPLETE", {"ResourceStatusReason": "ECS deployment was superseded by another one"}, None,
     "superseded"),
    # Refused, so that nothing was rolled out.
    ("UPDATE_ROLLBACK_COMPLETE", {"ResourceStatusReason": INVALID}, diagnosis.Diagnosis("?"), "stack_failed"),
    ("UPDATE_ROLLBACK_COMPLETE", {"ResourceStatusReason": "not authorized to perform: ecs:UpdateService"}, None,
     "stack_failed"),
    ("UPDATE_ROLLBACK_COMPLETE", {"ResourceType": "AWS::IAM::Role", "ResourceStatusReason": BREAKER}, None,
     "stack_failed"),
    ("UPDATE_ROLLBACK_FAILED", {"ResourceStatusReason": BREAKER}, CRASH, "stack_failed"),
    ("ROLLBACK_COMPLETE", {"ResourceStatusReason": BREAKER}, CRASH, "stack_failed"),
])
def test_a_failure_has_the_name_of_what_happened(status: str, change: dict[str, str], why: Any, verdict: str) -> None:
    error = report.failure(AWS, "web", "update", {"StackStatus": status}, [{**SERVICE, **change}], Phases(),
                           {"e1": why} if why else None)
    assert error.details["verdict"] == verdict
    assert error.details["cause_kind"] == (why.kind if why else "")


def test_a_failure_without_any_event_is_the_stacks() -> None:
    error = report.failure(AWS, "web", "update", {"StackStatus": "UPDATE_ROLLBACK_COMPLETE"}, [], Phases())
    assert error.details["verdict"] == "stack_failed"


@pytest.mark.parametrize("event", [
    {**SERVICE, "ResourceType": "AWS::EC2::VPC"}, {**SERVICE, "PhysicalResourceId": ""}])
def test_other_resources_explain_nothing(event: dict[str, Any]) -> None:
    assert report.explain(AWS, event, datetime.now(UTC)) is None


@pytest.mark.parametrize("status", ["ROLLBACK_COMPLETE", "UPDATE_ROLLBACK_COMPLETE", "UPDATE_ROLLBACK_FAILED",
                                    "DELETE_FAILED"])
def test_every_bad_end_has_a_remedy(status: str) -> None:
    assert report.remedy(status)
