"""A commit from the clone to the page: what a person does with the demo's pipeline, shown as it happens."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import shlex
import subprocess
import tempfile
import time
import urllib.parse
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import settings
from .process import EmbeddedError, Say

COLOURS = ("pink", "lightgreen", "khaki", "plum", "lightblue", "salmon", "turquoise", "wheat")
#: The one line of the sample application that is made to be changed.
_LINE = re.compile(r"(?m)^\$color = '([\w#]+)';$")
_PAGE = "index.php"
_LIMIT_SECONDS = 900
_PACE_SECONDS = 0.2
#: How a colour begins a page's style; nothing else of the page is read.
_BACKGROUND = re.compile(r"background: ([\w#]+);")


@dataclass(frozen=True)
class Pipeline:
    """name: of the pipeline; clone: its repository's URL; stack: of the service; page: the application's URL."""

    name: str
    clone: str
    branch: str
    stack: str
    page: str


def client(service: str) -> Any:
    import boto3

    values = settings.environment()
    return boto3.client(service, endpoint_url=values["AWS_ENDPOINT_URL"], region_name=values["AWS_REGION"],
                        aws_access_key_id=values["AWS_ACCESS_KEY_ID"],
                        aws_secret_access_key=values["AWS_SECRET_ACCESS_KEY"])


def choose(name: str) -> Pipeline:
    """The pipeline of this name, or the only one there is. Raises EmbeddedError that says what to do."""
    from botocore.exceptions import BotoCoreError

    try:
        found = _sources()
    except BotoCoreError as error:
        raise EmbeddedError(f"The embedded AWS does not answer at {settings.ENDPOINT}: run make demo first.") from error
    if not found:
        raise EmbeddedError("There is no pipeline that takes its source from CodeCommit: run make demo first.")
    if len(found) > 1 and not name:
        raise EmbeddedError(f"There are several pipelines: name one of {', '.join(sorted(found))} with --pipeline.")
    chosen = name or next(iter(found))
    if chosen not in found:
        raise EmbeddedError(f"There is no pipeline {chosen}, only {', '.join(sorted(found))}.")
    source = found[chosen]
    repository = client("codecommit").get_repository(repositoryName=source["RepositoryName"])["repositoryMetadata"]
    return Pipeline(chosen, repository["cloneUrlHttp"], source["BranchName"], *_service(chosen))


def _sources() -> dict[str, dict[str, str]]:
    """RepositoryName and BranchName of every pipeline with a source in CodeCommit, by the pipeline's name."""
    api = client("codepipeline")
    names = [item["name"] for item in api.list_pipelines()["pipelines"]]
    first = {name: api.get_pipeline(name=name)["pipeline"]["stages"][0]["actions"][0] for name in names}
    return {name: action["configuration"] for name, action in first.items()
            if action["actionTypeId"]["provider"] == "CodeCommit"}


def _service(pipeline: str) -> tuple[str, str]:
    """Stack and URL of the application that the pipeline releases. Raises EmbeddedError where it is not deployed."""
    stack = f"{pipeline.removesuffix('-pipeline')}-service"
    outputs = [item for found in client("cloudformation").describe_stacks()["Stacks"] if found["StackName"] == stack
               for item in found.get("Outputs", []) if item["OutputKey"] == "AppURL"]
    if not outputs:
        raise EmbeddedError(f"There is no stack {stack} with an AppURL yet: run make demo first.")
    return stack, str(outputs[0]["OutputValue"])


def commands(pipeline: Pipeline) -> str:
    """The three commands to try, for a person."""
    folder = pipeline.clone.rpartition("/")[2]
    new = _other(colour_of(pipeline.page))
    return ("\nTry it:\n"
            f"  git clone {pipeline.clone} && cd {folder}\n"
            f"  sed -i \"s/^\\$color = .*/\\$color = '{new}';/\" {_PAGE} && git commit -am 'change color to {new}'\n"
            "  git push\n"
            f"and see {pipeline.page} turn {new}. Or let make demo-commit do it, and show each step.\n")


def follow(pipeline: Pipeline, colour: str, say: Say) -> None:
    """Commit another colour, push it, and tell what happens until the page has it, or a newer commit's. Raises
    EmbeddedError with the cause where it does not come to that."""
    from botocore.exceptions import BotoCoreError

    before = colour_of(pipeline.page)
    wanted = colour or _other(before)
    if not re.fullmatch(r"#?\w{1,30}", wanted):
        raise EmbeddedError(f"{wanted!r} is no colour: give a name such as pink.")
    if wanted == before:
        raise EmbeddedError(f"{pipeline.page} is {wanted} already: give another colour, as in "
                            f"make demo-commit COLOUR={_other(before)}")
    say(f"{pipeline.page} is {before or 'not there yet'}.")
    with tempfile.TemporaryDirectory(prefix="slipway-commit-") as folder:
        commit = _committed(pipeline, Path(folder) / "clone", wanted, say)
        clock = _Clock(say)
        _git(Path(folder) / "clone", "push", "--quiet", "origin", f"HEAD:{pipeline.branch}")
    clock.say(f"pushed {commit[:7]} to {pipeline.branch}")
    try:
        newer = _watch(_Execution(pipeline, commit, wanted, clock))
    except BotoCoreError as error:
        raise EmbeddedError(f"The embedded AWS does not answer any more ({error}). {commit[:7]} is in the repository; "
                            "run make demo to go on.") from error
    except KeyboardInterrupt:
        say(f"\nNobody watches any more; the pipeline goes on with {commit[:7]}. "
            f"{pipeline.page} shows when it is through.")
        raise
    if newer:
        say(f"{commit[:7]} was released, and {pipeline.page} shows a newer commit by now: {newer[:7]}.")
    else:
        say(f"{pipeline.page} is {wanted}, {clock.seconds():.1f} s after the push.")


class _Clock:
    def __init__(self, say: Say) -> None:
        self._start = time.monotonic()
        self._say = say

    def seconds(self) -> float:
        return time.monotonic() - self._start

    def say(self, text: str) -> None:
        self._say(f"{self.seconds():6.1f} s  {text}")


class _Execution:
    """One commit's way through the pipeline: tells each thing once."""

    def __init__(self, pipeline: Pipeline, commit: str, colour: str, clock: _Clock) -> None:
        self.pipeline, self.commit, self.clock = pipeline, commit, clock
        self._colour = colour
        self._api = client("codepipeline")
        self._id = ""
        self._told: dict[str, str] = {}
        self._release = _Release(pipeline.stack, clock)
        self.page_changed = False

    def step(self) -> str:
        """Tell what is new; the execution's status, or nothing before it is there."""
        if not self.page_changed and colour_of(self.pipeline.page) == self._colour:
            self.page_changed = True
            self.clock.say(f"the page is {self._colour}")
        summary = self._summary()
        if summary is None:
            return ""
        if not self._id:
            self._id = summary["pipelineExecutionId"]
            self.clock.say(f"{self.pipeline.name} started execution {self._id}")
        actions = self.actions()
        if any(action["status"] == "InProgress" and action["actionTypeId"]["owner"] == "Custom"
               for action in ({**item, **item["input"]} for item in actions)):
            self._release.step()
        for action in actions:
            self._tell(action)
        return str(summary["status"])

    def actions(self) -> list[dict[str, Any]]:
        """What ListActionExecutions says of this execution, oldest first."""
        found = self._api.list_action_executions(pipelineName=self.pipeline.name,
                                                 filter={"pipelineExecutionId": self._id})["actionExecutionDetails"]
        return sorted(found, key=lambda action: action["startTime"])

    def overtaken(self) -> str:
        """The newest later commit that went live; nothing where there is none."""
        for item in self._executions():
            if item["pipelineExecutionId"] == self._id:
                break
            commit = str((item.get("sourceRevisions") or [{}])[0].get("revisionId") or "")
            if item["status"] == "Succeeded" and commit not in ("", self.commit):
                return commit
        return ""

    def _executions(self) -> list[dict[str, Any]]:
        """Newest first."""
        found = self._api.list_pipeline_executions(pipelineName=self.pipeline.name)["pipelineExecutionSummaries"]
        return list(found)

    def _summary(self) -> dict[str, Any] | None:
        return next((item for item in self._executions() if self._id == item["pipelineExecutionId"]
                     or not self._id and any(source.get("revisionId") == self.commit
                                             for source in item.get("sourceRevisions", []))), None)

    def _tell(self, action: dict[str, Any]) -> None:
        status = action["status"]
        if self._told.get(action["actionExecutionId"]) == status:
            return
        self._told[action["actionExecutionId"]] = status
        summary = str(action.get("output", {}).get("executionResult", {}).get("externalExecutionSummary", "")).strip()
        texts = {"InProgress": "begins", "Succeeded": "is done", "Abandoned": "is abandoned", "Failed": "failed"}
        said = f"{action['stageName']}/{action['actionName']} {texts.get(status, status)}"
        # A second line is the address of the build, which was told when it began.
        self.clock.say(f"{said}: {summary.splitlines()[0]}" if summary and status == "Succeeded" else said)


class _Release:
    """What the release leaves in the account while it runs: its turn in the ledger, and the stack's state."""

    def __init__(self, stack: str, clock: _Clock) -> None:
        self._stack, self._clock = stack, clock
        self._ledger = _ledger()
        self._table, self._cfn = client("dynamodb"), client("cloudformation")
        self._build, self._state = "", self._read_state()

    def step(self) -> None:
        build = self._read_build()
        if build and build != self._build:
            self._clock.say(f"Jenkins' build releases it: {build}")
        self._build = build or self._build
        state = self._read_state()
        if state != self._state:
            self._clock.say(f"stack {self._stack}: {state}")
        self._state = state

    def _read_build(self) -> str:
        if not self._ledger:
            return ""
        lock = self._table.get_item(TableName=self._ledger, Key={"service": {"S": self._stack}, "id": {"S": "lock"}})
        entry = json.loads(lock.get("Item", {}).get("entry", {}).get("S", "{}"))
        return str(entry.get("build_url") or "")

    def _read_state(self) -> str:
        (stack,) = self._cfn.describe_stacks(StackName=self._stack)["Stacks"]
        parameters = {item["ParameterKey"]: item["ParameterValue"] for item in stack.get("Parameters", [])}
        return f"{stack['StackStatus']}, image {parameters.get('ImageTag', '')}"


def releases(stack: str) -> list[dict[str, Any]]:
    """The ledger's records of a service's stack, oldest first."""
    items = client("dynamodb").query(
        TableName=_ledger(), KeyConditionExpression="service = :s", ConsistentRead=True,
        ExpressionAttributeValues={":s": {"S": stack}})["Items"]
    return [json.loads(item["entry"]["S"]) for item in items if item["id"]["S"].startswith("release#")]


def _ledger() -> str:
    """The table's name; nothing where there is none."""
    tables = client("dynamodb").list_tables()["TableNames"]
    return next((str(name) for name in tables if name.endswith("-ledger")), "")


def _watch(execution: _Execution) -> str:
    """Until the commit is through and the page has its colour; otherwise the newer commit that the page has instead."""
    while execution.clock.seconds() < _LIMIT_SECONDS:
        status = execution.step()
        if status == "Succeeded" and execution.page_changed:
            return ""
        # Its colour was there too briefly to be seen, and nobody brings it back.
        if status == "Succeeded" and (newer := execution.overtaken()):
            return newer
        if status in ("Failed", "Stopped", "Superseded", "Cancelled"):
            raise EmbeddedError(_cause(execution, status))
        time.sleep(_PACE_SECONDS)
    raise EmbeddedError(f"{execution.commit[:7]} was not live within {_LIMIT_SECONDS} s: see what "
                        f"{execution.pipeline.name} says with make status.")


def _cause(execution: _Execution, status: str) -> str:
    """Why the commit is not live, as the pipeline has it."""
    who = f"{execution.pipeline.name} with {execution.commit[:7]}"
    if status == "Superseded":
        return f"{who} was superseded: a newer commit took its place."
    told = [f"{who} failed in {action['stageName']}/{action['actionName']}:\n{_reason(action)}"
            for action in reversed(execution.actions()) if action["status"] == "Failed"]
    if not told:
        return f"{who} ended: {status}."
    # A release may have gone well beside an action that failed.
    shows = "has the new version all the same" if execution.page_changed else "serves the version before"
    return "\n".join([*told, f"{execution.pipeline.page} {shows}."])


def _reason(action: dict[str, Any]) -> str:
    result = action.get("output", {}).get("executionResult", {})
    return str(result.get("errorDetails", {}).get("message") or result.get("externalExecutionSummary")
               or "no reason given")


def _committed(pipeline: Pipeline, folder: Path, colour: str, say: Say) -> str:
    """The id of a commit of this colour in a new clone."""
    _git(folder.parent, "clone", "--quiet", "--branch", pipeline.branch, pipeline.clone, str(folder))
    page = folder / _PAGE
    text = page.read_text() if page.exists() else ""
    if not _LINE.search(text):
        raise EmbeddedError(f"{_PAGE} of {pipeline.clone} has no line like $color = 'pink'; any more: change the "
                            "application by a commit of your own.")
    page.write_text(_LINE.sub(f"$color = '{colour}';", text, count=1))
    message = f"change color to {colour}"
    # Empty where the last commit of this colour did not go live: it is another attempt.
    _git(folder, "-c", "user.name=slipway demo", "-c", "user.email=demo@example.com", "commit", "--quiet", "--all",
         "--allow-empty", "--message", message)
    say(f"A clone of {pipeline.clone} has the commit: {message}")
    return _git(folder, "rev-parse", "HEAD")


def _git(folder: Path, *arguments: str) -> str:
    # No configuration of the user's counts: neither signatures nor hooks, nor a repository that the environment names.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    environment |= {"GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": os.devnull, "LC_ALL": "C.UTF-8"}
    done = subprocess.run(["git", *arguments], cwd=folder, env=environment, text=True, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if done.returncode != 0:
        raise EmbeddedError(f"`{shlex.join(['git', *arguments])}` failed:\n{done.stdout.strip()}")
    return done.stdout.strip()


def colour_of(url: str) -> str:
    """The colour that the page has now; nothing where it does not answer."""
    parts = urllib.parse.urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port or 80, timeout=5)
    with contextlib.suppress(OSError, http.client.HTTPException), contextlib.closing(connection):
        connection.request("GET", parts.path or "/")
        answer = connection.getresponse()
        found = _BACKGROUND.search(answer.read().decode(errors="replace"))
        if answer.status == 200 and found:
            return found[1]
    return ""


def _other(colour: str) -> str:
    """The one after it, so that repeated commits change the page each time."""
    place = COLOURS.index(colour) if colour in COLOURS else -1
    return COLOURS[(place + 1) % len(COLOURS)]
