"""Stack events as a person reads them, and what went wrong first. Pure.

An event is a StackEvent of DescribeStackEvents, with `Path` added: the logical ids of the nested stacks above it, each
followed by a slash ('' in the stack itself).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

_STACK = "AWS::CloudFormation::Stack"
#: What CloudFormation says of resources that it stopped because another one had failed.
_CANCELLED = ("resource creation cancelled", "resource update cancelled", "resource deletion cancelled",
              "resource creation was cancelled", "resource update was cancelled")


@dataclass(frozen=True)
class Cause:
    """The first failure of a run. logical and type are '' where the stack as a whole failed."""

    logical: str
    type: str
    status: str
    reason: str
    event: dict[str, Any] | None = None

    def __str__(self) -> str:
        reason = self.reason.rstrip(". ") or "AWS gives no reason"
        return f"{self.logical} ({self.type}): {reason}" if self.logical else reason


def tone(status: str) -> str:
    """good, bad, warn or info."""
    if status.endswith("_FAILED"):
        return "bad"
    if "ROLLBACK" in status:
        return "warn"
    if status.endswith("_COMPLETE"):
        return "good"
    return "warn" if status == "DELETE_SKIPPED" else "info"


def line(event: dict[str, Any]) -> str:
    """`08:31:02  CREATE_COMPLETE     AWS::EC2::VPC          Vpc  reason`, in this machine's time."""
    at = event["Timestamp"].astimezone().strftime("%H:%M:%S")
    status = event.get("ResourceStatus", "") or event.get("HookStatus", "")
    if event.get("DetailedStatus") == "CONFIGURATION_COMPLETE":
        status += " (configured)"
    name = event.get("Path", "") + event.get("LogicalResourceId", "")
    text = f"{at}  {status:<23} {event.get('ResourceType', ''):<40} {name}"
    why = _reason(event)
    return f"{text}  {why}" if why else text.rstrip()


def is_of_stack(event: dict[str, Any]) -> bool:
    """Whether the event is about the stack itself, not about a resource of it."""
    return event.get("ResourceType") == _STACK and event.get("PhysicalResourceId") == event.get("StackId")


def of_last_operation(newest_first: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """The resources' events of the operation that the newest event belongs to, oldest first."""
    found: list[dict[str, Any]] = []
    for event in newest_first:
        if not is_of_stack(event):
            found.append(event)
        # A rollback or cleanup goes on with what went before, after the end of an operation another one begins.
        elif not event.get("ResourceStatus", "").endswith(("ROLLBACK_IN_PROGRESS", "CLEANUP_IN_PROGRESS")):
            break
    return found[::-1]


def failures(events: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Events of resources that failed by themselves, oldest first."""
    return [e for e in _oldest_first(events) if _failed(e) and not _cancelled(e)]


def root_cause(events: Iterable[dict[str, Any]]) -> Cause | None:
    """The first failure of a run's events (any order, nested stacks included); None if nothing failed.

    What failed inside a nested stack goes before the nested stack, a resource before the stack as a whole; what was
    cancelled because of it is left out.
    """
    ordered = _oldest_first(events)
    failed = [e for e in ordered if _failed(e) and not _cancelled(e)]
    for wanted in (
        lambda e: e.get("ResourceType") != _STACK,
        lambda e: not is_of_stack(e),
        lambda e: bool(_reason(e)),
        lambda e: True,
    ):
        for event in failed:
            if wanted(event):
                return _cause(event)
    for event in ordered:  # a stack may turn back without any resource failing
        if is_of_stack(event) and "ROLLBACK" in event.get("ResourceStatus", "") and _reason(event):
            return _cause(event)
    return None


def report(event: dict[str, Any]) -> dict[str, Any]:
    """An event for the module's return value."""
    return {"time": event["Timestamp"].isoformat(), "status": event.get("ResourceStatus", ""),
            "type": event.get("ResourceType", ""),
            "logical_id": event.get("Path", "") + event.get("LogicalResourceId", ""),
            "physical_id": event.get("PhysicalResourceId", ""), "reason": _reason(event)}


def _cause(event: dict[str, Any]) -> Cause:
    whole = is_of_stack(event) and not event.get("Path")
    return Cause("" if whole else event.get("Path", "") + event.get("LogicalResourceId", ""),
                 "" if whole else event.get("ResourceType", ""), event.get("ResourceStatus", ""), _reason(event), event)


def _oldest_first(events: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(events, key=lambda e: e["Timestamp"])


def _failed(event: dict[str, Any]) -> bool:
    return (event.get("ResourceStatus", "").endswith("_FAILED")
            or event.get("HookStatus") in ("HOOK_COMPLETE_FAILED", "HOOK_FAILED")
            and event.get("HookFailureMode", "FAIL") == "FAIL")


def _cancelled(event: dict[str, Any]) -> bool:
    return str(event.get("ResourceStatusReason", "")).lower().startswith(_CANCELLED)


def _reason(event: dict[str, Any]) -> str:
    reason = event.get("ResourceStatusReason") or event.get("HookStatusReason") or ""
    return " ".join(str(reason).split())
