"""One digest for all that decides what a build makes."""

from __future__ import annotations

from typing import Any

import pytest

from slipway.image.base import familiar, known_as
from slipway.image.content import content_digest
from slipway.image.manifest import parts_of, size_of

USUAL: dict[str, Any] = {
    "context": "c", "dockerfile": "FROM a", "arguments": {"A": "1", "B": "2"}, "bases": {"a": "sha256:1"},
    "target": None, "platforms": ["linux/amd64"], "labels": {}, "secret_ids": [],
}


@pytest.mark.parametrize("other", [
    {"context": "d"}, {"dockerfile": "FROM b"}, {"arguments": {"A": "1"}}, {"arguments": {"A": "2", "B": "1"}},
    {"bases": {"a": "sha256:2"}}, {"target": "x"}, {"platforms": ["linux/arm64"]}, {"labels": {"a": "b"}},
    {"secret_ids": ["token"]},
])
def test_everything_counts(other: dict[str, Any]) -> None:
    assert content_digest(**{**USUAL, **other}) != content_digest(**USUAL)


def test_order_does_not_count() -> None:
    assert content_digest(**{**USUAL, "arguments": {"B": "2", "A": "1"}}) == content_digest(**USUAL)


@pytest.mark.parametrize(("reference", "expected"), [
    ("debian:12", "debian"),
    ("docker.io/library/debian:12", "debian"),
    ("docker.io/a/b", "a/b"),
    ("localhost:5000/a", "localhost:5000/a"),
    ("localhost:5000/a:1", "localhost:5000/a"),
    ("a@sha256:1", "a"),
])
def test_familiar(reference: str, expected: str) -> None:
    assert familiar(reference) == expected


def test_a_base_is_known_by_its_registry_digest_else_by_its_id() -> None:
    image = {"Id": "sha256:id", "RepoDigests": ["other@sha256:1", "debian@sha256:2"]}
    assert known_as("debian:12", image) == "sha256:2"
    assert known_as("mine:1", image) == "sha256:id"


def test_manifest() -> None:
    text = '{"config": {"size": 1}, "layers": [{"size": 2}, {"size": 3}]}'
    assert (size_of(text), parts_of(text)) == (6, [])
    assert parts_of('{"manifests": [{"size": 7, "digest": "a"}, {"size": 8, "digest": "b"}]}') == ["a", "b"]
