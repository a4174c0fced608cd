"""The bridge network on which the embedded AWS and its tasks meet."""

from __future__ import annotations

from typing import Any

import docker.errors

from . import settings


def ensure_network(engine: Any) -> str:
    """Make the network if it is missing; the host's address on it."""
    found = [n for n in engine.networks.list(names=[settings.NETWORK]) if n.name == settings.NETWORK]
    network = found[0] if found else engine.networks.create(settings.NETWORK, driver="bridge",
                                                            labels={"slipway": "embedded"})
    network.reload()
    return str(network.attrs["IPAM"]["Config"][0]["Gateway"])


def others(engine: Any) -> list[str]:
    """Networks of further embedded AWS on this engine, which need the base images too."""
    return [n.name for n in engine.networks.list(filters={"label": "slipway=embedded"}) if n.name != settings.NETWORK]


def remove_containers(engine: Any) -> None:
    """What a killed AWS could not take with it."""
    label = f"ministack.instance={settings.OWNER}:{settings.PORT}"
    for container in engine.containers.list(all=True, ignore_removed=True, filters={"label": label}):
        container.remove(force=True, v=True)


def remove_network(engine: Any) -> bool:
    """Whether it is gone. A container that was removed while it started may leave its place in the network taken, as
    long as the engine runs; the network then stays, and serves the next time."""
    for network in engine.networks.list(names=[settings.NETWORK]):
        if network.name == settings.NETWORK:
            network.reload()
            for container in network.containers:
                container.remove(force=True, v=True)
            try:
                network.remove()
            except docker.errors.APIError as error:
                if "active endpoints" not in str(error):
                    raise
                return False
    return True
