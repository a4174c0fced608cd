"""Jobs: what workers poll for and functions are invoked with. One action may need several, by continuation tokens."""

from __future__ import annotations

import secrets
import time
from functools import partial

from . import action_types, artifacts, engine, ministack, records, settings
from .errors import ServiceError
from .scheduler import scheduler
from .store import Json, store

OPEN = ("Queued", "Dispatched", "InProgress")


def create(action: Json, status: str, seconds: float, token: str = "", pause: float = 0.0) -> Json:
    """A job of the action. status: Queued for a worker to take, InProgress for a function. seconds: until it fails.
    token: what the job before handed on. pause: seconds until anybody gets it."""
    now = time.time()
    job = {"id": ministack.new_uuid(), "action": action["id"], "status": status, "nonce": new_nonce(),
           "created": now, "from": now + pause, "deadline": now + seconds, "continuation": token,
           "type": action_types.key(action["typeId"])}
    store.jobs[job["id"]] = job
    action["job"] = job["id"]
    watch(job)
    return job


def new_nonce() -> str:
    return str(secrets.randbelow(10 ** 6) + 1)


def watch(job: Json) -> None:
    """Fail the job's action when its time is over."""
    scheduler.at(job["deadline"], partial(_expired, job["id"]))


def _expired(job_id: str) -> None:
    with store.changing():
        job = store.jobs.get(job_id)
        if job is None or job["status"] not in OPEN:
            return
        taken = job["status"] == "InProgress"
        job["status"] = "TimedOut"
        minutes = (job["deadline"] - store.actions[job["action"]]["started"]) / 60
        engine.fail(job["action"], "JobTimedOut", f"The action failed because {_nobody(taken)} within "
                    f"{minutes:.0f} minutes." if minutes >= 1 else
                    f"The action failed because {_nobody(taken)} within {minutes * 60:.0f} seconds.")


def _nobody(taken: bool) -> str:
    return "whoever took its job reported no result" if taken else "no job worker took its job"


def close(action: Json, status: str) -> None:
    job = store.jobs.get(action["job"])
    if job and job["status"] in OPEN:
        job["status"] = status


def named(job_id: str) -> Json:
    job: Json | None = store.jobs.get(job_id)
    if job is None:
        raise ServiceError("JobNotFoundException", f"No job with the ID {job_id} was found.")
    return job


def at_work(job_id: str) -> Json:
    """The job, which somebody has to have taken."""
    job = named(job_id)
    if job["status"] != "InProgress":
        raise ServiceError("InvalidJobStateException", f"Only a job that is in progress can have a result, but the job "
                           f"{job_id} is in the state {job['status']}.")
    return job


def data(job: Json) -> Json:
    """What its worker is told, with fresh credentials for its artifacts while the job is open."""
    action = store.actions[job["action"]]
    pipeline = store.pipelines[action["pipeline"]]
    declared = records.declared(pipeline, action["version"])
    told: Json = {
        "actionTypeId": action["typeId"], "actionConfiguration": {"configuration": action["resolved"]},
        "pipelineContext": {
            "pipelineName": pipeline["name"], "stage": {"name": action["stage"]},
            "action": {"name": action["action"], "actionExecutionId": action["id"]}, "pipelineArn": pipeline["arn"],
            "pipelineExecutionId": action["execution"]},
        "inputArtifacts": [artifacts.described(one) for one in action["inputs"]],
        "outputArtifacts": [artifacts.described(one) for one in action["outputs"]]}
    if job["status"] in OPEN:
        told["artifactCredentials"] = ministack.session(
            declared["roleArn"], job["id"], artifacts.policy(action["inputs"], action["outputs"]),
            settings.CREDENTIAL_SECONDS)
    if job["continuation"]:
        told["continuationToken"] = job["continuation"]
    if artifacts.bucket_of(declared).get("encryptionKey"):
        told["encryptionKey"] = artifacts.bucket_of(declared)["encryptionKey"]
    return told
