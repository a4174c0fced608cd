"""Elastic Load Balancing, one function per API call. All of them only read; all raise AwsError."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .session import Aws


def describe_target_health(aws: Aws, target_group: str) -> list[dict[str, Any]]:
    """AWS's TargetHealthDescriptions of a target group, given by ARN: Target {Id, Port}, TargetHealth {State, ...}."""
    answer = aws.call("elbv2", "describe_target_health", TargetGroupArn=target_group)
    targets: list[dict[str, Any]] = answer["TargetHealthDescriptions"]
    return targets


def describe_target_groups(aws: Aws, target_groups: Sequence[str]) -> list[dict[str, Any]]:
    """AWS's description of the target groups with these ARNs (health check path, port, matcher, times in seconds)."""
    if not target_groups:
        return []
    groups: list[dict[str, Any]] = aws.call("elbv2", "describe_target_groups",
                                            TargetGroupArns=list(target_groups))["TargetGroups"]
    return groups
