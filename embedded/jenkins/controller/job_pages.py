"""Pages of jobs and of their builds."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from . import job_xml, log, triggers
from .jobs import BadRequest, Build, Job
from .web import Answer, Request, depth_of, exported, forbidden, html, missing, page, post_required

if TYPE_CHECKING:
    from .controller import Controller
XML = ("text/xml", "application/xml")


def page_of(controller: Controller, request: Request, name: str, rest: list[str]) -> Answer:
    job = controller.jobs.get(name)
    if job is None:
        return missing()
    path = "/".join(rest)
    changes = request.method in ("POST", "DELETE")
    if (changes or path == "config.xml") and not controller.security.may_change(request.caller):
        return forbidden(request, "hudson.model.Item.Configure")
    if path == "" and request.method == "DELETE":
        _delete(controller, job)
        return Answer(204)
    if path == "config.xml":
        if changes:
            return _post_config(controller, job, request)
        return Answer(200, controller.jobs.config(job), "application/xml")
    if path == "":
        return page(200, f"{html(name)} - Jenkins", html(name))
    if path == "api/json":
        return exported(request, data(controller, job, depth_of(request)))
    if path == "scmPollLog":
        log_file = job.directory / "scm-polling.log"
        return Answer(200, log_file.read_bytes() if log_file.exists() else b"", "text/plain;charset=utf-8")
    if path in ACTIONS:
        if request.method != "POST":
            return post_required()
        where = ACTIONS[path](controller, job) or f"{controller.settings.prefix}/job/{name}/"
        return Answer(302, headers={"Location": where})
    if path in ("build", "polling"):
        if request.method != "POST":
            return post_required()
        return _schedule(controller, job, request) if path == "build" else _poll(controller, job)
    build = job.find_build(rest[0])
    return build_page(controller, job, build, request, "/".join(rest[1:])) if build else missing()


# -- create, change, delete ------------------------------------------------------------------------------------------

def create(controller: Controller, request: Request) -> Answer:
    name = request.value("name")
    try:
        if "name" not in request.query:
            raise BadRequest("Query parameter 'name' is required")
        if request.content_type not in XML:
            raise BadRequest("No mode given")
        controller.jobs.create(name, request.body)
    except BadRequest as problem:
        # The header holds no more than ASCII, so quotes arrive as Jetty sends them: as question marks.
        return page(400, "Error", html(str(problem)), X_Error=str(problem).replace("\n", " "))
    except job_xml.Unreadable as problem:
        return _oops(f"Failed to persist config.xml of {name}", problem)
    return Answer(200)


def _post_config(controller: Controller, job: Job, request: Request) -> Answer:
    try:
        controller.jobs.update(job, request.body)
    except job_xml.Unreadable as problem:
        return _oops(f"Failed to persist config.xml of {job.name}", problem)
    return Answer(200)


def _oops(what: str, problem: Exception) -> Answer:
    log.warning("h.i.i.InstallUncaughtExceptionHandler#handleException", f"{what}\n{problem}")
    return page(500, "Oops!", "A problem occurred while processing the request.")


def _delete(controller: Controller, job: Job) -> str:
    # First, so that none of its builds starts from here on.
    controller.jobs.withdraw(job)
    controller.queue.forget(job.name)
    for build in controller.queue.builds_of(job.name):
        build.stopped_by = "SYSTEM"
    controller.queue.wait_for_builds_of(job.name, 30)
    controller.jobs.delete(job)
    return f"{controller.settings.prefix}/"


def _disable(controller: Controller, job: Job) -> str:
    controller.jobs.set_disabled(job, True)
    controller.queue.forget(job.name)
    return ""


def _enable(controller: Controller, job: Job) -> str:
    controller.jobs.set_disabled(job, False)
    return ""


ACTIONS = {"doDelete": _delete, "disable": _disable, "enable": _enable}


# -- builds ----------------------------------------------------------------------------------------------------------

def _schedule(controller: Controller, job: Job, request: Request) -> Answer:
    if job.disabled:
        return page(409, "Error 409 Conflict", f"{html(job.name)} is not buildable")
    found = re.fullmatch(r"(\d+)(sec|secs)?", request.value("delay") or "")
    item = controller.queue.schedule(job, f"Started by user {request.caller.name}", float(found[1]) if found else None)
    host = request.headers.get("Host") or "localhost"
    return Answer(201, headers={"Location": f"http://{host}{controller.settings.prefix}/queue/item/{item.id}/"})


def _poll(controller: Controller, job: Job) -> Answer:
    triggers.poll_in_background(controller, job)
    return Answer(302, headers={"Location": f"{controller.settings.prefix}/job/{job.name}/"})


def build_page(controller: Controller, job: Job, build: Build, request: Request, path: str) -> Answer:
    if path == "api/json":
        return exported(request, build_data(controller, job, build))
    if path in ("consoleText", "logText/progressiveText"):
        text = build.log.read_bytes()
        if path == "consoleText":
            return Answer(200, text, "text/plain;charset=utf-8")
        start = request.value("start", "0")
        headers = {"X-Text-Size": str(len(text)), **({"X-More-Data": "true"} if build.building else {})}
        return Answer(200, text[int(start) if start.isdigit() else 0:], "text/plain;charset=utf-8", headers)
    if path in ("", "console"):
        said = build.log.read_bytes().decode(errors="replace") if path else build.result or "building"
        return page(200, f"{html(job.name)} #{build.number}", f"<pre>{html(said)}</pre>")
    if path in ("stop", "doDelete"):
        if request.method != "POST":
            return post_required()
        if path == "stop":
            if build.building and not build.stopped_by:
                build.stopped_by = request.caller.name
        elif build.building:
            return page(400, "Error", "Cannot delete a build that is running")
        else:
            job.delete_build(build.number)
        return Answer(302, headers={"Location": f"{controller.settings.prefix}/job/{job.name}/"})
    return missing()


# -- data ------------------------------------------------------------------------------------------------------------

def url_of(controller: Controller, job: Job) -> str:
    return f"{controller.configuration.url}job/{job.name}/"


def brief(controller: Controller, job: Job) -> dict[str, Any]:
    return {"_class": "hudson.model.FreeStyleProject", "name": job.name, "url": url_of(controller, job),
            "color": job.colour}


def data(controller: Controller, job: Job, depth: int) -> dict[str, Any]:
    def build(name: str) -> dict[str, Any] | None:
        found = job.find_build(name)
        return _build(found) if found else None

    def _build(found: Build) -> dict[str, Any]:
        return build_data(controller, job, found) if depth else {
            "_class": "hudson.model.FreeStyleBuild", "number": found.number,
            "url": f"{url_of(controller, job)}{found.number}/"}

    builds = job.newest()
    item = controller.queue.waits(job.name)
    scm = job.root.find("scm")
    return {
        "_class": "hudson.model.FreeStyleProject", "actions": [], "description": job.text("description"),
        "displayName": job.text("displayName", job.name), "displayNameOrNull": job.text("displayName") or None,
        "fullDisplayName": job.name, "fullName": job.name, "name": job.name, "url": url_of(controller, job),
        "buildable": not job.disabled, "builds": [_build(one) for one in builds[:100]],
        "color": job.colour, "firstBuild": _build(builds[-1]) if builds else None, "healthReport": [],
        "inQueue": item is not None, "keepDependencies": False, "lastBuild": build("lastBuild"),
        "lastCompletedBuild": build("lastCompletedBuild"), "lastFailedBuild": build("lastFailedBuild"),
        "lastStableBuild": build("lastStableBuild"), "lastSuccessfulBuild": build("lastSuccessfulBuild"),
        "lastUnstableBuild": None, "lastUnsuccessfulBuild": build("lastUnsuccessfulBuild"),
        "nextBuildNumber": job.next_number, "property": [],
        "queueItem": controller.queue.data(item) if item else None,
        "concurrentBuild": job.text("concurrentBuild") == "true", "disabled": job.disabled,
        "downstreamProjects": [], "labelExpression": None,
        "scm": {"_class": scm.get("class") if scm is not None else job_xml.NO_SCM}, "upstreamProjects": []}


def build_data(controller: Controller, job: Job, build: Build) -> dict[str, Any]:
    causes = [{"_class": _cause(cause), "shortDescription": cause} for cause in build.causes]
    return {
        "_class": "hudson.model.FreeStyleBuild", "actions": [{"_class": "hudson.model.CauseAction", "causes": causes}],
        "artifacts": [], "building": build.building, "description": None, "displayName": f"#{build.number}",
        "duration": int(build.duration * 1000), "estimatedDuration": -1, "executor": None,
        "fullDisplayName": f"{job.name} #{build.number}", "id": str(build.number), "inProgress": build.building,
        "keepLog": False, "number": build.number, "queueId": build.queue_id,
        "result": None if build.building else build.result, "timestamp": int(build.timestamp * 1000),
        "url": f"{url_of(controller, job)}{build.number}/", "builtOn": "",
        "changeSet": {"_class": "hudson.scm.EmptyChangeLogSet", "items": [], "kind": None}, "culprits": []}


def _cause(text: str) -> str:
    return "hudson.triggers.SCMTrigger$SCMTriggerCause" if "SCM change" in text else "hudson.model.Cause$UserIdCause"
