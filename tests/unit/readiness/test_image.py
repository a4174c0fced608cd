"""What may be promoted: the image of a release that was good, named by tag and digest."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from slipway.errors import InvalidInput
from slipway.readiness import image, state

DIGEST = "sha256:" + "0123456789abcdef" * 4
GOOD: dict[str, Any] = {"verdict": "completed", "tag": "20261123-1", "digest": DIGEST, "commit": "3f2c9a",
                        "service": "shop"}


def record(folder: Path, **change: Any) -> str:
    file = folder / "release.json"
    file.write_text(json.dumps({**GOOD, **change}))
    return str(file)


def test_a_good_release_is_read(tmp_path: Path) -> None:
    assert image.read(record(tmp_path, events=[])) == {"tag": "20261123-1", "digest": DIGEST, "commit": "3f2c9a",
                                                       "service": "shop"}


@pytest.mark.parametrize(("change", "words"), [
    ({"verdict": "rolled_back", "cause": "exit code 1."}, "was not good: rolled_back (exit code 1)"),
    ({"verdict": "aborted", "cause": ""}, "was not good: aborted."),
    ({"digest": ""}, "names no digest"),
    ({"digest": None}, "names no digest"),
    ({"digest": DIGEST + "; rm"}, "names no digest"),
    ({"tag": "a b"}, "Image tag 'a b' is refused"),
    ({"tag": ""}, "The image tag is empty"),
])
def test_what_was_not_proved_is_refused(tmp_path: Path, change: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        image.read(record(tmp_path, **change))
    assert words in str(refused.value)


@pytest.mark.parametrize(("content", "words"), [
    ("{", "is no JSON"), ("[]", "is not the record of a release"), ('{"tag": "1"}', "is not the record of a release"),
    ("\udcff", "is no JSON"),
])
def test_a_file_that_is_no_release(tmp_path: Path, content: str, words: str) -> None:
    (tmp_path / "release.json").write_bytes(content.encode("utf-8", "surrogateescape"))
    with pytest.raises(InvalidInput) as refused:
        image.read(str(tmp_path / "release.json"))
    assert words in str(refused.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="cannot be read: No such file"):
        image.read(str(tmp_path / "nowhere.json"))


@pytest.mark.parametrize(("status", "deployed"), [
    ("", False), ("CREATE_COMPLETE", True), ("UPDATE_ROLLBACK_COMPLETE", True), ("UPDATE_IN_PROGRESS", True),
    ("UPDATE_ROLLBACK_FAILED", True), ("ROLLBACK_COMPLETE", False), ("REVIEW_IN_PROGRESS", False),
    ("DELETE_FAILED", False),
])
def test_only_a_service_that_came_up_has_an_image_to_keep(status: str, deployed: bool) -> None:
    assert state.Stack(status).deployed is deployed
