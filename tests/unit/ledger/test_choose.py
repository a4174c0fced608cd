"""Which release a rollback goes to: tables of histories, newest first."""

from __future__ import annotations

from typing import Any

import pytest

from slipway.errors import InvalidInput
from slipway.ledger.choose import good, named, previous


def release(tag: str, verdict: str = "completed", **more: Any) -> dict[str, Any]:
    return {"kind": "release", "verdict": verdict, "tag": tag, "digest": f"sha256:{tag * 16}"[:71], **more}


def rollback(to: str, left: str) -> dict[str, Any]:
    return {**release(to), "kind": "rollback", "from": {"tag": left}}


A, B, C = release("aaaa"), release("bbbb"), release("cccc")


@pytest.mark.parametrize(("history", "now", "expected"), [
    ([B, A], "bbbb", "aaaa"),
    ([C, B, A], "cccc", "bbbb"),
    # What failed was never good, so the stack still has b, and the way back leads before it.
    ([release("cccc", "rolled_back"), B, A], "bbbb", "aaaa"),
    ([C, release("bbbb", "stack_failed"), A], "cccc", "aaaa"),
    # Once gone back from b, b is not what "good" means any more.
    ([rollback("bbbb", "cccc"), C, B, A], "bbbb", "aaaa"),
    # Released again after all, c is good again.
    ([C, rollback("bbbb", "cccc"), C, B, A], "cccc", "bbbb"),
    # Somebody deployed by hand what the ledger does not know.
    ([B, A], "zzzz", "bbbb"),
    # The same image under another name is no way back.
    ([{**release("bbb2"), "digest": B["digest"]}, B, A], "bbb2", "aaaa"),
])
def test_the_last_good_release_before_this_one(history: list[dict[str, Any]], now: str, expected: str) -> None:
    assert previous(history, now)["tag"] == expected


@pytest.mark.parametrize("history", [[], [B], [release("cccc", "aborted"), B]])
def test_without_a_good_one_it_says_what_to_name(history: list[dict[str, Any]]) -> None:
    with pytest.raises(InvalidInput, match="no good release to go back to.*ecs_release_rollback_to"):
        previous(history, "bbbb")


def test_good_keeps_the_order() -> None:
    assert [record["tag"] for record in good([C, release("xxxx", "failed"), B, A])] == ["cccc", "bbbb", "aaaa"]


def test_named_by_tag_digest_and_commit() -> None:
    one, two = release("v1", commit="1a2b3c4d5e6f"), release("v2", commit="99ffee001122")
    assert named([two, one], "v1") is one
    assert named([two, one], one["digest"]) is one
    assert named([two, one], one["digest"][:20]) is one
    assert named([two, one], "1A2B3C4") is one
    assert named([two, one], "1a2b3c") is None  # too short to mean one
    assert named([two, one], "sha256:00000000000000") is None


def test_of_one_commits_releases_the_good_one_is_meant() -> None:
    first = release("v1", commit="1a2b3c4d5e6f")
    again = release("v2", "failed", commit="1a2b3c4d5e6f")
    assert named([again, first], "1a2b3c4") is first


def test_a_beginning_of_several_is_an_error_that_names_them() -> None:
    one, two = release("v1", commit="1a2b3c4d5e"), release("v2", commit="1a2b3c4fff")
    with pytest.raises(InvalidInput, match="fits several releases: v2, v1"):
        named([two, one], "1a2b3c4")


def failed(commit: str) -> dict[str, Any]:
    return {"kind": "release", "verdict": "image_failed", "tag": "", "digest": "", "commit": commit,
            "started": "2026-11-23T08:00:00+00:00"}


def test_a_commit_without_an_image_is_said_to_have_none() -> None:
    with pytest.raises(InvalidInput, match=r"Commit 1a2b3c4 was never released well \(image failed on 2026-11-23"):
        named([failed("1a2b3c4d5e6f"), A], "1a2b3c4d5e")


def test_the_image_of_a_commit_is_found_behind_its_failed_builds() -> None:
    made = release("v1", "timed_out", commit="1a2b3c4d5e6f")
    assert named([failed("1a2b3c4d5e6f"), made], "1a2b3c4") is made


def test_what_was_changed_beside_a_commit_is_not_of_it() -> None:
    clean, dirty = release("v1", commit="1a2b3c4d5e6f"), release("v2", commit="1a2b3c4d5e6f-dirty")
    assert named([dirty, clean], "1a2b3c4") is clean
    assert named([dirty, clean], "1a2b3c4d-dirty") is dirty
    with pytest.raises(InvalidInput, match="with changes beside it only: v2"):
        named([dirty], "1a2b3c4")


def test_of_one_tag_the_digests_tell_the_releases_apart() -> None:
    old, new = {**A, "tag": "v1"}, {**B, "tag": "v1"}
    assert previous([new, old], "v1", new["digest"]) is old
    # Where the tag alone names the image, there is no way back to what it named before.
    with pytest.raises(InvalidInput):
        previous([new, old], "v1")
    back = {**old, "kind": "rollback", "from": {"tag": "v1", "digest": new["digest"]}}
    assert good([back, new, old]) == [back, old]
