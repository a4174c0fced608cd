"""Amazon ECS, one function per API call. All of them only read; all raise AwsError."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .session import Aws

#: DescribeServices takes this many services of one cluster in a call.
SERVICES_PER_CALL = 10
#: DescribeTasks and a page of ListTasks.
TASKS_PER_CALL = 100
_PAGES = 10
#: Events that are kept of a service that is watched together with others.
_EVENTS = 40
#: Seconds for which a service that is expected counts as wanted: its stack is updated first.
_FORESIGHT = 3600.0


def describe_services(aws: Aws, cluster: str, services: Sequence[str]) -> dict[str, dict[str, Any]]:
    """AWS's description of each service that exists (also deleted ones, INACTIVE), by its name.

    services: names or ARNs, any number. Raises AwsError with code ClusterNotFoundException for an unknown cluster.
    """
    found: dict[str, dict[str, Any]] = {}
    for start in range(0, len(services), SERVICES_PER_CALL):
        answer = aws.call("ecs", "describe_services", cluster=cluster,
                          services=list(services[start:start + SERVICES_PER_CALL]))
        found.update({service["serviceName"]: service for service in answer["services"]})
    return found


def watch_service(aws: Aws, cluster: str, service: str) -> dict[str, Any] | None:
    """AWS's description of one service that is asked for again and again, None where there is none.

    In a run of several services the answer comes from a call for up to ten that are watched in the cluster, and may be
    half a second old. Raises as describe_services does.
    """
    name = service.rpartition("/")[2]
    if not aws.shared:
        return describe_services(aws, cluster, [service]).get(name)

    def fetch(names: list[str]) -> dict[str, Any]:
        found = describe_services(aws, cluster, names)
        # What is shared is read by all: of a long life's events the latest will do.
        return {one: {**found[one], "events": found[one].get("events", [])[:_EVENTS]} for one in names if one in found}

    found = aws.shared.gather(_services(aws, cluster), name, fetch, 0.5, SERVICES_PER_CALL, _FORESIGHT)
    return dict(found) if found else None


def expect_service(aws: Aws, cluster: str, service: str) -> None:
    """Say that watch_service will be asked for this one in this run."""
    if aws.shared:
        aws.shared.expect(_services(aws, cluster), service.rpartition("/")[2])


def _services(aws: Aws, cluster: str) -> str:
    return f"services {aws.scope} {cluster}"


def list_tasks(aws: Aws, cluster: str, status: str, service: str | None = None) -> list[str]:
    """ARNs of tasks, a thousand at most. status: RUNNING or STOPPED (what is desired; stopped ones are kept for about
    an hour, in no order that AWS would promise).

    service: a name; None is the whole cluster.
    """
    arguments: dict[str, Any] = {"cluster": cluster, "desiredStatus": status, "maxResults": TASKS_PER_CALL}
    if service:
        arguments["serviceName"] = service
    arns: list[str] = []
    for _ in range(_PAGES):
        page = aws.call("ecs", "list_tasks", **arguments)
        arns += page["taskArns"]
        if not page.get("nextToken"):
            break
        arguments["nextToken"] = page["nextToken"]
    return arns


def describe_tasks(aws: Aws, cluster: str, tasks: Sequence[str]) -> list[dict[str, Any]]:
    """AWS's description of tasks, a hundred a call; those it no longer knows are left out."""
    found: list[dict[str, Any]] = []
    for first in range(0, len(tasks), TASKS_PER_CALL):
        found += aws.call("ecs", "describe_tasks", cluster=cluster,
                          tasks=list(tasks[first:first + TASKS_PER_CALL]))["tasks"]
    return found


def describe_task_definition(aws: Aws, task_definition: str) -> dict[str, Any]:
    """AWS's description of a task definition. task_definition: an ARN or family:revision."""
    answer = aws.call("ecs", "describe_task_definition", taskDefinition=task_definition)
    definition: dict[str, Any] = answer["taskDefinition"]
    return definition
