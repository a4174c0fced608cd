"""What job workers and functions call: poll, acknowledge, details, results."""

from __future__ import annotations

import json
import time
from functools import partial

from .. import action_types, engine, jobs, ministack, settings
from ..actions.function import FUNCTION
from ..errors import ServiceError, invalid
from ..scheduler import scheduler
from ..store import Json, store


def poll(request: Json, _caller: str) -> Json:
    """The same job is given out until somebody acknowledges it."""
    wanted = request["actionTypeId"]
    found = action_types.find(wanted) if wanted["owner"] == "Custom" else None
    if found is None:
        raise ServiceError("ActionTypeNotFoundException", f"No action type (Category: '{wanted['category']}', "
                           f"Owner: '{wanted['owner']}', Provider: '{wanted['provider']}', Version: "
                           f"'{wanted['version']}') was found.")
    query = request.get("queryParam") or {}
    known = action_types.properties(found)
    for name in query:
        if not known.get(name, {}).get("queryable"):
            raise invalid(f"The action type has no queryable property {name}.")
    waiting = [job for job in store.jobs.values() if job["type"] == action_types.key(wanted)
               and job["status"] in ("Queued", "Dispatched") and job["from"] <= time.time()
               and all(store.actions[job["action"]]["resolved"].get(name) == value for name, value in query.items())]
    chosen = sorted(waiting, key=lambda job: job["created"])[:request.get("maxBatchSize") or 1]
    new = [job for job in chosen if job["status"] == "Queued"]
    if new:
        with store.changing():
            for job in new:
                job["status"] = "Dispatched"
    return {"jobs": [{"id": job["id"], "nonce": job["nonce"], "accountId": ministack.account_id(),
                      "data": jobs.data(job)} for job in chosen]}


def acknowledge(request: Json, _caller: str) -> Json:
    job = jobs.named(request["jobId"])
    if job["nonce"] != request["nonce"] or job["status"] not in ("Dispatched", "Queued"):
        raise ServiceError("InvalidNonceException", f"The nonce does not belong to the job {job['id']}, or the job was "
                           "acknowledged already.")
    # Whoever else was given the job comes too late with the old one.
    job.update(status="InProgress", nonce=jobs.new_nonce())
    return {"status": "InProgress"}


def details(request: Json, _caller: str) -> Json:
    job = jobs.named(request["jobId"])
    return {"jobDetails": {"id": job["id"], "accountId": ministack.account_id(), "data": jobs.data(job)}}


def succeeded(request: Json, caller: str) -> Json:
    job = jobs.at_work(request["jobId"])
    action = store.actions[job["action"]]
    output = request.get("outputVariables") or {}
    if len(json.dumps(output)) > settings.MAX_VARIABLE_BYTES:
        raise ServiceError("OutputVariablesSizeExceededException", "The output variables together have more than "
                           f"{settings.MAX_VARIABLE_BYTES} bytes.")
    if output and request.get("continuationToken"):
        raise invalid("A result with a continuation token ends nothing, so it has no output variables.")
    _note(action, request.get("executionDetails") or {}, caller)
    job["status"] = "Succeeded"
    if request.get("continuationToken"):
        _continue(job, action, request["continuationToken"])
        return {}
    engine.succeed(action["id"], output, _revision(request.get("currentRevision")))
    return {}


def failed(request: Json, caller: str) -> Json:
    job = jobs.at_work(request["jobId"])
    action, problem = store.actions[job["action"]], request["failureDetails"]
    _note(action, {"externalExecutionId": problem.get("externalExecutionId")}, caller)
    job["status"] = "Failed"
    engine.fail(action["id"], problem["type"], problem["message"])
    return {}


def _note(action: Json, details: Json, caller: str) -> None:
    """What is known of the work outside, for people to see."""
    action.update(updatedBy=caller, updated=time.time())
    for name, key in (("summary", "summary"), ("externalExecutionId", "externalId"), ("percentComplete", "percent")):
        if details.get(name) not in (None, ""):
            action[key] = details[name]
    if action.get("externalId"):
        action["externalUrl"] = action_types.url(action_types.find(action["typeId"]), "executionUrlTemplate",
                                                 action["resolved"], action["externalId"])


def _continue(job: Json, action: Json, token: str) -> None:
    pause, now = settings.CONTINUATION_SECONDS, time.time()
    if action["typeId"]["owner"] == "Custom":
        jobs.create(action, "Queued", job["deadline"] - now, token, pause)
        return
    left = action["started"] + settings.LAMBDA_ACTION_SECONDS - now
    following = jobs.create(action, "InProgress", min(settings.LAMBDA_SECONDS, left), token, pause)
    scheduler.at(now + pause, partial(FUNCTION.again, following))


def _revision(given: Json | None) -> Json | None:
    if not given:
        return None
    return {"revisionId": given["revision"], "revisionChangeIdentifier": given["changeIdentifier"],
            "revisionSummary": given.get("revisionSummary") or "", "created": given.get("created") or time.time()}


OPERATIONS = {"PollForJobs": poll, "AcknowledgeJob": acknowledge, "GetJobDetails": details,
              "PutJobSuccessResult": succeeded, "PutJobFailureResult": failed}
