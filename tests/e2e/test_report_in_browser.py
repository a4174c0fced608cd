"""The report of a release as a person sees it: as a file of its own, and as an artifact that Jenkins serves."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any, NamedTuple

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page

from slipway.ledger import report
from slipway.ledger.record import Record
from tests import release_records
from tests.browser import chromium, contrast, pixel, rgb, served

# What Jenkins sends with artifacts unless hudson.model.DirectoryBrowserSupport.CSP is set.
JENKINS = {"Content-Security-Policy":
           "sandbox allow-same-origin; default-src 'none'; img-src 'self'; style-src 'self';"}
SECONDS = {"s": 1, "min": 60, "h": 3600}
MEASURE = """selector => [...document.querySelectorAll(selector)].map(element => {
  const box = element.getBoundingClientRect(), style = getComputedStyle(element);
  return {text: element.textContent, left: box.left, right: box.right, top: box.top + scrollY,
          bottom: box.bottom + scrollY, fill: style.fill, colour: style.color}; })"""


class Way(NamedTuple):
    """How the page is looked at."""

    jenkins: bool
    scheme: str
    width: int


WAYS = {"light": Way(False, "light", 1200), "dark": Way(False, "dark", 1200), "narrow": Way(False, "light", 400),
        "jenkins": Way(True, "light", 1200), "jenkins-dark-narrow": Way(True, "dark", 400)}
RECORDS = {"good": release_records.good, "failed": release_records.failed, "hostile": release_records.hostile,
           "quick": release_records.quick, "long": release_records.long}


@dataclass
class View:
    """An opened page. requested: every address; said: what the console says is wrong."""

    record: Record
    way: Way
    page: Page
    requested: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=list)

    def boxes(self, selector: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.page.evaluate(MEASURE, selector)
        return found

    def background(self) -> tuple[int, int, int]:
        return pixel(self.page, 2, 2)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@pytest.fixture(scope="module")
def sites(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[bool, str]]:
    """Addresses of the reports, by whether Jenkins' header comes with them."""
    folder = tmp_path_factory.mktemp("reports")
    for name, make in RECORDS.items():
        report.write(make(), str(folder / name))
    with served(folder, {}) as plain, served(folder, JENKINS) as jenkins:
        yield {False: plain, True: jenkins}


@pytest.fixture(scope="module", params=[(name, way) for name in RECORDS for way in WAYS], ids="-".join)
def view(request: pytest.FixtureRequest, browser: Browser, sites: dict[bool, str]) -> Iterator[View]:
    name, way = request.param[0], WAYS[request.param[1]]
    with browser.new_context(viewport={"width": way.width, "height": 900},
                             color_scheme="dark" if way.scheme == "dark" else "light") as context:
        opened = View(RECORDS[name](), way, context.new_page())

        def listen(message: ConsoleMessage) -> None:
            if message.type in ("error", "warning"):
                opened.said.append(message.text)

        opened.page.on("console", listen)
        opened.page.on("pageerror", lambda error: opened.said.append(str(error)))
        opened.page.on("request", lambda asked: opened.requested.append(asked.url))
        opened.page.goto(f"{sites[way.jenkins]}/{name}/release.html")
        yield opened


def test_it_asks_for_nothing_but_itself(view: View) -> None:
    assert [url for url in view.requested if not url.endswith("/favicon.ico")] == [view.page.url]


def test_nothing_is_wrong_but_the_style_that_jenkins_blocks(view: View) -> None:
    if view.way.jenkins:
        assert len(view.said) == 1 and "inline style" in view.said[0] and "Content Security Policy" in view.said[0]
    else:
        assert view.said == []


def test_no_text_becomes_code(view: View) -> None:
    for link in view.page.locator("a").all():
        assert (link.get_attribute("href") or "").startswith(("http://", "https://"))
        link.hover()
    assert view.page.evaluate("window.hostile") is None
    assert view.page.locator("script, img, iframe, link, [onmouseover], [onerror], [style]").count() == 0
    if "script" in view.record["service"]:
        assert view.page.inner_text("h1").startswith("</pre></title><script>window.hostile = 1</script><img src=/x")


def test_verdict_and_cause_are_seen_without_scrolling(view: View) -> None:
    cause = view.record["cause"].removesuffix("...").encode(errors="replace").decode()
    assert " ".join(cause.split()) in " ".join(view.page.inner_text("body").split())
    verdict, *_ = view.boxes("p strong")
    assert verdict["text"] == view.record["verdict"].replace("_", " ")
    assert contrast(rgb(verdict["colour"]), view.background()) >= 4.5
    message, *_ = view.boxes("pre")
    assert verdict["bottom"] < message["top"] < 500
    assert contrast(rgb(message["colour"]), pixel(view.page, message["right"] - 3, message["top"] + 2)) >= 4.5


def test_bars_stand_on_the_scale_that_is_written_below_them(view: View) -> None:
    lines, labels = view.boxes("svg .grid"), [tick["text"] for tick in view.boxes("svg .tick")]
    assert labels[0] == "0" and 2 <= len(labels) <= 6
    places = [(line["left"] + line["right"]) / 2 for line in lines]
    number, unit = labels[-1].split()
    per_second = (places[-1] - places[0]) / (float(number) * SECONDS[unit])
    expected, drawn = report.bars(view.record), view.boxes("svg .bar")
    assert len(drawn) == len(expected) == sum(seconds >= 0.005 for seconds in view.record["phases"].values())
    for row, bar in zip(expected, drawn, strict=True):
        width = (row.end - row.start) * per_second
        # What would be too short to be seen is drawn longer.
        assert bar["right"] - bar["left"] == pytest.approx(width, abs=1) or 1 <= bar["right"] - bar["left"] < 4 > width
        assert bar["left"] == pytest.approx(places[0] + row.start * per_second, abs=4 if width < 4 else 1)
        assert bar["left"] >= 0 and bar["right"] <= view.way.width


def test_text_of_the_chart_is_whole_and_apart(view: View) -> None:
    texts, bars = view.boxes("svg text"), view.boxes("svg .bar")
    (chart,) = view.boxes("h2 + svg")
    for text in texts:
        assert 0 <= text["left"] < text["right"] <= view.way.width, text
        assert chart["top"] <= text["top"] and text["bottom"] <= chart["bottom"], text
    for one, other in [*combinations(texts, 2), *((text, bar) for text in texts for bar in bars)]:
        assert not _overlap(one, other), (one, other)


def test_what_is_drawn_differs_from_its_background(view: View) -> None:
    background = view.background()
    assert (contrast(background, (0, 0, 0)) < 2) == (view.way.scheme == "dark" and not view.way.jenkins)
    longest = max(view.boxes("svg .bar"), key=lambda bar: float(bar["right"] - bar["left"]))
    seen = pixel(view.page, (longest["left"] + longest["right"]) / 2, (longest["top"] + longest["bottom"]) / 2)
    assert contrast(seen, background) >= 3
    assert max(seen) - min(seen) > 60, "the bar has no colour"
    for box in view.boxes("svg text, svg .name"):
        assert contrast(rgb(box["fill"]), background) >= 4.5, box
    for cross in view.boxes("svg path")[-1:]:
        assert contrast(pixel(view.page, (cross["left"] + cross["right"]) / 2,
                              (cross["top"] + cross["bottom"]) / 2), background) >= 3
    assert any(contrast(pixel(view.page, line["left"] + 0.1 + shift, line["bottom"] - 3), background) > 1.15
               for line in view.boxes("svg .grid")[1:2] for shift in (-1, 0, 1))


def test_the_page_is_no_wider_than_its_window(view: View) -> None:
    wide = view.page.evaluate("document.documentElement.scrollWidth")
    # Without its style the table of events has one size of text for every window.
    assert wide <= view.way.width * (1.5 if view.way.jenkins and view.way.width < 1000 else 1)
    if not view.way.jenkins and "script" not in view.record["service"]:
        assert view.page.evaluate(
            "[...document.querySelectorAll('.scroll')].every(x => x.scrollWidth <= x.clientWidth)")


def _overlap(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return bool(one["left"] < other["right"] and other["left"] < one["right"]
                and one["top"] < other["bottom"] and other["top"] < one["bottom"])
