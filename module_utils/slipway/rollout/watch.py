"""One service watched through its rollout: fed with what DescribeServices says, it knows the verdict and the news.

It calls nothing itself, so that one poller can feed many watches from one call.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from .causes import Target
from .diagnosis import describe_target, plain_event
from .verdict import Expectation, Judgement, Verdict, judge, pin, short

#: (text, tone) as Progress.say takes them.
News = tuple[str, str]

_BAD_EVENT = ("unable to", "failed", "unhealthy", "rolling back", "rolled back")


class Watch:
    """The memory between two looks at one service."""

    def __init__(self, name: str, task_definition: str = "", since: datetime | None = None) -> None:
        """name: the service's. task_definition: what is expected, '' for the latest. since: earliest event that counts.

        Without `since` events count from the start of the deployment, by AWS's clock.
        """
        self.name = name
        self.expected = Expectation(task_definition)
        self.judgement = Judgement(Verdict.NOT_STARTED)
        self.service: Mapping[str, Any] = {}
        self.unhealthy: dict[str, Target] = {}
        self._since = since
        self._counts = ""
        self._events_told: set[str] = set()
        self._targets: dict[str, str] = {}

    def look(self, service: Mapping[str, Any] | None) -> Judgement:
        """Judge this look; the deployment that is found is the one followed from now on."""
        self.service = service or {}
        self.judgement = judge(service, self.expected)
        if self.judgement.deployment and service is not None and "status" in self.judgement.deployment:
            self.expected = pin(self.expected, service, self.judgement.deployment)
        return self.judgement

    @property
    def deployment(self) -> Mapping[str, Any]:
        """The awaited deployment as last seen, {} when it was never there."""
        return self.judgement.deployment

    @property
    def started(self) -> datetime | None:
        """When the events of this rollout begin."""
        return self._since or self.expected.created

    def events(self) -> list[dict[str, Any]]:
        """AWS's service events of this rollout, oldest first."""
        since = self.started
        if since is None:
            return []
        return [e for e in reversed(self.service.get("events", [])) if e["createdAt"] >= since]

    def rollout_seconds(self) -> float | None:
        """From the start of the deployment to its completion, by AWS's clock; None when it is not completed."""
        created = self.deployment.get("createdAt")
        if self.judgement.verdict is not Verdict.COMPLETED or created is None:
            return None
        done = next((e["createdAt"] for e in self.events()
                     if "deployment completed" in e["message"] and self.expected.deployment_id in e["message"]),
                    self.deployment.get("updatedAt"))
        return round(max(0.0, (done - created).total_seconds()), 3) if done else None

    def counts(self) -> str:
        """'new 1 of 2 running, 1 pending; old 2 running', after the stage of a blue/green deployment."""
        mine = self.deployment
        stage = f"{mine['stage']}; " if mine.get("stage") else ""
        text = f"{stage}new {mine.get('runningCount', 0)} of {mine.get('desiredCount', 0)} running"
        if mine.get("pendingCount"):
            text += f", {mine['pendingCount']} pending"
        if mine.get("failedTasks"):
            text += f", {mine['failedTasks']} failed"
        others = [d for d in self.service.get("deployments", []) if d.get("id") != mine.get("id")]
        old = sum(d.get("runningCount", 0) for d in others)
        return f"{text}; old {old} running" if old else text

    def news(self) -> Iterator[News]:
        """What this look shows that the last one did not: counts, events."""
        if self.deployment:
            counts = self.counts()
            if counts != self._counts:
                self._counts = counts
                yield f"{self.name}: {counts}", "info"
        for event in self.events():
            if event["id"] not in self._events_told:
                self._events_told.add(event["id"])
                bad = any(word in event["message"] for word in _BAD_EVENT)
                yield f"{self.name}: {plain_event(event['message'])}", "warn" if bad else "info"

    def target_news(self, targets: Sequence[Target]) -> Iterator[News]:
        """Which targets changed their health since the last call."""
        now = {}
        for target in targets:
            if target.state == "unhealthy":
                self.unhealthy[target.address] = target
            # Only what is wrong needs its reason; 'initial' and 'draining' say enough.
            text = describe_target(target) if target.state == "unhealthy" else f"{target.address} {target.state}"
            now[target.address] = text
            if self._targets.get(target.address) != text:
                tone = {"healthy": "good", "unhealthy": "warn"}.get(target.state, "info")
                yield f"{self.name}: target {text}", tone
        for address in sorted(self._targets.keys() - now.keys()):
            yield f"{self.name}: target {address} gone", "info"
        self._targets = now

    def progress_text(self) -> str:
        """For a heartbeat: what is still awaited."""
        if not self.deployment:
            return f"{self.name}: waiting for a deployment of {short(self.expected.task_definition) or 'the service'}"
        return f"{self.name}: still rolling out, {self.counts()}"
