"""Records such as releases write, made as they make them: of good and bad days, short, long and hostile ones."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from slipway.ledger.record import Record, closed, opened

START = datetime.fromisoformat("2026-11-23T08:00:00+00:00")
HOSTILE = "</pre></title><script>window.hostile = 1</script><img src=/x onerror='window.hostile = 2'>\"' \u202e\ud800"
_ORIGIN: dict[str, str] = {
    "commit": "1a2b3c4d5e6f708192a3b4c5d6e7f80912a3b4c5", "user": "jenkins", "host": "ip-10-0-0-7",
    "who": "arn:aws:sts::123456789012:assumed-role/shop-jenkins-Role-1ABCDEF/i-0123456789abcdef0",
    "build_url": "http://127.0.0.1:8080/job/shop/7/"}
_IMAGE: dict[str, Any] = {
    "tag": "20261123-080003-1a2b3c4", "digest": f"sha256:{'4f' * 32}", "built": True, "pushed": True,
    "image_uri": "123456789012.dkr.ecr.eu-central-1.amazonaws.com/shop:20261123-080003-1a2b3c4",
    "phases": {"look": 0.21, "hash": 0.001, "build": 6.4, "push": 1.3, "total": 8.0},
    "api_calls": {"ecr.DescribeImages": 2, "ecr.GetAuthorizationToken": 1}}
_CHANGES = [
    {"action": "Modify", "resource_type": "AWS::ECS::TaskDefinition", "logical_resource_id": "TaskDefinition",
     "replacement": "True", "properties": [
         {"path": "/Properties/ContainerDefinitions/0/Image", "before": "shop:20261122-0f1e2d3", "after": "shop:new"}]},
    {"action": "Modify", "resource_type": "AWS::ECS::Service", "logical_resource_id": "Service"}]
_STEPS = [(9, "UPDATE_IN_PROGRESS", "AWS::CloudFormation::Stack", "shop-service"),
          (10, "CREATE_IN_PROGRESS", "AWS::ECS::TaskDefinition", "TaskDefinition"),
          (11, "CREATE_COMPLETE", "AWS::ECS::TaskDefinition", "TaskDefinition"),
          (12, "UPDATE_IN_PROGRESS", "AWS::ECS::Service", "Service"),
          (29, "UPDATE_COMPLETE", "AWS::ECS::Service", "Service"),
          (30, "UPDATE_COMPLETE", "AWS::CloudFormation::Stack", "shop-service")]
_BACK = [(20, "UPDATE_FAILED", "AWS::ECS::Service", "Service",
          ("Resource handler returned message: \"Error occurred during operation 'ECS Deployment Circuit Breaker was "
           "triggered'.\" (RequestToken: 0a1b2c3d, HandlerErrorCode: GeneralServiceException)")),
         (21, "UPDATE_ROLLBACK_IN_PROGRESS", "AWS::CloudFormation::Stack", "shop-service"),
         (30, "UPDATE_ROLLBACK_COMPLETE", "AWS::CloudFormation::Stack", "shop-service")]
_STACK: dict[str, Any] = {
    "changed": True, "phases": {"plan": 0.9, "update": 21.0}, "changes": _CHANGES,
    "outputs": {"AppURL": "http://shop-1234567890.eu-central-1.elb.amazonaws.com/"},
    "api_calls": {"cloudformation.DescribeStacks": 9, "cloudformation.CreateChangeSet": 1}}
_ROLLOUT: dict[str, Any] = {
    "verdict": "completed", "msg": "shop:42 is rolled out: 2 of 2 tasks run it.", "task_definition": "shop:42",
    "deployment_id": "ecs-svc/1234567890123456789", "phases": {"wait": 1.1, "url": 0.04},
    "api_calls": {"ecs.DescribeServices": 3}}


def good() -> Record:
    return _closed(34.0, stack={**_STACK, "events": events(_STEPS)})


def failed() -> Record:
    """Rolled back: the container exits."""
    cause = "The container web exited with code 1: its command failed."
    remedy = "Run the image locally with the same environment and see why it ends."
    stack = {**_STACK, "failed": True, "msg": f"Service: UPDATE_FAILED. {cause}\n{remedy}", "remedy": remedy,
             "diagnosis": {"cause": cause}, "events": events(_STEPS[:4] + _BACK),
             "phases": {"plan": 0.9, "update": 11.0, "rollback": 10.0},
             "evidence": ["exit code 1, twice, 08:00:15 and 08:00:19", "PHP Fatal error:  Uncaught Error: no database",
                          "  in /app/index.php:3", "Stack trace:", "#0 {main}"]}
    return _closed(33.0, stack=stack, rollout={})


def hostile() -> Record:
    """Markup wherever text comes from outside, in lines without an end, and as many of all as a record keeps."""
    line = HOSTILE + "/very-long" * 90
    stack = {**_STACK, "failed": True, "msg": f"{HOSTILE}\n{line}", "remedy": line, "evidence": [line] * 5,
             "phases": {"plan": 0.9, "update": 21.0, HOSTILE: 3.0},
             "changes": [{"action": HOSTILE, "logical_resource_id": line}] * 3,
             "events": events([(9 + n // 10, "UPDATE_FAILED" if n % 40 == 39 else "UPDATE_IN_PROGRESS", "T" * 90,
                                f"L{n}" * 60, line) for n in range(150)]),
             "outputs": {"AppURL": "javascript:window.hostile = 3"}}
    record = _closed(33.0, stack=stack, rollout={}, image={**_IMAGE, "tag": HOSTILE, "image_uri": line})
    return {**record, "service": HOSTILE, "host": line, "build_url": "https://ci/\" onmouseover=\"window.hostile = 4"}


def quick() -> Record:
    """Less than a second, most of its phases hardly any time."""
    image = {"tag": "v2", "phases": {"look": 0.005, "hash": 0.0, "total": 0.01}}
    return _closed(0.3, image=image, stack={**_STACK, "phases": {"plan": 0.1, "update": 0.18}, "events": events(
        [(0, *_STEPS[0][1:])])}, rollout={**_ROLLOUT, "phases": {"wait": 0.006, "url": 0.009}})


def long() -> Record:
    """Two hours, with every phase that there is, each beside much shorter ones, and as many events as are kept."""
    image = {**_IMAGE, "phases": {"look": 0.4, "hash": 0.9, "scan": 61.0, "build": 2400.0, "push": 305.5, "tag": 0.2}}
    stack = {**_STACK, "phases": {"settle": 12.0, "plan": 3.2, "update": 3900.0, "rollback": 400.0},
             "events": events([(2800 + 29 * n, ("UPDATE_IN_PROGRESS", "UPDATE_COMPLETE", "UPDATE_FAILED")[n % 3],
                                "AWS::ECS::Service", f"Service{n}") for n in range(148)])}
    return _closed(7200.0, image=image, stack=stack, task={"phases": {"run": 75.0}}, rollout={
        **_ROLLOUT, "phases": {"wait": 12.0, "url": 0.3, "diagnosis": 1.0, "interrupted": 30.0}})


def events(steps: list[Any]) -> list[dict[str, str]]:
    """Events of a stack. steps: second of the release, status, type, logical id and, of some, reason."""
    return [{"time": (START + timedelta(seconds=at)).isoformat(), "status": status, "type": kind, "logical_id": name,
             "reason": reason[0] if reason else ""} for at, status, kind, name, *reason in steps]


def _closed(seconds: float, image: dict[str, Any] = _IMAGE, stack: dict[str, Any] = _STACK,
            rollout: dict[str, Any] = _ROLLOUT, task: dict[str, Any] | None = None) -> Record:
    entry = opened("shop-service", "shop-service", "release", START, "0123456789",
                   {"tag": "20261122-170500-0f1e2d3"}, **_ORIGIN)
    return closed(entry, image, stack, rollout, (START + timedelta(seconds=seconds)).isoformat(), task=task)
