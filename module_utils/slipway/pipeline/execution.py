"""One execution of a pipeline: found or started, and followed to its end."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..aws import codepipeline
from ..aws.session import THROTTLES, Aws
from ..errors import AwsError, Interrupted, InvalidInput, SlipwayError, WaitTimeout
from ..interrupt import interruptible
from ..polling import Deadline, delays
from ..progress import Phases, Progress
from . import steps
from .steps import Step

SUCCEEDED, FAILED, SUPERSEDED, IN_PROGRESS = "Succeeded", "Failed", "Superseded", "InProgress"
STOPPED, CANCELLED = "Stopped", "Cancelled"
_ENDS = {SUCCEEDED, FAILED, SUPERSEDED, STOPPED, CANCELLED}
#: What passes by itself: throttling after the client's own retries, and no answer at all.
_PASSING = THROTTLES | {"", "InternalFailure", "ServiceUnavailable"}
_BLIPS = 10


@dataclass(frozen=True)
class Request:
    """What to follow: the execution of this id, or of this commit, or a new one, or (all empty) the newest.

    start_timeout: seconds until it has to be there. approval: whether a wait for a person is awaited too.
    wait: whether its end is awaited; without, how it stands is told, and that there is none is no error.
    """

    pipeline: str
    execution_id: str = ""
    commit: str = ""
    start: bool = False
    start_timeout: float = 120.0
    wait_timeout: float | None = 1800.0
    approval: bool = False
    wait: bool = True


def follow(aws: Aws, request: Request, progress: Progress, check_mode: bool = False,
           sleep: Callable[[float], None] = time.sleep) -> dict[str, Any]:
    """The result of module pipeline_execution; a superseded execution is one, with a warning.

    Raises SlipwayError for one that failed or was stopped (the result's keys as details), WaitTimeout, Interrupted.
    """
    if sum(map(bool, (request.execution_id, request.commit, request.start))) > 1:
        raise InvalidInput("More than one of execution_id, commit and start is given.", "Give one of them.")
    follower = _Follower(aws, request, progress, sleep)
    if check_mode:
        return follower.foretell()
    try:
        with interruptible():
            return follower.run()
    except Interrupted as error:
        raise Interrupted(f"{error.message} The execution goes on by itself.", "Run this again to see its end.",
                          ) from error


class _Follower:
    def __init__(self, aws: Aws, request: Request, progress: Progress, sleep: Callable[[float], None]) -> None:
        self._aws = aws
        self._request = request
        self._progress = progress
        self._sleep = sleep
        self._phases = Phases()
        self._id = request.execution_id
        self._status = ""
        self._steps: list[Step] = []
        self._told: dict[str, tuple[str, str]] = {}
        self._blips = 0

    def foretell(self) -> dict[str, Any]:
        """Check mode: what is there, without waiting."""
        if self._request.start:
            return self._result(f"Would start pipeline {self._request.pipeline}.", changed=True)
        self._id = self._id or self._search()
        if self._id:
            self._look()
        return self._result(f"Would follow execution {self._id or 'of ' + (self._request.commit or 'the pipeline')}.")

    def run(self) -> dict[str, Any]:
        request = self._request
        if request.start:
            # Should the answer get lost, the client's own repetition starts no second one.
            self._id = codepipeline.start(self._aws, request.pipeline, str(uuid.uuid4()))
        with self._phases("find"):
            if not self._id:
                self._await_start()
            if not request.wait:
                return self._looked()
        self._progress.say(f"execution {self._id} of {request.pipeline}")
        with self._phases("wait"):
            self._await_end()
        return self._judged()

    # -- finding ----------------------------------------------------------------------------------------------------

    def _await_start(self) -> None:
        deadline = Deadline(self._request.start_timeout)
        for delay in delays(first=0.3, limit=5.0):
            self._id = self._ask(self._search) or ""
            if self._id:
                return
            what = f"for commit {self._request.commit[:12]}" if self._request.commit else "at all"
            if deadline.passed and not self._request.wait:
                return
            if deadline.passed:
                raise WaitTimeout(f"Pipeline {self._request.pipeline} has no execution {what} within "
                                  f"{deadline.elapsed:.0f} s.",
                                  "Look at the EventBridge rule that starts it, or start it with 'Release change'.")
            self._progress.heartbeat(f"... waiting for an execution {what}")
            self._sleep(deadline.cap(delay))

    def _search(self) -> str:
        """Id of the newest execution that is wanted, '' where there is none yet."""
        commit = self._request.commit
        for one in codepipeline.executions(self._aws, self._request.pipeline, 100 if commit else 1):
            revisions = [str(r.get("revisionId", "")) for r in one.get("sourceRevisions", [])]
            if not commit or any(r.startswith(commit) for r in revisions):
                return str(one["pipelineExecutionId"])
        return ""

    # -- following --------------------------------------------------------------------------------------------------

    def _await_end(self) -> None:
        deadline = Deadline(self._request.wait_timeout or None)
        pause = delays(first=0.3, limit=5.0, factor=1.4)
        while True:
            if self._ask(self._look) and self._tell():
                pause = delays(first=0.3, limit=5.0, factor=1.4)
            if self._status in _ENDS or (not self._request.approval and steps.only_approvals(self._steps)):
                return
            # Between two stages it may wait for an earlier execution to leave the next one.
            running = ", ".join(s.name for s in self._steps if s.status == IN_PROGRESS)
            if deadline.passed:
                raise WaitTimeout(f"Execution {self._id} of pipeline {self._request.pipeline} has not ended after "
                                  f"{deadline.elapsed:.0f} s; "
                                  f"{f'in progress: {running}' if running else 'it waits before a stage'}.",
                                  "Run this again to follow it on, or raise wait_timeout.", **self._details())
            self._progress.heartbeat(f"... {running or 'the next stage'}: {deadline.elapsed:.0f} s")
            self._sleep(deadline.cap(next(pause)))

    def _look(self) -> bool:
        # First the status: actions that are asked for after the end are complete.
        found = codepipeline.execution(self._aws, self._request.pipeline, self._id)
        if found is None:
            raise InvalidInput(f"Pipeline {self._request.pipeline} has no execution {self._id}.",
                               "See its history in the console of CodePipeline.")
        details = codepipeline.action_executions(self._aws, self._request.pipeline, self._id)
        self._status = str(found["status"])
        self._steps = steps.read(details)
        return True

    def _ask(self, ask: Callable[[], Any]) -> Any:
        """The answer; None where AWS refuses for a moment."""
        try:
            answer = ask()
        except AwsError as error:
            self._blips += 1
            if error.code not in _PASSING or self._blips > _BLIPS:
                raise
            self._progress.heartbeat(f"... AWS does not answer for now: {error.message}")
            return None
        self._blips = 0
        return answer

    def _tell(self) -> bool:
        news = False
        for step in self._steps:
            known = self._told.get(step.name)
            if known != (step.status, step.summary) and (known is None or known[0] != step.status):
                text, tone = step.line()
                if step.variables and "CommitId" in step.variables and step.status == SUCCEEDED:
                    text += f": {step.variables['CommitId'][:7]}" if ":" not in text else ""
                self._progress.say(text, tone)
                news = True
            self._told[step.name] = (step.status, step.summary)
        return news

    def _looked(self) -> dict[str, Any]:
        pipeline = self._request.pipeline
        if not self._id:
            return self._result(f"Pipeline {pipeline} has no such execution.")
        if self._request.start:
            return self._result(f"Started execution {self._id} of pipeline {pipeline}.", changed=True)
        self._look()
        return self._result(f"Execution {self._id} of pipeline {pipeline} is {self._status}.")

    # -- judging ----------------------------------------------------------------------------------------------------

    def _judged(self) -> dict[str, Any]:
        pipeline, commit = self._request.pipeline, self._details()["commit"]
        of = f"Execution {self._id} of pipeline {pipeline}" + (f" (commit {commit[:7]})" if commit else "")
        if self._status == SUCCEEDED:
            told = next((steps.first_line(s.summary) for s in reversed(self._steps)
                         if s.summary and s.action == "Report"), "")
            return self._result(f"{of} succeeded. {told}".strip(), changed=self._request.start)
        if self._status == IN_PROGRESS:
            return self._result(f"{of} waits for an approval.", changed=self._request.start)
        if self._status == SUPERSEDED:
            text = f"{of} was superseded: a newer commit overtook it."
            self._progress.say(text, "warn")
            return self._result(text, changed=self._request.start, warnings=[text])
        if self._status == FAILED:
            raise self._failure(of)
        raise SlipwayError(f"{of} was {self._status.lower()} before its end.",
                           "See in the console who stopped it; start it again with 'Release change'.",
                           **self._details())

    def _failure(self, of: str) -> SlipwayError:
        failed = steps.witness(self._steps)
        if failed is None:
            return SlipwayError(f"{of} failed, and no action of it says why.",
                                "Look at its history in the console of CodePipeline.", **self._details())
        first, *more = failed.cause.strip().splitlines()
        more = [line for line in more if line.strip()]
        text = f"{of} failed in stage {failed.stage}, action {failed.action}: {first.rstrip('.')}."
        if failed.url and not any(failed.url in line for line in more):
            more.append(f"See {failed.url}")
        return SlipwayError(text, "", evidence=more, cause=first, url=failed.url or None, **self._details())

    def _details(self) -> dict[str, Any]:
        commit, message = steps.revision(self._steps)
        return {"pipeline": self._request.pipeline, "execution_id": self._id or None, "status": self._status or None,
                "commit": commit or self._request.commit or None, "commit_message": message or None,
                "actions": [step.as_dict() for step in self._steps], "phases": self._phases.seconds,
                "api_calls": self._aws.api_calls()}

    def _result(self, text: str, changed: bool = False, **more: Any) -> dict[str, Any]:
        return {"changed": changed, "msg": text, **self._details(), **more}
