"""Tasks outside of a service: one thin function per API call. All raise AwsError."""

from __future__ import annotations

from typing import Any

from .session import Aws


def register(aws: Aws, definition: dict[str, Any]) -> str:
    """ARN of the revision. definition: RegisterTaskDefinition's request."""
    return str(aws.call("ecs", "register_task_definition", **definition)["taskDefinition"]["taskDefinitionArn"])


def run(aws: Aws, request: dict[str, Any]) -> dict[str, Any]:
    """RunTask's answer: tasks, and failures with their reason."""
    return aws.call("ecs", "run_task", **request)


def running(aws: Aws, cluster: str, family: str) -> list[str]:
    """ARNs of the tasks of a family that are to run still."""
    arns: list[str] = aws.call("ecs", "list_tasks", cluster=cluster, family=family, desiredStatus="RUNNING")["taskArns"]
    return arns


def stop(aws: Aws, cluster: str, task: str, reason: str) -> None:
    """Its containers get their stop signal, and are killed after their stop timeout."""
    aws.call("ecs", "stop_task", cluster=cluster, task=task, reason=reason[:255])
