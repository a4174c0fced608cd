"""The report of a release as one HTML file that needs nothing else: no script, no font, no address to fetch. Pure.

Jenkins serves build artifacts under a Content-Security-Policy that blocks inline styles, so the page also reads well
without its own: elements and their attributes carry what matters, the stylesheet refines it.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

from .record import COMPLETED, Record, seconds_between

_GOOD, _BAD, _BUSY = "good", "bad", "busy"

_LIGHT = {"ink": "#1c2430", "soft": "#5b6675", "line": "#d9dee5", "page": "#ffffff", "box": "#f5f7f9",
          _GOOD: "#1a7f4b", _BAD: "#b3261e", _BUSY: "#2f6fb0"}
_DARK = {"ink": "#e6e9ee", "soft": "#9aa5b3", "line": "#3a424d", "page": "#14181d", "box": "#1d232a",
         _GOOD: "#5cc48c", _BAD: "#ff8a80", _BUSY: "#7db5ea"}


def _variables(colours: Mapping[str, str]) -> str:
    return ":root { " + " ".join(f"--{name}: {colour};" for name, colour in colours.items()) + " }"


_STYLE = f"""
:root {{ color-scheme: light dark; }}
{_variables(_LIGHT)}
@media (prefers-color-scheme: dark) {{ {_variables(_DARK)} }}""" + """
body { margin: 0 auto; max-width: 60rem; padding: 2rem 1rem 4rem; background: var(--page); color: var(--ink);
  font: 16px/1.5 system-ui, sans-serif; overflow-wrap: anywhere; }
h1 { font-size: 1.5rem; margin: 0 0 .25rem; } h2 { font-size: 1.05rem; margin: 2rem 0 .5rem; }
.good { color: var(--good); } .bad { color: var(--bad); } .busy { color: var(--busy); } .soft { color: var(--soft); }
code, pre, td.code { font: 13px/1.5 ui-monospace, monospace; }
table { border-collapse: collapse; width: 100%; overflow-wrap: break-word; }
td, th { padding: .3rem .8rem .3rem 0; border-bottom: 1px solid var(--line); vertical-align: baseline; }
th { font-weight: 500; color: var(--soft); } .facts th { white-space: nowrap; width: 8rem; }
.events { font-size: 14px; } .events td { border: 0; } .events tr.event { border-top: 1px solid var(--line); }
pre { background: var(--box); padding: .8rem 1rem; border-radius: .4rem; margin: .5rem 0; }
pre.message { font: inherit; } .scroll { overflow-x: auto; } a { color: var(--busy); }
svg text { fill: var(--soft); font-family: system-ui, sans-serif; } svg .label { stroke: var(--page); }
svg .name { fill: var(--ink); } svg .grid { stroke: var(--line); } svg .bar, svg circle.busy { fill: var(--busy); }
svg circle { stroke: var(--page); } svg .blank { fill: var(--page); }
svg circle.good { fill: var(--good); } svg path.bad { stroke: var(--bad); }
@media (max-width: 40rem) { .facts th { width: auto; } .events { font-size: 12px; }
  .events td { padding-right: .3rem; } }
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
    parts = (_head(record), _message(record), _facts(record), _timeline(record), _changes(record), _evidence(record),
             _events(record), _calls(record))
    body = "\n".join(part for part in parts if part)
    return ("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
            "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
            f"<title>{escape(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n{body}\n</body>\n</html>\n")


def write(record: Record, folder: str) -> str:
    """Write release.json and release.html, each whole or not at all. Returns the page's path. Raises OSError."""
    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    for name, text in (("release.json", json.dumps(record, indent=2) + "\n"), ("release.html", html(record))):
        unfinished = target / f".{name}.{os.getpid()}"
        # A log may hold what is no text, which UTF-8 has no bytes for.
        unfinished.write_text(text, encoding="utf-8", errors="replace")
        unfinished.replace(target / name)
    return str(target / "release.html")


def bars(record: Record) -> list[Bar]:
    """The phases in order. Their lengths are measured; the update of the stack stands where its first event was, what
    comes before it ends there, and what comes after goes on from its end."""
    phases = [(name, float(seconds)) for name, seconds in record.get("phases", {}).items() if seconds >= 0.005]
    times = [at for at, _ in _timed_events(record)]
    anchor = next((number for number, (name, _) in enumerate(phases) if name in _OPERATIONS), None)
    before = sum(seconds for _, seconds in phases[:anchor]) if anchor is not None else 0.0
    position = max(0.0, (times[0] if times else 0.0) - before) if anchor is not None else 0.0
    found = []
    for name, seconds in phases:
        found.append(Bar(name, position, position + seconds))
        position += seconds
    return found


_OPERATIONS = ("stack.create", "stack.update", "stack.delete")


def _timed_events(record: Record) -> list[tuple[float, dict[str, Any]]]:
    """Events of the stack, each with its second of the release."""
    return [(seconds_between(record["started"], event["time"]), event) for event in record.get("events") or []
            if event["time"]]


def _event_tone(status: str) -> str:
    if "FAILED" in status or "ROLLBACK" in status:
        return _BAD
    return _GOOD if status.endswith("_COMPLETE") else _BUSY


def _tone(record: Record) -> str:
    return {COMPLETED: _GOOD, "running": _BUSY}.get(record["verdict"], _BAD)


def _head(record: Record) -> str:
    before = (record.get("from") or {}).get("tag", "")
    way = " &rarr; ".join(f"<code>{_text(tag)}</code>" for tag in (before, record.get("tag", "")) if tag)
    seconds = record.get("seconds")
    took = f" in {_duration(seconds, 1)}" if isinstance(seconds, (int, float)) else ""
    verdict = _text(str(record["verdict"]).replace("_", " "))
    return (f"<h1>{_text(record['service'])}</h1>\n<p><strong class=\"{_tone(record)}\">{verdict}</strong>"
            f"<span class=\"soft\">{took}, {_text(record['kind'])}</span> {way}</p>")


def _message(record: Record) -> str:
    cause, message, remedy = (str(record.get(name) or "").strip() for name in ("cause", "message", "remedy"))
    # The message of a failure mostly tells its cause and ends with its remedy; once is enough.
    lines = [message, "" if remedy in message else remedy]
    if " ".join(cause.removesuffix("...").split()) not in " ".join(message.split()):
        lines.insert(0, cause)
    blocks = [f"<pre wrap class=\"message\">{_text(line)}</pre>" for line in lines if line]
    return "\n".join(["<h2>What happened</h2>", *blocks]) if blocks else ""


def _facts(record: Record) -> str:
    rows = [("commit", record.get("commit")), ("image", record.get("image_uri")), ("digest", record.get("digest")),
            ("task definition", record.get("task_definition")), ("deployment", record.get("deployment_id")),
            ("stack", record.get("stack_name")), ("address", record.get("url")),
            ("by", " on ".join(str(p) for p in (record.get("user"), record.get("host")) if p)),
            ("as", record.get("who")), ("build", record.get("build_url")),
            ("started", record.get("started")), ("ended", record.get("ended"))]
    cells = "\n".join(f"<tr><th scope=\"row\" align=\"left\" valign=\"top\">{name}</th>"
                      f"<td class=\"code\">{_link(str(value))}</td></tr>" for name, value in rows if value)
    return f"<h2>Details</h2>\n<table class=\"facts\" cellpadding=\"3\">\n{cells}\n</table>"


#: A row of the chart, in pixels. Along the time all is in percent, so that text keeps its size on a narrow screen.
_ROW = 36
#: The least of a bar, in percent, that can be seen.
_SHORTEST = 0.3
#: What a label may need, in percent: its characters' usual width on the narrowest chart, both in pixels.
_CHARACTER = 100 * 7.0 / 340
#: Characters of a phase's name.
_NAME = 24


def _timeline(record: Record) -> str:
    rows = bars(record)
    if not rows:
        return ""
    events = _timed_events(record)
    end = max([row.end for row in rows] + [float(record.get("seconds") or 0)] + [at for at, _ in events])
    height = (len(rows) + (1 if events else 0)) * _ROW
    drawn = [_grid(end, height), *(_bar(row, number * _ROW, 100 / end) for number, row in enumerate(rows))]
    if events:
        drawn.append(_dots(events, len(rows) * _ROW, 100 / end))
    return (f"<h2>Time</h2>\n<svg width=\"100%\" height=\"{height + 24}\" overflow=\"visible\" role=\"group\" "
            f"aria-label=\"Phases of the release over time\" font-size=\"12\" font-family=\"sans-serif\" "
            f"fill=\"{_LIGHT['soft']}\" paint-order=\"stroke\">\n" + "\n".join(drawn) + "\n</svg>")


def _grid(end: float, height: int) -> str:
    lines = []
    for seconds, label in _ticks(end):
        x = 100 * seconds / end
        # A label at an edge stays inside.
        anchor = "start" if x < 7 else "end" if x > 93 else "middle"
        lines.append(f"<line class=\"grid\" stroke=\"{_LIGHT['line']}\" x1=\"{x:.2f}%\" y1=\"0\" x2=\"{x:.2f}%\" "
                     f"y2=\"{height + 4}\"/><text class=\"tick\" x=\"{x:.2f}%\" y=\"{height + 18}\" "
                     f"text-anchor=\"{anchor}\">{label}</text>")
    return "\n".join(lines)


def _bar(row: Bar, y: int, scale: float) -> str:
    width = max(_SHORTEST, (row.end - row.start) * scale)
    x = min(row.start * scale, 100 - width)
    took = _duration(row.end - row.start, 2)
    name = row.name if len(row.name) <= _NAME else f"{row.name[:_NAME - 1]}…"
    return (f"<text {_label(x, x + width, len(name) + 1 + len(took), y + 14)}>"
            f"<tspan class=\"name\" fill=\"{_LIGHT['ink']}\">{escape(name)}</tspan> {took}"
            f"<title>{escape(row.name)}</title></text>"
            f"<rect class=\"bar\" fill=\"{_LIGHT[_BUSY]}\" x=\"{x:.2f}%\" y=\"{y + 19}\" width=\"{width:.2f}%\" "
            "height=\"11\" rx=\"2\"/>")


def _dots(events: list[tuple[float, dict[str, Any]]], y: int, scale: float) -> str:
    """Events of the stack in a row, those that tell of a failure or rollback as crosses and on top."""
    dots, crosses = [], []
    for at, event in events:
        title = escape(f"{event['status']} {event['logical_id']} {event['reason']}".strip())
        tone, x = _event_tone(event["status"]), f"{at * scale:.2f}%"
        if tone == _BAD:
            crosses.append(f"<svg x=\"{x}\" y=\"{y + 25}\" overflow=\"visible\">"
                           f"<circle class=\"blank\" fill=\"{_LIGHT['page']}\" r=\"4.5\"/><path class=\"bad\" "
                           f"stroke=\"{_LIGHT[tone]}\" stroke-width=\"2.5\" fill=\"none\" d=\"M-4-4 4 4M-4 4 4-4\">"
                           f"<title>{title}</title></path></svg>")
        else:
            dots.append(f"<circle class=\"{tone}\" fill=\"{_LIGHT[tone]}\" stroke=\"{_LIGHT['page']}\" cx=\"{x}\" "
                        f"cy=\"{y + 25}\" r=\"4.5\"><title>{title}</title></circle>")
    label = f"events: {len(events)}" + (f", of failure: {len(crosses)} (×)" if crosses else "")
    where = _label(events[0][0] * scale, events[-1][0] * scale, len(label), y + 14)
    return "\n".join([f"<text {where}>{label}</text>", *dots, *crosses])


def _label(start: float, end: float, characters: int, y: int) -> str:
    """Attributes of a label: over its bar, with room for it all, and not crossed by lines. start, end: in percent."""
    needed = characters * _CHARACTER
    x, anchor = (max(0.0, min(start, 100 - needed)), "start") if start <= 50 else (min(100.0, max(end, needed)), "end")
    return (f"class=\"label\" x=\"{x:.2f}%\" y=\"{y}\" text-anchor=\"{anchor}\" stroke=\"{_LIGHT['page']}\" "
            "stroke-width=\"4\"")


#: Seconds between two ticks, by unit: each divides into whole numbers of it that people count in.
_STEPS = ((1, "s", (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20)), (60, "min", (0.5, 1, 2, 5, 10, 20)),
          (3600, "h", (0.5, 1, 2, 5, 10, 24, 48, 120, 240)))


def _ticks(end: float) -> Iterable[tuple[float, str]]:
    """Round values, six at most, from 0 to `end`, and their labels."""
    size, unit, step = next(((size, unit, step) for size, unit, steps in _STEPS for step in steps
                             if end <= 5 * step * size), (1, "s", end))
    return [(number * step * size, f"{number * step:g} {unit}" if number else "0")
            for number in range(int(end / step / size + 1e-9) + 1)]


def _duration(seconds: float, digits: int) -> str:
    """Seconds up to a minute with so many digits, then in the two units that matter."""
    if seconds < 60:
        return f"{seconds:.{digits}f} s"
    whole = round(seconds)
    large, small, names = (whole // 60, whole % 60, ("min", "s")) if whole < 3600 else (
        whole // 3600, whole % 3600 // 60, ("h", "min"))
    return f"{large} {names[0]}" + (f" {small} {names[1]}" if small else "")


def _changes(record: Record) -> str:
    return _lines("What changed", record.get("changes") or [])


def _evidence(record: Record) -> str:
    return _lines("What was found out", record.get("evidence") or [])


def _lines(title: str, lines: list[str]) -> str:
    return f"<h2>{title}</h2>\n<pre wrap>{_text(chr(10).join(lines))}</pre>" if lines else ""


def _events(record: Record) -> str:
    events: list[dict[str, Any]] = record.get("events") or []
    if not events:
        return ""
    rows = "\n".join(
        f"<tr class=\"event\" valign=\"top\"><td class=\"code\">{escape(str(e['time'])[11:19])}</td>"
        f"<td>{_status(e['status'])}</td>"
        f"<td>{_text(e['logical_id'])}</td><td class=\"soft\">{_text(e['type'])}</td></tr>"
        + (f"\n<tr valign=\"top\"><td></td><td colspan=\"3\">{_text(e['reason'])}</td></tr>" if e["reason"] else "")
        for e in events)
    head = "".join(f"<th align=\"left\">{name}</th>" for name in ("time", "status", "resource", "type"))
    return ("<h2>Events of the stack</h2>\n<div class=\"scroll\"><table class=\"events\" cellpadding=\"3\">\n"
            f"<tr>{head}</tr>\n{rows}\n</table></div>")


def _status(status: str) -> str:
    return f"<strong class=\"bad\">{_text(status)}</strong>" if _event_tone(status) == _BAD else _text(status)


def _calls(record: Record) -> str:
    calls: dict[str, int] = record.get("api_calls") or {}
    if not calls:
        return ""
    text = ", ".join(f"{name} {number}" for name, number in calls.items())
    return f"<h2>Calls to AWS</h2>\n<p class=\"soft\">{sum(calls.values())} in all: {_text(text)}</p>"


def _link(value: str) -> str:
    text = _text(value)
    return f"<a href=\"{escape(value)}\">{text}</a>" if value.startswith(("http://", "https://")) else text


#: A word to break, and its pieces: up to their punctuation, and none of them long.
_LONG, _PIECES = re.compile(r"(\S{13,})"), re.compile(r"[^\W_]{1,16}[\W_]{0,3}|[\W_]{1,3}")


def _text(value: str) -> str:
    """The value escaped, and long words with places to break a line, so that none makes the page wide."""
    words = _LONG.split(value)
    return "".join("<wbr>".join(escape(piece) for piece in _PIECES.findall(word)) if number % 2 else escape(word)
                   for number, word in enumerate(words))
