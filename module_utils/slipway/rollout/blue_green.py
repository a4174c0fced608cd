"""A blue/green deployment in the shape of a rolling one, so that one verdict (verdict.py) is passed on both.

ECS keeps the state of such a deployment in service deployments and service revisions. What DescribeServices lists as
`deployments` says neither in which stage it is nor that it bakes, and is replaced here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..aws import deployments
from ..aws.session import Aws

#: Deployments that are looked at; an older one cannot be the awaited one or what it replaces.
_RECENT = 5
_STAGES = {
    "RECONCILE_SERVICE": "getting ready", "PRE_SCALE_UP": "before the new tasks start",
    "SCALE_UP": "starting the new tasks", "POST_SCALE_UP": "new tasks started",
    "TEST_TRAFFIC_SHIFT": "moving test requests", "POST_TEST_TRAFFIC_SHIFT": "testing",
    "PRODUCTION_TRAFFIC_SHIFT": "moving requests to the new tasks",
    "POST_PRODUCTION_TRAFFIC_SHIFT": "requests moved", "BAKE_TIME": "baking, old tasks kept",
    "CLEAN_UP": "stopping the old tasks",
}
_STATES = {"SUCCESSFUL": "COMPLETED", "ROLLBACK_SUCCESSFUL": "FAILED", "ROLLBACK_FAILED": "FAILED", "STOPPED": "FAILED"}


def applies(service: Mapping[str, Any]) -> bool:
    """Whether the service is deployed otherwise than by rolling. service: AWS's Service."""
    strategy = (service.get("deploymentConfiguration") or {}).get("strategy") or "ROLLING"
    return strategy != "ROLLING" and service.get("status") == "ACTIVE"


class Revisions:
    """The task definition of each service revision, which never changes: asked once."""

    def __init__(self, aws: Aws) -> None:
        self._aws = aws
        self._known: dict[str, str] = {}

    def seen(self, cluster: str, service: Mapping[str, Any]) -> dict[str, Any]:
        """`service` with its blue/green deployments in place of its `deployments`. Two calls, three where a revision is
        new."""
        found = deployments.recent(self._aws, cluster, str(service["serviceName"]), _RECENT)
        unknown = sorted({arn for one in found for arn in _revisions(one)} - self._known.keys())
        if unknown:
            self._known |= deployments.task_definitions(self._aws, unknown)
        return as_rolling(service, found, self._known)


def as_rolling(service: Mapping[str, Any], found: Sequence[Mapping[str, Any]],
               definitions: Mapping[str, str]) -> dict[str, Any]:
    """found: AWS's ServiceDeployment structures, newest first. definitions: task definition by revision. Pure.

    The newest is PRIMARY, unless it was rolled back; then what it went back to is.
    """
    if not found:
        return dict(service)
    newest = _deployment(found[0], definitions, newest=True)
    rolled_back = found[0].get("status") == "ROLLBACK_SUCCESSFUL"
    shown = [newest]
    source = _source(found, definitions)
    if source and (rolled_back or source["runningCount"]):
        shown.append({**source, "status": "PRIMARY" if rolled_back else "ACTIVE"})
    if rolled_back:
        newest["status"] = "ACTIVE"
    # What was completed before is no deployment of a rolling service either.
    ids = {one["id"] for one in shown}
    past = [_deployment(one, definitions, newest=False) for one in found[1:]]
    return {**service, "deployments": [*shown, *(one for one in past
                                                 if one["rolloutState"] != "COMPLETED" and one["id"] not in ids)]}


def _deployment(one: Mapping[str, Any], definitions: Mapping[str, str], newest: bool) -> dict[str, Any]:
    target = one.get("targetServiceRevision") or {}
    status = str(one.get("status", ""))
    # One that was stopped by a newer one was superseded, which is no failure of its own.
    state = "IN_PROGRESS" if status == "STOPPED" and not newest else _STATES.get(status, "IN_PROGRESS")
    rollback = one.get("rollback") or {}
    made = one["createdAt"]
    return {
        "id": str(one["serviceDeploymentArn"]).rsplit("/", 1)[-1],
        "status": "PRIMARY" if newest else "INACTIVE",
        "taskDefinition": definitions.get(str(target.get("arn", "")), ""),
        "desiredCount": int(target.get("requestedTaskCount", 0)),
        "runningCount": int(target.get("runningTaskCount", 0)),
        "pendingCount": int(target.get("pendingTaskCount", 0)),
        "createdAt": made, "updatedAt": one.get("finishedAt") or one.get("updatedAt") or made,
        "rolloutState": state,
        "rolloutStateReason": str(rollback.get("reason") or one.get("statusReason") or ""),
        "stage": _stage(one, status),
    }


def _stage(one: Mapping[str, Any], status: str) -> str:
    """What goes on, in words; '' once it is over."""
    if status in ("ROLLBACK_REQUESTED", "ROLLBACK_IN_PROGRESS"):
        return "rolling back"
    if status == "STOP_REQUESTED":
        return "stopping"
    if status not in ("PENDING", "IN_PROGRESS"):
        return ""
    stage = _STAGES.get(str(one.get("lifecycleStage", "")), "waiting to begin")
    hooks = [str(hook.get("status", "")) for hook in one.get("lifecycleHookDetails") or []]
    return f"{stage}, a hook is at work" if "IN_PROGRESS" in hooks else stage


def _source(found: Sequence[Mapping[str, Any]], definitions: Mapping[str, str]) -> dict[str, Any]:
    """What ran before the newest deployment, and runs again where that was rolled back; {} for a first one."""
    back = str((found[0].get("rollback") or {}).get("serviceRevisionArn") or "")
    sources = found[0].get("sourceServiceRevisions") or ([{"arn": back}] if back else [])
    source = next((revision for revision in sources if revision["arn"] == back), next(iter(sources), None))
    if source is None:
        return {}
    made = [one for one in found[1:] if (one.get("targetServiceRevision") or {}).get("arn") == source["arn"]]
    known = _deployment(made[0], definitions, newest=False) if made else {
        "id": str(source["arn"]).rsplit("/", 1)[-1], "createdAt": found[-1]["createdAt"],
        "updatedAt": found[-1]["createdAt"], "rolloutStateReason": ""}
    running = int(source.get("runningTaskCount", 0))
    return {**known, "taskDefinition": definitions.get(str(source["arn"]), ""), "rolloutState": "COMPLETED",
            "desiredCount": running, "runningCount": running, "pendingCount": 0, "stage": ""}


def _revisions(one: Mapping[str, Any]) -> list[str]:
    target = (one.get("targetServiceRevision") or {}).get("arn")
    sources = [revision["arn"] for revision in one.get("sourceServiceRevisions") or []]
    back = (one.get("rollback") or {}).get("serviceRevisionArn")
    return [str(arn) for arn in (target, *sources, back) if arn]
