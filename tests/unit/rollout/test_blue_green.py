"""The verdict on blue/green deployments, of answers in the shape that botocore's service model gives them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import botocore.parsers
import botocore.session
import pytest
from botocore.validate import ParamValidator

from slipway.rollout import blue_green
from slipway.rollout.verdict import Expectation, Verdict, judge
from slipway.rollout.watch import Watch

T0 = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
BASE = "arn:aws:ecs:eu-west-1:123456789012:"
DEFINITIONS = {f"{BASE}service-revision/shop/web/{n}": f"{BASE}task-definition/web:{n}" for n in range(9, 15)}
MODEL = botocore.session.Session().get_service_model("ecs")


def valid(shape: str, value: dict[str, Any]) -> dict[str, Any]:
    """`value`, which must be one that AWS could give."""
    report = ParamValidator().validate(value, MODEL.shape_for(shape))
    assert not report.has_errors(), report.generate_report()
    for name, member in value.items():
        allowed = getattr(MODEL.shape_for(shape).members[name], "enum", None)
        assert not allowed or member in allowed, f"{shape}.{name}: {member}"
    return value


def revision(number: int, running: int = 2, pending: int = 0, traffic: float = 0.0) -> dict[str, Any]:
    return valid("ServiceRevisionSummary", {
        "arn": f"{BASE}service-revision/shop/web/{number}", "requestedTaskCount": 2, "runningTaskCount": running,
        "pendingTaskCount": pending, "requestedProductionTrafficWeight": traffic})


def deployed(number: int, status: str, stage: str = "", running: int = 2, source: int | None = None,
             source_running: int = 2, **more: Any) -> dict[str, Any]:
    """The deployment of revision `number`, made `number` minutes after T0."""
    made = T0 + timedelta(minutes=number)
    return valid("ServiceDeployment", {
        "serviceDeploymentArn": f"{BASE}service-deployment/shop/web/d{number}", "serviceArn": f"{BASE}service/shop/web",
        "createdAt": made, "startedAt": made, "updatedAt": made + timedelta(seconds=30), "status": status,
        "targetServiceRevision": revision(number, running),
        "sourceServiceRevisions": [] if source is None else [revision(source, source_running)],
        "deploymentConfiguration": {"strategy": "BLUE_GREEN", "bakeTimeInMinutes": 5},
        **({"lifecycleStage": stage} if stage else {}), **more})


def service(**more: Any) -> dict[str, Any]:
    return valid("Service", {
        "serviceName": "web", "status": "ACTIVE", "desiredCount": 2, "runningCount": 2, "events": [],
        "deploymentConfiguration": {"strategy": "BLUE_GREEN", "bakeTimeInMinutes": 5, "minimumHealthyPercent": 100,
                                    "maximumPercent": 200},
        # What DescribeServices lists here says nothing of stages, and must not be believed.
        "deployments": [{"id": "ecs-svc/1", "status": "PRIMARY", "taskDefinition": f"{BASE}task-definition/web:12",
                         "rolloutState": "COMPLETED", "createdAt": T0}], **more})


def seen(*found: dict[str, Any]) -> dict[str, Any]:
    return blue_green.as_rolling(service(), found, DEFINITIONS)


WANTED = Expectation(f"{BASE}task-definition/web:12")
BACK: dict[str, Any] = {"rollback": {
    "reason": "Service deployment rolled back because of a hook.", "startedAt": T0,
                     "serviceRevisionArn": f"{BASE}service-revision/shop/web/11"}}
OLD = deployed(11, "SUCCESSFUL")


@pytest.mark.parametrize(("found", "verdict"), [
    pytest.param([deployed(12, "PENDING", running=0, source=11), OLD], Verdict.IN_PROGRESS, id="pending"),
    *[pytest.param([deployed(12, "IN_PROGRESS", stage, source=11), OLD], Verdict.IN_PROGRESS, id=stage.lower())
      for stage in MODEL.shape_for("ServiceDeploymentLifecycleStage").enum],
    pytest.param([deployed(12, "SUCCESSFUL", "CLEAN_UP", source=11, source_running=0), OLD], Verdict.COMPLETED,
                 id="done"),
    pytest.param([deployed(12, "SUCCESSFUL")], Verdict.COMPLETED, id="the first of all"),
    pytest.param([deployed(12, "ROLLBACK_REQUESTED", "BAKE_TIME", source=11), OLD], Verdict.IN_PROGRESS,
                 id="asked back"),
    pytest.param([deployed(12, "ROLLBACK_IN_PROGRESS", source=11, **BACK), OLD], Verdict.IN_PROGRESS,
                 id="on the way back"),
    pytest.param([deployed(12, "ROLLBACK_SUCCESSFUL", source=11, running=0, **BACK), OLD], Verdict.ROLLED_BACK,
                 id="back"),
    pytest.param([deployed(12, "ROLLBACK_SUCCESSFUL", source=11, running=0)], Verdict.ROLLED_BACK,
                 id="back, the one before forgotten"),
    pytest.param([deployed(12, "ROLLBACK_FAILED", source=11, **BACK), OLD], Verdict.FAILED, id="could not go back"),
    pytest.param([deployed(12, "STOPPED", source=11), OLD], Verdict.FAILED, id="stopped half-way"),
    pytest.param([deployed(13, "IN_PROGRESS", "SCALE_UP", source=11), deployed(12, "STOPPED", source=11), OLD],
                 Verdict.SUPERSEDED, id="stopped by a newer one"),
    pytest.param([deployed(13, "SUCCESSFUL", source=12, source_running=0), deployed(12, "SUCCESSFUL")],
                 Verdict.SUPERSEDED, id="a newer one is done"),
    pytest.param([OLD], Verdict.NOT_STARTED, id="still the old one"),
])
def test_verdict(found: list[dict[str, Any]], verdict: Verdict) -> None:
    assert judge(seen(*found), WANTED).verdict is verdict


def test_a_rollback_is_told_with_its_reason_and_where_it_led() -> None:
    judgement = judge(seen(deployed(12, "ROLLBACK_SUCCESSFUL", source=11, running=0, **BACK), OLD), WANTED)
    assert judgement.reason == "Service deployment rolled back because of a hook."
    assert judgement.primary["taskDefinition"].endswith("web:11")


def test_a_first_deployment_that_was_rolled_back_left_nothing() -> None:
    assert judge(seen(deployed(12, "ROLLBACK_SUCCESSFUL", running=0)), WANTED).verdict is Verdict.FAILED


def looks() -> Iterator[dict[str, Any]]:
    for stage, running, old in (("SCALE_UP", 1, 2), ("PRODUCTION_TRAFFIC_SHIFT", 2, 2), ("BAKE_TIME", 2, 2)):
        yield seen(deployed(12, "IN_PROGRESS", stage, running, 11, old), OLD)
    yield seen(deployed(12, "SUCCESSFUL", source=11, source_running=0), OLD)


def test_stages_are_shown_as_they_come_and_the_bake_time_is_waited_for() -> None:
    watch, said, verdicts = Watch("web", WANTED.task_definition), [], []
    for look in looks():
        verdicts.append(watch.look(look).verdict)
        said += [text for text, _ in watch.news()]
    assert said == ["web: starting the new tasks; new 1 of 2 running; old 2 running",
                    "web: moving requests to the new tasks; new 2 of 2 running; old 2 running",
                    "web: baking, old tasks kept; new 2 of 2 running; old 2 running",
                    "web: new 2 of 2 running"]
    assert verdicts == [Verdict.IN_PROGRESS] * 3 + [Verdict.COMPLETED]


def test_a_hook_at_work_is_shown() -> None:
    look = seen(deployed(12, "IN_PROGRESS", "POST_TEST_TRAFFIC_SHIFT", lifecycleHookDetails=[
        valid("DeploymentLifecycleHookDetail", {"status": "IN_PROGRESS"})]))
    assert look["deployments"][0]["stage"] == "testing, a hook is at work"


@pytest.mark.parametrize(("strategy", "status", "applies"), [
    ("BLUE_GREEN", "ACTIVE", True), ("CANARY", "ACTIVE", True), ("ROLLING", "ACTIVE", False),
    ("BLUE_GREEN", "INACTIVE", False),
])
def test_rolling_services_are_taken_as_they_are(strategy: str, status: str, applies: bool) -> None:
    assert blue_green.applies(service(status=status, deploymentConfiguration={"strategy": strategy})) is applies
    assert not blue_green.applies({"status": "ACTIVE", "deploymentConfiguration": {"maximumPercent": 200}})


class Answers:
    """Stands for an Aws: answers from a table, and counts."""

    def __init__(self, found: list[dict[str, Any]]) -> None:
        self.found, self.calls = found, []  # type: ignore[var-annotated]

    def call(self, _service: str, operation: str, /, **arguments: Any) -> dict[str, Any]:
        self.calls.append(operation)
        if operation == "list_service_deployments":
            return {"serviceDeployments": [{"serviceDeploymentArn": one["serviceDeploymentArn"]} for one in self.found]}
        if operation == "describe_service_deployments":
            # In no order that AWS would promise.
            return {"serviceDeployments": list(reversed(self.found))}
        return {"serviceRevisions": [{"serviceRevisionArn": arn, "taskDefinition": DEFINITIONS[arn]}
                                     for arn in arguments["serviceRevisionArns"]]}


def test_a_revision_is_asked_for_once() -> None:
    aws: Any = Answers([deployed(12, "IN_PROGRESS", "SCALE_UP", source=11), OLD])
    revisions = blue_green.Revisions(aws)
    for _ in range(2):
        assert judge(revisions.seen("shop", service()), WANTED).verdict is Verdict.IN_PROGRESS
    assert aws.calls == ["list_service_deployments", "describe_service_deployments", "describe_service_revisions",
                         "list_service_deployments", "describe_service_deployments"]
