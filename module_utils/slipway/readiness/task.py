"""What a task definition needs to be there before a task of it can start. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Secret:
    """One secret that ECS hands to a container. source: secretsmanager or ssm. name: its ARN or its name, without JSON
    key and version. region: where it is, '' for the service's own."""

    source: str
    name: str
    region: str = ""


@dataclass(frozen=True)
class Needs:
    """roles: ARN of a role by what it is for. log_groups: (name, region or ''). secrets: each once."""

    roles: dict[str, str] = field(default_factory=dict)
    log_groups: list[tuple[str, str]] = field(default_factory=list)
    secrets: list[Secret] = field(default_factory=list)


def needs(definition: Mapping[str, Any]) -> Needs:
    """definition: AWS's TaskDefinition."""
    roles = {what: str(definition[key]) for key, what in (("executionRoleArn", "execution role"),
                                                         ("taskRoleArn", "task role")) if definition.get(key)}
    containers = definition.get("containerDefinitions", [])
    groups = dict.fromkeys(group for container in containers for group in _groups(container))
    secrets = dict.fromkeys(secret for container in containers for secret in _secrets(container))
    return Needs(roles, list(groups), list(secrets))


def first_check(definition: Mapping[str, Any]) -> float:
    """Seconds until every container that has a health check of its own has its first result; 0 where none has one."""
    checks = [container["healthCheck"] for container in definition.get("containerDefinitions", [])
              if container.get("healthCheck")]
    return max((float(check.get("interval", 30)) for check in checks), default=0.0)


def _groups(container: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    configuration = container.get("logConfiguration") or {}
    options = configuration.get("options") or {}
    if (configuration.get("logDriver") == "awslogs" and options.get("awslogs-group")
            and str(options.get("awslogs-create-group", "")).lower() != "true"):
        yield options["awslogs-group"], options.get("awslogs-region", "")


def _secrets(container: Mapping[str, Any]) -> Iterator[Secret]:
    logged = (container.get("logConfiguration") or {}).get("secretOptions") or []
    for one in [*(container.get("secrets") or []), *logged]:
        yield _secret(str(one.get("valueFrom", "")))
    credentials = (container.get("repositoryCredentials") or {}).get("credentialsParameter")
    if credentials:
        yield _secret(str(credentials), "secretsmanager")


def _secret(value_from: str, otherwise: str = "ssm") -> Secret:
    """otherwise: what a plain name means."""
    parts = value_from.split(":")
    if parts[0] != "arn" or len(parts) < 6:
        return Secret(otherwise, value_from)
    if parts[2] == "secretsmanager":
        # arn:aws:secretsmanager:REGION:ACCOUNT:secret:NAME[:json-key:stage:version]
        return Secret("secretsmanager", ":".join(parts[:7]), parts[3])
    name = parts[5].removeprefix("parameter/")
    # In an ARN the slash that begins a path's name is that of 'parameter/'.
    return Secret("ssm", f"/{name}" if "/" in name else name, parts[3])
