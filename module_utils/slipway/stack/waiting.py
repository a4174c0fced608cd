"""Watching a stack until its operation ends: every event shown once, few calls, a limit."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

from ..aws import cloudformation
from ..aws.session import THROTTLES, Aws
from ..errors import AwsError, WaitTimeout
from ..polling import Deadline, delays
from ..progress import Progress
from . import events
from .forecast import Forecast
from .pace import Pace

_STACK = "AWS::CloudFormation::Stack"
#: Refusals that pass by themselves; '' is no answer at all. Each comes after the client's own retries.
_PASSING = THROTTLES | {"", "InternalFailure", "InternalError", "ServiceUnavailable", "ServiceUnavailableException"}
_PATIENCE = 10
#: After so many answers without news the stack itself is asked: events may be late or missing.
_SILENT = 6
#: Seconds between two looks where several services are watched together: at first, at first where they are many, and at
#: most. In between they grow with the time that has passed, of which they are this part.
_TOGETHER, _MANY_TOGETHER, _SELDOM, _PART = 1.0, 2.0, 4.0, 1 / 8
#: So many services are many.
_MANY = 10


class Watch:
    """The events of one operation on the stack `stack_id` (an ARN) and on the stacks nested in it.

    since: server time before the operation began; older events are of others. token: the operation's
    ClientRequestToken, which tells events apart within that second; '' for an operation of others. events: all seen,
    oldest first. explain: asked of each failure as it happens, with `since`, for the rollback that follows takes the
    evidence away; what it answers is in `explanations`, by EventId. before: the stack before the operation, for AWS may
    tell that for a moment more. finished: asked in doubt whether the operation is over; it may raise.
    """

    def __init__(self, aws: Aws, stack_id: str, progress: Progress, since: datetime, token: str = "",
                 explain: Callable[[dict[str, Any], datetime], Any] | None = None,
                 before: dict[str, Any] | None = None, finished: Callable[[], bool] | None = None) -> None:
        self._aws = aws
        self._stack_id = stack_id
        self._progress = progress
        self._since = since
        self._tokens = {token} - {""}
        self._seen: set[str] = set()
        self._nested: dict[str, str] = {}
        self._ended: set[str] = set()
        self._explain = explain
        self._before = moment(before)
        self._finished = finished
        self._heard = False
        self.events: list[dict[str, Any]] = []
        self.explanations: dict[str, Any] = {}
        self._open: dict[str, str] = {}
        self._forecast = Forecast()
        self._known: set[str] = set()
        self._begun = False
        self._status = ""
        self._calls = 0
        self._refused = 0
        self._started = time.monotonic()

    def follow(self, token: str) -> None:
        """Events of another operation of ours on the stack belong to this one too (a cancellation)."""
        self._tokens.add(token)

    def poll(self) -> list[dict[str, Any]]:
        """Ask for news, show and return them, oldest first."""
        seen: set[str] = set()
        new = self._news(self._stack_id, "", seen)
        for arn, path in list(self._nested.items()):
            if arn not in self._ended:
                new += self._news(arn, path, seen)
        # Only now: of a question that failed on its way all is asked again.
        self._seen |= seen
        # A nested stack that ended in this round has told its last.
        self._ended |= {e["PhysicalResourceId"] for e in new
                        if e.get("PhysicalResourceId") in self._nested and _is_end(e)}
        new.sort(key=lambda e: e["Timestamp"])
        for event in new:
            self._note(event)
        self.events += new
        return new

    def wait(self, deadline: Deadline, what: str) -> dict[str, Any]:
        """Wait for the end; the stack as it is then (StackStatus DELETE_COMPLETE where it is gone).

        what: for heartbeat and timeout, as in `the update of slipway-web`. Raises WaitTimeout, naming what was still
        in progress.
        """
        pace = Pace()
        self._started = time.monotonic()
        # Until now it was asked for by its name.
        cloudformation.glance_no_more(self._aws, self._stack_id.partition("/")[2].partition("/")[0])
        silent = 0
        ending = False
        time.sleep(deadline.cap(self._together() if self._aws.shared else pace.first()))
        while True:
            self._calls = 0
            new = self._patiently(self.poll) or [] if silent < _SILENT and self._patiently(self._moved) else []
            silent = 0 if new else silent + 1
            for event in new:
                if events.is_of_stack(event) and not event["Path"]:
                    ending = _is_end(event)
            if ending or silent > _SILENT:
                # The stack has the last word.
                silent = 0
                stack = self._patiently(self._described)
                if stack and self._is_over(stack):
                    if "StackName" in stack and (self._nested or not new):
                        self._last_words()
                    cloudformation.glance_no_more(self._aws, self._stack_id)
                    return dict(stack)
            if deadline.passed:
                if self._aws.shared:
                    self._patiently(self.poll)  # the status alone names no resource
                raise WaitTimeout(f"{what[:1].upper()}{what[1:]} has not ended after {duration(deadline.elapsed)}; "
                                  f"still in progress: {', '.join(self.unfinished()) or 'the stack itself'}.",
                                  "Raise wait_timeout, or run this again: it waits for what is in progress.")
            self._progress.heartbeat(f"... {what}: {duration(deadline.elapsed)}, waiting for "
                                     f"{', '.join(self.unfinished()[:3]) or 'CloudFormation'}")
            if self._aws.shared:
                # One call tells of the stacks of all services.
                time.sleep(deadline.cap(self._together()))
                continue
            soon = ending or self._begun and not self._open
            time.sleep(deadline.cap(pace.next(self._calls, bool(new), soon, self._forecast.window(time.time()))))

    def _is_over(self, stack: dict[str, Any]) -> bool:
        """Whether the stack is at rest, and after the operation rather than still before it."""
        if in_progress(stack["StackStatus"]):
            return False
        if stack["StackStatus"] == "DELETE_COMPLETE":
            return True
        review = stack["StackStatus"] == "REVIEW_IN_PROGRESS"
        if not review and (self._heard or moment(stack) != self._before):
            return True
        return bool(self._finished and self._patiently(self._finished) and not review)

    def _last_words(self) -> None:
        """The events that came since the last look, the cause of a failure perhaps among them."""
        while self._patiently(self.poll) is None:
            time.sleep(_TOGETHER)

    def _moved(self) -> bool:
        """Whether there may be news. In a run of several services the status tells, of all their stacks in one call."""
        if not self._aws.shared:
            return True
        before, self._status = self._status, str(self._described()["StackStatus"])
        return not in_progress(self._status) or before not in ("", self._status)

    def _together(self) -> float:
        many = self._aws.shared is not None and self._aws.shared.hosts >= _MANY
        return min(_SELDOM, max(_MANY_TOGETHER if many else _TOGETHER, _PART * (time.monotonic() - self._started)))

    def _described(self) -> dict[str, Any]:
        self._calls += 1
        # Nothing from before the operation, and hardly older than this one's own question would be.
        age = min(0.8 * self._together(), time.monotonic() - self._started)
        return (cloudformation.glance(self._aws, self._stack_id, age)
                or {"StackId": self._stack_id, "StackStatus": "DELETE_COMPLETE"})

    def _patiently(self, ask: Callable[[], Any]) -> Any:
        """The answer; None where AWS refuses for a while: what we wait for goes on without us."""
        try:
            answer = ask()
        except AwsError as error:
            self._refused += 1
            if error.code not in _PASSING or self._refused > _PATIENCE:
                raise
            self._progress.heartbeat(f"... AWS does not answer for now: {error.message}")
            return None
        self._refused = 0
        return answer

    def unfinished(self) -> list[str]:
        """Resources that began and have not ended."""
        return list(self._open.values())

    def _news(self, arn: str, path: str, seen: set[str]) -> list[dict[str, Any]]:
        """Events that are new, oldest first. seen: their ids are added to it."""
        self._calls += 1
        new: list[dict[str, Any]] = []
        for page in cloudformation.stack_events(self._aws, arn):
            for number, event in enumerate(page):
                if event["EventId"] in self._seen or self._is_older(event, path):
                    self._learn(arn, path, page[number:])
                    return new[::-1]
                seen.add(event["EventId"])
                if event.get("ResourceStatus") == "REVIEW_IN_PROGRESS":
                    continue  # the preview's, not the operation's
                new.append({**event, "Path": path})
        return new[::-1]

    def _learn(self, arn: str, path: str, earlier: list[dict[str, Any]]) -> None:
        """What is on the page anyway, of operations before this one; of one of others, what it began before we came."""
        if arn not in self._known:
            self._known.add(arn)
            earlier = [{**event, "Path": path} for event in earlier]
            self._forecast.learn(earlier)
            if not self._tokens and not path:
                for event in events.of_last_operation(earlier):
                    self._track(event)

    def _is_older(self, event: dict[str, Any], path: str) -> bool:
        if event["Timestamp"] < self._since:
            return True
        other = event.get("ClientRequestToken", "")
        # `since` is exact to the second only.
        return bool(self._tokens and other and other not in self._tokens and not path
                    and event["Timestamp"] < self._since + timedelta(seconds=2))

    def _note(self, event: dict[str, Any]) -> None:
        status = event.get("ResourceStatus", "")
        if not event["Path"] and event.get("ClientRequestToken", "") in {"", *self._tokens}:
            self._heard = True
        self._progress.say(events.line(event), events.tone(status))
        self._forecast.note(event, time.time())
        if events.is_of_stack(event):
            return
        if self._explain and status.endswith("_FAILED") and (why := self._explain(event, self._since)):
            self.explanations[event["EventId"]] = why
        arn = event.get("PhysicalResourceId", "")
        if event.get("ResourceType") == _STACK and arn.startswith("arn:"):
            self._nested.setdefault(arn, f"{event['Path']}{event['LogicalResourceId']}/")
            if in_progress(status):
                self._ended.discard(arn)
        self._track(event)

    def _track(self, event: dict[str, Any]) -> None:
        """What a resource's event says of what is in progress."""
        status, name = event.get("ResourceStatus", ""), event["Path"] + event["LogicalResourceId"]
        self._begun = True
        if in_progress(status):
            self._open[name] = f"{name} ({event['ResourceType']})"
        else:
            self._open.pop(name, None)


def in_progress(status: str) -> bool:
    """Whether a stack or resource of this status is being worked on. REVIEW_IN_PROGRESS is a stack at rest."""
    return status.endswith("_IN_PROGRESS") and status != "REVIEW_IN_PROGRESS"


def moment(stack: dict[str, Any] | None) -> tuple[Any, ...]:
    """Tells whether a stack was worked on in between: equal for the same stack at rest."""
    return tuple((stack or {}).get(key) for key in ("StackId", "StackStatus", "LastUpdatedTime"))


def duration(seconds: float) -> str:
    """`7s`, `2m10s`, `1h05m`."""
    whole = int(round(seconds))
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02d}s"
    return f"{whole // 3600}h{whole % 3600 // 60:02d}m"


def short_waits(limit: float) -> Iterator[None]:
    """Yields at once and then after each pause, until `limit` seconds have passed."""
    deadline = Deadline(limit)
    yield
    for delay in delays(first=0.25, limit=2.0):
        if deadline.passed:
            return
        time.sleep(deadline.cap(delay))
        yield


def _is_end(event: dict[str, Any]) -> bool:
    return event.get("ResourceStatus", "").endswith(("_COMPLETE", "_FAILED"))
