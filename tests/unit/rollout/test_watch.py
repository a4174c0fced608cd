"""What is said while a rollout goes on: news only, and from this rollout only."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from slipway.rollout.causes import Target
from slipway.rollout.verdict import Verdict
from slipway.rollout.watch import Watch

T0 = datetime(2024, 5, 31, 12, 0, tzinfo=UTC)


def service(running: int, state: str = "IN_PROGRESS", *events: tuple[int, str]) -> dict[str, Any]:
    """web:2 with `running` of two tasks, made at T0, beside web:1 until it is completed; events: seconds, text."""
    new = {"id": "ecs-svc/2", "status": "PRIMARY", "taskDefinition": "web:2", "desiredCount": 2, "pendingCount": 0,
           "runningCount": running, "createdAt": T0, "updatedAt": T0 + timedelta(seconds=99), "rolloutState": state}
    old = {**new, "id": "ecs-svc/1", "status": "ACTIVE", "taskDefinition": "web:1", "runningCount": 2,
           "createdAt": T0 - timedelta(days=1)}
    return {"serviceName": "web", "status": "ACTIVE",
            "deployments": [new] if state == "COMPLETED" else [new, old],
            "events": [{"id": text, "createdAt": T0 + timedelta(seconds=at), "message": text} for at, text in events]}


def texts(watch: Watch) -> list[str]:
    return [text for text, _ in watch.news()]


def test_each_change_is_told_once() -> None:
    watch = Watch("web", "web:2")
    watch.look(service(0, "IN_PROGRESS", (1, "(service web) has started 2 tasks."), (-9, "(service web) before.")))
    assert texts(watch) == ["web: new 0 of 2 running; old 2 running", "web: has started 2 tasks."]
    watch.look(service(0, "IN_PROGRESS", (1, "(service web) has started 2 tasks.")))
    assert texts(watch) == []
    watch.look(service(2))
    assert texts(watch) == ["web: new 2 of 2 running; old 2 running"]


def test_trouble_is_shown_as_such() -> None:
    watch = Watch("web", "web:2")
    watch.look(service(0, "IN_PROGRESS", (1, "(service web) was unable to place a task.")))
    assert dict(watch.news())["web: was unable to place a task."] == "warn"


def test_target_health_is_told_when_it_changes() -> None:
    watch = Watch("web")
    sick = Target("10.0.0.1:80", "unhealthy", "Target.Timeout", "Request timed out")
    assert list(watch.target_news([Target("10.0.0.1:80", "initial", "Elb.RegistrationInProgress")])) == [
        ("web: target 10.0.0.1:80 initial", "info")]
    assert list(watch.target_news([Target("10.0.0.1:80", "initial", "Elb.InitialHealthChecking")])) == []
    assert list(watch.target_news([sick])) == [
        ("web: target 10.0.0.1:80 unhealthy: Target.Timeout (Request timed out)", "warn")]
    assert list(watch.target_news([])) == [("web: target 10.0.0.1:80 gone", "info")]
    assert list(watch.unhealthy.values()) == [sick]


def test_the_time_of_the_rollout_is_by_aws_clock() -> None:
    watch = Watch("web", "web:2")
    done = (42, "(service web) (deployment ecs-svc/2) deployment completed.")
    assert watch.look(service(2, "COMPLETED", done)).verdict is Verdict.COMPLETED
    assert watch.rollout_seconds() == 42.0


def test_since_narrows_the_events() -> None:
    watch = Watch("web", "web:2", since=T0 + timedelta(seconds=5))
    watch.look(service(0, "IN_PROGRESS", (9, "late"), (1, "early")))
    assert [event["message"] for event in watch.events()] == ["late"]
