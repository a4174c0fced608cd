"""The one-off task of a release: its task definition and how it is run, derived from the service's own. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..errors import InvalidInput

#: What RegisterTaskDefinition takes of what DescribeTaskDefinition gives.
_KEPT = ("taskRoleArn", "executionRoleArn", "networkMode", "volumes", "placementConstraints", "requiresCompatibilities",
         "cpu", "memory", "pidMode", "ipcMode", "runtimePlatform", "ephemeralStorage")
#: What belongs to a container that serves, or that stands beside others.
_DROPPED = ("portMappings", "healthCheck", "dependsOn", "links", "restartPolicy", "command", "essential", "image")


@dataclass(frozen=True)
class Wanted:
    """image: as a task definition names it (uri:tag@digest). tag: its tag. command: argv. container: '' for the first
    essential one. environment: added to the container's own."""

    image: str
    tag: str
    command: Sequence[str]
    container: str = ""
    entry_point: Sequence[str] = ()
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def token(self) -> str:
        """The same for the same work, so that a run finds the task of one that was killed. 36 characters at most."""
        text = json.dumps([self.image, list(self.command), self.container, list(self.entry_point),
                           sorted(self.environment.items())])
        return f"slipway-{hashlib.sha256(text.encode()).hexdigest()[:24]}"


@dataclass(frozen=True)
class Log:
    """Where the task's container writes; group '' where that is not CloudWatch Logs."""

    group: str = ""
    prefix: str = ""
    region: str = ""

    def stream(self, container: str, task: str) -> str:
        """task: an ARN."""
        return f"{self.prefix}/{container}/{task.rsplit('/', 1)[-1]}" if self.group and self.prefix else ""


def container_of(definition: Mapping[str, Any], name: str) -> dict[str, Any]:
    """The container that the task runs. Raises InvalidInput where the task definition has none of that name."""
    containers: list[dict[str, Any]] = list(definition.get("containerDefinitions", []))
    if name:
        found = next((one for one in containers if one["name"] == name), None)
        if found is None:
            raise InvalidInput(f"The task definition has no container {name}.",
                               f"It has {', '.join(one['name'] for one in containers)}; correct ecs_release_task.")
        return found
    return next(one for one in containers if one.get("essential", True))


def runs_already(definition: Mapping[str, Any], wanted: Wanted) -> bool:
    """Whether the service's task definition has this very image. One from before digests names its tag alone."""
    present = str(container_of(definition, wanted.container).get("image", ""))
    return wanted.image in (present, f"{present}{wanted.image[wanted.image.find('@'):]}" if "@" in wanted.image
                            and "@" not in present else present)


def family(definition: Mapping[str, Any]) -> str:
    """Of the one-off tasks: beside the service's own, whose latest revision stays the one that is deployed."""
    return f"{str(definition['family'])[:250]}-task"


def registration(definition: Mapping[str, Any], wanted: Wanted) -> dict[str, Any]:
    """RegisterTaskDefinition's request. definition: AWS's TaskDefinition of the service."""
    own = container_of(definition, wanted.container)
    container = {key: value for key, value in own.items() if key not in _DROPPED}
    container |= {"image": wanted.image, "essential": True, "command": list(wanted.command)}
    if wanted.entry_point:
        container["entryPoint"] = list(wanted.entry_point)
    environment = {pair["name"]: pair["value"] for pair in own.get("environment", [])}
    if "IMAGE_TAG" in environment:
        environment["IMAGE_TAG"] = wanted.tag
    environment |= {name: str(value) for name, value in wanted.environment.items()}
    container["environment"] = [{"name": name, "value": value} for name, value in environment.items()]
    if _prefix(own):
        configuration = own["logConfiguration"]
        container["logConfiguration"] = {**configuration, "options": {
            **configuration["options"], "awslogs-stream-prefix": wanted.tag}}
    kept = {key: definition[key] for key in _KEPT if definition.get(key)}
    return {"family": family(definition), "containerDefinitions": [container], **kept}


def log(registered: Mapping[str, Any]) -> Log:
    """registered: what registration() gives."""
    container = registered["containerDefinitions"][0]
    options = (container.get("logConfiguration") or {}).get("options") or {}
    if not _prefix(container):
        return Log()
    return Log(options["awslogs-group"], options["awslogs-stream-prefix"], options.get("awslogs-region", ""))


def request(service: Mapping[str, Any], cluster: str, task_definition: str, wanted: Wanted,
            token: str) -> dict[str, Any]:
    """RunTask's request: where the service's own tasks run. service: AWS's Service; token: for idempotency."""
    found: dict[str, Any] = {
        "cluster": cluster, "taskDefinition": task_definition, "count": 1, "startedBy": wanted.token,
        "clientToken": token, "enableECSManagedTags": bool(service.get("enableECSManagedTags"))}
    for key in ("networkConfiguration", "placementConstraints", "platformVersion"):
        if service.get(key):
            found[key] = service[key]
    # Either of the two; a service has both where AWS chose the type by the strategy.
    if service.get("capacityProviderStrategy"):
        found["capacityProviderStrategy"] = service["capacityProviderStrategy"]
    elif service.get("launchType"):
        found["launchType"] = service["launchType"]
    return found


def _prefix(container: Mapping[str, Any]) -> bool:
    configuration = container.get("logConfiguration") or {}
    options = configuration.get("options") or {}
    return bool(configuration.get("logDriver") == "awslogs" and options.get("awslogs-group")
                and options.get("awslogs-stream-prefix"))
