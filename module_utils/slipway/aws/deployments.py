"""Service deployments and revisions of Amazon ECS, as blue/green has them: one thin function per API call."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .session import Aws


def recent(aws: Aws, cluster: str, service: str, count: int) -> list[dict[str, Any]]:
    """ServiceDeployment structures of the service's last deployments, newest first; two calls."""
    found = aws.call("ecs", "list_service_deployments", cluster=cluster, service=service, maxResults=count)
    arns = [one["serviceDeploymentArn"] for one in found["serviceDeployments"]]
    if not arns:
        return []
    described = aws.call("ecs", "describe_service_deployments", serviceDeploymentArns=arns)["serviceDeployments"]
    return sorted(described, key=lambda one: one["createdAt"].timestamp(), reverse=True)


def task_definitions(aws: Aws, revisions: Sequence[str]) -> dict[str, str]:
    """The task definition of each service revision (both ARNs), 20 at most."""
    answer = aws.call("ecs", "describe_service_revisions", serviceRevisionArns=list(revisions))
    return {one["serviceRevisionArn"]: str(one.get("taskDefinition", "")) for one in answer["serviceRevisions"]}
