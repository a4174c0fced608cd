"""Runs the one-off task of a release to its end, shows what it says, and judges its exit code."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..aws import ecs, logs, task_definitions, tasks
from ..aws.session import THROTTLES, Aws
from ..errors import AwsError, Interrupted, InvalidInput, SlipwayError, WaitTimeout
from ..interrupt import held, interruptible
from ..polling import Deadline, delays
from ..progress import Phases, Progress
from ..rollout.causes import UNKNOWN_CAUSE, Container, Signals, StoppedTask, classify
from ..rollout.diagnosis import clean
from . import plan

#: Lines of the log that the result keeps.
_LINES = 40
#: ECS kills a container 120 s after its stop signal at the latest.
_STOPPING = 150.0
_BLIPS = 5


@dataclass(frozen=True)
class Request:
    """cluster, service: of the service whose task definition and place the task takes. timeout: seconds."""

    cluster: str
    service: str
    wanted: plan.Wanted
    timeout: float


def run(aws: Aws, request: Request, progress: Progress, check_mode: bool = False,
        sleep: Callable[[float], None] = time.sleep) -> dict[str, Any]:
    """The module's result: changed, msg, task, exit_code, log, phases, api_calls.

    Nothing runs where the service has this image already. Raises SlipwayError where the task fails (WaitTimeout where
    it does not end), Interrupted where we are stopped; it is stopped then, and its end awaited.
    """
    return _Run(aws, request, progress, sleep).run(check_mode)


class _Run:
    def __init__(self, aws: Aws, request: Request, progress: Progress, sleep: Callable[[float], None]) -> None:
        self._aws, self._r, self._progress, self._sleep = aws, request, progress, sleep
        self._phases = Phases()
        self._task = ""
        self._log = plan.Log()
        self._lines: list[str] = []
        self._token = ""
        self._container = ""

    def run(self, check_mode: bool) -> dict[str, Any]:
        r, aws = self._r, self._aws
        service = ecs.describe_services(aws, r.cluster, [r.service]).get(r.service)
        if not service or service.get("status") != "ACTIVE":
            raise InvalidInput(f"There is no service {r.service} in cluster {r.cluster}.",
                               "Run site.yml first; the task takes its place and its roles from the service.")
        definition = ecs.describe_task_definition(aws, str(service["taskDefinition"]))
        if plan.runs_already(definition, r.wanted):
            return self._result(False, f"{r.service} has the image {r.wanted.tag} already; its task is not run again.")
        registration = plan.registration(definition, r.wanted)
        self._container, self._log = registration["containerDefinitions"][0]["name"], plan.log(registration)
        words = " ".join(r.wanted.command)
        if check_mode:
            return self._result(True, f"Would run '{words}' with the image {r.wanted.tag} before {r.service} changes.")
        family = registration["family"]
        # Around the cleaning up too, so that a second signal does not end it half-way.
        with interruptible():
            try:
                with self._phases("run"):
                    self._find_or_start(family, registration, service)
                    code, task = self._await_end(Deadline(r.timeout))
            except (Interrupted, WaitTimeout) as error:
                raise self._stopped(error) from error
            finally:
                self._forget(family)
        if code != 0:
            raise self._failure(words, code, task)
        self._progress.say(f"'{words}' ended well (exit code 0)", "good")
        return self._result(True, f"'{words}' with the image {r.wanted.tag} ended well, before {r.service} changed.", 0)

    def _find_or_start(self, family: str, registration: dict[str, Any], service: dict[str, Any]) -> None:
        """Start the task, unless a run that was killed left it running; another's is awaited first."""
        r, aws = self._r, self._aws
        left = ecs.describe_tasks(aws, r.cluster, tasks.running(aws, r.cluster, family))
        for task in left:
            self._task = task["taskArn"]
            if task.get("startedBy") == r.wanted.token:
                self._progress.say("an earlier run of this release left its task running; waiting for that one", "warn")
                return
        for task in left:
            self._task = task["taskArn"]
            self._progress.say("a task of another release still runs; waiting for its end first", "warn")
            self._await_end(Deadline(r.timeout), quiet=True)
        self._task, self._token, self._lines = "", "", []
        with held():
            arn = tasks.register(aws, registration)
            answer = tasks.run(aws, plan.request(service, r.cluster, arn, r.wanted, str(uuid.uuid4())))
            if answer.get("tasks"):
                self._task = str(answer["tasks"][0]["taskArn"])
        if not self._task:
            reasons = ", ".join(str(one.get("reason")) for one in answer.get("failures", [])) or "no reason given"
            raise SlipwayError(f"ECS does not start the task: {reasons}. The service is unchanged.",
                               "Give the cluster room for one more task, then run this again."
                               if "RESOURCE" in reasons else "Correct that, then run this again.",
                               **self._details())
        self._progress.say(f"running '{' '.join(r.wanted.command)}' with the image {r.wanted.tag}")

    def _await_end(self, deadline: Deadline, quiet: bool = False) -> tuple[int | None, dict[str, Any]]:
        """The container's exit code (None: it never ran) and AWS's Task."""
        blips = 0
        for delay in delays(first=0.4, limit=3.0):
            try:
                found = ecs.describe_tasks(self._aws, self._r.cluster, [self._task])
                blips = 0
            except AwsError as error:
                blips += 1
                if (error.code and error.code not in THROTTLES) or blips > _BLIPS:
                    raise
                found = [{"lastStatus": "?"}]
            if not found:
                raise SlipwayError("ECS does not know the task any more.", "Look at the cluster, then run this again.",
                                   **self._details())
            task = found[0]
            if not quiet:
                self._show_log()
            if task.get("lastStatus") == "STOPPED":
                if not quiet and self._log.group:
                    # The last lines arrive a moment after the container's end.
                    self._sleep(1.0)
                    self._show_log()
                codes = [c.get("exitCode") for c in task.get("containers", []) if c["name"] == self._container]
                return next(iter(codes), None), task
            if deadline.passed:
                raise WaitTimeout(f"The task did not end within {deadline.seconds:g} s ({task.get('lastStatus')}).",
                                  "Raise its timeout (ecs_release_task), or look at what it waits for.")
            self._progress.heartbeat(f"the task is {str(task.get('lastStatus', '')).lower()}")
            self._sleep(deadline.cap(delay))
        raise AssertionError("delays() has no end")

    def _show_log(self) -> None:
        stream = self._log.stream(self._container, self._task)
        if not stream:
            return
        try:
            for _ in range(20):
                lines, token = logs.next_lines(self._aws, self._log.group, stream, self._token,
                                               self._log.region or None)
                for line in map(clean, lines):
                    self._lines.append(line)
                    self._progress.say(f"{self._container}: {line}")
                if token == self._token or not lines:
                    break
                self._token = token
        except (AwsError, InvalidInput) as error:
            if isinstance(error, AwsError) and error.code == "ResourceNotFoundException":
                return  # nothing was written yet
            self._progress.say(f"the task's log is not shown: {error}", "warn")
            self._log = plan.Log()

    def _stopped(self, error: SlipwayError) -> SlipwayError:
        """Stop the task and wait for its end; the error to leave with."""
        said = error.message.rstrip(".")
        if not self._task:
            return type(error)(f"{said}; the task was not started. The service is unchanged.", error.remedy,
                               **self._details())
        self._progress.say(f"{said}: stopping the task", "warn")
        tasks.stop(self._aws, self._r.cluster, self._task, f"slipway: {said}")
        try:
            self._await_end(Deadline(_STOPPING))
            end = "it was stopped"
        except WaitTimeout:
            end = "it was told to stop, and has not ended yet"
        return type(error)(f"{said}; {end}. The service is unchanged.", error.remedy, **self._details())

    def _failure(self, words: str, code: int | None, task: dict[str, Any]) -> SlipwayError:
        containers = tuple(Container(c["name"], c.get("exitCode"), c.get("reason", ""),
                                     log=tuple(self._lines[-10:]) if c["name"] == self._container else ())
                           for c in task.get("containers", []))
        reason = str(task.get("stoppedReason", ""))
        stopped = StoppedTask(self._task.rsplit("/", 1)[-1], str(task.get("stopCode", "")), reason, containers)
        end = f"ended with exit code {code}" if code is not None else "never ran"
        message = f"The task '{words}' {end}, so the service was left as it is."
        # A crash says no more than the exit code that is named already; anything else is a reason of its own.
        cause = classify(Signals(tasks=[stopped]))
        if cause.kind not in (UNKNOWN_CAUSE.kind, "crash"):
            message, remedy = f"{message} {cause.sentence}", cause.remedy
        else:
            last = next((line for line in reversed(self._lines) if line), "")
            if code is None and reason:
                message += f" ECS says: '{clean(reason)}'."
            message += f" Its log ends: '{last}'." if last else ""
            remedy = "Correct what it reports, then release again." if last else "Look into that, then release again."
        return SlipwayError(message, remedy, **self._details(code), evidence=[
            f"task {stopped.id} stopped: {clean(reason) or 'no reason given'}",
            *(f"log of {self._container}: {line}" for line in self._lines[-_LINES:])])

    def _forget(self, family: str) -> None:
        """Take away the task definitions made for it, also those of runs that were killed. It is no fault if not."""
        try:
            arns = task_definitions.revisions(self._aws, family, "ACTIVE")
            for arn in arns:
                task_definitions.deregister(self._aws, arn)
            task_definitions.delete(self._aws, arns)
        except AwsError as error:
            self._progress.say(f"the task's definition stays behind: {error}", "warn")

    def _details(self, code: int | None = None) -> dict[str, Any]:
        return {"task": self._task or None, "exit_code": code, "log": self._lines[-_LINES:],
                "phases": self._phases.seconds, "api_calls": self._aws.api_calls()}

    def _result(self, changed: bool, message: str, code: int | None = None) -> dict[str, Any]:
        return {"changed": changed, "msg": message, **self._details(code)}
