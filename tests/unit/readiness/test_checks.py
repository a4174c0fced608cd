"""What the answers of AWS mean for a release: a fault with its remedy, a warning, or nothing."""

from __future__ import annotations

from typing import Any

import pytest

from slipway.errors import InvalidInput
from slipway.readiness import checks
from slipway.readiness.capacity import Room, Size
from slipway.readiness.findings import Finding, refuse
from slipway.readiness.state import Stack
from slipway.readiness.task import Secret

ROLE = "arn:aws:iam::123456789012:role/slipway/shop/exec"


@pytest.mark.parametrize(("status", "alone", "fatal", "words"), [
    ("", True, True, "does not exist, so there is no service to release to. Run site.yml first"),
    ("", False, None, ""),
    ("ROLLBACK_COMPLETE", True, True, "its service never came up. Run site.yml"),
    ("ROLLBACK_COMPLETE", False, False, "will be deleted and made anew"),
    ("DELETE_FAILED", False, False, "will be deleted and made anew"),
    ("REVIEW_IN_PROGRESS", False, None, ""),
    ("UPDATE_ROLLBACK_FAILED", True, False, "its rollback will be continued first"),
    ("UPDATE_IN_PROGRESS", True, False, "somebody else works on it"),
    ("UPDATE_ROLLBACK_IN_PROGRESS", False, False, "somebody else works on it"),
    ("CREATE_IN_PROGRESS", True, False, "somebody else works on it"),
    ("UPDATE_COMPLETE", True, None, ""),
    ("UPDATE_ROLLBACK_COMPLETE", True, None, ""),
])
def test_stack(status: str, alone: bool, fatal: bool | None, words: str) -> None:
    found = list(checks.stack("shop-service", Stack(status), alone))
    assert [one.fatal for one in found] == ([] if fatal is None else [fatal])
    assert words in " ".join(map(str, found))


def trust(service: Any, effect: str = "Allow") -> dict[str, Any]:
    return {"AssumeRolePolicyDocument": {"Statement": [
        {"Effect": effect, "Principal": {"Service": service}, "Action": "sts:AssumeRole"}]}}


@pytest.mark.parametrize(("role", "words"), [
    (None, "does not exist, so no task can start"),
    (trust("ec2.amazonaws.com"), "does not let ECS assume it. Allow sts:AssumeRole to ecs-tasks.amazonaws.com"),
    (trust("ecs-tasks.amazonaws.com", "Deny"), "does not let ECS assume it"),
    (trust(["ec2.amazonaws.com", "ecs-tasks.amazonaws.com"]), ""),
    (trust("ecs-tasks.amazonaws.com"), ""),
    ({"AssumeRolePolicyDocument": {"Statement": {"Effect": "Allow", "Principal": "*"}}}, ""),
    ({}, ""),
])
def test_role(role: dict[str, Any] | None, words: str) -> None:
    found = list(checks.role("execution role", ROLE, role, alone=True))
    assert bool(found) == bool(words) and all(words in str(one) and one.fatal for one in found)
    assert not any(one.fatal for one in checks.role("execution role", ROLE, role, alone=False))


def test_what_a_task_definition_names_must_be_there() -> None:
    assert list(checks.log_group("/ecs/shop", True, True)) == []
    (gone,) = checks.log_group("/ecs/shop", False, True)
    assert str(gone).startswith("The log group /ecs/shop of the task definition does not exist") and gone.fatal
    secret = Secret("secretsmanager", "arn:aws:secretsmanager:eu-west-1:1:secret:db-a1b2c3", "eu-west-1")
    assert list(checks.secret(secret, {"Name": "db"}, True)) == []
    (missing,) = checks.secret(secret, None, True)
    assert "The secret arn:aws:secretsmanager:eu-west-1:1:secret:db-a1b2c3" in str(missing) and missing.fatal
    (doomed,) = checks.secret(secret, {"DeletedDate": "2026-11-23"}, True)
    assert "marked for deletion" in str(doomed) and "restore-secret" in doomed.remedy
    (parameter,) = checks.secret(Secret("ssm", "/shop/key"), None, False)
    assert "The parameter /shop/key" in str(parameter) and not parameter.fatal
    (repository,) = checks.repository("shop", None)
    assert "Run site.yml" in repository.remedy and list(checks.repository("shop", {"repositoryName": "shop"})) == []


@pytest.mark.parametrize(("busy", "fatal", "words"), [
    ("wait", False, "This release waits for its end."), ("supersede", False, "It will be asked to stop."),
    ("fail", True, "Wait for its end, or set ecs_release_busy"),
])
def test_another_release(busy: str, fatal: bool, words: str) -> None:
    (found,) = checks.other_release("A release of shop runs since 08:24:33 UTC: ann on build-1", busy)
    assert found.fatal is fatal and words in str(found) and "ann on build-1" in str(found)


TASK = Size(256, 512)
TIGHT, WIDE = Room(128, 4000), Room(2048, 4000)
SCALED = [{"autoScalingGroupProvider": {"managedScaling": {"status": "ENABLED"}}}]


def service(minimum: int = 100, maximum: int = 200, desired: int = 2, running: int = 2) -> dict[str, Any]:
    return {"desiredCount": desired, "runningCount": running, "deploymentConfiguration": {
        "minimumHealthyPercent": minimum, "maximumPercent": maximum}}


@pytest.mark.parametrize(("free", "found", "providers", "limit", "fatal", "words"), [
    pytest.param([TIGHT, WIDE], service(), [], None, None, "", id="room on one of them"),
    pytest.param([TIGHT], service(), [], None, True, "Nothing adds an instance", id="no room, nothing scales"),
    pytest.param([TIGHT], service(), SCALED, 2, False, "which takes minutes", id="no room, another instance will do"),
    pytest.param([TIGHT], service(), SCALED, 1, True, "Raise MaxSize", id="no room, no more instances"),
    pytest.param([TIGHT], service(), SCALED, None, False, "which takes minutes", id="limit unknown"),
    pytest.param([TIGHT], service(minimum=50), [], None, None, "", id="an old task makes room"),
    pytest.param([TIGHT], service(maximum=100, minimum=0), [], None, None, "", id="old ones stop first"),
    pytest.param([], service(running=0), [], None, True, "None of the 0 instances", id="no instance at all"),
    pytest.param([], service(), [], None, None, "", id="tasks run where nothing is listed"),
    pytest.param([TIGHT], service(desired=0, running=0), [], None, None, "", id="nothing is to run"),
])
def test_room(free: list[Room], found: dict[str, Any], providers: list[dict[str, Any]], limit: int | None,
              fatal: bool | None, words: str) -> None:
    said = list(checks.room(free, TASK, found, providers, limit, alone=True))
    assert [one.fatal for one in said] == ([] if fatal is None else [fatal])
    assert words in " ".join(map(str, said))
    assert not any(one.fatal for one in checks.room(free, TASK, found, providers, limit, alone=False))


def test_faults_are_named_together_with_their_remedies() -> None:
    refuse([Finding("stack", "Somebody waits.", fatal=False)])
    with pytest.raises(InvalidInput) as one:
        refuse([Finding("role", "No role.", "Make it."), Finding("stack", "Somebody waits.", fatal=False)])
    assert str(one.value) == "No role. Make it." and len(one.value.details["findings"]) == 2
    with pytest.raises(InvalidInput) as both:
        refuse([Finding("role", "No role.", "Make it."), Finding("secret", "No secret.", "Make that.")])
    assert str(both.value).splitlines() == ["2 things stand in the way of this release:", "- No role. Make it.",
                                            "- No secret. Make that."]
