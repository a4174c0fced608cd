"""The one-off task is made from the service's own task definition, in the shapes that ECS takes."""

from __future__ import annotations

from typing import Any

import botocore.session
import pytest
from botocore.validate import ParamValidator

from slipway.changes import UNKNOWN
from slipway.errors import InvalidInput
from slipway.task import plan, request
from slipway.task.plan import Log, Wanted

MODEL = botocore.session.Session().get_service_model("ecs")
URI, DIGEST = "1.dkr.ecr.eu-west-1.amazonaws.com/shop", "sha256:" + "0" * 64
WANTED = Wanted(f"{URI}:13@{DIGEST}", "13", ("bin/migrate", "--all"), environment={"MODE": "up"})


def logging(**more: str) -> dict[str, Any]:
    return {"logDriver": "awslogs", "options": {"awslogs-group": "/ecs/shop", "awslogs-region": "eu-west-1",
                                                "awslogs-stream-prefix": "12", **more}}


def definition(**more: Any) -> dict[str, Any]:
    """As DescribeTaskDefinition gives it."""
    return {
        "family": "shop-service", "revision": 12, "taskDefinitionArn": "arn:x", "status": "ACTIVE",
        "compatibilities": ["EC2"], "executionRoleArn": "arn:exec", "taskRoleArn": "arn:task", "networkMode": "bridge",
        "cpu": "256", "memory": "512", "volumes": [], "placementConstraints": [],
        "requiresCompatibilities": ["EC2"], "registeredBy": "arn:me",
        "containerDefinitions": [
            {"name": "proxy", "image": "proxy:1", "essential": False, "cpu": 0},
            {"name": "web", "image": f"{URI}:12", "essential": True, "cpu": 0, "stopTimeout": 10,
             "portMappings": [{"containerPort": 8080, "hostPort": 8080, "protocol": "tcp"}],
             "healthCheck": {"command": ["CMD", "true"]}, "links": ["proxy"],
             "dependsOn": [{"containerName": "proxy", "condition": "START"}], "command": ["serve"],
             "environment": [{"name": "IMAGE_TAG", "value": "12"}, {"name": "A", "value": "b"}],
             "secrets": [{"name": "DB", "valueFrom": "arn:aws:ssm:eu-west-1:1:parameter/db"}],
             "logConfiguration": logging()}], **more}


def valid(operation: str, given: dict[str, Any]) -> dict[str, Any]:
    report = ParamValidator().validate(given, MODEL.operation_model(operation).input_shape)
    assert not report.has_errors(), report.generate_report()
    return given


def test_one_container_with_the_new_image_and_all_that_it_needs() -> None:
    made = valid("RegisterTaskDefinition", plan.registration(definition(), WANTED))
    assert made == {
        "family": "shop-service-task", "executionRoleArn": "arn:exec", "taskRoleArn": "arn:task",
        "networkMode": "bridge", "cpu": "256", "memory": "512", "requiresCompatibilities": ["EC2"],
        "containerDefinitions": [{
            "name": "web", "image": WANTED.image, "essential": True, "cpu": 0, "stopTimeout": 10,
            "command": ["bin/migrate", "--all"],
            "environment": [{"name": "IMAGE_TAG", "value": "13"}, {"name": "A", "value": "b"},
                            {"name": "MODE", "value": "up"}],
            "secrets": [{"name": "DB", "valueFrom": "arn:aws:ssm:eu-west-1:1:parameter/db"}],
            "logConfiguration": logging(**{"awslogs-stream-prefix": "13"})}]}
    assert plan.log(made) == Log("/ecs/shop", "13", "eu-west-1")
    assert plan.log(made).stream("web", "arn:aws:ecs:eu-west-1:1:task/shop/0123") == "13/web/0123"


def test_another_container_by_its_name() -> None:
    wanted = Wanted(WANTED.image, "13", ("true",), "proxy", ("/bin/sh",))
    (container,) = plan.registration(definition(), wanted)["containerDefinitions"]
    assert (container["name"], container["entryPoint"], container["essential"]) == ("proxy", ["/bin/sh"], True)
    assert plan.log({"containerDefinitions": [container]}).stream("proxy", "arn:x/1") == ""
    with pytest.raises(InvalidInput, match="has no container wbe. It has proxy, web"):
        plan.registration(definition(), Wanted(WANTED.image, "13", ("true",), "wbe"))


@pytest.mark.parametrize(("image", "same"), [
    (WANTED.image, True), (f"{URI}:13", True), (f"{URI}:12", False), (f"{URI}:13@sha256:{'1' * 64}", False),
])
def test_an_image_that_runs_already(image: str, same: bool) -> None:
    found = definition()
    found["containerDefinitions"][1]["image"] = image
    assert plan.runs_already(found, WANTED) is same
    assert plan.runs_already(definition(), Wanted(f"{URI}:12", "12", ("true",)))


@pytest.mark.parametrize(("service", "where"), [
    ({"launchType": "EC2"}, {"launchType": "EC2"}),
    ({"launchType": "EC2", "capacityProviderStrategy": [{"capacityProvider": "cp", "weight": 1, "base": 0}]},
     {"capacityProviderStrategy": [{"capacityProvider": "cp", "weight": 1, "base": 0}]}),
    ({"launchType": "FARGATE", "platformVersion": "1.4.0", "networkConfiguration": {"awsvpcConfiguration": {
        "subnets": ["s-1"], "securityGroups": ["sg-1"], "assignPublicIp": "ENABLED"}}},
     {"launchType": "FARGATE", "platformVersion": "1.4.0", "networkConfiguration": {"awsvpcConfiguration": {
         "subnets": ["s-1"], "securityGroups": ["sg-1"], "assignPublicIp": "ENABLED"}}}),
])
def test_it_runs_where_the_service_runs(service: dict[str, Any], where: dict[str, Any]) -> None:
    made = valid("RunTask", plan.request(service, "shop", "arn:td", WANTED, "token"))
    assert made == {"cluster": "shop", "taskDefinition": "arn:td", "count": 1, "startedBy": WANTED.token,
                    "clientToken": "token", "enableECSManagedTags": False, **where}


def test_the_same_work_is_known_again_and_other_work_is_not() -> None:
    same = Wanted(f"{URI}:13@{DIGEST}", "13", ["bin/migrate", "--all"], environment={"MODE": "up"})
    assert same.token == WANTED.token and len(WANTED.token) <= 36
    others = [Wanted(f"{URI}:14", "14", WANTED.command), Wanted(WANTED.image, "13", ("bin/migrate",)),
              Wanted(WANTED.image, "13", WANTED.command, "web", environment={"MODE": "up"})]
    assert len({WANTED.token, *(one.token for one in others)}) == 4


@pytest.mark.parametrize(("digest", "image"), [
    (DIGEST, f"{URI}:13@{DIGEST}"), ("", f"{URI}:13"), (None, f"{URI}:13"), (UNKNOWN, f"{URI}:13"),
])
def test_arguments(digest: str | None, image: str) -> None:
    params = {"cluster": "c", "service": "s", "image": f"{URI}:13", "digest": digest, "command": ["x"],
              "entry_point": [], "container": "", "environment": {"N": 3}, "wait_timeout": 60.0}
    found = request.of(params)
    assert (found.wanted.image, found.wanted.tag, found.wanted.environment) == (image, "13", {"N": "3"})
    with pytest.raises(InvalidInput, match="has no command"):
        request.of({**params, "command": []})
