"""The network that an engine does not let go: it cannot be had on demand, so the engine's answers are played."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import docker.errors
import pytest

from embedded import network, settings


class Network:
    name = settings.NETWORK
    containers: tuple[Any, ...] = ()

    def __init__(self, refusal: str) -> None:
        self.refusal, self.tried = refusal, 0

    def reload(self) -> None:
        pass

    def remove(self) -> None:
        self.tried += 1
        if self.refusal:
            raise docker.errors.APIError(self.refusal)


def engine(one: Network) -> Any:
    return SimpleNamespace(networks=SimpleNamespace(list=lambda names: [one]))


def test_a_network_that_still_counts_a_container_stays() -> None:
    one = Network("error while removing network: network slipway-aws id 6ee1 has active endpoints")
    assert network.remove_network(engine(one)) is False and one.tried == 1


def test_otherwise_it_goes_or_fails() -> None:
    one = Network("")
    assert network.remove_network(engine(one)) is True and one.tried == 1
    with pytest.raises(docker.errors.APIError, match="denied"):
        network.remove_network(engine(Network("permission denied")))
