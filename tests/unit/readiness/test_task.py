"""What a task definition needs, and how many of its tasks an instance takes. Shapes as AWS gives them."""

from __future__ import annotations

from typing import Any

import pytest

from slipway.readiness import capacity, task
from slipway.readiness.capacity import Room, Size, Steps
from slipway.readiness.task import Secret

DB = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:shop/db-a1b2c3"


def container(**more: Any) -> dict[str, Any]:
    return {"name": "web", "image": "shop:1", **more}


def awslogs(**options: str) -> dict[str, Any]:
    return {"logConfiguration": {"logDriver": "awslogs", "options": {f"awslogs-{k.replace('_', '-')}": v
                                                                   for k, v in options.items()}}}


def test_roles_groups_and_secrets_are_collected_once() -> None:
    found = task.needs({
        "executionRoleArn": "arn:aws:iam::1:role/slipway/shop/exec", "taskRoleArn": "arn:aws:iam::1:role/app",
        "containerDefinitions": [
            container(**awslogs(group="/ecs/shop", region="eu-west-1"), secrets=[
                {"name": "DB", "valueFrom": f"{DB}:password::"}, {"name": "USER", "valueFrom": f"{DB}:user::"},
                {"name": "KEY", "valueFrom": "/shop/key"}]),
            container(**awslogs(group="/ecs/shop", region="eu-west-1")),
            container(**awslogs(group="/ecs/other", create_group="true")),
            container(logConfiguration={"logDriver": "splunk", "options": {}, "secretOptions": [
                {"name": "token", "valueFrom": "arn:aws:ssm:us-east-1:1:parameter/splunk/token"}]},
                repositoryCredentials={"credentialsParameter": "arn:aws:secretsmanager:eu-west-1:1:secret:hub-x"})]})
    assert found.roles == {"execution role": "arn:aws:iam::1:role/slipway/shop/exec",
                           "task role": "arn:aws:iam::1:role/app"}
    assert found.log_groups == [("/ecs/shop", "eu-west-1")]
    assert found.secrets == [Secret("secretsmanager", DB, "eu-west-1"), Secret("ssm", "/shop/key"),
                             Secret("ssm", "/splunk/token", "us-east-1"),
                             Secret("secretsmanager", "arn:aws:secretsmanager:eu-west-1:1:secret:hub-x", "eu-west-1")]


def test_a_plain_task_needs_nothing() -> None:
    assert task.needs({"containerDefinitions": [container()]}) == task.Needs()


@pytest.mark.parametrize(("value_from", "secret"), [
    ("key", Secret("ssm", "key")),
    ("arn:aws:ssm:eu-west-1:1:parameter/key", Secret("ssm", "key", "eu-west-1")),
    ("arn:aws:ssm:eu-west-1:1:parameter/a/b", Secret("ssm", "/a/b", "eu-west-1")),
    (f"{DB}:key:AWSCURRENT:", Secret("secretsmanager", DB, "eu-west-1")),
    (DB, Secret("secretsmanager", DB, "eu-west-1")),
])
def test_a_secret_by_each_of_its_names(value_from: str, secret: Secret) -> None:
    definition = {"containerDefinitions": [container(secrets=[{"name": "X", "valueFrom": value_from}])]}
    assert task.needs(definition).secrets == [secret]


@pytest.mark.parametrize(("definition", "size"), [
    ({"cpu": "256", "memory": "512", "containerDefinitions": [container(cpu=10, memory=20)]}, Size(256, 512)),
    ({"containerDefinitions": [container(cpu=10, memory=20), container(cpu=5, memoryReservation=7, memory=30)]},
     Size(15, 27)),
    ({"networkMode": "bridge", "containerDefinitions": [container(portMappings=[
        {"containerPort": 80, "hostPort": 0}, {"containerPort": 81, "hostPort": 8081}])]},
     Size(0, 0, frozenset({8081}))),
    ({"networkMode": "awsvpc", "containerDefinitions": [container(portMappings=[
        {"containerPort": 80, "hostPort": 80}])]}, Size()),
])
def test_size(definition: dict[str, Any], size: Size) -> None:
    assert capacity.size(definition) == size


def instance(cpu: int, memory: int, ports: tuple[str, ...] = ("22", "2375"), **more: Any) -> dict[str, Any]:
    return {"status": "ACTIVE", "agentConnected": True, "remainingResources": [
        {"name": "CPU", "type": "INTEGER", "integerValue": cpu},
        {"name": "MEMORY", "type": "INTEGER", "integerValue": memory},
        {"name": "PORTS", "type": "STRINGSET", "stringSetValue": list(ports)},
        {"name": "PORTS_UDP", "type": "STRINGSET", "stringSetValue": []}], **more}


@pytest.mark.parametrize(("instances", "size", "count"), [
    ([instance(1024, 1024)], Size(256, 512), 2),
    ([instance(1024, 1024), instance(300, 2000)], Size(256, 512), 3),
    ([instance(100, 4000)], Size(256, 512), 0),
    ([instance(4096, 100)], Size(256, 512), 0),
    ([instance(4096, 4000, ("22", "8080"))], Size(256, 512, frozenset({8080})), 0),
    ([instance(4096, 4000)], Size(256, 512, frozenset({8080})), 1),
    ([instance(4096, 4000, agentConnected=False)], Size(256, 512), 0),
    ([instance(4096, 4000, status="DRAINING")], Size(256, 512), 0),
    ([instance(0, 4000)], Size(0, 512), 7),
    ([], Size(256, 512), 0),
])
def test_fitting(instances: list[dict[str, Any]], size: Size, count: int) -> None:
    assert capacity.fitting(capacity.rooms(instances), size) == count


def test_no_room_at_all() -> None:
    assert capacity.fitting([Room(-5, 10)], Size(1, 1)) == 0


@pytest.mark.parametrize(("desired", "running", "minimum", "maximum", "steps"), [
    (2, 2, 100, 200, Steps(2, 0)), (2, 2, 50, 100, Steps(0, 1)), (1, 1, 100, 150, Steps(0, 0)),
    (10, 10, 90, 110, Steps(1, 1)), (1, 1, 0, 100, Steps(0, 1)), (3, 3, 50, 200, Steps(3, 1)),
])
def test_steps(desired: int, running: int, minimum: int, maximum: int, steps: Steps) -> None:
    assert capacity.steps(desired, running, minimum, maximum) == steps
