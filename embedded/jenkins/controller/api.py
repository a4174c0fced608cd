"""The pages and the JSON of Jenkins that roles, jobs and people here meet."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from . import job_pages, restart
from .web import Answer, Request, depth_of, exported, forbidden, html, json_answer, missing, page, post_required

if TYPE_CHECKING:
    from .controller import Controller


def page_of(controller: Controller, request: Request) -> Answer:
    security = controller.security
    answer = _open_page(controller, request)
    if answer is not None:
        return answer
    if not security.may_read(request.caller):
        return forbidden(request, "hudson.model.Hudson.Read")
    parts = [part for part in request.path.split("/") if part]
    if parts and parts[0] == "job" and len(parts) > 1:
        return job_pages.page_of(controller, request, parts[1], parts[2:])
    if parts[:2] == ["queue", "item"] and len(parts) == 5 and parts[2].isdigit() and parts[3:] == ["api", "json"]:
        item = controller.queue.find(int(parts[2]))
        return exported(request, controller.queue.data(item)) if item else missing()
    action = TOP.get("/".join(parts))
    if action is None:
        return missing()
    method, administrator, handler = action
    if administrator and not security.may_change(request.caller):
        return forbidden(request, "hudson.model.Hudson.Administer")
    if method == "POST" and request.method != "POST":
        return post_required()
    return handler(controller, request)


def _open_page(controller: Controller, request: Request) -> Answer | None:
    """Pages that need no permission."""
    security = controller.security
    if request.path.rstrip("/") == "/login":
        form = ('<form method="post" name="login" action="j_spring_security_check"><input name="j_username"/>'
                '<input type="password" name="j_password"/><button name="Submit">Sign in</button></form>')
        return page(200, "Sign in - Jenkins", form)
    if request.path == "/j_spring_security_check" and request.method == "POST":
        form_values = request.form
        session = security.login(form_values.get("j_username", [""])[0], form_values.get("j_password", [""])[0])
        prefix = controller.settings.prefix
        if session is None:
            return Answer(302, headers={"Location": f"{prefix}/loginError"})
        cookie = f"{security.cookie}={session}; Path=/; HttpOnly"
        return Answer(302, headers={"Location": f"{prefix}/", "Set-Cookie": cookie})
    if request.path == "/loginError":
        return page(401, "Sign in - Jenkins", "Invalid username or password")
    if request.path == "/whoAmI/api/json":
        anonymous = request.caller.anonymous
        return json_answer({"_class": "hudson.security.WhoAmI", "anonymous": anonymous, "authenticated": True,
                            "authorities": ["anonymous" if anonymous else "authenticated"],
                            "name": request.caller.name})
    if request.path in ("/favicon.ico", "/robots.txt"):
        return Answer(200, b"User-agent: *\nDisallow: /\n" if request.path == "/robots.txt" else b"", "text/plain")
    return None


# -- top-level pages -------------------------------------------------------------------------------------------------

def front_page(controller: Controller, request: Request) -> Answer:
    return page(200, "Dashboard - Jenkins", f"Jenkins {html(controller.settings.version)}")


def top_data(controller: Controller, request: Request) -> Answer:
    policy, configuration = controller.security.policy, controller.configuration
    view = {"_class": "hudson.model.AllView", "name": "all", "url": configuration.url}
    return exported(request, {
        "_class": "hudson.model.Hudson", "assignedLabels": [{"name": "built-in"}], "mode": "NORMAL",
        "nodeDescription": "the Jenkins controller's built-in node", "nodeName": "",
        "numExecutors": configuration.executors, "description": None,
        "jobs": [job_pages.brief(controller, job) for job in controller.jobs.all()],
        "overallLoad": {}, "primaryView": view, "quietDownReason": None, "quietingDown": controller.quieting,
        "slaveAgentPort": configuration.agent_port,
        "unlabeledLoad": {"_class": "jenkins.model.UnlabeledLoadStatistics"}, "url": configuration.url or None,
        "useCrumbs": policy.crumbs, "useSecurity": policy.use_security, "views": [view]})


def crumb(controller: Controller, request: Request) -> Answer:
    security = controller.security
    headers = {}
    if not security.policy.crumbs:
        return missing()
    if not security.known_session(request.session):
        request.session = security.new_session()
        headers["Set-Cookie"] = f"{security.cookie}={request.session}; Path=/; HttpOnly"
    answer = exported(request, {"_class": "hudson.security.csrf.DefaultCrumbIssuer",
                                "crumb": security.crumb(request.caller, request.session),
                                "crumbRequestField": "Jenkins-Crumb"})
    answer.headers.update(headers)
    return answer


def plugin_data(controller: Controller, request: Request) -> Answer:
    depth = depth_of(request)
    plugins = sorted(controller.plugins.found.values(), key=lambda plugin: plugin.name)
    return exported(request, {"_class": "hudson.LocalPluginManager",
                              "plugins": [plugin.data(depth) if depth else {} for plugin in plugins]})


def queue_data(controller: Controller, request: Request) -> Answer:
    with controller.queue.changed:
        items = list(controller.queue.waiting)
    return exported(request, {"_class": "hudson.model.Queue", "discoverableItems": [],
                              "items": [controller.queue.data(item) for item in items]})


def cancel_item(controller: Controller, request: Request) -> Answer:
    identifier = request.value("id") or request.form.get("id", [""])[0]
    return Answer(204 if identifier.isdigit() and controller.queue.cancel(int(identifier)) else 404)


def computers(controller: Controller, request: Request) -> Answer:
    number = controller.configuration.executors
    with controller.queue.changed:
        running = dict(controller.queue.running)
    executors = []
    for executor in range(max([number, *(one + 1 for one in running)])):
        build = running.get(executor)
        executors.append({"currentExecutable": {
            "_class": "hudson.model.FreeStyleBuild", "number": build.number,
            "url": f"{controller.configuration.url}job/{build.job}/{build.number}/"} if build else None,
            "idle": build is None, "likelyStuck": False, "number": executor, "progress": -1})
    return exported(request, {
        "_class": "hudson.model.ComputerSet", "busyExecutors": len(running), "displayName": "Nodes",
        "totalExecutors": number, "computer": [{
            "_class": "hudson.model.Hudson$MasterComputer", "displayName": "Built-In Node", "executors": executors,
            "idle": not running, "numExecutors": number, "offline": False, "temporarilyOffline": False}]})


TOP: dict[str, tuple[str, bool, Any]] = {
    # path: method, whether only an administrator may, handler
    "": ("GET", False, front_page),
    "api/json": ("GET", False, top_data),
    "crumbIssuer/api/json": ("GET", False, crumb),
    "pluginManager/api/json": ("GET", True, plugin_data),
    "computer/api/json": ("GET", False, computers),
    "queue/api/json": ("GET", False, queue_data),
    "queue/cancelItem": ("POST", True, cancel_item),
    "createItem": ("POST", True, job_pages.create),
    "safeRestart": ("POST", True, restart.safe_restart),
    "restart": ("POST", True, restart.restart),
    "safeExit": ("POST", True, restart.safe_exit),
    "exit": ("POST", True, restart.leave),
    "quietDown": ("POST", True, restart.quiet),
    "cancelQuietDown": ("POST", True, restart.cancel_quiet),
}
