"""The names an image gets."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slipway.image.tag import (
    content_tag,
    newest_release_tag,
    next_tag,
    superseded_tag,
    unique_tag,
    without_content,
    younger_content_tag,
)
from slipway.names import check_tag

NOW = datetime(2026, 11, 23, 8, 24, 33, tzinfo=UTC)


@pytest.mark.parametrize(("commit", "dirty", "expected"), [
    ("", False, "20261123-082433"),
    ("1A2B3C4d5e6f", False, "20261123-082433-1a2b3c4"),
    ("1a2b3c4d5e6f", True, "20261123-082433-1a2b3c4-dirty"),
    ("", True, "20261123-082433"),
])
def test_unique_tag(commit: str, dirty: bool, expected: str) -> None:
    assert unique_tag(NOW, commit, dirty) == expected


def test_next_tag_counts() -> None:
    assert next_tag("20261123-082433") == "20261123-082433.2"
    assert next_tag("20261123-082433.9") == "20261123-082433.10"


@pytest.mark.parametrize(("tags", "expected"), [
    ([], None),
    (["content-" + "a" * 40], None),
    (["latest"], None),
    (["latest", "v1"], "v1"),
    (["v1.9", "v1.10", "latest"], "v1.10"),
    (["20261123-082433", "20261122-235959-1a2b3c4", "v9"], "20261123-082433"),
    (["20261123-082433-abcdef0", "20261123-082433-abcdef0.2", "20261123-082433-abcdef0.10"],
     "20261123-082433-abcdef0.10"),
])
def test_newest_release_tag(tags: list[str], expected: str | None) -> None:
    assert newest_release_tag(tags) == expected


@given(st.lists(st.integers(0, 10**8), min_size=1, unique=True), st.booleans())
def test_the_newest_is_the_last_made(seconds: list[int], in_git: bool) -> None:
    tags = [unique_tag(NOW + timedelta(seconds=s), "1a2b3c4" if in_git else "") for s in seconds]
    assert newest_release_tag(tags) == tags[seconds.index(max(seconds))]


def test_every_generated_tag_is_one_a_registry_takes() -> None:
    content = content_tag("0123456789abcdef" * 4)
    assert content == "content-0123456789abcdef0123456789abcdef01234567"
    for tag in (content, younger_content_tag(content), superseded_tag(content), unique_tag(NOW, "1a2b3c4", True)):
        check_tag(tag)


def test_a_content_built_again_is_numbered() -> None:
    assert younger_content_tag("content-x") == "content-x.2"
    assert younger_content_tag("content-x.2") == "content-x.3"
    assert superseded_tag("content-x") == "content-x.old"
    assert without_content(["v1", "content-x", "content-x.old", "a"]) == ["a", "v1"]
