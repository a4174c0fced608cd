"""Evidence from few calls, and none lost because another could not be read."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from slipway.errors import AwsError
from slipway.rollout.diagnosis import diagnose

T0 = datetime(2024, 5, 31, 12, 0, tzinfo=UTC)
GROUP = "arn:aws:elasticloadbalancing:eu-central-1:1:targetgroup/shop/73e2"
DEFINITION = "arn:aws:ecs:eu-central-1:1:task-definition/web:12"
ANSWERS: dict[str, Any] = {
    "describe_services": {"services": [{
        "serviceName": "web", "loadBalancers": [{"targetGroupArn": GROUP, "containerPort": 8080}], "deployments": [],
        "events": [{"id": "2", "createdAt": T0 + timedelta(seconds=5),
                    "message": f"(service web) (task 1) failed ELB health checks in (target-group {GROUP})."},
                   {"id": "1", "createdAt": T0 - timedelta(hours=1), "message": "(service web) long ago."}]}]},
    "list_tasks": {"taskArns": ["arn:aws:ecs:eu-central-1:1:task/shop/abc"]},
    "describe_tasks": {"tasks": [
        {"taskArn": "arn:aws:ecs:eu-central-1:1:task/shop/abc", "group": "service:web", "taskDefinitionArn": DEFINITION,
         "stopCode": "EssentialContainerExited", "stoppedReason": "Essential container in task exited",
         "stoppedAt": T0 + timedelta(seconds=4), "containers": [{"name": "web", "exitCode": 1}]},
        {"taskArn": "arn:aws:ecs:eu-central-1:1:task/shop/old", "group": "service:web", "taskDefinitionArn": DEFINITION,
         "stopCode": "ServiceSchedulerInitiated", "stoppedAt": T0 + timedelta(seconds=4), "containers": [],
         "stoppedReason": "Scaling activity initiated by (deployment ecs-svc/1)"}]},
    "describe_task_definition": {"taskDefinition": {"containerDefinitions": [{
        "name": "web", "image": "shop:12", "memory": 128, "logConfiguration": {"logDriver": "awslogs", "options": {
            "awslogs-group": "/ecs/web", "awslogs-stream-prefix": "p", "awslogs-region": "eu-central-1"}}}]}},
    "get_log_events": {"events": [{"message": "\x1b[31mFatal\x1b[0m: no\x07database\n"}]},
    "describe_target_health": {"TargetHealthDescriptions": [{
        "Target": {"Id": "10.0.0.1", "Port": 8080},
        "TargetHealth": {"State": "unhealthy", "Reason": "Target.Timeout", "Description": "Request timed out"}}]},
    "describe_target_groups": {"TargetGroups": [{"HealthCheckPath": "/up", "Matcher": {"HttpCode": "200"}}]},
}


class FakeAws:
    """Answers from the table; `refused` operations are denied."""

    def __init__(self, *refused: str) -> None:
        self.refused = refused
        self.asked: list[tuple[str, dict[str, Any]]] = []

    def call(self, service: str, operation: str, region: str | None = None, **arguments: Any) -> Any:
        self.asked.append((operation, arguments))
        if operation in self.refused:
            raise AwsError(f"{service} {operation}: not allowed", code="AccessDeniedException")
        return ANSWERS[operation]


def test_the_cause_and_its_evidence() -> None:
    aws: Any = FakeAws()
    found = diagnose(aws, "shop", "arn:aws:ecs:eu-central-1:1:service/shop/web", T0)
    assert found.cause == ("Container web crashes on start: exit code 1. Its log says: 'Fatal: no database'. Run the "
                           "image by hand with the environment of the task definition, and correct what it reports.")
    assert found.evidence == [
        "task abc stopped: Essential container in task exited [EssentialContainerExited]",
        "container web: exit code 1",
        "log of web: Fatal: no database",
        "target 10.0.0.1:8080 unhealthy: Target.Timeout (Request timed out)",
        (f"event {(T0 + timedelta(seconds=5)).astimezone():%H:%M:%S}: (task 1) failed ELB health checks in "
        "(target-group shop)."),
    ]
    assert [operation for operation, _ in aws.asked] == [
        "describe_services", "list_tasks", "describe_tasks", "describe_task_definition", "get_log_events",
        "describe_target_health", "describe_target_groups"]
    assert aws.asked[4][1]["logStreamName"] == "p/web/abc"


@pytest.mark.parametrize("operation", sorted(ANSWERS))
def test_what_cannot_be_read_is_said_and_the_rest_is_shown(operation: str) -> None:
    aws: Any = FakeAws(operation)
    found = diagnose(aws, "shop", "web", T0)
    assert any(line.startswith("could not read") and "not allowed" in line for line in found.evidence)
    assert len(found.evidence) > 1
    assert found.cause


def test_nothing_readable_is_no_crash() -> None:
    aws: Any = FakeAws(*ANSWERS)
    found = diagnose(aws, "shop", "web", T0)
    assert found.kind == "unknown"
    assert len(found.evidence) == 2


def test_a_clock_that_is_ahead_loses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    service = {**ANSWERS["describe_services"]["services"][0],
               "deployments": [{"id": "x", "rolloutState": "FAILED", "createdAt": T0}]}
    monkeypatch.setitem(ANSWERS, "describe_services", {"services": [service]})
    aws: Any = FakeAws()
    assert diagnose(aws, "shop", "web", T0 + timedelta(hours=1)).kind == "crash"


def test_what_failed_before_is_left_out() -> None:
    aws: Any = FakeAws()
    found = diagnose(aws, "shop", "web", T0 + timedelta(seconds=30))
    assert not any(line.startswith(("task", "event")) for line in found.evidence)


def test_a_deleted_service_is_looked_up_by_its_cluster() -> None:
    class Deleted(FakeAws):
        def call(self, service: str, operation: str, region: str | None = None, **arguments: Any) -> Any:
            if operation == "describe_services":
                return {"services": []}
            if operation == "list_tasks" and "serviceName" in arguments:
                raise AwsError("gone", code="ServiceNotFoundException")
            return super().call(service, operation, region, **arguments)

    aws: Any = Deleted()
    assert diagnose(aws, "shop", "web", T0).kind == "crash"
