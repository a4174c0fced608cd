"""Every likely cause of a release that fails, produced for real: the sentence that a person reads, with what to change,
and the old version that serves on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.integration.test_ecs_rollout import SERVER, STAYS, Cluster, _target_group
from tests.integration.test_ecs_rollout import image as image

#: More than any machine has, in MiB.
TOO_MUCH = 2**30
SECRET = "arn:aws:secretsmanager:us-east-1:000000000000:secret:no-such-secret"


@dataclass(frozen=True)
class Case:
    """bad: what the service is updated to. sentence, remedy: parts of what a person reads. balanced: behind a load
    balancer. wait: seconds given, where nothing else ends the rollout."""

    kind: str
    sentence: str
    remedy: str
    bad: Callable[[Cluster], str]
    balanced: bool = False
    verdict: str = "rolled_back"
    wait: float = 150.0


def serving(port: int, code: int) -> list[str]:
    return ["perl", "-e", SERVER.format(port=port, code=code)]


CASES = {case.kind: case for case in (
    Case("crash", "Container web crashes on start: exit code 3. Its log says: 'no database'.",
         "Run the image by hand with the environment of the task definition",
         lambda c: c.define(["sh", "-c", "echo no database; exit 3"])),
    Case("port_closed", "Nothing answers the load balancer on port 8080: the connection is refused or closed.",
         "Let the application listen on that port on all addresses (0.0.0.0), or correct containerPort.",
         lambda c: c.define(serving(8081, 200)), balanced=True),
    Case("health_404", "The health check path /health answers 404, and 200 is expected.",
         "Let the application answer that path, or correct the target group's health check path.",
         lambda c: c.define(serving(8080, 404)), balanced=True),
    Case("image_missing", "cannot be pulled: it is not in its registry.",
         "Check repository and tag ('aws ecr describe-images'), then push it or correct the tag.",
         lambda c: c.define(STAYS, image=f"{c.registry}/none:7")),
    # Docker does not say why it killed the process; ECS does (OutOfMemoryError), as the unit tests have it.
    Case("out_of_memory", "Container web was killed (exit code 137), most likely out of memory (limit 24 MiB).",
         "Raise its 'memory' in the task definition, or let the application use less.",
         lambda c: c.define(["perl", "-e", "$x = 'a' x 200_000_000; sleep 300"], memory=24), balanced=True),
    Case("secret_missing", f"A secret that the task definition names cannot be read: {SECRET}",
         "Create it, or correct its ARN (and JSON key) under 'secrets' in the task definition.",
         lambda c: c.define(STAYS, secrets=[{"name": "DB", "valueFrom": SECRET}])),
    Case("log_group_missing", "The log group that the task definition names does not exist",
         "Create it, or correct 'awslogs-group' and 'awslogs-region' in the task definition.",
         lambda c: c.define(STAYS, logConfiguration={"logDriver": "awslogs", "options": {
             "awslogs-group": f"/none/{c.name}", "awslogs-region": c.aws.env["AWS_REGION"],
             "awslogs-stream-prefix": "web"}})),
    Case("exec_format", "is built for another processor than the one it runs on (exec format error).",
         "Build it for the platform of the service (linux/amd64 or linux/arm64)",
         lambda c: c.define(["/bin/foreign"])),
    Case("no_capacity", "No instance has enough free memory for a new task.",
         "Add instances, make the task smaller, or lower the minimum healthy percent",
         lambda c: c.define(STAYS, memory=TOO_MUCH), verdict="timed_out", wait=10.0),
)}


@dataclass
class Outcome:
    """result: of the failed rollout. old: the definition that ran before; serving: those of the tasks that run."""

    result: dict[str, Any]
    old: str
    serving: list[str]
    healthy: int


@pytest.fixture(scope="module")
def outcomes(aws: Any, image: str) -> Iterator[dict[str, Outcome]]:
    """All causes side by side, each with a service of its own: what one waits for happens to the others meanwhile."""
    clusters = {kind: Cluster(aws, image) for kind in CASES}
    groups = {kind: _target_group(clusters[kind]) if case.balanced else "" for kind, case in CASES.items()}
    old = {kind: create(clusters[kind], groups[kind]) for kind in CASES}
    for kind, cluster in clusters.items():
        first, _ = cluster.rollout(task_definition=old[kind], wait_timeout=120)
        assert first["verdict"] == "completed", first
    bad = {kind: case.bad(clusters[kind]) for kind, case in CASES.items()}
    for kind, cluster in clusters.items():
        cluster.update(bad[kind])
    yield {kind: judge(clusters[kind], case, bad[kind], old[kind], groups[kind]) for kind, case in CASES.items()}
    for cluster in clusters.values():
        cluster.remove()


def create(cluster: Cluster, group: str) -> str:
    """A service that works; its task definition."""
    arn = cluster.define(serving(8080, 200))
    more: dict[str, Any] = {}
    if group:
        more = {"healthCheckGracePeriodSeconds": 5,
                "loadBalancers": [{"targetGroupArn": group, "containerName": "web", "containerPort": 8080}]}
    cluster.create(arn, **more)
    return arn


def judge(cluster: Cluster, case: Case, bad: str, old: str, group: str) -> Outcome:
    result, _ = cluster.rollout(task_definition=bad, wait_timeout=case.wait)
    arns = cluster.ecs.list_tasks(cluster=cluster.name)["taskArns"]
    tasks = cluster.ecs.describe_tasks(cluster=cluster.name, tasks=arns)["tasks"] if arns else []
    targets = cluster.aws.client("elbv2").describe_target_health(
        TargetGroupArn=group)["TargetHealthDescriptions"] if group else []
    return Outcome(result, old, [t["taskDefinitionArn"] for t in tasks if t["lastStatus"] == "RUNNING"],
                   sum(target["TargetHealth"]["State"] == "healthy" for target in targets))


@pytest.mark.parametrize("kind", CASES)
def test_the_cause_is_said_with_what_to_change_and_the_old_version_serves(
        outcomes: dict[str, Outcome], kind: str) -> None:
    case, outcome = CASES[kind], outcomes[kind]
    result = outcome.result
    assert result["verdict"] == case.verdict, result
    assert result["diagnosis"]["kind"] == kind, result["diagnosis"]
    assert case.sentence in result["msg"]
    assert case.remedy in f"{result['msg']} {result['remedy']}"
    assert outcome.old in outcome.serving
    assert outcome.healthy >= case.balanced
