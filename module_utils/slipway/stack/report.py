"""What a run returns, and how a failed one is told."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from ..aws.session import Aws
from ..changes import HIDDEN
from ..errors import AwsError, InvalidInput, SlipwayError
from ..progress import Phases
from ..rollout.causes import UNKNOWN_CAUSE
from . import events
from .template import Template

_SERVICE_TYPE = "AWS::ECS::Service"
_DENIED = re.compile(r"not authorized to perform|AccessDenied")
#: How CloudFormation says that a service's rollout was begun and came to nothing, and not that it was refused.
_ROLLOUT = re.compile(r"circuit breaker|stabili[sz]|exceeded attempts to wait"
                      r"|deployment (?:has |was )?(?:failed|stopped|rolled back)", re.IGNORECASE)
_SUPERSEDED = re.compile(r"deployment was superseded", re.IGNORECASE)


def result(aws: Aws, stack: dict[str, Any] | None, phases: Phases, template: Template | None = None,
           **more: Any) -> dict[str, Any]:
    """The keys every state of the module returns; `stack` as DescribeStacks gives it."""
    stack = stack or {}
    hidden = {d.name for d in template.parameters.values() if d.no_echo} if template else set()
    found: dict[str, Any] = {
        "stack_name": stack.get("StackName"),
        "stack_id": stack.get("StackId"),
        "status": stack.get("StackStatus"),
        "outputs": outputs(stack),
        "parameters": {k: HIDDEN if k in hidden else v for k, v in parameters(stack).items()},
        "tags": tags(stack),
        "termination_protection": bool(stack.get("EnableTerminationProtection", False)),
        "changes": [],
        "events": [],
        "failed_events": [],
        "phases": phases.seconds,
        "api_calls": aws.api_calls(),
        "retries": aws.retries,
    }
    found.update(more)
    return found


def outputs(stack: dict[str, Any]) -> dict[str, str]:
    return {o["OutputKey"]: o.get("OutputValue", "") for o in stack.get("Outputs", [])}


def parameters(stack: dict[str, Any]) -> dict[str, str]:
    """Values by name; what AWS masks is HIDDEN."""
    return {p["ParameterKey"]: HIDDEN if p.get("ParameterValue") == "****" else p.get("ParameterValue", "")
            for p in stack.get("Parameters", [])}


def tags(stack: dict[str, Any]) -> dict[str, str]:
    """The stack's own tags; AWS's (aws:...) are not ours to touch."""
    return {t["Key"]: t["Value"] for t in stack.get("Tags", []) if not t["Key"].startswith("aws:")}


def resources(summaries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """StackResourceSummaries as the module returns them."""
    return [{"logical_resource_id": r["LogicalResourceId"], "physical_resource_id": r.get("PhysicalResourceId"),
             "resource_type": r["ResourceType"], "status": r["ResourceStatus"],
             "status_reason": r.get("ResourceStatusReason") or None}
            for r in summaries]


def failure(aws: Aws, name: str, what: str, stack: dict[str, Any], seen: list[dict[str, Any]], phases: Phases,
            explanations: dict[str, Any] | None = None, earlier: Sequence[dict[str, Any]] = (),
            **more: Any) -> SlipwayError:
    """The error of an operation that failed, led by its root cause.

    what: `creation`, `update`, `deletion`, `rollback`. explanations: what explain() found out, by EventId. earlier: the
    events of what this run did to the stack before that.
    """
    status = stack.get("StackStatus", "")
    cause = events.root_cause(seen)
    text = str(cause) if cause else (stack.get("StackStatusReason") or "AWS gives no reason")
    evidence: list[str] = []
    why = (explanations or {}).get((cause.event or {}).get("EventId", "")) if cause else None
    if cause and why:
        text = f"{cause.logical} ({cause.type}): {why.cause.rstrip('.')}"
        evidence = [f"CloudFormation: {cause.reason}", *why.evidence]
    return SlipwayError(
        f"{text}. The {what} of stack {name} ended in {status}.",
        # on_failure=delete
        remedy(status) or ("Nothing of it is left. Correct the cause and run this again."
                           if status == "DELETE_COMPLETE" else ""), evidence=evidence,
        **result(aws, stack, phases, root_cause=text, verdict=verdict(status, cause, why),
                 cause_kind=why.kind if why else "", events=[events.report(e) for e in [*earlier, *seen]],
                 failed_events=[events.report(e) for e in events.failures(seen)], **more))


def verdict(status: str, cause: events.Cause | None, why: Any = None) -> str:
    """What a failed operation is called, in module ecs_rollout's words where the rollout of a service decided.

    status: the stack's at its end. why: what explain() found out about the cause, None for nothing.
    """
    if not cause or cause.type != _SERVICE_TYPE or status != "UPDATE_ROLLBACK_COMPLETE":
        return "stack_failed"
    if _SUPERSEDED.search(cause.reason):
        return "superseded"
    # The tasks of a service whose update was refused have nothing to tell.
    begun = _ROLLOUT.search(cause.reason) or (why and why.kind != UNKNOWN_CAUSE.kind)
    return "rolled_back" if begun else "stack_failed"


def remedy(status: str) -> str:
    """What to do about a stack left in `status`."""
    return {
        "ROLLBACK_COMPLETE": "Correct the cause and run this again: the failed stack is deleted and created anew.",
        "UPDATE_ROLLBACK_COMPLETE": "The stack is as it was before. Correct the cause and run this again.",
        "UPDATE_ROLLBACK_FAILED": "Run this again to continue the rollback; name what it cannot undo in "
                                  "'skip_resources'.",
        "DELETE_FAILED": "Remove what is in the way and run this again, or name it in 'retain_resources'.",
        "CREATE_FAILED": "Correct the cause and run this again.",
        "UPDATE_FAILED": "Correct the cause and run this again; without 'disable_rollback: true' the stack is rolled "
                         "back first.",
    }.get(status, "")


def explain(aws: Aws, event: dict[str, Any], since: datetime) -> Any:
    """Why the tasks of an ECS service stopped (a Diagnosis); None for other resources and for one that was not made.

    event: the failure. since: when the operation began.
    """
    # arn:aws:ecs:REGION:ACCOUNT:service/CLUSTER/NAME
    parts = str(event.get("PhysicalResourceId", "")).split("/")
    if event.get("ResourceType") != _SERVICE_TYPE or len(parts) != 3 or ":service" not in parts[0]:
        return None
    if _DENIED.search(str(event.get("ResourceStatusReason", ""))):
        return None  # the update was never tried, so the tasks have nothing to tell
    from ..rollout.diagnosis import diagnose

    try:
        return diagnose(aws, parts[1], parts[2], since)
    except (AwsError, InvalidInput):
        return None  # CloudFormation's own reason must not be lost to a missing permission
