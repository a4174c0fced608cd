"""The engine's push stream: layers, bytes, the digest."""

from __future__ import annotations

from typing import Any

import pytest

from slipway.docker.credentials import with_credentials
from slipway.docker.engine import refusal
from slipway.docker.push import Layers

RECORDS: list[dict[str, Any]] = [
    {"status": "The push refers to repository [localhost:5000/a]"},
    {"status": "Preparing", "progressDetail": {}, "id": "aaaaaaaaaaaa"},
    {"status": "Preparing", "progressDetail": {}, "id": "bbbbbbbbbbbb"},
    {"status": "Preparing", "progressDetail": {}, "id": "cccccccccccc"},
    {"status": "Layer already exists", "progressDetail": {}, "id": "aaaaaaaaaaaa"},
    {"status": "Mounted from other", "progressDetail": {}, "id": "cccccccccccc"},
    {"status": "Pushing", "progressDetail": {"current": 10, "total": 20}, "id": "bbbbbbbbbbbb"},
    {"status": "Pushed", "progressDetail": {}, "id": "bbbbbbbbbbbb"},
    {"status": "v1: digest: sha256:1 size: 2", "id": "v1"},
    {"progressDetail": {}, "aux": {"Tag": "v1", "Digest": "sha256:1", "Size": 2}},
]


def test_layers_bytes_and_digest() -> None:
    layers = Layers()
    for record in RECORDS:
        layers.read(record)
    assert (layers.sent, layers.present) == ({"bbbbbbbbbbbb"}, {"aaaaaaaaaaaa", "cccccccccccc"})
    assert (layers.bytes_done, layers.digest, layers.done) == (20, "sha256:1", 3)


def test_a_layer_sent_before_the_connection_broke_stays_sent() -> None:
    layers = Layers()
    layers.read({"status": "Pushed", "id": "bbbbbbbbbbbb"})
    layers.read({"status": "Layer already exists", "id": "bbbbbbbbbbbb"})
    assert (layers.sent, layers.present) == ({"bbbbbbbbbbbb"}, set())


@pytest.mark.parametrize(("text", "remedy"), [
    ("write /var/lib/docker/tmp/x: no space left on device", "docker system df"),
    ("Get \"https://x/v2/\": dial tcp: lookup x: no such host", "network"),
    ("http: server gave HTTP response to HTTPS client", "insecure-registries"),
    ("something else", ""),
])
def test_refusals_have_remedies(text: str, remedy: str) -> None:
    assert remedy in refusal(text).remedy


def test_the_users_docker_configuration_is_kept_beside_our_credentials() -> None:
    own = {"auths": {"hub": {}, "r": {"auth": "old"}}, "credsStore": "pass", "proxies": {},
           "credHelpers": {"r": "ecr-login", "s": "x"}}
    new = with_credentials(own, {"r": {"username": "AWS", "password": "secret"}})
    assert new["auths"]["r"] == {"auth": "QVdTOnNlY3JldA=="}
    assert new["credHelpers"] == {"s": "x", "hub": "pass"}
    assert "credsStore" not in new
    assert new["proxies"] == {}
    assert own["credHelpers"] == {"r": "ecr-login", "s": "x"}
