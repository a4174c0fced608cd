"""A stack leaves: what it holds first, then itself."""

from __future__ import annotations

import uuid
from typing import Any

from ..aws import cloudformation
from ..aws.session import Aws
from ..changes import Changes
from ..errors import Interrupted, SlipwayError
from ..interrupt import held
from ..polling import Deadline
from ..progress import Phases, Progress
from . import events, report
from .contents import Holder, holders
from .options import Options
from .waiting import Watch, in_progress

_ATTEMPTS = 2


def absent(aws: Aws, o: Options, progress: Progress, check: bool) -> dict[str, Any]:
    """state=absent. Raises SlipwayError where something stands in the way; nothing was deleted then unless it says so.
    """
    phases = Phases()
    deadline = Deadline(o.wait_timeout)
    with phases("read"):
        stack = settled(aws, o, progress, deadline)
        if stack is None:
            return report.result(aws, None, phases, stack_name=o.name, status="DELETE_COMPLETE", changed=False)
        changes = Changes(f"stack {o.name}")
        refuse_protected(o, stack)
        if stack.get("EnableTerminationProtection"):
            changes.add("termination protection", True, False)
        summaries = cloudformation.stack_resources(aws, stack["StackId"])
        full = [h for h in holders(aws, stack["StackId"], summaries, o.retain_resources) if h.content]
        if full and not o.empty_on_delete:
            raise SlipwayError("; ".join(str(h) for h in full) + "; nothing was deleted.",
                               "Give 'empty_on_delete: true' to delete the contents too.",
                               not_empty=[h.as_result() for h in full])
        for h in full:
            changes.add(f"contents of {h.logical} ({h.type})", h.content, "deleted for good")
        resources = report.resources(summaries)
        for r in resources:
            if r["status"] != "DELETE_COMPLETE":
                changes.add(f"{r['logical_resource_id']} ({r['resource_type']})",
                            r["physical_resource_id"] or "exists", "removed")
        changes.add(f"stack {o.name}", stack["StackStatus"], "deleted")
    shown = [{"logical_resource_id": r["logical_resource_id"], "resource_type": r["resource_type"],
              "physical_resource_id": r["physical_resource_id"], "action": "Remove"} for r in resources]
    if check:
        return report.result(aws, stack, phases, changed=True, changes=shown, diff=changes.diff(),
                             emptied=[h.as_result() for h in full])

    progress.say(f"{o.name}: {len(resources)} to remove")
    take_protection(aws, stack)
    with phases("empty"):
        for h in full:
            empty(aws, h, progress)
    with phases("delete"):
        seen: list[dict[str, Any]] = []
        ended = remove(aws, o, stack, progress, deadline, seen, phases)
    return report.result(aws, ended, phases, stack_name=o.name, status="DELETE_COMPLETE", changed=True, changes=shown,
                         diff=changes.diff(), emptied=[h.as_result() for h in full], outputs={},
                         events=[events.report(e) for e in seen])


def refuse_protected(o: Options, stack: dict[str, Any]) -> None:
    """Raise SlipwayError where the stack is protected against termination and the task does not take that away."""
    if stack.get("EnableTerminationProtection") and o.termination_protection is not False:
        raise SlipwayError(f"Stack {o.name} is protected against termination.",
                           "Give 'termination_protection: false' to delete it all the same.")


def take_protection(aws: Aws, stack: dict[str, Any]) -> None:
    """Take the protection against termination away."""
    if stack.get("EnableTerminationProtection"):
        cloudformation.update_termination_protection(aws, stack["StackId"], False)


def remove(aws: Aws, o: Options, stack: dict[str, Any], progress: Progress, deadline: Deadline,
           seen: list[dict[str, Any]], phases: Phases) -> dict[str, Any]:
    """Delete `stack` and wait until it is gone; once more where the first try ended in DELETE_FAILED.

    CloudFormation takes RetainResources only of a stack in that state, so only the second try carries it.
    seen: the events are added to it.
    """
    name = stack["StackName"]
    for attempt in range(1, _ATTEMPTS + 1):
        retain = _retained(aws, stack, o.retain_resources) if stack["StackStatus"] == "DELETE_FAILED" else []
        token = f"slipway-{uuid.uuid4().hex}"
        with held():
            cloudformation.delete_stack(aws, stack["StackId"], token, retain, o.role_arn)
        watch = Watch(aws, stack["StackId"], progress, stack["ServerTime"], token, before=stack)
        try:
            stack = watch.wait(deadline, f"the deletion of {name}")
        except Interrupted as interruption:
            raise Interrupted(f"{interruption.message.rstrip('.')}; the deletion of stack {name} goes on in AWS.",
                              "Run this again to wait for its end.") from interruption
        finally:
            seen += watch.events
        if stack["StackStatus"] == "DELETE_COMPLETE":
            return stack
        if attempt < _ATTEMPTS:
            progress.say(f"{name}: the deletion failed, trying once more", "warn")
    raise report.failure(aws, name, "deletion", stack, watch.events, phases)


def settled(aws: Aws, o: Options, progress: Progress, deadline: Deadline, anew: bool = False) -> dict[str, Any] | None:
    """The stack `o.name` once nobody works on it any more; None where it does not exist.

    anew: it is known to have changed a moment ago. Otherwise, in a run of several services, the first look may be some
    seconds old: a change set of a stack that somebody changed since is refused, and then it is looked at again.
    """
    stack = (cloudformation.describe_stack(aws, o.name) if anew
             else cloudformation.glance(aws, o.name, cloudformation.RECENT))
    while stack is not None and in_progress(stack["StackStatus"]):
        progress.say(f"{o.name}: {stack['StackStatus']} by somebody else, waiting for its end", "warn")
        watch = Watch(aws, stack["StackId"], progress, stack["ServerTime"])
        watch.wait(deadline, f"the operation in progress on {o.name}")
        stack = cloudformation.describe_stack(aws, o.name)
    return stack


def empty(aws: Aws, holder: Holder, progress: Progress) -> None:
    """Delete what `holder` holds, saying so."""
    progress.say(f"emptying {holder.logical} ({holder.physical}): {holder.content}", "warn")
    holder.empty(aws)


def _retained(aws: Aws, stack: dict[str, Any], wanted: list[str]) -> list[str]:
    if not wanted:
        return []
    left = {r["LogicalResourceId"] for r in cloudformation.stack_resources(aws, stack["StackId"])
            if r["ResourceStatus"] != "DELETE_COMPLETE"}
    return [logical for logical in wanted if logical in left]
