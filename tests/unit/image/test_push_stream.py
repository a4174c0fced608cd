"""The engine's push stream: layers, bytes, the digest."""

from __future__ import annotations

from typing import Any

import docker.errors
import pytest
import urllib3.exceptions

from slipway.docker.credentials import with_credentials
from slipway.docker.engine import plain_errors, refusal
from slipway.docker.push import Layers
from slipway.errors import EngineError

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


def test_a_digest_in_words_alone() -> None:
    """An engine with the containerd image store gives no more."""
    layers = Layers()
    layers.read({"status": f"v1: digest: sha256:{'0a' * 32} size: 498"})
    assert layers.digest == "sha256:" + "0a" * 32


def test_an_answer_that_breaks_off_is_an_engine_that_does_not_answer() -> None:
    for error in (urllib3.exceptions.ProtocolError("Connection broken"), docker.errors.StreamParseError("half a word")):
        with pytest.raises(EngineError, match="does not answer"), plain_errors("unix:///x", "push"):
            raise error


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
