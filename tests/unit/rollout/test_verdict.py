"""The verdict on one deployment, as tables of what DescribeServices may say."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from slipway.rollout.verdict import Expectation, Verdict, judge, pin, same_task_definition

ARN = "arn:aws:ecs:eu-central-1:123456789012:task-definition/"
T0 = datetime(2024, 5, 31, 12, 0, tzinfo=UTC)


def deployment(number: int, status: str = "PRIMARY", state: str | None = "COMPLETED", *, made: int | None = None,
               running: int = 2, pending: int = 0, reason: str = "") -> dict[str, Any]:
    """Deployment `number` of task definition web:number, made `made` (else `number`) minutes after T0."""
    found = {"id": f"ecs-svc/{number}", "status": status, "taskDefinition": f"{ARN}web:{number}", "desiredCount": 2,
             "runningCount": running, "pendingCount": pending, "rolloutStateReason": reason,
             "createdAt": T0 + timedelta(minutes=number if made is None else made)}
    return found if state is None else {**found, "rolloutState": state}


def service(*deployments: dict[str, Any], status: str = "ACTIVE", events: tuple[tuple[int, str], ...] = ()) -> Any:
    """A service with these deployments and (minutes after T0, text) events, newest first."""
    return {"serviceName": "web", "status": status, "deployments": list(deployments),
            "events": [{"id": text, "createdAt": T0 + timedelta(minutes=at), "message": text} for at, text in events]}


OLD = deployment(11, "ACTIVE")
OLD_AGAIN = deployment(11, "PRIMARY", "IN_PROGRESS")
WANTED = Expectation(f"{ARN}web:12")
SEEN = Expectation(f"{ARN}web:12", "ecs-svc/12", T0 + timedelta(minutes=12), frozenset({f"{ARN}web:11"}))


@pytest.mark.parametrize(("found", "expected", "verdict"), [
    pytest.param(None, WANTED, Verdict.MISSING, id="no such service"),
    pytest.param(service(status="INACTIVE"), WANTED, Verdict.INACTIVE, id="deleted"),
    pytest.param(service(deployment(12), status="DRAINING"), WANTED, Verdict.INACTIVE, id="being deleted"),
    pytest.param(service(), WANTED, Verdict.NOT_STARTED, id="no deployments yet"),
    pytest.param(service(deployment(11)), WANTED, Verdict.NOT_STARTED, id="still the old one"),
    pytest.param(service(deployment(13)), WANTED, Verdict.SUPERSEDED, id="a later revision before the first look"),
    pytest.param(service(deployment(12, state="IN_PROGRESS"), OLD), WANTED, Verdict.IN_PROGRESS, id="rolling"),
    pytest.param(service(deployment(12)), WANTED, Verdict.COMPLETED, id="completed"),
    pytest.param(service(deployment(12), OLD), WANTED, Verdict.COMPLETED, id="completed while the old one drains"),
    pytest.param(service(deployment(12)), Expectation("web:12"), Verdict.COMPLETED, id="named family:revision"),
    pytest.param(service(deployment(12, state="FAILED"), OLD), WANTED, Verdict.FAILED, id="failed, no rollback"),
    pytest.param(service(OLD_AGAIN, deployment(12, "ACTIVE", "FAILED")), WANTED, Verdict.ROLLED_BACK,
                 id="breaker: the old deployment is primary again"),
    pytest.param(service(deployment(11, made=14), deployment(12, "ACTIVE", "FAILED")), WANTED, Verdict.ROLLED_BACK,
                 id="breaker: a new deployment of the old definition"),
    pytest.param(service(deployment(13), deployment(12, "ACTIVE", "IN_PROGRESS")), SEEN, Verdict.SUPERSEDED,
                 id="another release came while this one rolled"),
    pytest.param(service(deployment(13)), SEEN, Verdict.SUPERSEDED, id="superseded and gone"),
    pytest.param(service(deployment(11)), SEEN, Verdict.ROLLED_BACK, id="rolled back and gone"),
    pytest.param(service(deployment(11, made=14)), SEEN, Verdict.ROLLED_BACK, id="rolled back by a new deployment"),
    pytest.param(service(deployment(10, made=14), events=((13, "(service web) rolling back to deployment x."),)), SEEN,
                 Verdict.ROLLED_BACK, id="rolled back, said by an event alone"),
    pytest.param(service(deployment(13), events=((2, "(service web) rolling back to deployment x."),)), SEEN,
                 Verdict.SUPERSEDED, id="an old rollback's event is not this one's"),
    pytest.param(service({**deployment(12, made=15), "id": "ecs-svc/99"}), SEEN, Verdict.COMPLETED,
                 id="redeployed with the same definition"),
    pytest.param(service({**deployment(12, made=1), "id": "ecs-svc/1"}, deployment(12, "ACTIVE", "FAILED")), SEEN,
                 Verdict.ROLLED_BACK, id="a forced redeployment failed: same definition, older deployment"),
    pytest.param(service(deployment(12)), Expectation(), Verdict.COMPLETED, id="nothing expected: the latest"),
    pytest.param(service(OLD_AGAIN, deployment(12, "ACTIVE", "FAILED")), Expectation(), Verdict.ROLLED_BACK,
                 id="nothing expected: a rollback is no success"),
    pytest.param(service(deployment(11, made=14), deployment(12, "ACTIVE", "FAILED"),
                         events=((14, "(service web) rolling back to deployment ecs-svc/11."),)),
                 Expectation(), Verdict.ROLLED_BACK, id="nothing expected: rollback as a new deployment"),
    pytest.param(service(deployment(13), deployment(12, "ACTIVE", "FAILED")), Expectation(), Verdict.COMPLETED,
                 id="nothing expected: an earlier failure is past"),
    pytest.param(service(deployment(12, state=None)), WANTED, Verdict.COMPLETED, id="no rolloutState, steady"),
    pytest.param(service(deployment(12, state=None), OLD), WANTED, Verdict.IN_PROGRESS, id="no rolloutState, two left"),
    pytest.param(service(deployment(12, state=None, running=1)), WANTED, Verdict.IN_PROGRESS,
                 id="no rolloutState, one short"),
])
def test_verdict(found: Any, expected: Expectation, verdict: Verdict) -> None:
    assert judge(found, expected).verdict is verdict


def test_reason_is_aws_own() -> None:
    failed = deployment(12, "ACTIVE", "FAILED", reason="ECS deployment circuit breaker: tasks failed to start.")
    judgement = judge(service(OLD_AGAIN, failed), WANTED)
    assert judgement.reason == "ECS deployment circuit breaker: tasks failed to start."
    assert judgement.primary["taskDefinition"].endswith("web:11")


def test_the_deployment_is_followed_by_id_once_seen() -> None:
    first = service(deployment(12, state="IN_PROGRESS"), OLD)
    bound = pin(WANTED, first, judge(first, WANTED).deployment)
    assert (bound.deployment_id, bound.created) == ("ecs-svc/12", T0 + timedelta(minutes=12))
    assert bound.previous == {f"{ARN}web:11"}


@pytest.mark.parametrize(("one", "other", "same"), [
    (f"{ARN}web:12", f"{ARN}web:12", True),
    (f"{ARN}web:12", "web:12", True),
    (f"{ARN}web:12", f"{ARN.replace('123456789012', '210987654321')}web:12", False),
    ("web:1", "web:12", False),
])
def test_same_task_definition(one: str, other: str, same: bool) -> None:
    assert same_task_definition(one, other) is same


def test_only_waiting_verdicts_are_not_final() -> None:
    assert {v for v in Verdict if not v.final} == {Verdict.IN_PROGRESS, Verdict.NOT_STARTED}
