"""What the answers of AWS mean for a release. Pure: each takes an answer and gives findings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from . import capacity
from .findings import Finding
from .state import Stack
from .task import Secret

_TASKS = "ecs-tasks.amazonaws.com"


def stack(name: str, found: Stack, alone: bool) -> Iterator[Finding]:
    """alone: whether the release changes the image only and brings no template."""
    status = found.status
    if not status and alone:
        yield Finding("stack", f"Stack {name} does not exist, so there is no service to release to.",
                      "Run site.yml first, which makes it, or correct the stack's name and the region.")
    elif status and not found.deployed and alone and not status.endswith("_IN_PROGRESS"):
        yield Finding("stack", f"Stack {name} is in {status}: its service never came up.",
                      "Run site.yml: it deletes what is left and makes the service anew.")
    elif status in ("ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "CREATE_FAILED", "DELETE_FAILED"):
        yield Finding("stack", f"Stack {name} is in {status} from an earlier run; it will be deleted and made anew.",
                      fatal=False)
    elif status == "UPDATE_ROLLBACK_FAILED":
        yield Finding("stack", f"Stack {name} is in UPDATE_ROLLBACK_FAILED; its rollback will be continued first.",
                      "If that fails too, its events name the resource to mend by hand.", fatal=False)
    elif status.endswith("_IN_PROGRESS") and status != "REVIEW_IN_PROGRESS":
        yield Finding("stack", f"Stack {name} is in {status}: somebody else works on it. The release waits for the end "
                               "of that, then plans anew.", fatal=False)


def role(what: str, arn: str, found: Mapping[str, Any] | None, alone: bool) -> Iterator[Finding]:
    """found: AWS's Role, None where there is none."""
    if found is None:
        yield Finding("role", f"The {what} {arn} of the task definition does not exist, so no task can start.",
                      "Create it, or run site.yml; a role that was deleted and made again needs its stack updated.",
                      alone)
        return
    trust = found.get("AssumeRolePolicyDocument")
    if isinstance(trust, Mapping) and not _trusted(trust):
        yield Finding("role", f"The {what} {arn} of the task definition does not let ECS assume it.",
                      f"Allow sts:AssumeRole to {_TASKS} in its trust policy.", alone)


def log_group(name: str, exists: bool, alone: bool) -> Iterator[Finding]:
    if not exists:
        yield Finding("log_group", f"The log group {name} of the task definition does not exist, so no task can start.",
                      "Create it ('aws logs create-log-group'), or correct 'awslogs-group' in the task definition.",
                      alone)


def secret(wanted: Secret, found: Mapping[str, Any] | None, alone: bool) -> Iterator[Finding]:
    """found: what describes it, None where there is none."""
    kind = "secret" if wanted.source == "secretsmanager" else "parameter"
    if found is None:
        yield Finding("secret", f"The {kind} {wanted.name} of the task definition does not exist, so no task can "
                                "start.", "Create it, or correct its name under 'secrets' in the task definition.",
                      alone)
    elif found.get("DeletedDate"):
        yield Finding("secret", f"The {kind} {wanted.name} of the task definition is marked for deletion and cannot be "
                                "read.", "Restore it ('aws secretsmanager restore-secret').", alone)


def repository(name: str, found: Mapping[str, Any] | None) -> Iterator[Finding]:
    if found is None:
        yield Finding("repository", f"Repository {name} does not exist, so there is nowhere to push the image to.",
                      "Run site.yml, which makes it, or correct ecs_release_repository.")


def other_release(description: str, busy: str) -> Iterator[Finding]:
    """description: who holds the service's lock, as ledger.lock.describe says it."""
    if busy == "fail":
        yield Finding("lock", f"{description}.", "Wait for its end, or set ecs_release_busy to wait or supersede.")
    elif busy == "supersede":
        yield Finding("lock", f"{description}. It will be asked to stop.", fatal=False)
    else:
        yield Finding("lock", f"{description}. This release waits for its end.", fatal=False)


def percents(why: str) -> Iterator[Finding]:
    """why: that no rollout could ever start, '' where one can."""
    if why:
        yield Finding("percents", why, "Raise MaximumPercent to 200, or lower MinimumHealthyPercent.")


def room(free: Sequence[capacity.Room], task: capacity.Size, service: Mapping[str, Any],
         providers: Sequence[Mapping[str, Any]], limit: int | None, alone: bool) -> Iterator[Finding]:
    """free: of each instance. service: AWS's Service; providers: AWS's CapacityProviders that it uses. limit: instances
    at most, None where unknown."""
    desired, running = int(service.get("desiredCount", 0)), int(service.get("runningCount", 0))
    # Tasks that run although no instance is listed run somewhere that this cannot see.
    if not desired or (running and not free) or capacity.fitting(free, task):
        return
    configuration = service.get("deploymentConfiguration") or {}
    may = capacity.steps(desired, running, int(configuration.get("minimumHealthyPercent", 100)),
                         int(configuration.get("maximumPercent", 200)))
    if may.stop or not may.start:
        return
    ports = f" and host port {', '.join(map(str, sorted(task.ports)))}" if task.ports else ""
    message = (f"None of the {len(free)} instances has room for one more task ({task.cpu} CPU units, {task.memory} MiB"
               f"{ports}), and no old task may stop before a new one runs.")
    scaled = any(((provider.get("autoScalingGroupProvider") or {}).get("managedScaling") or {}).get("status")
                 == "ENABLED" for provider in providers)
    if scaled and (limit is None or len(free) < limit):
        yield Finding("capacity", f"{message} ECS starts another instance first, which takes minutes.",
                      "Raise DesiredCapacity to have it ready.", fatal=False)
    elif scaled:
        yield Finding("capacity", f"{message} The group has {limit} instances, which is all it may have.",
                      "Raise MaxSize, take a larger InstanceType, or lower MinimumHealthyPercent.", alone)
    else:
        yield Finding("capacity", f"{message} Nothing adds an instance.",
                      "Add instances, make the task smaller, or lower the minimum healthy percent.", alone)


def _trusted(trust: Mapping[str, Any]) -> bool:
    statements = trust.get("Statement", [])
    for statement in [statements] if isinstance(statements, Mapping) else statements:
        principal = statement.get("Principal")
        services = principal.get("Service", []) if isinstance(principal, Mapping) else principal
        if statement.get("Effect") == "Allow" and any(
                name in ("*", _TASKS) for name in ([services] if isinstance(services, str) else services or [])):
            return True
    return False
