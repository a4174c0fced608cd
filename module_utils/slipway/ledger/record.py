"""What a release was, made from what its modules returned. Pure.

A record is a dict of JSON types:
    id (sorts by time), service, stack_name, kind (release, rollback), verdict, message, remedy, evidence (list of str),
    commit, tag, digest, image_uri, task_definition, deployment_id, url, parameters (NoEcho ones hidden),
    from (tag and digest that ran before, where known), changes (list of str), events (of the stack: time, status, type,
    logical_id, reason), who (ARN), user, host, process, build_url, clock_offset (seconds AWS's clock is ahead of the
    host's), started, ended (ISO 8601, UTC, AWS's clock), seconds, phases (seconds by name), api_calls (by operation).
verdict: running, completed, those of module ecs_rollout, and image_failed, stack_failed, aborted, refused.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import datetime
from typing import Any

Record = dict[str, Any]

RELEASE, ROLLBACK = "release", "rollback"
RUNNING, COMPLETED = "running", "completed"
IMAGE_FAILED, STACK_FAILED, REFUSED, ABORTED = "image_failed", "stack_failed", "refused", "aborted"

#: What is kept of long lists. An item of DynamoDB holds 400 kB.
_EVENTS, _EVIDENCE, _CHANGES, _TEXT = 150, 40, 40, 1000


def record_id(started: str, token: str) -> str:
    """Sorts by time, and differs for two releases of the same second. started: ISO 8601 in UTC."""
    return f"release#{started}#{token[:8]}"


def opened(service: str, stack_name: str, kind: str, started: str, token: str, before: Mapping[str, str],
           **origin: str | float) -> Record:
    """The record of a release that begins. before: the tag that runs now, if any; origin: commit, who, user, host,
    build_url, process, clock_offset."""
    return {"id": record_id(started, token), "service": service, "stack_name": stack_name, "kind": kind,
            "verdict": RUNNING, "started": started, "from": dict(before), **origin}


def closed(entry: Record, image: Mapping[str, Any], stack: Mapping[str, Any], rollout: Mapping[str, Any],
           ended: str) -> Record:
    """The record of a release that came to its end.

    image, stack, rollout: what ecr_push, cfn_stack and ecs_rollout returned; {} for one that did not run.
    """
    verdict, last = _verdict(image, stack, rollout)
    diagnosis = rollout.get("diagnosis") or {}
    evidence = [*(last.get("evidence") or []), *(diagnosis.get("evidence") or [])]
    known = {
        "verdict": verdict,
        "message": _short(last.get("msg", "")),
        "remedy": _short(last.get("remedy", "")),
        "evidence": [_short(line) for line in evidence[:_EVIDENCE]],
        "tag": image.get("tag", ""),
        "digest": _known(image.get("digest")),
        "image_uri": _known(image.get("image_uri")),
        "built": bool(image.get("built")),
        "pushed": bool(image.get("pushed")),
        "task_definition": rollout.get("task_definition") or "",
        "deployment_id": rollout.get("deployment_id") or "",
        "url": (stack.get("outputs") or {}).get("AppURL", ""),
        "parameters": dict(stack.get("parameters") or {}),
        "changes": [change_line(change) for change in (stack.get("changes") or [])[:_CHANGES]],
        "events": [_event(event) for event in (stack.get("events") or [])[-_EVENTS:]],
        "ended": ended,
        "seconds": seconds_between(entry["started"], ended),
        "phases": _phases(image, stack, rollout),
        "api_calls": dict(sum((Counter(one.get("api_calls") or {}) for one in (image, stack, rollout)), Counter())),
    }
    return {**entry, **known}


def orphaned(entry: Record, status: str, tag: str, ended: str) -> Record:
    """The record of a release whose process ended before its end, as the stack shows what became of it.

    status: the stack's, '' when there is none; tag: the ImageTag it has now.
    """
    went_through = status.endswith("_COMPLETE") and "ROLLBACK" not in status and tag not in (
        "", (entry.get("from") or {}).get("tag"))
    if went_through:
        message = f"The process of this release ended early, but its stack update went through: {tag} is deployed."
    elif not status:
        message = "The process of this release ended early; there is no stack."
    else:
        message = (f"The process of this release ended early; the stack is {status}"
                   + (f" and {tag} is deployed." if tag else "."))
    return {**entry, "verdict": COMPLETED if went_through else ABORTED, "message": message, "ended": ended,
            "tag": tag if went_through else entry.get("tag", ""),
            "seconds": seconds_between(entry["started"], ended)}


def is_release(image: Mapping[str, Any], stack: Mapping[str, Any], rollout: Mapping[str, Any]) -> bool:
    """Whether anything was done that deserves a record: a run that found all as it should be does not."""
    failed = any(one.get("failed") for one in (image, stack, rollout))
    return bool(failed or stack.get("changed"))


def change_line(change: Mapping[str, Any]) -> str:
    """One changed resource in a line: action, type and logical id, and what of it differs."""
    how = {"True": "replace", "Conditional": "perhaps replace"}.get(str(change.get("replacement")), "")
    what = ", ".join(f"{p.get('path') or p.get('name')}: {p.get('before')} -> {p.get('after')}"
                     for p in change.get("properties") or [])
    words = [str(change.get("action", "")).lower(), f"({how})" if how else "", str(change.get("resource_type", "")),
             str(change.get("logical_resource_id", ""))]
    line = " ".join(word for word in words if word)
    return _short(f"{line}: {what}" if what else line)


def seconds_between(started: str, ended: str) -> float:
    """Seconds from one ISO 8601 time to another, never below 0."""
    return max(0.0, round((datetime.fromisoformat(ended) - datetime.fromisoformat(started)).total_seconds(), 1))


def _verdict(image: Mapping[str, Any], stack: Mapping[str, Any],
             rollout: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
    if image.get("failed"):
        return IMAGE_FAILED, image
    if stack.get("failed"):
        return STACK_FAILED, stack
    if rollout.get("failed"):
        return str(rollout.get("verdict") or REFUSED), rollout
    if rollout.get("verdict") == COMPLETED:
        return COMPLETED, rollout
    # Something between the modules ended the run: a task of somebody else's, a host that went away.
    return ABORTED, {"msg": "The release ended before its rollout was judged."}


def _event(event: Mapping[str, Any]) -> dict[str, str]:
    return {key: _short(event.get(key) or "") for key in ("time", "status", "type", "logical_id", "reason")}


def _phases(image: Mapping[str, Any], stack: Mapping[str, Any], rollout: Mapping[str, Any]) -> dict[str, float]:
    parts = {"image": image, "stack": stack, "rollout": rollout}
    return {f"{part}.{name}": float(seconds) for part, result in parts.items()
            for name, seconds in (result.get("phases") or {}).items()
            if name != "total" and isinstance(seconds, (int, float))}


def _known(value: Any) -> str:
    text = str(value or "")
    return "" if text.startswith("(") else text


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= _TEXT else text[:_TEXT - 3] + "..."
