"""What a cluster's instances have left: one thin function per API call."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .session import Aws

#: DescribeContainerInstances, and a page of ListContainerInstances.
_PER_CALL = 100


def container_instances(aws: Aws, cluster: str) -> list[dict[str, Any]]:
    """AWS's description of every instance of the cluster that takes tasks (status ACTIVE), two calls per hundred."""
    found: list[dict[str, Any]] = []
    arguments: dict[str, Any] = {"cluster": cluster, "status": "ACTIVE", "maxResults": _PER_CALL}
    while True:
        page = aws.call("ecs", "list_container_instances", **arguments)
        arns = page["containerInstanceArns"]
        if arns:
            found += aws.call("ecs", "describe_container_instances", cluster=cluster,
                              containerInstances=arns)["containerInstances"]
        if not page.get("nextToken"):
            return found
        arguments["nextToken"] = page["nextToken"]


def capacity_providers(aws: Aws, names: Sequence[str]) -> list[dict[str, Any]]:
    """AWS's description of capacity providers, by name."""
    providers: list[dict[str, Any]] = aws.call(
        "ecs", "describe_capacity_providers", capacityProviders=list(names))["capacityProviders"]
    return providers
