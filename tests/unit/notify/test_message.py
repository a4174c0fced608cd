"""What people are told of a release, by its record."""

from __future__ import annotations

from typing import Any

import pytest

from slipway.notify import message

RECORD: dict[str, Any] = {
    "service": "shop-web", "kind": "release", "verdict": "completed", "tag": "20261123-1", "digest": "sha256:0123",
    "commit": "3f2c9a41d0b7e5a8", "seconds": 41.6, "user": "ann", "host": "build-1", "from": {"tag": "20261122-9"},
    "url": "https://shop.example", "build_url": "https://ci.example/job/shop/12/", "cause": "", "remedy": ""}


@pytest.mark.parametrize(("change", "kind", "title"), [
    ({}, "success", "shop-web: 20261123-1 is released in 41.6 s"),
    ({"kind": "rollback"}, "rollback", "shop-web: taken back to 20261123-1 from 20261122-9 in 41.6 s"),
    ({"verdict": "rolled_back"}, "failure", "shop-web: the release of 20261123-1 failed (rolled back)"),
    ({"verdict": "failed"}, "failure", "shop-web: the release of 20261123-1 failed"),
    ({"verdict": "image_failed", "tag": ""}, "failure", "shop-web: the release failed (image failed)"),
    ({"verdict": "timed_out", "kind": "rollback"}, "failure",
     "shop-web: the rollback of 20261123-1 failed (timed out)"),
    ({"verdict": "aborted"}, "abort", "shop-web: the release of 20261123-1 was aborted"),
    ({"verdict": "superseded", "superseded_by": "ann"}, "abort", "shop-web: the release of 20261123-1 was aborted"),
    ({"verdict": "superseded"}, "failure", "shop-web: the release of 20261123-1 failed (superseded)"),
])
def test_title(change: dict[str, Any], kind: str, title: str) -> None:
    told = message.of({**RECORD, **change})
    assert (told.kind, told.title) == (kind, title)


def test_a_failure_leads_with_its_cause_and_what_to_do() -> None:
    told = message.of({**RECORD, "verdict": "rolled_back", "cause": "Container web crashes on start: exit code 3.",
                       "remedy": "Run the image by hand."})
    assert told.plain().splitlines() == [
        "shop-web: the release of 20261123-1 failed (rolled back)", "Container web crashes on start: exit code 3.",
        "Run the image by hand.", "commit 3f2c9a41d0b7", "by ann on build-1", "application: https://shop.example",
        "build: https://ci.example/job/shop/12/"]


def test_slacks_format() -> None:
    assert message.of(RECORD).slack() == {
        "text": "shop-web: 20261123-1 is released in 41.6 s",
        "attachments": [{"color": "good", "fallback": "shop-web: 20261123-1 is released in 41.6 s", "text": (
            "commit 3f2c9a41d0b7\nimage sha256:0123\nby ann on build-1\n"
            "<https://shop.example|application> · <https://ci.example/job/shop/12/|build>")}]}
    assert message.of({"service": "a", "verdict": "failed"}).slack() == {"text": "a: the release failed"}


def test_a_cause_from_a_log_mentions_nobody_and_links_nowhere() -> None:
    told = message.of({**RECORD, "verdict": "failed", "cause": "log: <!channel> & <http://evil|here>",
                       "build_url": "javascript:alert(1)", "url": "https://a|b"})
    body = told.slack()["attachments"][0]["text"]
    assert "<!channel>" not in body and "&lt;!channel&gt; &amp; &lt;http://evil|here&gt;" in body
    assert told.links == ()


@pytest.mark.parametrize("tag", ["x" * 200, "zwei\nZeilen", "größer"])
def test_a_subject_is_what_sns_takes(tag: str) -> None:
    subject = message.of({**RECORD, "tag": tag}).subject()
    assert len(subject) <= 100 and subject.isascii() and "\n" not in subject
