"""What a release was, made from what its modules returned. Pure.

A record is a dict of JSON types:
    id (sorts by time), service, stack_name, kind (release, rollback), verdict, changed (whether anything was), message,
    cause (of a failure, one line), cause_kind (its key in rollout/causes.py, '' where there is none), remedy, evidence
    (list of str), commit (of the image; with -dirty behind it where the source differed from it, '' where it is not
    known), tag, digest, image_uri, task_definition, deployment_id, url, parameters (NoEcho ones hidden), from (tag and
    digest that ran before, where known), changes (list of str), events (of the stack: time, status, type, logical_id,
    reason), who (ARN), user, host, process, build_url, superseded_by (who asked it to stop, where somebody did),
    clock_offset (seconds AWS's clock is ahead of the host's), waited (seconds for its turn, before it started),
    started, ended (ISO 8601, UTC, AWS's clock), seconds, phases (seconds by name), api_calls (by operation).
verdict: running, completed, those of module ecs_rollout (superseded too where another release asked it to stop;
    rolled_back and timed_out also where the stack's update came to it), and image_failed, task_failed, stack_failed,
    aborted, refused.

release.json is such a record. Pipelines and other readers rely on its names: they stay as they are.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

Record = dict[str, Any]

RELEASE, ROLLBACK = "release", "rollback"
RUNNING, COMPLETED = "running", "completed"
IMAGE_FAILED, TASK_FAILED, STACK_FAILED = "image_failed", "task_failed", "stack_failed"
REFUSED, ABORTED, SUPERSEDED = "refused", "aborted", "superseded"

#: Key of an entry whose release has its turn, but has not looked yet at what the one before it left behind.
PROVISIONAL = "provisional"

#: What is kept of long lists. An item of DynamoDB holds 400 kB.
_EVENTS, _EVIDENCE, _CHANGES, _TEXT = 150, 40, 40, 1000
#: A cause is for a line of a table or of a console.
_CAUSE = 400


def record_id(started: datetime, token: str) -> str:
    """Sorts by time, to the millisecond: one that ends at once may be followed in the same second. started: in UTC."""
    return f"release#{started.isoformat(timespec='milliseconds')}#{token[:8]}"


def opened(service: str, stack_name: str, kind: str, started: datetime, token: str, before: Mapping[str, str],
           **origin: str | float) -> Record:
    """The record of a release that begins. started: in UTC; before: the tag that runs now, if any; origin: commit, who,
    user, host, build_url, process, clock_offset."""
    return {"id": record_id(started, token), "service": service, "stack_name": stack_name, "kind": kind,
            "verdict": RUNNING, "started": started.isoformat(timespec="seconds"), "from": dict(before), **origin}


def closed(entry: Record, image: Mapping[str, Any], stack: Mapping[str, Any], rollout: Mapping[str, Any],
           ended: str, before: Mapping[str, Any] | None = None, task: Mapping[str, Any] | None = None) -> Record:
    """The record of a release that came to its end.

    image, stack, rollout: what ecr_push, cfn_stack and ecs_rollout returned; {} for one that did not run. before: the
    result that refused it before any of them ran (the preflight's, say), where one did.
    """
    task = task or {}
    verdict, last = (REFUSED, before) if before and before.get("failed") else _verdict(image, task, stack, rollout)
    diagnosis = rollout.get("diagnosis") or {}
    evidence = [*(last.get("evidence") or []), *(diagnosis.get("evidence") or [])]
    known = {
        "verdict": verdict,
        "changed": bool(stack.get("changed")),
        "message": _short(last.get("msg", "")),
        "cause": "" if verdict == COMPLETED else _cause(last),
        "cause_kind": "" if verdict == COMPLETED else str(last.get("cause_kind") or diagnosis.get("kind") or ""),
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
        "phases": _phases({"image": image, "task": task, "stack": stack, "rollout": rollout}),
        "api_calls": dict(sum((Counter(one.get("api_calls") or {}) for one in (image, task, stack, rollout)),
                              Counter())),
    }
    return {**entry, **known}


def orphaned(entry: Record, status: str, tag: str, ended: str, events: Sequence[Mapping[str, Any]] = (),
             notes: Sequence[Mapping[str, Any]] = (), digest: str = "") -> Record:
    """The record of a release whose process ended before its end, as the stack and its notes show what became of it.

    status: the stack's, '' when there is none; tag, digest: the image it names now, '' for none. events: of the stack
    since the release began, oldest first, as cfn_stack reports them. notes: what its modules began and ended, oldest
    first: module, at (seconds since the epoch), and at an end result.
    """
    # A provisional entry's release has done nothing yet, and does not know what ran before.
    before, image_now = entry.get("from") or {}, {"tag": tag, "digest": digest}
    went_through = (status.endswith("_COMPLETE") and "ROLLBACK" not in status and bool(tag)
                    and not same_image(before, image_now) and not entry.get(PROVISIONAL))
    entry = {name: value for name, value in entry.items() if name != PROVISIONAL}
    image, last, asker = _noted(notes, "ecr_push", ended), _at_work(notes), entry.get("superseded_by")
    early = f"Superseded by {asker}{last}" if asker else f"The process of this release ended early{last}"
    if went_through:
        message = f"{early}, but its stack update went through: {tag} is deployed."
    elif not status:
        message = f"{early}; there is no stack."
    else:
        message = f"{early}; the stack is {status}" + (f" and {tag} is deployed." if tag else ".")
    stack = {"changed": went_through, "events": events, "phases": _stack_phases(events)}
    known = closed(entry, image, stack, _noted(notes, "ecs_rollout", ended), ended)
    if went_through and not same_image(known, image_now):
        known |= {**image_now, "image_uri": ""}
    ended_as = SUPERSEDED if asker else ABORTED
    return {**known, "verdict": COMPLETED if went_through else ended_as, "message": message,
            "cause": "" if went_through else message, "remedy": "", "evidence": []}


#: What a release does while this module works.
_WORK = {"ecr_push": "built and pushed its image", "ecs_task": "ran its task", "cfn_stack": "updated its stack",
         "ecs_rollout": "awaited its rollout"}


def _at_work(notes: Sequence[Mapping[str, Any]]) -> str:
    """' while it updated its stack', '' where that is not known."""
    begun = [str(note.get("module")) for note in notes if "result" not in note]
    work = _WORK.get(begun[-1], "") if begun else ""
    return f" while it {work}" if work else ""


def _noted(notes: Sequence[Mapping[str, Any]], module: str, ended: str) -> dict[str, Any]:
    """What is known of this module's run: its result, or how long it had been at work; {} when it never began."""
    mine = [note for note in notes if note.get("module") == module]
    results = [dict(note["result"]) for note in mine if isinstance(note.get("result"), Mapping)]
    if results:
        return results[-1]
    if not mine:
        return {}
    seconds = datetime.fromisoformat(ended).timestamp() - float(mine[-1].get("at", 0))
    return {"phases": {"interrupted": max(0.0, round(seconds, 1))}}


def _stack_phases(events: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Seconds of the update and of its rollback, by the stack's events, oldest first."""
    if not events:
        return {}
    times = [str(event["time"]) for event in events]
    back = next((time for time, event in zip(times, events, strict=True) if "ROLLBACK" in str(event["status"])), "")
    phases = {"update": seconds_between(times[0], back or times[-1])}
    return {**phases, "rollback": seconds_between(back, times[-1])} if back else phases


def is_release(image: Mapping[str, Any], stack: Mapping[str, Any], rollout: Mapping[str, Any],
               task: Mapping[str, Any] | None = None) -> bool:
    """Whether anything was done that deserves a record: a run that found all as it should be does not."""
    failed = any(one.get("failed") for one in (image, task or {}, stack, rollout))
    return bool(failed or stack.get("changed"))


def _cause(result: Mapping[str, Any]) -> str:
    """Why, in one line: the diagnosis where there is one, else the message without its remedy."""
    diagnosis = result.get("diagnosis") or {}
    text = str(diagnosis.get("cause") or result.get("msg", ""))
    for remedy in (diagnosis.get("remedy"), result.get("remedy")):
        text = text.removesuffix(str(remedy or "")).rstrip() or text
    lines = [line.strip() for line in text.strip().splitlines() if line.strip()]
    # A heading says nothing without what stands below it.
    line = lines[0] if lines and not lines[0].endswith(":") else " ".join(lines)
    return line if len(line) <= _CAUSE else f"{line[:_CAUSE - 3]}..."


def change_line(change: Mapping[str, Any]) -> str:
    """One changed resource in a line: action, type and logical id, and what of it differs."""
    how = {"True": "replace", "Conditional": "perhaps replace"}.get(str(change.get("replacement")), "")
    what = ", ".join(f"{p.get('path') or p.get('name')}: {p.get('before')} -> {p.get('after')}"
                     for p in change.get("properties") or [])
    words = [str(change.get("action", "")).lower(), f"({how})" if how else "", str(change.get("resource_type", "")),
             str(change.get("logical_resource_id", ""))]
    line = " ".join(word for word in words if word)
    return _short(f"{line}: {what}" if what else line)


def same_image(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether both name the same image: by their digests where both are known, else by their tags."""
    name = "digest" if one.get("digest") and other.get("digest") else "tag"
    return bool(one.get(name) == other.get(name))


def seconds_between(started: str, ended: str) -> float:
    """Seconds from one ISO 8601 time to another, never below 0."""
    return max(0.0, round((datetime.fromisoformat(ended) - datetime.fromisoformat(started)).total_seconds(), 1))


def _verdict(image: Mapping[str, Any], task: Mapping[str, Any], stack: Mapping[str, Any],
             rollout: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
    if image.get("failed"):
        return IMAGE_FAILED, image
    if task.get("failed"):
        return TASK_FAILED, task
    if stack.get("failed"):
        return str(stack.get("verdict") or STACK_FAILED), stack
    if rollout.get("failed"):
        # Without a verdict it was given up: before anything happened, or with a new version under way.
        return str(rollout.get("verdict") or (ABORTED if stack.get("changed") else REFUSED)), rollout
    if rollout.get("verdict") == COMPLETED:
        return COMPLETED, rollout
    # Something between the modules ended the run: a task of somebody else's, a host that went away.
    return ABORTED, {"msg": "The release ended before its rollout was judged."}


def _event(event: Mapping[str, Any]) -> dict[str, str]:
    return {key: _short(event.get(key) or "") for key in ("time", "status", "type", "logical_id", "reason")}


def _phases(parts: Mapping[str, Mapping[str, Any]]) -> dict[str, float]:
    return {f"{part}.{name}": float(seconds) for part, result in parts.items()
            for name, seconds in (result.get("phases") or {}).items()
            if name != "total" and isinstance(seconds, (int, float))}


def _known(value: Any) -> str:
    text = str(value or "")
    return "" if text.startswith("(") else text


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= _TEXT else text[:_TEXT - 3] + "..."
