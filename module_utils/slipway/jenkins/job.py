"""One job of Jenkins: what is rendered becomes what is there, and a record tells whether it did."""

from __future__ import annotations

import contextlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import SlipwayError
from .client import Jenkins, JenkinsError
from .job_config import check_config, check_name, lost, readable

PLUGIN = "aws-codepipeline"
XML = "text/xml; charset=utf-8"


@dataclass(frozen=True)
class Request:
    """config: the rendered configuration, None for a job that is to be gone; record: the file that holds what was
    posted last. Jenkins gives back another text than it was given, so only a record can tell whether that differs."""

    name: str
    config: str | None
    record: Path
    url: str
    credentials_file: str


def request_of(params: dict[str, Any]) -> Request:
    """The module's arguments, checked: names and configuration, before Jenkins hears of them."""
    name = check_name(params["name"])
    config = params["config"] if params["state"] == "present" else None
    if config is not None:
        check_config(config)
    return Request(name, config, Path(params["record_directory"], f"{name}.xml"), params["url"],
                   params["credentials_file"])


def ensure(request: Request, check_mode: bool = False) -> dict[str, Any]:
    """Create, update or remove the job where that is needed; the module's result."""
    recorded = _recorded(request.record)
    jenkins, there = _present(request, check_mode)
    if request.config is None:
        action = "delete" if there is not None or recorded is not None else ""
    elif there is None:
        action = "create"
    else:
        action = "update" if recorded != request.config or lost(request.config, there) else ""
    if action and not check_mode:
        assert jenkins is not None
        _apply(jenkins, request, there is not None)
    before = recorded if recorded is not None else ("" if there is None else there)
    header = f"job {request.name}"
    return {"changed": bool(action), "action": action or "none", "name": request.name,
            "diff": {"before_header": header, "after_header": header,
                     "before": readable(before or None) if action else readable(request.config),
                     "after": readable(request.config)}}


def _present(request: Request, check_mode: bool) -> tuple[Jenkins | None, str | None]:
    """Jenkins, and the job's configuration as it has it; in check mode there may be no Jenkins yet."""
    try:
        jenkins = (Jenkins(request.url, request.credentials_file, patience=0) if check_mode
                   else Jenkins(request.url, request.credentials_file))
        answer = jenkins.get(f"/job/{request.name}/config.xml", missing_ok=True)
    except JenkinsError as error:
        if check_mode and error.status in (0, 503):
            return None, None
        raise
    return jenkins, None if answer is None else answer.text()


def _apply(jenkins: Jenkins, request: Request, there: bool) -> None:
    if request.config is None:
        if there:
            _check_idle(jenkins, request.name)
            jenkins.post(f"/job/{request.name}/doDelete")
        request.record.unlink(missing_ok=True)
        return
    _check_plugin(jenkins)
    path = f"/job/{request.name}/config.xml" if there else f"/createItem?name={request.name}"
    jenkins.post(path, request.config.encode(), XML)
    answer = jenkins.get(f"/job/{request.name}/config.xml")
    assert answer is not None
    if gone := lost(request.config, answer.text()):
        raise SlipwayError(f"Jenkins took the job {request.name} and dropped {', '.join(gone)} of it without a word.",
                           "A plugin is missing, inactive or of another version: apply the role jenkins_plugins.")
    _write(request.record, request.config)


def _check_plugin(jenkins: Jenkins) -> None:
    """Refuse to post where the plugin is not active: Jenkins would answer 200 and forget what belongs to it."""
    answer = jenkins.get("/pluginManager/api/json?depth=1&tree=plugins[shortName,version,active,enabled]")
    assert answer is not None
    try:
        plugins = {plugin["shortName"]: plugin for plugin in json.loads(answer.body)["plugins"]}
    except (ValueError, KeyError, TypeError) as error:
        raise SlipwayError(f"Jenkins at {jenkins.url} does not tell which plugins it has.",
                           "Look at /pluginManager/api/json?depth=1.") from error
    if PLUGIN not in plugins:
        raise SlipwayError(f"The plugin {PLUGIN} is not installed in Jenkins, and the job cannot work without.",
                           "Apply the role jenkins_plugins first.")
    if not plugins[PLUGIN].get("active"):
        raise SlipwayError(f"The plugin {PLUGIN} {plugins[PLUGIN].get('version', '')} is installed and not active.",
                           "Jenkins' journal says why (journalctl -u jenkins); apply the role jenkins_plugins.")


def _check_idle(jenkins: Jenkins, name: str) -> None:
    """Deleting a job aborts its build, and a release in its middle is not to be ended by that."""
    answer = jenkins.get(f"/job/{name}/lastBuild/api/json?tree=number,building", missing_ok=True)
    build = json.loads(answer.body) if answer is not None else {}
    if build.get("building"):
        raise SlipwayError(f"Job {name} is building #{build.get('number')} and was not removed.",
                           "Wait until the build has ended, or abort it in Jenkins, then run this again.")


def _recorded(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError):
        return None


def _write(path: Path, text: str) -> None:
    """Whole or not at all, and for its owner alone."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.new")
    with contextlib.suppress(FileNotFoundError):
        fresh.unlink()
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
    fresh.replace(path)
