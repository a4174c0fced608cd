"""Stacks that an earlier run left half-way: turned back, or looked at before they are deleted to be made anew."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

from ..aws import cloudformation
from ..aws.session import Aws
from ..errors import AwsError
from ..interrupt import held
from ..polling import Deadline
from ..progress import Phases, Progress
from . import report
from .changeset import ResourceChange
from .options import Options
from .template import Template
from .waiting import Watch

#: What is done about a stack in such a state, before anything is planned.
TURNED_BACK = {"UPDATE_FAILED": "rolled back", "UPDATE_ROLLBACK_FAILED": "rollback continued"}
_STACK = "AWS::CloudFormation::Stack"
#: The stack has no hold on these any more.
_GONE = ("DELETE_COMPLETE", "DELETE_SKIPPED")


def is_dead(o: Options, status: str) -> bool:
    """Whether CloudFormation takes nothing but the stack's deletion: a first create, or a deletion, that failed."""
    return (status in ("ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "DELETE_FAILED")
            or status == "CREATE_FAILED" and not o.disable_rollback)


def needs_rollback(o: Options, status: str) -> bool:
    """Whether the stack takes no update before its last one is undone.

    CloudFormation updates one in UPDATE_FAILED only where that may fail in the same way (`disable_rollback`).
    """
    return status == "UPDATE_ROLLBACK_FAILED" or status == "UPDATE_FAILED" and not o.disable_rollback


def turn_back(aws: Aws, o: Options, stack: dict[str, Any], progress: Progress, deadline: Deadline, phases: Phases,
              seen: list[dict[str, Any]]) -> dict[str, Any]:
    """Undo the update that failed, wait for the end; the stack as it is then, in UPDATE_ROLLBACK_COMPLETE.

    seen: the events are added to it. Raises SlipwayError with the cause where that fails.
    """
    status, stack_id, token = stack["StackStatus"], stack["StackId"], f"slipway-{uuid.uuid4().hex}"
    continued = status == "UPDATE_ROLLBACK_FAILED"
    doing = "continuing the rollback" if continued else "rolling back"
    progress.say(f"{o.name}: {status} from an earlier run, {doing}", "warn")
    with held():
        if continued:
            cloudformation.continue_update_rollback(aws, stack_id, o.skip_resources, token)
        else:
            cloudformation.rollback_stack(aws, stack_id, token, o.role_arn)
    watch = Watch(aws, stack_id, progress, stack["ServerTime"], token, before=stack)
    try:
        stack = watch.wait(deadline, f"the rollback of {o.name}")
    finally:
        seen += watch.events
    if stack["StackStatus"] != "UPDATE_ROLLBACK_COMPLETE":
        raise report.failure(aws, o.name, "rollback", stack, watch.events, phases)
    return stack


def left_of(aws: Aws, o: Options, stack: dict[str, Any], template: Template) -> list[ResourceChange]:
    """What the stack, and those nested in it, still hold, as changes that its deletion and new creation make of it.

    What the template has too is replaced, the rest removed.
    """
    # CloudFormation retains of a stack in no other state.
    kept = o.retain_resources if stack["StackStatus"] == "DELETE_FAILED" else []
    return [r for r in _left(aws, stack["StackId"], template, "") if r.logical.split("/")[0] not in kept]


def _left(aws: Aws, stack_id: str, template: Template, path: str) -> Iterator[ResourceChange]:
    for r in cloudformation.stack_resources(aws, stack_id):
        physical = r.get("PhysicalResourceId")
        if r["ResourceStatus"] in _GONE or not physical:
            continue
        logical = path + r["LogicalResourceId"]
        again = logical in template.resources
        yield ResourceChange(logical, r["ResourceType"], "Modify" if again else "Remove", "True" if again else "",
                             physical)
        if r["ResourceType"] == _STACK:
            try:
                yield from _left(aws, physical, template, f"{logical}/")
            except AwsError as error:
                if not cloudformation.is_missing(error):
                    raise
