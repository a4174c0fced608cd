"""The report of a release as one HTML file that needs nothing else: no script, no font, no address to fetch. Pure."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

from .record import COMPLETED, Record, seconds_between

_WIDTH, _LEFT, _ROW = 940, 150, 24
_GOOD, _BAD, _BUSY = "good", "bad", "busy"

_STYLE = """
:root { color-scheme: light dark; --ink: #1c2430; --soft: #5b6675; --line: #d9dee5; --page: #fff; --box: #f5f7f9;
  --good: #1a7f4b; --bad: #b3261e; --busy: #2f6fb0; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e9ee; --soft: #9aa5b3; --line: #3a424d; --page: #14181d;
  --box: #1d232a; --good: #5cc48c; --bad: #ff8a80; --busy: #7db5ea; } }
body { margin: 0 auto; max-width: 60rem; padding: 2rem 1rem 4rem; background: var(--page); color: var(--ink);
  font: 16px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.5rem; margin: 0 0 .25rem; } h2 { font-size: 1.05rem; margin: 2rem 0 .5rem; }
.verdict { font-weight: 700; } .good { color: var(--good); } .bad { color: var(--bad); } .busy { color: var(--busy); }
.soft { color: var(--soft); } code, pre, td.code { font: 13px/1.5 ui-monospace, monospace; }
table { border-collapse: collapse; width: 100%; } td, th { padding: .3rem .8rem .3rem 0; text-align: left;
  vertical-align: top; border-bottom: 1px solid var(--line); overflow-wrap: anywhere; }
th { font-weight: 500; color: var(--soft); white-space: nowrap; }
pre, .message { background: var(--box); padding: .8rem 1rem; border-radius: .4rem; white-space: pre-wrap;
  overflow-wrap: anywhere; margin: .5rem 0; }
.scroll { overflow-x: auto; } svg { max-width: 100%; height: auto; }
svg text { fill: var(--soft); font: 12px system-ui, sans-serif; }
svg .bar { fill: var(--busy); } svg .good { fill: var(--good); } svg .bad { fill: var(--bad); }
svg .grid { stroke: var(--line); } a { color: var(--busy); }
"""


@dataclass(frozen=True)
class Bar:
    """A phase on the time line; both in seconds from the release's start."""

    name: str
    start: float
    end: float


def html(record: Record) -> str:
    """The page. Every value is escaped; only http and https addresses become links."""
    title = f"{record['service']}: {record['kind']} {record.get('tag') or record['started']}"
    body = "\n".join(part for part in (_head(record), _message(record), _timeline(record), _changes(record),
                                       _evidence(record), _events(record), _calls(record)) if part)
    return ("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
            "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
            f"<title>{escape(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n{body}\n</body>\n</html>\n")


def write(record: Record, folder: str) -> str:
    """Write release.json and release.html, each whole or not at all. Returns the page's path. Raises OSError."""
    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    for name, text in (("release.json", json.dumps(record, indent=2) + "\n"), ("release.html", html(record))):
        unfinished = target / f".{name}.{os.getpid()}"
        unfinished.write_text(text, encoding="utf-8")
        unfinished.replace(target / name)
    return str(target / "release.html")


def bars(record: Record) -> list[Bar]:
    """The phases in order. Their lengths are measured; the update of the stack stands where its first event was, what
    comes before it ends there, and what comes after goes on from its end."""
    phases = [(name, float(seconds)) for name, seconds in record.get("phases", {}).items() if seconds >= 0.005]
    times = _event_seconds(record)
    anchor = next((number for number, (name, _) in enumerate(phases) if name in _OPERATIONS), None)
    before = sum(seconds for _, seconds in phases[:anchor]) if anchor is not None else 0.0
    position = max(0.0, (times[0] if times else 0.0) - before) if anchor is not None else 0.0
    found = []
    for name, seconds in phases:
        found.append(Bar(name, position, position + seconds))
        position += seconds
    return found


_OPERATIONS = ("stack.create", "stack.update", "stack.delete")


def _event_seconds(record: Record) -> list[float]:
    return [seconds_between(record["started"], event["time"]) for event in record.get("events", []) if event["time"]]


def _tone(record: Record) -> str:
    return {COMPLETED: _GOOD, "running": _BUSY}.get(record["verdict"], _BAD)


def _head(record: Record) -> str:
    before = (record.get("from") or {}).get("tag", "")
    way = " &rarr; ".join(f"<code>{escape(tag)}</code>" for tag in (before, record.get("tag", "")) if tag)
    rows = [("commit", record.get("commit")), ("image", record.get("image_uri")), ("digest", record.get("digest")),
            ("task definition", record.get("task_definition")), ("deployment", record.get("deployment_id")),
            ("stack", record.get("stack_name")), ("address", record.get("url")),
            ("by", " on ".join(str(p) for p in (record.get("user"), record.get("host")) if p)),
            ("as", record.get("who")), ("build", record.get("build_url")),
            ("started", record.get("started")), ("ended", record.get("ended"))]
    cells = "\n".join(f"<tr><th>{name}</th><td class=\"code\">{_link(str(value))}</td></tr>"
                      for name, value in rows if value)
    took = f" in {record['seconds']:.1f} s" if isinstance(record.get("seconds"), (int, float)) else ""
    verdict = escape(str(record["verdict"]).replace("_", " "))
    return (f"<h1>{escape(record['service'])}</h1>\n<p><span class=\"verdict {_tone(record)}\">{verdict}</span>"
            f"<span class=\"soft\">{took}, {escape(record['kind'])}</span> {way}</p>\n<table>\n{cells}\n</table>")


def _message(record: Record) -> str:
    lines = [str(record[name]).strip() for name in ("message", "remedy") if record.get(name)]
    # The message of a failure ends with its remedy; once is enough.
    if len(lines) == 2 and lines[1] in lines[0]:
        lines.pop()
    if not lines:
        return ""
    return "<h2>What happened</h2>\n" + "\n".join(f"<div class=\"message\">{escape(line)}</div>" for line in lines)


def _timeline(record: Record) -> str:
    rows = bars(record)
    if not rows:
        return ""
    times = list(zip(_event_seconds(record), record.get("events", []), strict=False))
    end = max([row.end for row in rows] + [float(record.get("seconds") or 0)] + [at for at, _ in times]) or 1.0
    scale = (_WIDTH - _LEFT - 60) / end
    height = (len(rows) + (1 if times else 0)) * _ROW + 40
    parts = [(f"<svg viewBox=\"0 0 {_WIDTH} {height}\" width=\"{_WIDTH}\" height=\"{height}\" role=\"img\" "
             "aria-label=\"Phases of the release over time\">")]
    for seconds in _ticks(end):
        x = _LEFT + seconds * scale
        parts.append(f"<line class=\"grid\" x1=\"{x:.1f}\" y1=\"0\" x2=\"{x:.1f}\" y2=\"{height - 22}\"/>"
                     f"<text x=\"{x:.1f}\" y=\"{height - 6}\" text-anchor=\"middle\">{seconds:g} s</text>")
    for number, row in enumerate(rows):
        y, x, width = number * _ROW, _LEFT + row.start * scale, max(1.5, (row.end - row.start) * scale)
        parts.append(f"<text x=\"{_LEFT - 8}\" y=\"{y + 16}\" text-anchor=\"end\">{escape(row.name)}</text>"
                     f"<rect class=\"bar\" x=\"{x:.1f}\" y=\"{y + 5}\" width=\"{width:.1f}\" height=\"14\" rx=\"2\"/>"
                     f"<text x=\"{x + width + 5:.1f}\" y=\"{y + 16}\">{row.end - row.start:.2f} s</text>")
    if times:
        y = len(rows) * _ROW + 12
        parts.append(f"<text x=\"{_LEFT - 8}\" y=\"{y + 4}\" text-anchor=\"end\">stack events</text>")
        for at, event in times:
            tone = _BAD if "FAILED" in event["status"] or "ROLLBACK" in event["status"] else (
                _GOOD if event["status"].endswith("_COMPLETE") else "bar")
            about = escape(f"{event['status']} {event['logical_id']} {event['reason']}".strip())
            parts.append(f"<circle class=\"{tone}\" cx=\"{_LEFT + at * scale:.1f}\" cy=\"{y}\" r=\"4\">"
                         f"<title>{about}</title></circle>")
    return "<h2>Time</h2>\n<div class=\"scroll\">" + "".join([*parts, "</svg>"]) + "</div>"


def _ticks(end: float) -> Iterator[float]:
    """Round values, six or so of them, from 0 to `end`."""
    step = next((size * power for power in (0.1, 1, 10, 100, 1000, 10_000) for size in (1, 2, 5)
                 if end / (size * power) <= 7), end)
    position = 0.0
    while position <= end:
        yield round(position, 3)
        position += step


def _changes(record: Record) -> str:
    return _lines("What changed", record.get("changes") or [])


def _evidence(record: Record) -> str:
    return _lines("What was found out", record.get("evidence") or [])


def _lines(title: str, lines: list[str]) -> str:
    return f"<h2>{title}</h2>\n<pre>{escape(chr(10).join(lines))}</pre>" if lines else ""


def _events(record: Record) -> str:
    events: list[dict[str, Any]] = record.get("events") or []
    if not events:
        return ""
    rows = "\n".join(
        f"<tr><td class=\"code\">{escape(str(e['time'])[11:19])}</td><td>{escape(e['status'])}</td>"
        f"<td>{escape(e['logical_id'])}</td><td class=\"soft\">{escape(e['type'])}</td>"
        f"<td>{escape(e['reason'])}</td></tr>"
        for e in events)
    return ("<h2>Events of the stack</h2>\n<div class=\"scroll\"><table>\n<tr><th>time</th><th>status</th>"
            f"<th>resource</th><th>type</th><th>reason</th></tr>\n{rows}\n</table></div>")


def _calls(record: Record) -> str:
    calls: dict[str, int] = record.get("api_calls") or {}
    if not calls:
        return ""
    text = ", ".join(f"{name} {number}" for name, number in calls.items())
    return f"<h2>Calls to AWS</h2>\n<p class=\"soft\">{sum(calls.values())} in all: {escape(text)}</p>"


def _link(value: str) -> str:
    text = escape(value)
    return f"<a href=\"{text}\">{text}</a>" if value.startswith(("http://", "https://")) else text
