"""The page of a release: complete, self-contained, and safe with any text."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from slipway.ledger import report

EVENTS = [{"time": "2026-11-23T08:00:05+00:00", "status": "UPDATE_IN_PROGRESS", "type": "AWS::ECS::Service",
           "logical_id": "Service", "reason": ""},
          {"time": "2026-11-23T08:00:17+00:00", "status": "UPDATE_COMPLETE", "type": "AWS::ECS::Service",
           "logical_id": "Service", "reason": ""}]
RECORD: dict[str, Any] = {
    "id": "release#1", "service": "shop-service", "stack_name": "shop-service", "kind": "release",
    "verdict": "completed", "message": "web:2 is rolled out.", "remedy": "", "evidence": ["exit code 1"],
    "commit": "1a2b3c4", "tag": "v2", "from": {"tag": "v1"}, "digest": "sha256:2", "image_uri": "r/shop:v2",
    "task_definition": "web:2", "deployment_id": "ecs-svc/1", "url": "http://127.0.0.1/", "user": "ann",
    "host": "build-1", "who": "arn:aws:iam::1:user/ann", "build_url": "https://ci/job/7", "changes": ["modify x"],
    "events": EVENTS, "started": "2026-11-23T08:00:00+00:00", "ended": "2026-11-23T08:00:20+00:00", "seconds": 20.0,
    "phases": {"image.build": 3.0, "image.push": 1.0, "stack.plan": 0.5, "stack.update": 12.0, "rollout.wait": 1.0},
    "api_calls": {"ecr.DescribeImages": 2, "ecs.DescribeServices": 3},
}


class Page(HTMLParser):
    """Every tag with its attributes, and the text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def test_it_tells_everything() -> None:
    text = Page(report.html(RECORD)).text
    for value in ("shop-service", "completed", " in 20.0 s", "v1", "v2", "1a2b3c4", "sha256:2", "web:2", "ecs-svc/1",
                  "ann on build-1", "arn:aws:iam::1:user/ann", "modify x", "exit code 1", "UPDATE_COMPLETE",
                  "image.build", "5 in all"):
        assert value in text


def test_it_fetches_nothing() -> None:
    page = Page(report.html(RECORD))
    assert not {"script", "link", "img", "iframe"} & {tag for tag, _ in page.tags}
    assert [a["href"] for tag, a in page.tags if tag == "a"] == ["http://127.0.0.1/", "https://ci/job/7"]
    assert "url(" not in report.html(RECORD)


def test_the_phases_stand_where_they_happened() -> None:
    found = {bar.name: (bar.start, bar.end) for bar in report.bars(RECORD)}
    # 4.5 s of image and plan end at the update's first event, 5 s after the start.
    assert found["image.build"] == (0.5, 3.5)
    assert found["stack.update"] == (5.0, 17.0)
    assert found["rollout.wait"] == (17.0, 18.0)


def test_without_a_stack_the_phases_begin_at_the_start() -> None:
    found = report.bars({**RECORD, "phases": {"image.look": 0.2, "image.build": 2.0}, "events": []})
    assert [(bar.start, bar.end) for bar in found] == [(0.0, 0.2), (0.2, 2.2)]


@pytest.mark.parametrize("text", ["<script>alert(1)</script>", "\"><img src=x onerror=alert(1)>", "</pre><b>", "&amp;"])
def test_any_text_is_shown_as_it_is(text: str) -> None:
    event = dict.fromkeys(EVENTS[0], text) | {"time": EVENTS[0]["time"]}
    hostile = {key: text if isinstance(value, str) and key not in ("started", "ended", "verdict") else value
               for key, value in RECORD.items()} | {"evidence": [text], "changes": [text], "events": [event]}
    plain, page = Page(report.html(RECORD)), Page(report.html(hostile))
    assert {tag for tag, _ in page.tags} <= {tag for tag, _ in plain.tags}
    assert page.text.count(text) >= 10


@pytest.mark.parametrize("address", ["javascript:alert(1)", "data:text/html,x", "file:///etc/passwd"])
def test_only_addresses_of_the_web_are_links(address: str) -> None:
    page = Page(report.html({**RECORD, "url": address, "build_url": address}))
    assert [a for tag, a in page.tags if tag == "a"] == []


def test_both_files_are_written_and_nothing_else(tmp_path: Path) -> None:
    path = report.write(RECORD, str(tmp_path / "new" / "folder"))
    assert path == str(tmp_path / "new" / "folder" / "release.html")
    assert sorted(file.name for file in (tmp_path / "new" / "folder").iterdir()) == ["release.html", "release.json"]
    assert json.loads((tmp_path / "new" / "folder" / "release.json").read_text()) == RECORD


def test_a_record_with_little_in_it_makes_a_page_too() -> None:
    few = {"id": "release#1", "service": "s", "stack_name": "s", "kind": "release", "verdict": "aborted",
           "started": "2026-11-23T08:00:00+00:00"}
    assert "aborted" in Page(report.html(few)).text
