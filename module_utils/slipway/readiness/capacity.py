"""Whether the tasks of a release find room on a cluster's instances. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Size:
    """What one task takes: CPU units, MiB of memory, host ports that it insists on."""

    cpu: int = 0
    memory: int = 0
    ports: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Room:
    """What one instance has left. ports: those that are taken."""

    cpu: int
    memory: int
    ports: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Steps:
    """What ECS may do at first: tasks it may start beside the old ones, and old ones it may stop before."""

    start: int
    stop: int


def size(definition: Mapping[str, Any]) -> Size:
    """definition: AWS's TaskDefinition. What the task names for itself goes before the sum of its containers."""
    containers = definition.get("containerDefinitions", [])
    cpu = int(definition.get("cpu") or sum(int(c.get("cpu") or 0) for c in containers))
    memory = int(definition.get("memory") or sum(int(c.get("memoryReservation") or c.get("memory") or 0)
                                                 for c in containers))
    # With awsvpc each task has ports of its own.
    ports = frozenset(int(mapping["hostPort"]) for container in containers for mapping in container.get(
        "portMappings", []) if mapping.get("hostPort")) if definition.get("networkMode") != "awsvpc" else frozenset()
    return Size(cpu, memory, ports)


def rooms(instances: Iterable[Mapping[str, Any]]) -> list[Room]:
    """instances: AWS's ContainerInstance structures; those whose agent is away take no task."""
    return [_room(one) for one in instances if one.get("status") == "ACTIVE" and one.get("agentConnected", True)]


def steps(desired: int, running: int, minimum: int, maximum: int) -> Steps:
    """desired, running: tasks; minimum, maximum: percent of the desired that stay up, and that may run together."""
    return Steps(max(0, math.floor(desired * maximum / 100) - running),
                 max(0, running - math.ceil(desired * minimum / 100)))


def fitting(free: Sequence[Room], task: Size) -> int:
    """How many such tasks find room."""
    return sum(_fit(room, task) for room in free)


def _room(instance: Mapping[str, Any]) -> Room:
    left = {resource["name"]: resource for resource in instance.get("remainingResources", [])}
    taken = left.get("PORTS", {}).get("stringSetValue", [])
    return Room(int(left.get("CPU", {}).get("integerValue", 0)), int(left.get("MEMORY", {}).get("integerValue", 0)),
                frozenset(int(port) for port in taken))


def _fit(room: Room, task: Size) -> int:
    if task.ports & room.ports:
        return 0
    counts = [left // wanted for left, wanted in ((room.cpu, task.cpu), (room.memory, task.memory)) if wanted > 0]
    most = max(0, min(counts, default=1))
    return min(most, 1) if task.ports else most
