"""Task definitions of a family: one thin function per API call."""

from __future__ import annotations

from .session import Aws

#: DeleteTaskDefinitions takes ten a call.
_PER_CALL = 10


def revisions(aws: Aws, family: str, status: str) -> list[str]:
    """ARNs of the family's revisions. status: ACTIVE or INACTIVE (deregistered, not deleted)."""
    arguments = {"familyPrefix": family, "status": status}
    arns: list[str] = []
    while True:
        page = aws.call("ecs", "list_task_definitions", **arguments)
        # The API takes a prefix: 'shop' lists 'shop-service' too.
        arns += [arn for arn in page["taskDefinitionArns"] if arn.rpartition("/")[2].rpartition(":")[0] == family]
        if not page.get("nextToken"):
            return arns
        arguments["nextToken"] = page["nextToken"]


def deregister(aws: Aws, arn: str) -> None:
    """No new task starts from it; running ones go on."""
    aws.call("ecs", "deregister_task_definition", taskDefinition=arn)


def delete(aws: Aws, arns: list[str]) -> None:
    """Delete deregistered revisions."""
    for first in range(0, len(arns), _PER_CALL):
        aws.call("ecs", "delete_task_definitions", taskDefinitions=arns[first:first + _PER_CALL])
