"""Pipelines: created, updated, read, deleted."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from functools import partial

from .. import declaration, engine, interventions, ministack, polling, records, settings
from ..actions import kind_of
from ..errors import ServiceError
from ..store import Json, store
from . import page, pipeline_named
from .tags import set_tags


def create(request: Json, caller: str, before_start: Callable[[Json], None] = lambda pipeline: None) -> Json:
    """before_start: what to do with the new pipeline before it runs for the first time."""
    declared = request["pipeline"]
    if declared["name"] in store.pipelines:
        raise ServiceError("PipelineNameInUseException", f"A pipeline with the name '{declared['name']}' already "
                           f"exists in account '{ministack.account_id()}'")
    if len(store.pipelines) >= settings.MAX_PIPELINES:
        raise ServiceError("LimitExceededException", f"The account has {settings.MAX_PIPELINES} pipelines, the most "
                           "that it may have.")
    declaration.check(declared)
    now = time.time()
    arn = f"arn:aws:codepipeline:{ministack.region_name()}:{ministack.account_id()}:{declared['name']}"
    tags = set_tags(arn, request.get("tags") or [])
    pipeline = {"name": declared["name"], "arn": arn, "created": now, "updated": now, "version": 0, "versions": {},
                "transitions": {}, "occupied": {}, "waiting": {}, "latest": {}, "actions": {}, "revisions": {},
                "executions": [], "sequence": 0, "requests": {}, "seen": {}}
    store.pipelines[declared["name"]] = pipeline
    _new_version(pipeline, declared)
    before_start(pipeline)
    engine.start(pipeline, {"triggerType": "CreatePipeline", "triggerDetail": caller})
    return {"pipeline": shown(pipeline), **({"tags": tags} if tags else {})}


def update(request: Json, _caller: str) -> Json:
    declared = request["pipeline"]
    pipeline: Json | None = store.pipelines.get(declared["name"])
    if pipeline is None:
        # The one operation on a pipeline whose model has no PipelineNotFoundException.
        raise ServiceError("ValidationException", f"Account does not have a pipeline with name '{declared['name']}'")
    declaration.check(declared)
    before = records.declared(pipeline)["stages"]
    if _with_defaults(declared)["stages"] != before:
        interventions.cancel_all(pipeline)
    _new_version(pipeline, declared)
    return {"pipeline": shown(pipeline)}


def _new_version(pipeline: Json, declared: Json) -> None:
    pipeline["version"] += 1
    pipeline["updated"] = time.time()
    kept = _with_defaults(declared)
    kept["version"] = pipeline["version"]
    pipeline["versions"][str(pipeline["version"])] = kept
    polling.watch(pipeline)


def _with_defaults(declared: Json) -> Json:
    kept = copy.deepcopy(declared)
    kept.setdefault("pipelineType", "V1")
    kept.setdefault("executionMode", "SUPERSEDED")
    for stage in kept["stages"]:
        for action in stage["actions"]:
            action.setdefault("runOrder", 1)
            action.setdefault("configuration", {})
            action.setdefault("inputArtifacts", [])
            action.setdefault("outputArtifacts", [])
    return kept


def shown(pipeline: Json, version: int = 0) -> Json:
    return copy.deepcopy(records.declared(pipeline, version))


def get(request: Json, _caller: str) -> Json:
    pipeline = pipeline_named(request["name"])
    version = request.get("version") or pipeline["version"]
    if str(version) not in pipeline["versions"]:
        raise ServiceError("PipelineVersionNotFoundException", f"The pipeline {pipeline['name']} has no version "
                           f"{version}; its newest is {pipeline['version']}.")
    return {"pipeline": shown(pipeline, version), "metadata": {
        "pipelineArn": pipeline["arn"], "created": pipeline["created"], "updated": pipeline["updated"]}}


def delete(request: Json, _caller: str) -> Json:
    """Deleting what does not exist succeeds. What was running is abandoned."""
    pipeline: Json | None = store.pipelines.get(request["name"])
    if pipeline is None:
        return {}
    for one in pipeline["executions"]:
        for run in store.executions[one]["stages"].values():
            for action_id in run["actions"]:
                action = records.alive(action_id)
                if action:
                    kind_of(action["typeId"]).abandon(action)
        records.forget(one)
    store.tags.pop(pipeline["arn"], None)
    del store.pipelines[request["name"]]
    return {}


def listed(request: Json, _caller: str) -> Json:
    items = []
    for _, pipeline in sorted(store.pipelines.items()):
        declared = records.declared(pipeline)
        items.append({"name": pipeline["name"], "version": pipeline["version"],
                      "pipelineType": declared["pipelineType"], "executionMode": declared["executionMode"],
                      "created": pipeline["created"], "updated": pipeline["updated"]})
    return page(items, request, "pipelines", 1000)


def resume() -> None:
    """After a restart."""
    for (account, region, _), pipeline in list(store.pipelines.all_items()):
        with ministack.request_scope(account, region), store.changing():
            store.after(partial(polling.watch, pipeline))


OPERATIONS = {"CreatePipeline": create, "UpdatePipeline": update, "GetPipeline": get, "DeletePipeline": delete,
              "ListPipelines": listed}
