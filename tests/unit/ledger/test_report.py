"""The page of a release: complete, self-contained, and safe with any text."""

from __future__ import annotations

import json
import re
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


def test_an_event_without_a_time_is_left_out_of_the_drawing_alone() -> None:
    page = Page(report.html({**RECORD, "events": [{**EVENTS[0], "time": "", "logical_id": "Timeless"}, *EVENTS]}))
    drawn = [attributes["cx"] for tag, attributes in page.tags if tag == "circle"]
    assert drawn == ["25.00%", "85.00%"]
    assert "Timeless" in page.text


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


def test_without_a_stylesheet_all_that_is_drawn_has_its_colours() -> None:
    failed = {**EVENTS[1], "status": "UPDATE_FAILED"}
    page = Page(report.html({**RECORD, "events": [*EVENTS, failed]}))
    assert not [attributes for _, attributes in page.tags if "style" in attributes]
    drawn = {"line": "stroke", "rect": "fill", "circle": "fill", "path": "stroke", "tspan": "fill"}
    for tag, paint in drawn.items():
        found = [attributes for name, attributes in page.tags if name == tag]
        assert found and all(str(attributes.get(paint)).startswith("#") for attributes in found), tag
    assert all("wrap" in attributes for tag, attributes in page.tags if tag == "pre")


def test_a_long_word_may_be_broken_and_stays_the_same_text() -> None:
    word = "arn:aws:ecs:eu-central-1:123456789012:" + "x" * 900 + "&<>"
    text = report.html({**RECORD, "who": word, "evidence": [f"short {word}"]})
    assert Page(text).text.count(word) == 2
    pieces = Page(text.replace("<wbr>", "\n")).text.splitlines()
    assert max(len(piece) for piece in pieces if "xxx" in piece) < 20


@pytest.mark.parametrize(("cause", "message", "shown"), [
    ("It ended.", "Service: failed. It\nended. Look.", 0),
    ("No room.", "Service: failed.", 1),
    ("It ended with a very...", "It ended with a very long story.", 0),
    ("", "Service: failed.", 0),
])
def test_a_cause_that_the_message_does_not_tell_stands_before_it(cause: str, message: str, shown: int) -> None:
    page = Page(report.html({**RECORD, "cause": cause, "message": message, "remedy": "Look."}))
    told = page.text.split("What happened")[1].split("Details")[0].strip()
    assert told.startswith(cause + "\n" if shown else message)
    assert told.count("Look.") == 1


@pytest.mark.parametrize(("seconds", "ticks"), [
    (0.02, ["0", "0.01 s", "0.02 s"]),
    (0.3, ["0", "0.1 s", "0.2 s", "0.3 s"]),
    (34.0, ["0", "10 s", "20 s", "30 s"]),
    (130.0, ["0", "0.5 min", "1 min", "1.5 min", "2 min"]),
    (7200.0, ["0", "0.5 h", "1 h", "1.5 h", "2 h"]),
    (900_000.0, ["0", "120 h", "240 h"]),
])
def test_the_time_is_marked_in_round_values(seconds: float, ticks: list[str]) -> None:
    text = report.html({**RECORD, "events": [], "phases": {"image.build": seconds}, "seconds": seconds})
    assert re.findall(r'class="tick"[^>]*>([^<]*)<', text) == ticks


@pytest.mark.parametrize(("seconds", "told"), [(0.3, "0.3 s"), (59.9, "59.9 s"), (60.0, "1 min"), (305.5, "5 min 6 s"),
                                               (3599.7, "1 h"), (7260.0, "2 h 1 min")])
def test_how_long_it_took_is_told_in_units_of_its_size(seconds: float, told: str) -> None:
    assert f" in {told}, release" in Page(report.html({**RECORD, "seconds": seconds})).text


def test_what_is_no_text_does_not_keep_the_report_from_being_written(tmp_path: Path) -> None:
    page = Path(report.write({**RECORD, "evidence": ["a log with \ud800"]}, str(tmp_path)))
    assert "a log with ?" in page.read_text(encoding="utf-8")


def test_both_files_are_written_and_nothing_else(tmp_path: Path) -> None:
    path = report.write(RECORD, str(tmp_path / "new" / "folder"))
    assert path == str(tmp_path / "new" / "folder" / "release.html")
    assert sorted(file.name for file in (tmp_path / "new" / "folder").iterdir()) == ["release.html", "release.json"]
    assert json.loads((tmp_path / "new" / "folder" / "release.json").read_text()) == RECORD


def test_a_record_with_little_in_it_makes_a_page_too() -> None:
    few = {"id": "release#1", "service": "s", "stack_name": "s", "kind": "release", "verdict": "aborted",
           "started": "2026-11-23T08:00:00+00:00"}
    assert "aborted" in Page(report.html(few)).text
