"""Follows the rollout of one service to its verdict, and says why where it failed."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from ..aws import ecs
from ..aws.session import THROTTLES, Aws
from ..changes import UNKNOWN
from ..errors import AwsError, Interrupted, InvalidInput, SlipwayError, WaitTimeout
from ..interrupt import interruptible
from ..polling import Deadline, delays
from ..progress import Phases, Progress
from . import blue_green
from .diagnosis import Diagnosis, diagnose, read_targets, target_groups
from .page import await_page, check_url
from .verdict import Verdict, short
from .watch import Watch

#: Seconds in which an expected deployment has to appear: DescribeServices is only eventually consistent.
_START_GRACE = 30.0
#: How often a poll may fail in a row for want of an answer before the wait is given up.
_BLIPS = 5


@dataclass(frozen=True)
class Request:
    """What to follow. cluster, service: names or ARNs; times in seconds; since: an aware time.

    task_definition: ARN or family:revision; '' is the service's latest deployment.
    image_tag: '' or the tag that a container of the deployment has to run.
    url_validate_certs: of the page alone; how AWS is asked is its session's.
    """

    cluster: str
    service: str
    task_definition: str = ""
    image_tag: str = ""
    since: datetime | None = None
    wait_timeout: float = 900.0
    url: str = ""
    url_contains: str = ""
    url_timeout: float = 60.0
    url_validate_certs: bool = True

    @classmethod
    def of(cls, params: Mapping[str, Any]) -> Request:
        """A module's arguments. Raises InvalidInput for a url or a time that is none."""
        if params.get("url") and UNKNOWN not in params["url"]:
            check_url(params["url"])
        return cls(params["cluster"], params["service"], params.get("task_definition") or "",
                   params.get("image_tag") or "", _time(params.get("since")), params["wait_timeout"],
                   params.get("url") or "", params.get("url_contains") or "", params["url_timeout"],
                   params.get("url_validate_certs") is not False)

    @property
    def unknown(self) -> bool:
        """Whether a value is only known once something else was made."""
        return any(UNKNOWN in str(value) for value in (self.cluster, self.service, self.task_definition))


def follow(aws: Aws, request: Request, progress: Progress, check_mode: bool = False,
           sleep: Callable[[float], None] = time.sleep) -> dict[str, Any]:
    """The module's result for a rollout that completed. `changed` is false: a verdict changes nothing.

    In check mode nothing is awaited: the result says what would be, and a rollout that failed fails nothing.
    Raises SlipwayError (WaitTimeout when out of time) for every other verdict, with the result's keys as its details;
    AwsError when AWS refuses; Interrupted on SIGINT and SIGTERM.
    """
    return _Follower(aws, request, progress, sleep).run(check_mode)


class _Follower:
    def __init__(self, aws: Aws, request: Request, progress: Progress, sleep: Callable[[float], None]) -> None:
        self._aws = aws
        self._request = request
        self._progress = progress
        self._sleep = sleep
        self._name = short(request.service)
        self._revisions = blue_green.Revisions(aws)
        self._watch = Watch(self._name, request.task_definition, request.since)
        self._phases = Phases()
        self._blips = 0
        self._groups_refused = False
        self._introduced = False
        self._where = f"service {self._name} (cluster {short(request.cluster)}, {aws.region})"

    def run(self, check_mode: bool) -> dict[str, Any]:
        if check_mode:
            return self._foretell()
        try:
            with interruptible():
                return self._judge()
        except Interrupted as error:
            raise Interrupted(f"{error.message} Nothing was changed; a rollout that is in progress on {self._where} "
                              "goes on by itself.", "Run this again to see its end.") from error

    def _judge(self) -> dict[str, Any]:
        with self._phases("wait"):
            verdict = self._await_verdict()
        if verdict is not Verdict.COMPLETED:
            raise self._failure(verdict)
        self._check_image()
        self._check_page()
        return self._success()

    def _foretell(self) -> dict[str, Any]:
        """Check mode: the present state where it can be read, never a failure for what may not be there yet."""
        awaited = short(self._request.task_definition) or "its task definition"
        would = f"Would await the rollout of {awaited} on {self._where}."
        if self._request.unknown:
            return self._result(None, would)
        verdict = self._look()
        if verdict is Verdict.COMPLETED:
            return self._result(verdict, f"{short(self._watch.expected.task_definition)} is rolled out on "
                                         f"{self._where}.")
        return self._result(verdict, would)

    def _await_verdict(self) -> Verdict:
        deadline = Deadline(self._request.wait_timeout)
        grace = Deadline(min(_START_GRACE, self._request.wait_timeout))
        for number, delay in enumerate(delays()):
            verdict = self._look()
            if verdict.final and not number:
                return verdict
            self._tell(number)
            if verdict.final:
                return verdict
            if deadline.passed and verdict is Verdict.IN_PROGRESS:
                return Verdict.TIMED_OUT
            if grace.passed and verdict is Verdict.NOT_STARTED:
                return verdict
            self._sleep(deadline.cap(delay))
        raise AssertionError("delays() has no end")

    def _look(self) -> Verdict:
        """One DescribeServices. A call that got no answer leaves the verdict open, a few times in a row."""
        try:
            service = ecs.watch_service(self._aws, self._request.cluster, self._request.service)
            if service and blue_green.applies(service):
                service = self._revisions.seen(self._request.cluster, service)
        except AwsError as error:
            if error.code == "ClusterNotFoundException":
                return self._watch.look(None).verdict
            self._blips += 1
            # The first look of all must succeed: a wrong endpoint is no blip.
            if (error.code and error.code not in THROTTLES) or not self._watch.service or self._blips > _BLIPS:
                raise
            self._progress.say(f"{self._name}: {error.message}", "warn")
            return Verdict.IN_PROGRESS
        self._blips = 0
        return self._watch.look(service).verdict

    def _tell(self, number: int) -> None:
        watch, moved = self._watch, False
        if watch.deployment and not self._introduced:
            self._introduced = True
            self._progress.say(f"{self._name}: deployment {watch.expected.deployment_id} of "
                               f"{short(watch.expected.task_definition)}")
        for text, tone in watch.news():
            self._progress.say(text, tone)
            moved = True
        # The load balancer's view costs a call more, so it is asked when ECS moved, and now and then.
        if watch.judgement.verdict is Verdict.IN_PROGRESS and (moved or number % 3 == 0):
            self._tell_targets()
        self._progress.heartbeat(watch.progress_text())

    def _tell_targets(self) -> None:
        if self._groups_refused or not self._watch.deployment.get("runningCount"):
            return
        try:
            targets = [target for group in target_groups(self._watch.service)
                       for target in read_targets(self._aws, group)]
        except (AwsError, InvalidInput) as error:
            # Only the talk suffers; the verdict does not rest on it.
            self._groups_refused = True
            self._progress.say(f"{self._name}: target health is not shown: {error}", "warn")
            return
        for text, tone in self._watch.target_news(targets):
            self._progress.say(text, tone)

    def _check_image(self) -> None:
        """Raises SlipwayError where no container of the deployment runs the expected tag.

        A task definition that the caller named needs no such proof.
        """
        tag, arn = self._request.image_tag, self._watch.expected.task_definition
        if not tag or self._request.task_definition:
            return
        definition = ecs.describe_task_definition(self._aws, arn)
        images = [c.get("image", "") for c in definition.get("containerDefinitions", [])]
        if not any(image.partition("@")[0].endswith(f":{tag}") for image in images):
            raise self._error(Verdict.NOT_STARTED,
                              f"{_sentence_case(self._where)} runs {short(arn)} with {', '.join(images)}, "
                              f"not tag {tag}.",
                              "Deploy that tag first (the service stack's ImageTag), then wait for it.")

    def _check_page(self) -> None:
        request = self._request
        if not request.url:
            return
        self._progress.say(f"{self._name}: asking {request.url}")
        with self._phases("url"):
            wrong = await_page(request.url, request.url_contains, request.url_timeout,
                               request.url_validate_certs, self._sleep)
        if wrong:
            raise self._error(
                Verdict.NO_ANSWER,
                f"{short(self._watch.expected.task_definition)} is rolled out on {self._where}, but {request.url} is "
                f"not as expected: {wrong}. The new version stays live.",
                "Look at the load balancer's listener and security group, and at the application's log; "
                "playbooks/rollback.yml goes back to the last good release.")

    def _success(self) -> dict[str, Any]:
        mine = self._watch.deployment
        text = (f"{short(self._watch.expected.task_definition)} is rolled out on {self._where}: "
                f"{mine.get('runningCount', 0)} of {mine.get('desiredCount', 0)} tasks running.")
        self._progress.say(text, "good")
        return self._result(Verdict.COMPLETED, text)

    def _failure(self, verdict: Verdict) -> SlipwayError:
        sentence, remedy = self._sentence(verdict)
        if verdict not in (Verdict.FAILED, Verdict.ROLLED_BACK, Verdict.TIMED_OUT):
            return self._error(verdict, sentence, remedy)
        self._progress.say(sentence, "bad")
        with self._phases("diagnosis"):
            found = diagnose(self._aws, self._request.cluster, self._name,
                             self._watch.started or datetime.now(UTC),
                             list(self._watch.unhealthy.values()), self._watch.expected.task_definition)
        for line in found.evidence:
            self._progress.say(f"  {line}")
        return self._error(verdict, f"{sentence} {found.sentence}", found.remedy, found)

    def _sentence(self, verdict: Verdict) -> tuple[str, str]:
        """(what happened, what to do), the cause not yet known."""
        watch, judgement = self._watch, self._watch.judgement
        wanted = short(watch.expected.task_definition)
        now = short(str(judgement.primary.get("taskDefinition", "")))
        rollout = f"The rollout of {wanted} on {self._where}" if wanted else f"The rollout on {self._where}"
        aws_words = f" ({judgement.reason.rstrip('.')})" if judgement.reason else ""
        if verdict is Verdict.ROLLED_BACK:
            return f"{rollout} failed{aws_words} and was rolled back to {now}.", ""
        if verdict is Verdict.FAILED:
            return f"{rollout} failed{aws_words} and was not rolled back.", ""
        if verdict is Verdict.TIMED_OUT:
            return (f"{rollout} is not done after {self._request.wait_timeout:g} s: {watch.counts()}.", "")
        if verdict is Verdict.SUPERSEDED:
            return (f"{rollout} was superseded by {now}, which another release started.",
                    "See what became of that one; run this release again if its change has to go out.")
        if verdict is Verdict.NOT_STARTED:
            waited = min(_START_GRACE, self._request.wait_timeout)
            return (f"{rollout} did not start within {waited:g} s: the service runs {now or 'nothing'}.",
                    "Update the service to that task definition first; if it was rolled back before, release again.")
        if verdict is Verdict.INACTIVE:
            return (f"{_sentence_case(self._where)} is deleted or being deleted ({judgement.reason}).",
                    "Create the service stack again, then release.")
        return (f"There is no {self._where}.",
                "Check cluster, service, account and region, or create the service stack first.")

    def _error(self, verdict: Verdict, message: str, remedy: str, found: Diagnosis | None = None) -> SlipwayError:
        kind = WaitTimeout if verdict is Verdict.TIMED_OUT else SlipwayError
        details = self._result(verdict, "", found)
        del details["msg"]
        return kind(message, remedy, **details)

    def _result(self, verdict: Verdict | None, text: str, found: Diagnosis | None = None) -> dict[str, Any]:
        watch = self._watch
        return {
            "changed": False,
            "msg": text,
            "verdict": str(verdict) if verdict else None,
            "service": self._name,
            "deployment_id": watch.expected.deployment_id or None,
            "task_definition": watch.expected.task_definition or None,
            "rollout_seconds": watch.rollout_seconds(),
            "running": watch.deployment.get("runningCount", 0),
            "pending": watch.deployment.get("pendingCount", 0),
            "desired": watch.deployment.get("desiredCount", 0),
            "phases": self._phases.seconds,
            "api_calls": self._aws.api_calls(),
            "retries": self._aws.retries,
            "service_events": [{"at": event["createdAt"].astimezone(UTC).isoformat(),
                                "message": event["message"]} for event in watch.events()],
            "diagnosis": found.as_dict() if found else None,
        }


def _sentence_case(text: str) -> str:
    return text[:1].upper() + text[1:]


def _time(text: str | None) -> datetime | None:
    """An ISO 8601 time; without an offset it is UTC. Raises InvalidInput."""
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise InvalidInput(f"since {text!r} is no ISO 8601 time.", "Give it as 2024-05-31T12:00:00Z.") from error
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
