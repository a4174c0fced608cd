"""Why a service did not come up: the evidence gathered from AWS in few calls, and the likely cause."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any, TypeVar

from ..aws import ecs, elbv2, logs
from ..aws.session import Aws
from ..errors import AwsError, InvalidInput
from . import blue_green
from .causes import UNKNOWN_CAUSE, Container, HealthCheck, Signals, StoppedTask, Target, classify
from .verdict import short

T = TypeVar("T")

#: How much of each kind of evidence is shown.
_TASKS = 3
_LOG_STREAMS = 4
_LOG_LINES = 10
_EVENTS = 8
_LINE_LENGTH = 300

#: stoppedReason of tasks that a rollout stops as it should.
_ORDINARY_STOP = re.compile(r"Scaling activity initiated by|Deployment completed|Task definition updated"
                            r"|Service scaling down|Service deleted|Deployment capacity limit", re.IGNORECASE)
_HEALTH = re.compile(r"health checks?|unhealthy", re.IGNORECASE)


@dataclass(frozen=True)
class Diagnosis:
    """kind: the cause's stable key. cause: one plain sentence and what to change. evidence: lines to show below it."""

    cause: str
    evidence: list[str] = field(default_factory=list)
    kind: str = UNKNOWN_CAUSE.kind
    sentence: str = ""
    remedy: str = ""

    def as_dict(self) -> dict[str, Any]:
        """For a module's result."""
        return {"cause": self.cause, "kind": self.kind, "remedy": self.remedy, "evidence": list(self.evidence)}


def diagnose(aws: Aws, cluster: str, service: str, since: datetime, seen: Sequence[Target] = (),
             task_definition: str = "") -> Diagnosis:
    """The likely cause of a failed rollout, with its evidence. What AWS refuses becomes evidence; reads only.

    cluster, service: names or ARNs. since: an aware time; what stopped or happened before it is left out.
    seen: unhealthy targets that the caller met while it waited (they are deregistered soon after).
    task_definition: ARN whose tasks alone count; '' counts every task that failed.
    Calls DescribeServices, ListTasks and DescribeTasks once; DescribeTaskDefinition per failed task definition (one as
    a rule), GetLogEvents per failed container (up to 4), DescribeTargetHealth per target group and
    DescribeTargetGroups once when there is a load balancer.
    """
    return _Gathering(aws, cluster, short(service)).run(since, seen, task_definition)


class _Gathering:
    """The state of one diagnosis: what was found, and what could not be read."""

    def __init__(self, aws: Aws, cluster: str, service: str) -> None:
        self._aws = aws
        self._cluster = cluster
        self._service = service
        self._unreadable: list[str] = []
        self._definitions: dict[str, dict[str, Any]] = {}

    def run(self, since: datetime, seen: Sequence[Target], task_definition: str) -> Diagnosis:
        absent: dict[str, Any] = {}
        described = self._read("the service", absent, lambda: ecs.describe_services(
            self._aws, self._cluster, [self._service]).get(self._service, {}))
        if blue_green.applies(described):
            described = self._read("the service's deployments", described,
                                   lambda: blue_green.Revisions(self._aws).seen(self._cluster, described))
        since = _by_aws_clock(since, described)
        events = [e for e in described.get("events", []) if e["createdAt"] >= since]
        failed = self._failed_tasks(since, task_definition)
        tasks, logs_shown = self._with_logs(failed)
        targets, check = self._targets(described, failed, events)
        # What was unhealthy while we watched explains more than what is left of it now.
        targets = [*targets, *(t for t in seen if t not in targets)]
        failing = next((d for d in described.get("deployments", []) if d.get("rolloutState") == "FAILED"), absent)
        balancers = described.get("loadBalancers") or [{}]
        cause = classify(Signals(tasks=tasks, targets=targets, events=[e["message"] for e in events],
                                 rollout_reason=str(failing.get("rolloutStateReason", "")), health_check=check,
                                 container_port=balancers[0].get("containerPort")))
        evidence = [*_task_lines(tasks), *logs_shown, *_target_lines(targets), *_event_lines(events),
                    *self._unreadable]
        return Diagnosis(str(cause), evidence, cause.kind, cause.sentence, cause.remedy)

    def _read(self, what: str, otherwise: T, call: Callable[[], T]) -> T:
        """call(), or `otherwise` and a line of evidence that says why `what` could not be read."""
        try:
            return call()
        except (AwsError, InvalidInput) as error:
            self._unreadable.append(f"could not read {what}: {error}")
            return otherwise

    def _failed_tasks(self, since: datetime, task_definition: str) -> list[dict[str, Any]]:
        """Tasks of the service that ended against its will, newest first."""
        nothing: list[dict[str, Any]] = []
        stopped = self._read("stopped tasks", nothing, self._stopped_tasks)
        failed = [task for task in stopped
                  if task.get("group") == f"service:{self._service}"
                  and _ended(task) >= since.timestamp()
                  and task.get("stopCode") != "UserInitiated"
                  and not _ORDINARY_STOP.search(task.get("stoppedReason", ""))
                  and task_definition in ("", task.get("taskDefinitionArn"))]
        return sorted(failed, key=_ended, reverse=True)

    def _stopped_tasks(self) -> list[dict[str, Any]]:
        try:
            arns = ecs.list_tasks(self._aws, self._cluster, "STOPPED", self._service)
        except AwsError as error:
            # A failed first release is deleted with its stack; its tasks can still be listed by cluster.
            if error.code not in ("ServiceNotFoundException", "ServiceNotActiveException"):
                raise
            arns = ecs.list_tasks(self._aws, self._cluster, "STOPPED")
        return ecs.describe_tasks(self._aws, self._cluster, arns)

    def _with_logs(self, tasks: list[dict[str, Any]]) -> tuple[list[StoppedTask], list[str]]:
        """The tasks as signals, and the log lines to show: of each failed container once, from its newest task."""
        shown: list[str] = []
        fetched: dict[tuple[str, int | None], tuple[str, ...]] = {}
        result = []
        for task in tasks:
            definition = self._definition(task.get("taskDefinitionArn", ""))
            definitions = {c["name"]: c for c in definition.get("containerDefinitions", [])}
            containers = []
            for container in task.get("containers", []):
                name, code = container["name"], container.get("exitCode")
                defined = definitions.get(name, {})
                key = (name, code)
                if code is not None and not fetched.get(key) and len(fetched) < _LOG_STREAMS:
                    fetched[key] = self._log(task, container, defined)
                memory = defined.get("memory") or definition.get("memory")
                containers.append(Container(name, code, container.get("reason", ""),
                                            container.get("image") or defined.get("image", ""),
                                            int(memory) if memory else None, fetched.get(key, ())))
            result.append(StoppedTask(task["taskArn"].rsplit("/", 1)[-1], task.get("stopCode", ""),
                                      task.get("stoppedReason", ""), tuple(containers)))
        for (name, _), lines in fetched.items():
            shown += [f"log of {name}: {line}" for line in lines]
        return result, shown

    def _definition(self, arn: str) -> dict[str, Any]:
        if arn and arn not in self._definitions:
            empty: dict[str, Any] = {}
            self._definitions[arn] = self._read(
                f"task definition {short(arn)}", empty, lambda: ecs.describe_task_definition(self._aws, arn))
        return self._definitions.get(arn, {})

    def _log(self, task: Mapping[str, Any], container: Mapping[str, Any],
             defined: Mapping[str, Any]) -> tuple[str, ...]:
        configuration = defined.get("logConfiguration") or {}
        options = configuration.get("options") or {}
        group, prefix = options.get("awslogs-group"), options.get("awslogs-stream-prefix")
        if configuration.get("logDriver") != "awslogs" or not group:
            return ()
        # Without a prefix the agent names the stream after the container that the engine made.
        stream = f"{prefix}/{container['name']}/{task['taskArn'].rsplit('/', 1)[-1]}" if prefix else (
            container.get("runtimeId"))
        if not stream:
            return ()
        nothing: list[str] = []
        lines = self._read(f"the log of {container['name']} ({group})", nothing, lambda: logs.last_lines(
            self._aws, group, stream, _LOG_LINES, options.get("awslogs-region")))
        return tuple(clean(line) for line in lines)

    def _targets(self, described: Mapping[str, Any], failed: list[dict[str, Any]],
                 events: list[dict[str, Any]]) -> tuple[list[Target], HealthCheck | None]:
        groups = target_groups(described)
        found: list[Target] = []
        for arn in groups:
            nothing: list[Target] = []
            found += self._read("target health", nothing, partial(read_targets, self._aws, arn))
        suspicious = (any(t.state != "healthy" for t in found)
                      or any(_HEALTH.search(e["message"]) for e in events)
                      or any(_HEALTH.search(t.get("stoppedReason", "")) for t in failed))
        if not groups or not suspicious:
            return found, None
        empty: list[dict[str, Any]] = []
        described_groups = self._read("target groups", empty,
                                      lambda: elbv2.describe_target_groups(self._aws, groups))
        return found, _health_check(described_groups[0]) if described_groups else None


def target_groups(service: Mapping[str, Any]) -> list[str]:
    """ARNs of the target groups that the service registers its tasks in."""
    return [b["targetGroupArn"] for b in service.get("loadBalancers") or [] if b.get("targetGroupArn")]


def read_targets(aws: Aws, target_group: str) -> list[Target]:
    """The health of every target of the group with this ARN. Raises AwsError."""
    return [Target(f"{t['Target']['Id']}:{t['Target'].get('Port', '')}", t["TargetHealth"].get("State", ""),
                   t["TargetHealth"].get("Reason", ""), t["TargetHealth"].get("Description", ""))
            for t in elbv2.describe_target_health(aws, target_group)]


def describe_target(target: Target) -> str:
    """'10.0.1.5:80 unhealthy: Target.Timeout (Request timed out)'."""
    reason = f": {target.reason}" if target.reason else ""
    return f"{target.address} {target.state}{reason}" + (f" ({target.description})" if target.description else "")


def _by_aws_clock(since: datetime, service: Mapping[str, Any]) -> datetime:
    """`since`, or the start of a deployment that is not done when that is earlier: the caller's clock may be ahead."""
    started = [d["createdAt"] for d in service.get("deployments", [])
               if d.get("rolloutState") != "COMPLETED" and d.get("createdAt")]
    return min([since, *([max(started)] if started else [])])


def _ended(task: Mapping[str, Any]) -> float:
    moment = task.get("stoppedAt") or task.get("stoppingAt") or task.get("createdAt")
    return moment.timestamp() if moment else 0.0


def _health_check(group: Mapping[str, Any]) -> HealthCheck:
    matcher = group.get("Matcher") or {}
    return HealthCheck(group.get("HealthCheckPath", ""), str(group.get("HealthCheckPort") or "traffic-port"),
                       matcher.get("HttpCode") or matcher.get("GrpcCode") or "200",
                       group.get("HealthCheckIntervalSeconds", 30), group.get("HealthCheckTimeoutSeconds", 5))


def _task_lines(tasks: Sequence[StoppedTask]) -> Iterator[str]:
    """One line for each way in which tasks stopped, the newest first, with how many stopped alike."""
    alike: dict[tuple[Any, ...], list[StoppedTask]] = {}
    for task in tasks:
        key = (task.stop_code, task.reason, *((c.name, c.exit_code, c.reason) for c in task.containers))
        alike.setdefault(key, []).append(task)
    for group in list(alike.values())[:_TASKS]:
        task = group[0]
        count = f" and {len(group) - 1} more like it" if len(group) > 1 else ""
        why = clean(_plain_arns(task.reason)) or "no reason given"
        yield f"task {task.id}{count} stopped: {why} [{task.stop_code or '?'}]"
        for container in task.containers:
            if container.exit_code is not None or container.reason:
                code = "did not run" if container.exit_code is None else f"exit code {container.exit_code}"
                reason = f", {clean(container.reason)}" if container.reason else ""
                yield f"container {container.name}: {code}{reason}"
    if len(alike) > _TASKS:
        yield f"{sum(map(len, list(alike.values())[_TASKS:]))} more tasks stopped for other reasons"


def _target_lines(targets: Sequence[Target]) -> Iterator[str]:
    return (f"target {describe_target(target)}" for target in targets)


def _event_lines(events: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """The last events, oldest first."""
    return (f"event {e['createdAt'].astimezone().strftime('%H:%M:%S')}: {clean(plain_event(e['message']))}"
            for e in reversed(events[:_EVENTS]))


def plain_event(message: str) -> str:
    """A service event as a reader wants it: without the service's name, target groups by name instead of ARN."""
    return _plain_arns(re.sub(r"^\(service [^)]*\) ?", "", message))


def _plain_arns(text: str) -> str:
    return re.sub(r"arn:[\w-]+:elasticloadbalancing:[^ )]*:targetgroup/([^/ )]+)/[^ ),]*", r"\1", text)


def clean(text: str) -> str:
    """`text` without control characters (a container's log could steer the terminal), on one line, shortened."""
    text = re.sub(r"\x1b\[[0-9;?]*[ -/]*[@-~]", "", text)
    text = "".join(c if c.isprintable() else " " for c in text).strip()
    return text if len(text) <= _LINE_LENGTH else text[:_LINE_LENGTH - 3] + "..."
