"""Why a rollout failed, in plain words: a pure reading of what AWS and the container left behind.

The rules are tables of texts as ECS, its agent, the load balancer and the kernel write them; the first rule of a table
that fits wins, so the particular ones stand before the general.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Cause:
    """kind: a stable key. sentence: what happened. remedy: what to change, one sentence."""

    kind: str
    sentence: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.sentence} {self.remedy}"


@dataclass(frozen=True)
class Container:
    """One container of a stopped task. exit_code: None when it never ran. memory: its hard limit in MiB, None: none.

    log: its last lines, oldest first.
    """

    name: str
    exit_code: int | None = None
    reason: str = ""
    image: str = ""
    memory: int | None = None
    log: tuple[str, ...] = ()


@dataclass(frozen=True)
class StoppedTask:
    """A task that ended although the service wanted it. stop_code, reason: AWS's stopCode and stoppedReason."""

    id: str
    stop_code: str = ""
    reason: str = ""
    containers: tuple[Container, ...] = ()


@dataclass(frozen=True)
class Target:
    """What the load balancer thinks of one target. state, reason, description: AWS's TargetHealth."""

    address: str
    state: str
    reason: str = ""
    description: str = ""


@dataclass(frozen=True)
class HealthCheck:
    """The load balancer's question: path '' is no HTTP; port as AWS gives it (traffic-port or a number)."""

    path: str = ""
    port: str = "traffic-port"
    expected: str = "200"
    interval: int = 30
    timeout: int = 5


@dataclass(frozen=True)
class Signals:
    """Everything a cause is read from. tasks and events: newest first; each may be empty."""

    tasks: Sequence[StoppedTask] = ()
    targets: Sequence[Target] = ()
    events: Sequence[str] = ()
    rollout_reason: str = ""
    health_check: HealthCheck | None = None
    container_port: int | None = None


UNKNOWN_CAUSE = Cause("unknown", "Neither ECS nor the containers say why.",
                      "Look at the service's events and logs in the ECS console.")


@dataclass(frozen=True)
class _Rule:
    """pattern's named groups fill the sentence and the remedy, besides the values of where it was found."""

    pattern: str
    kind: str
    sentence: str
    remedy: str

    def cause(self, text: str, **values: Any) -> Cause | None:
        match = re.search(self.pattern, text, re.IGNORECASE | re.DOTALL)
        if not match:
            return None
        values |= {key: value for key, value in match.groupdict().items() if value}
        return Cause(self.kind, self.sentence.format_map(_Blank(values)), self.remedy.format_map(_Blank(values)))


class _Blank(dict[str, Any]):
    def __missing__(self, key: str) -> str:
        return "?"


_PULL = (r"CannotPull\w*Error|unable to pull image(?! or start)|No such image|manifest unknown|image digest resolution"
         r"|failed to resolve ref|pull image manifest")

_EXEC_FORMAT = "The image {image} is built for another processor than the one it runs on (exec format error)."
_EXEC_FORMAT_REMEDY = ("Build it for the platform of the service (linux/amd64 or linux/arm64), or set "
                       "'runtimePlatform'. A script as entry point needs its '#!' line.")

#: stoppedReason of the task and reason of its containers, joined by newlines.
_STOP_RULES = (
    _Rule(r"unable to (?:pull secrets|retrieve secrets?)[^\n]*?(?:AccessDenied|not authorized)", "secret_denied",
          "ECS may not read a secret that the task definition names.",
          "Allow secretsmanager:GetSecretValue or ssm:GetParameters (and kms:Decrypt) on it in the task's execution "
          "role."),
    _Rule(r"unable to (?:pull|retrieve) (?:secrets?|ecr)[^\n]*?(?:i/o timeout|deadline exceeded|no such host)"
          r"|unable to pull secrets or registry auth[^\n]*?(?:i/o timeout|deadline exceeded|no such host)", "no_route",
          "The task cannot reach AWS to fetch its secrets or the registry's credentials.",
          "Give its subnet a route to the internet (public IP, NAT) or the VPC endpoints of ECR, S3, Secrets Manager "
          "and Logs."),
    _Rule(r"unable to retrieve ecr registry auth", "registry_denied",
          "The execution role may not get the registry's credentials.",
          "Attach AmazonECSTaskExecutionRolePolicy to the task's execution role."),
    _Rule(r"unable to (?:pull secrets|retrieve secrets?)[^\n]*?(?:secret|parameter)s?[: ]+"
          r"(?P<name>arn:[^\s,;]+|/[\w/.-]+)",
          "secret_missing",
          "A secret that the task definition names cannot be read: {name}.",
          "Create it, or correct its ARN (and JSON key) under 'secrets' in the task definition."),
    _Rule(r"unable to (?:pull secrets|retrieve secrets?)|invalid ssm parameters|can't find the specified secret",
          "secret_missing",
          "A secret or parameter that the task definition names does not exist.",
          "Create it, or correct its ARN (and JSON key) under 'secrets' in the task definition."),
    _Rule(r"log ?group[^\n]*?does not exist|(?:logger args|logging driver)[^\n]*?ResourceNotFoundException",
          "log_group_missing",
          "The log group that the task definition names does not exist{group}.",
          "Create it, or correct 'awslogs-group' and 'awslogs-region' in the task definition."),
    _Rule(r"(?:logger args|logging driver|log stream)[^\n]*?(?:AccessDenied|not authorized)", "log_denied",
          "The execution role may not write to the log group that the task definition names.",
          "Allow logs:CreateLogStream and logs:PutLogEvents on it in the task's execution role."),
    _Rule(r"exec format error|does not contain descriptor matching platform|no matching manifest for \S+ in the man",
          "exec_format", _EXEC_FORMAT, _EXEC_FORMAT_REMEDY),
    _Rule(rf"(?:{_PULL})(?![^\n]*may require)[^\n]*?(?:no basic auth|denied|forbidden|\b403\b|unauthori[sz]ed"
          r"|not authorized)", "image_denied",
          "The image {image} may not be pulled.",
          "Allow the execution role (on EC2 also the instance role) ecr:BatchGetImage and "
          "ecr:GetDownloadUrlForLayer on its repository."),
    _Rule(rf"(?:{_PULL})[^\n]*?(?:toomanyrequests|rate limit)", "image_rate",
          "The image {image} was not pulled: its registry limits the number of pulls.",
          "Keep a copy of it in ECR (a pull-through cache) or sign in to that registry."),
    _Rule(rf"(?:{_PULL})[^\n]*?no space left", "disk_full",
          "The image {image} does not fit on the disk of the host.",
          "Enlarge the volume of the instances, or let the ECS agent clean up old images."),
    _Rule(rf"(?:{_PULL})[^\n]*?(?:i/o timeout|deadline exceeded|request canceled|no such host|connection refused"
          r"|dial tcp)", "no_route",
          "The registry of the image {image} cannot be reached from the task.",
          "Give its subnet a route to the internet (public IP, NAT) or the VPC endpoints of ECR and S3."),
    _Rule(rf"{_PULL}", "image_missing",
          "The image {image} cannot be pulled: it is not in its registry.",
          "Check repository and tag ('aws ecr describe-images'), then push it or correct the tag."),
    _Rule(r"OutOfMemory|OOM[- ]?killed|killed due to memory", "out_of_memory",
          "Container {container} was out of memory and was killed{limit}.",
          "Raise its 'memory' in the task definition, or let the application use less."),
    _Rule(r"executable file not found|CannotStartContainerError[^\n]*?no such file or directory", "command_missing",
          "Container {container} cannot start: its command is not in the image.",
          "Correct ENTRYPOINT or CMD of the image, or 'command' in the task definition."),
    _Rule(r"port is already allocated|address already in use|ports? (?:\d+ )?already in use", "port_taken",
          "A port that the task needs is taken on its host.",
          "Use dynamic host ports (hostPort 0) or awsvpc, so that old and new tasks can run side by side."),
    _Rule(r"CannotStartContainerError[^\n]*?permission denied|exec: [^\n]*permission denied", "command_denied",
          "Container {container} cannot start: its command is not executable.",
          "Give the file its executable bit in the image (chmod +x)."),
    _Rule(r"unable to assume (?:the )?role(?: '?(?P<role>[^' )\n]+))?", "role",
          "ECS cannot assume the task's role {role}.",
          "Correct the role's name, and let ecs-tasks.amazonaws.com assume it."),
    _Rule(r"Timeout waiting for network interface|failed to (?:setup|configure) network|CannotCreateNetwork|\bENI\b",
          "network", "The task got no network interface.",
          "Check the subnets' free addresses and the limit of interfaces of the instance type."),
    _Rule(r"\bspot\b|Host EC2 .* terminated|instance .* terminated|host .* stopped", "host_gone",
          "The host of the task went away: {reason}.", "Run this again; keep more than one instance."),
    _Rule(r"failed container health checks", "container_health",
          "The health check of container {container}, as the task definition has it, fails.",
          "Run its command in the image by hand; give the container more time with 'startPeriod'."),
)

#: Last log lines of a container that ended; only where the line is the reason beyond doubt.
_LOG_RULES = (
    _Rule(r"exec format error", "exec_format", _EXEC_FORMAT, _EXEC_FORMAT_REMEDY),
    _Rule(r"(?P<line>[^\n]*(?:Allowed memory size of|OutOfMemoryError|heap out of memory|Cannot allocate memory"
          r"|MemoryError)[^\n]*)", "out_of_memory",
          "Container {container} was out of memory{limit}: '{line}'.",
          "Raise its 'memory' in the task definition, or let the application use less."),
)

#: Service events and the rollout's own reason.
_EVENT_RULES = (
    _Rule(r"unable to assume (?:the )?role(?: '?(?P<role>[^' )\n]+))?", "role",
          "ECS cannot assume the role {role}.",
          "Correct the role's name, and let ecs-tasks.amazonaws.com (for a service role ecs.amazonaws.com) assume it."),
    _Rule(r"unable to place a task[^\n]*?(?:No Container Instances were found)", "no_capacity",
          "There is no instance in the cluster to run the new tasks on.",
          "Start instances: look at the Auto Scaling group and whether they join this cluster."),
    _Rule(r"unable to place a task[^\n]*?insufficient (?P<what>memory|CPU units|ENIs?|\S+)", "no_capacity",
          "No instance has enough free {what} for a new task.",
          "Add instances, make the task smaller, or lower the minimum healthy percent so that an old task makes room."),
    _Rule(r"unable to place a task[^\n]*?already using a port", "port_taken",
          "The port that a new task needs is taken on every instance.",
          "Use dynamic host ports (hostPort 0) or awsvpc, or add an instance."),
    _Rule(r"unable to place a task[^\n]*?missing an attribute", "no_capacity",
          "No instance has an attribute that the task needs (processor, log driver, task role, network mode).",
          "Compare the task definition's requirements with the instances' attributes, or update the ECS agent."),
    _Rule(r"unable to place a task[^\n]*?(?:encountered error|AGENT)", "no_capacity",
          "The ECS agent on the instances does not answer.",
          "Restart the agent or replace the instance."),
    _Rule(r"unable to place a task[^\n]*?Reason: (?P<why>[^\n]+?)\.?(?:\s*For more information.*)?$", "no_capacity",
          "AWS has no room for a new task: {why}.",
          "Raise that limit, make the task smaller, or use another capacity provider or zone."),
    _Rule(r"unable to place a task", "no_capacity",
          "No instance of the cluster can take a new task.",
          "Add instances, make the task smaller, or lower the minimum healthy percent so that an old task makes room."),
    _Rule(r"unable to stop or start tasks during a deployment because of the service deployment configuration",
          "percents",
          "Minimum and maximum healthy percent leave ECS no step: it may neither stop an old nor start a new task.",
          "Raise the maximum (200) or lower the minimum healthy percent."),
    _Rule(r"lifecycle hook", "hook",
          "A lifecycle hook of the service did not let the deployment go on.",
          "Look at the log of its function (LifecycleHookArn): it says FAILED, failed itself, or took too long."),
    _Rule(r"alarm", "alarm",
          "A CloudWatch alarm of the service went off during the rollout.",
          "Look at that alarm: either the release is bad, or its threshold is."),
    _Rule(rf"{_PULL}", "image_missing",
          "The image cannot be pulled: it is not in its registry.",
          "Check repository and tag ('aws ecr describe-images'), then push it or correct the tag."),
)

_HEALTH_STOP = re.compile(r"failed (?:ELB|elastic load balanc\w+) health checks", re.IGNORECASE)
_UNHEALTHY = re.compile(r"is unhealthy in .*?due to \(reason (?P<why>.*?)\)\s*\.?\s*$", re.IGNORECASE | re.DOTALL)
_HEALTH_EVENT = re.compile(r"(?:is unhealthy in|failed ELB health checks)", re.IGNORECASE)
_CODES = re.compile(r"codes?:?\s*\[?(?P<codes>\d{3}(?:\s*,\s*\d{3})*)\]?", re.IGNORECASE)
_TROUBLE = re.compile(r"error|fatal|exception|panic|denied|refused|not found|no such|cannot|could not|failed|invalid",
                      re.IGNORECASE)
_SIGNALS = {129: "SIGHUP", 130: "SIGINT", 131: "SIGQUIT", 132: "SIGILL", 134: "SIGABRT", 135: "SIGBUS",
            136: "SIGFPE", 143: "SIGTERM"}


def classify(signals: Signals) -> Cause:
    """The likely cause: that of most stopped tasks, else what the load balancer, else what the events say."""
    causes = [cause for task in signals.tasks if (cause := _of_task(task, signals))]
    if causes:
        # max() keeps the first of equals, which is the newest task's.
        kinds = [cause.kind for cause in causes]
        return max(causes, key=lambda cause: kinds.count(cause.kind))
    return _of_events(signals) or _of_health(signals, stopped=False) or UNKNOWN_CAUSE


def _of_task(task: StoppedTask, signals: Signals) -> Cause | None:
    text = "\n".join([task.reason, *(c.reason for c in task.containers)])
    culprit = _culprit(task)
    values = _values(culprit, task)
    for rule in _STOP_RULES:
        if cause := rule.cause(text, **values):
            return cause
    if _HEALTH_STOP.search(task.reason):
        return _of_health(signals, stopped=True)
    # What the scheduler stopped was killed by it, so its exit code says nothing.
    if task.stop_code in ("ServiceSchedulerInitiated", "UserInitiated") or culprit is None:
        return None
    log = "\n".join(culprit.log)
    for rule in _LOG_RULES:
        if cause := rule.cause(log, **values):
            return cause
    return _of_exit(culprit)


def _culprit(task: StoppedTask) -> Container | None:
    """The container that ended the task: one that failed before one that ended well, one that ran before one not."""
    def rank(container: Container) -> int:
        if container.exit_code is None:
            return 1 if container.reason else 3
        return 0 if container.exit_code else 2
    return min(task.containers, key=rank, default=None)


def _values(container: Container | None, task: StoppedTask) -> dict[str, Any]:
    group = re.search(r"(?:log ?group|awslogs-group)[:= ]+'?(?P<name>/[\w./#-]+)", task.reason, re.IGNORECASE)
    return {
        "container": container.name if container else "?",
        "image": (container.image if container else "") or "of the task definition",
        "limit": f" at its limit of {container.memory} MiB" if container and container.memory else "",
        "group": f": {group['name']}" if group else "",
        "reason": task.reason.rstrip("."),
        "role": "of its task definition",
    }


def _of_exit(container: Container) -> Cause | None:
    code, name = container.exit_code, container.name
    if code is None:
        return None
    words = _telling_line(container.log)
    said = f" Its log says: '{words[:200]}'." if words else ""
    if code == 0:
        return Cause("ended", f"Container {name} ended by itself (exit code 0), as if its work was done.{said}",
                     "The command of a service has to keep running in the foreground.")
    if code == 126:
        return Cause("command_denied",
                     f"Container {name} cannot run its command: it is not executable (exit code 126).{said}",
                     "Give the file its executable bit in the image (chmod +x) and the right '#!' line.")
    if code == 127:
        return Cause("command_missing", f"Container {name} cannot find its command (exit code 127).{said}",
                     "Correct ENTRYPOINT or CMD of the image, or 'command' in the task definition.")
    if code == 137:
        limit = f" (limit {container.memory} MiB)" if container.memory else ""
        return Cause("out_of_memory", f"Container {name} was killed (exit code 137), most likely out of memory{limit}."
                                      f"{said}",
                     "Raise its 'memory' in the task definition, or let the application use less.")
    if code == 139:
        return Cause("segfault", f"Container {name} crashed with a segmentation fault (exit code 139).{said}",
                     "Look for a native library or extension that does not fit the image.")
    by = f" ({_SIGNALS[code]})" if code in _SIGNALS else ""
    return Cause("crash", f"Container {name} crashes on start: exit code {code}{by}.{said}",
                 "Run the image by hand with the environment of the task definition, and correct what it reports.")


def _telling_line(log: Sequence[str]) -> str:
    """The last line that speaks of trouble, else the last: output and errors reach the log in any order."""
    lines = [line.strip() for line in reversed(log) if line.strip()]
    return next((line for line in lines if _TROUBLE.search(line)), lines[0] if lines else "")


def _of_health(signals: Signals, stopped: bool) -> Cause | None:
    """What the load balancer's health check found. stopped: ECS says that it ended a task for it."""
    check = signals.health_check or HealthCheck()
    path = check.path or "the health check"
    port = f"port {check.port}" if check.port.isdigit() else (
        f"port {signals.container_port}" if signals.container_port else "its port")
    found = next((cause for reason, description in _health_reports(signals)
                  if (cause := _health_cause(reason, description, check, path, port))), None)
    if found or not (stopped or any(_HEALTH_EVENT.search(event) for event in signals.events)):
        return found
    question = f"GET {check.path}, {check.expected} expected" if check.path else "a connection"
    return Cause("health_check", f"The tasks do not pass the load balancer's health check ({question} on {port}).",
                 "Ask a task for that path by hand; if it only starts slowly, raise the service's health check grace "
                 "period.")


def _health_reports(signals: Signals) -> Iterator[tuple[str, str]]:
    """(reason code, description) of every unhealthy target, then of the events that quote one."""
    for target in signals.targets:
        if target.state in ("unhealthy", "unhealthy.draining", "unavailable"):
            yield target.reason, target.description
    for event in signals.events:
        if match := _UNHEALTHY.search(event):
            yield "", match["why"]


def _health_cause(reason: str, description: str, check: HealthCheck, path: str, port: str) -> Cause | None:
    codes = _CODES.search(description)
    if reason == "Target.ResponseCodeMismatch" or codes:
        answered = codes["codes"] if codes else "another status"
        kind = "health_404" if answered == "404" else "health_status"
        remedy = ("Let the application answer that path, or correct the target group's health check path."
                  if kind == "health_404" else
                  "Look at the application's log for that request, or correct the target group's path or matcher.")
        return Cause(kind, f"The health check path {path} answers {answered}, and {check.expected} is expected.",
                     remedy)
    if reason == "Target.Timeout" or re.search(r"timed? ?out", description, re.IGNORECASE):
        return Cause("health_timeout",
                     f"The health check of {path} on {port} gets no answer within {check.timeout} s.",
                     "Let the security group of the tasks admit the load balancer; if the application starts slowly, "
                     "raise the health check grace period.")
    if reason == "Target.FailedHealthChecks" or re.search(r"health checks failed", description, re.IGNORECASE):
        return Cause("port_closed",
                     f"Nothing answers the load balancer on {port}: the connection is refused or closed.",
                     "Let the application listen on that port on all addresses (0.0.0.0), or correct containerPort.")
    return None


def _of_events(signals: Signals) -> Cause | None:
    for text in (*signals.events, signals.rollout_reason):
        for rule in _EVENT_RULES:
            if cause := rule.cause(text, role="of the service"):
                return cause
    return None
