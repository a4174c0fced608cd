"""What became of one deployment: a pure judgement of what DescribeServices says.

The verdict belongs to the deployment that the caller expects, found once and then followed by its id: a service that
is healthy again on its old task definition is a failed release, not a good one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any


class Verdict(StrEnum):
    """The outcome of a rollout. IN_PROGRESS and NOT_STARTED are not final: ask again."""

    IN_PROGRESS = "in_progress"
    NOT_STARTED = "not_started"
    COMPLETED = "completed"
    FAILED = "failed"
    ROLLED_BACK = "rolled_back"
    SUPERSEDED = "superseded"
    MISSING = "missing"
    INACTIVE = "inactive"
    TIMED_OUT = "timed_out"
    NO_ANSWER = "no_answer"

    @property
    def final(self) -> bool:
        return self not in (Verdict.IN_PROGRESS, Verdict.NOT_STARTED)


@dataclass(frozen=True)
class Expectation:
    """The deployment that is to be judged.

    task_definition: ARN or family:revision; '' is whatever the service's latest deployment runs.
    deployment_id: known once the deployment was seen; '' before.
    created: when that deployment was made, by AWS's clock.
    previous: task definitions of the service's other deployments when it was first seen (where a rollback leads).
    """

    task_definition: str = ""
    deployment_id: str = ""
    created: datetime | None = None
    previous: frozenset[str] = field(default_factory=frozenset)


@dataclass(frozen=True)
class Judgement:
    """A verdict with what it rests on.

    deployment: the awaited deployment as AWS gives it, {} when the service has none.
    primary: the deployment that AWS now steers towards, {} when there is none.
    reason: AWS's own words for it (rolloutStateReason, a service event), '' when it gave none.
    """

    verdict: Verdict
    deployment: Mapping[str, Any] = field(default_factory=dict)
    primary: Mapping[str, Any] = field(default_factory=dict)
    reason: str = ""


_ROLLBACK = re.compile(r"roll(?:ing|ed) back to", re.IGNORECASE)


def judge(service: Mapping[str, Any] | None, expected: Expectation) -> Judgement:
    """The verdict on the expected deployment. service: AWS's Service structure, None when it does not exist."""
    if service is None:
        return Judgement(Verdict.MISSING)
    if service.get("status") != "ACTIVE":
        return Judgement(Verdict.INACTIVE, reason=str(service.get("status", "")))
    deployments: list[Mapping[str, Any]] = list(service.get("deployments", []))
    primary = next((d for d in deployments if d.get("status") == "PRIMARY"), {})
    mine = _awaited(service, deployments, primary, expected)
    if not mine:
        return _judge_absence(service, primary, expected)

    state = mine.get("rolloutState")
    reason = str(mine.get("rolloutStateReason", ""))
    is_primary = mine.get("id") == primary.get("id")
    if state == "FAILED":
        return Judgement(Verdict.FAILED if is_primary or not primary else Verdict.ROLLED_BACK, mine, primary, reason)
    if not is_primary:
        rolled_back = _rollback_event(service, mine.get("createdAt"))
        if rolled_back or _is_return(primary, mine, expected):
            return Judgement(Verdict.ROLLED_BACK, mine, primary, reason or rolled_back)
        return Judgement(Verdict.SUPERSEDED, mine, primary, reason)
    if state == "COMPLETED" or (state is None and _steady(mine, deployments)):
        return Judgement(Verdict.COMPLETED, mine, primary, reason)
    return Judgement(Verdict.IN_PROGRESS, mine, primary, reason)


def pin(expected: Expectation, service: Mapping[str, Any], deployment: Mapping[str, Any]) -> Expectation:
    """`expected`, bound to the deployment that was found in `service`."""
    others = frozenset(str(d["taskDefinition"]) for d in service.get("deployments", [])
                       if d.get("id") != deployment["id"])
    return Expectation(str(deployment["taskDefinition"]), str(deployment["id"]), deployment.get("createdAt"),
                       expected.previous | others)


def same_task_definition(one: str, other: str) -> bool:
    """Whether two names mean the same revision; each an ARN or family:revision."""
    if one.startswith("arn:") and other.startswith("arn:"):
        return one == other
    return short(one) == short(other)


def short(name: str) -> str:
    """The last part of an ARN: web:12, web. A plain name is returned as it is."""
    return name.rsplit("/", 1)[-1] if name.startswith("arn:") else name


def _awaited(service: Mapping[str, Any], deployments: list[Mapping[str, Any]], primary: Mapping[str, Any],
             expected: Expectation) -> Mapping[str, Any]:
    """The expected deployment, {} when the service does not have it."""
    by_id = next((d for d in deployments if expected.deployment_id and d.get("id") == expected.deployment_id), {})
    if by_id and (by_id is primary or by_id.get("rolloutState") == "FAILED"):
        return by_id
    if expected.task_definition:
        same = [d for d in deployments if same_task_definition(str(d["taskDefinition"]), expected.task_definition)]
        # A later redeployment of the same task definition takes over: what it brings up is what was asked for.
        if primary in same and (expected.created is None or _made(primary) >= expected.created.timestamp()):
            return primary
        return by_id or max(same, key=_made, default={})
    newest = max(deployments, key=_made, default={})
    failed = max((d for d in deployments if d.get("rolloutState") == "FAILED"), key=_made, default={})
    # Nobody said what is expected, so a rollback must not pass for the release: it may be the newest deployment.
    if failed and primary and any(f"rolling back to deployment {primary['id']}" in str(event.get("message", ""))
                                  for event in service.get("events", [])):
        return failed
    return newest


def _judge_absence(service: Mapping[str, Any], primary: Mapping[str, Any], expected: Expectation) -> Judgement:
    if not primary:
        return Judgement(Verdict.NOT_STARTED)
    if expected.deployment_id:
        # It was there and is gone: AWS lists a rolled-back deployment only for as long as it has tasks.
        event = _rollback_event(service, expected.created)
        mine = {"id": expected.deployment_id, "taskDefinition": expected.task_definition,
                "createdAt": expected.created}
        gone_back = bool(event) or _is_return(primary, mine, expected)
        return Judgement(Verdict.ROLLED_BACK if gone_back else Verdict.SUPERSEDED, mine, primary, event)
    if _revision_after(str(primary["taskDefinition"]), expected.task_definition):
        return Judgement(Verdict.SUPERSEDED, {}, primary)
    return Judgement(Verdict.NOT_STARTED, {}, primary)


def _is_return(primary: Mapping[str, Any], mine: Mapping[str, Any], expected: Expectation) -> bool:
    """Whether the present PRIMARY is what ran before, rather than a release that came after."""
    if str(primary.get("taskDefinition")) in expected.previous:
        return True
    made, since = primary.get("createdAt"), mine.get("createdAt")
    return bool(made and since and made < since)


def _rollback_event(service: Mapping[str, Any], since: datetime | None) -> str:
    """The newest event after `since` that says the service went back; '' when none does."""
    if since is None:
        return ""
    return next((str(event["message"]) for event in service.get("events", [])
                 if event["createdAt"] >= since and _ROLLBACK.search(event["message"])), "")


def _steady(mine: Mapping[str, Any], deployments: list[Mapping[str, Any]]) -> bool:
    """For services that AWS gives no rolloutState (a Classic Load Balancer): its own definition of stable."""
    return (len(deployments) == 1 and not mine.get("pendingCount")
            and mine.get("runningCount", 0) >= mine.get("desiredCount", 0))


def _revision_after(one: str, other: str) -> bool:
    """Whether `one` is a later revision of the same family as `other`."""
    (family, _, number), (wanted, _, expected) = short(one).partition(":"), short(other).partition(":")
    return family == wanted and number.isdigit() and expected.isdigit() and int(number) > int(expected)


def _made(deployment: Mapping[str, Any]) -> float:
    created = deployment.get("createdAt")
    return created.timestamp() if created else 0.0
