"""What was read, on one screen, for eyes without colour too. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from ..ledger.record import COMPLETED

#: (text, tone) as Progress.say takes them.
Line = tuple[str, str]

_MARKS = {"Succeeded": ("ok", "good"), "Failed": ("FAIL", "bad"), "InProgress": ("...", "info"),
          "Stopped": ("stop", "warn"), "Stopping": ("stop", "warn"), "Cancelled": ("stop", "warn"),
          "Superseded": ("old", "info"), "Abandoned": ("stop", "warn")}
_WORDS = {"InProgress": "in progress"}


def draw(found: Sequence[Mapping[str, Any]], jenkins: Mapping[str, Any] | None, region: str, now: datetime,
         width: int) -> list[Line]:
    """The screen's lines. jenkins: {} where there is none; otherwise what the host told, see _jenkins. width:
    columns."""
    title = "Releases"
    where = f"{region}, {now.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
    lines: list[Line] = [(f"{title}{where:>{max(1, width - len(title))}}", "info")]
    for one in found:
        lines.append(("", "info"))
        lines.append((one["name"], "info"))
        for part in (_deployed, _service, _pipeline):
            lines += part(one, now)
    lines.append(("", "info"))
    lines += _jenkins(jenkins)
    return [(_cut(text, width), tone) for text, tone in lines]


def _row(label: str, text: str, tone: str = "info") -> Line:
    return f"  {label:<9} {text}".rstrip(), tone


def _more(text: str, tone: str = "info") -> Line:
    return _row("", text, tone)


# -- what is deployed ------------------------------------------------------------------------------------------------

def _deployed(one: Mapping[str, Any], now: datetime) -> Iterator[Line]:
    stack = one["stack"]
    if stack is None:
        yield _row("deployed", f"nothing: there is no stack {one['stack_name']}", "warn")
        return
    if problem := _problem(stack):
        yield _row("deployed", problem, "warn")
        return
    tag, digest = _parts(one["image"])
    record = _record(one["releases"], tag, digest)
    since = _since(one["service"])
    text = tag or "an image that cannot be read"
    if since:
        text += f"  since {_clock(since, now)}"
    yield _row("deployed", text)
    if record:
        commit = f"commit {record['commit'][:7]}  " if record.get("commit") else ""
        yield _more(f"{commit}{(digest or record.get('digest') or '')[:19]}  by {_who(record)}")
    else:
        yield _more(f"{digest[:19]}  by whom is not recorded".strip())
    if stack["url"]:
        yield _more(stack["url"])
    if not stack["status"].endswith("_COMPLETE") or "ROLLBACK" in stack["status"]:
        yield _more(f"stack {one['stack_name']}: {stack['status']}", "warn")
    yield from _releases(one, record, now)


def _releases(one: Mapping[str, Any], record: Mapping[str, Any] | None, now: datetime) -> Iterator[Line]:
    """The release that runs now, and a newer one that failed."""
    running, releases = one["running"], one["releases"]
    if running and not _problem(running):
        since = _clock(_time(running["started"]), now)
        yield _row("release", f"a {running.get('kind', 'release')} runs since {since} by {_who(running)}", "warn")
        if running.get("build_url"):
            yield _more(running["build_url"])
    if problem := _problem(releases):
        yield _row("ledger", problem, "warn")
    elif releases and releases[0].get("verdict") != COMPLETED and releases[0] is not record:
        newest = releases[0]
        yield _row("last", f"{newest['verdict'].replace('_', ' ')} {_clock(_time(newest['started']), now)}: "
                           f"{newest.get('cause') or newest.get('message') or newest.get('tag', '')}", "bad")


def _record(releases: Any, tag: str, digest: str) -> Mapping[str, Any] | None:
    """The newest good release of what runs."""
    if not isinstance(releases, list):
        return None
    return next((r for r in releases if r.get("verdict") == COMPLETED and r.get("tag") == tag
                 and (not digest or r.get("digest") in ("", None, digest))), None)


def _parts(image: Any) -> tuple[str, str]:
    """(tag, digest) of host/name:tag@sha256:...; '' for what it does not have."""
    if not isinstance(image, str):
        return "", ""
    name, _, digest = image.partition("@")
    last = name.rpartition("/")[2]
    return last.partition(":")[2], digest


def _since(service: Any) -> datetime | None:
    if not service or _problem(service):
        return None
    primary = [d for d in service.get("deployments", []) if d.get("status") == "PRIMARY"]
    return primary[0].get("createdAt") if primary else None


# -- the service's health --------------------------------------------------------------------------------------------

def _service(one: Mapping[str, Any], _now: datetime) -> Iterator[Line]:
    service = one["service"]
    if not one["stack"] or _problem(one["stack"]):
        return
    if not service or _problem(service) or service.get("status") == "INACTIVE":
        yield _row("service", _problem(service) or "there is none in the stack's cluster", "bad")
        return
    running, desired = service.get("runningCount", 0), service.get("desiredCount", 0)
    # A failed one is still listed when nothing of it is left.
    deployments = [d for d in service.get("deployments", [])
                   if d.get("status") == "PRIMARY" or d.get("runningCount") or d.get("desiredCount")]
    state = next((d.get("rolloutState") for d in deployments if d.get("status") == "PRIMARY"), "") or ""
    steady = len(deployments) == 1 and running == desired and state in ("COMPLETED", "")
    word = "steady" if steady else {"IN_PROGRESS": "rolling out", "FAILED": "rollout failed"}.get(state, "not steady")
    text = f"{word}: {running} of {desired} tasks running"
    tone = "good" if steady else "bad" if state == "FAILED" or not running else "warn"
    targets = one["targets"]
    if isinstance(targets, dict) and targets and not _problem(targets):
        healthy, total = targets.get("healthy", 0), sum(n for s, n in targets.items() if s != "draining")
        text += f", {healthy} of {total} targets healthy"
        tone = "bad" if not healthy else tone if healthy == total else "warn"
    yield _row("service", text, tone)


# -- the pipeline ----------------------------------------------------------------------------------------------------

def _pipeline(one: Mapping[str, Any], now: datetime) -> Iterator[Line]:
    pipeline = one["pipeline"]
    if pipeline is None:
        yield _row("pipeline", "none")
        return
    if problem := _problem(pipeline):
        yield _row("pipeline", problem, "warn")
        return
    newest = pipeline["execution"] or {}
    revision = (newest.get("sourceRevisions") or [{}])[0]
    commit = f"{str(revision.get('revisionId', ''))[:7]} {_first(revision.get('revisionSummary', ''))}".strip()
    yield _row("pipeline", f"{pipeline['name']}  {commit or 'no commit yet'}")
    for stage in pipeline["stages"]:
        yield from _stage(stage, str(newest.get("pipelineExecutionId", "")), now)


def _stage(stage: Mapping[str, Any], newest: str, now: datetime) -> Iterator[Line]:
    execution = stage.get("latestExecution")
    if not execution:
        yield _more(f"--    {stage['stageName']:<11} not reached yet")
        return
    status = execution["status"]
    mark, tone = _MARKS.get(status, ("?", "warn"))
    actions = [(action["actionName"], action["latestExecution"]) for action in stage.get("actionStates", [])
               if action.get("latestExecution")]
    times = [e["lastStatusChange"] for _, e in actions if e.get("lastStatusChange")]
    going = [(name, e) for name, e in actions if e["status"] == "InProgress"] if status == "InProgress" else []
    # Only a manual approval has a token, with which it is answered.
    waits = any(e.get("token") for _, e in going)
    text = f"{mark:<5} {stage['stageName']:<11} {'approve it' if waits else _WORDS.get(status, status.lower()):<11}"
    if times:
        text += f" {_clock(max(times), now)}"
    if going and not waits:
        text += f"  {', '.join(name for name, _ in going)}"
    tone = "warn" if waits else tone
    if execution["pipelineExecutionId"] != newest:
        text += "  (earlier)"
    yield _more(text, tone)
    for name, e in actions:
        if e["status"] == "Failed":
            why = (e.get("errorDetails") or {}).get("message") or e.get("summary") or ""
            yield _more(f"      {name}: {_first(why)}", "bad")
            if e.get("externalExecutionUrl"):
                yield _more(f"      {e['externalExecutionUrl']}", "bad")
    if not (stage.get("inboundTransitionState") or {"enabled": True}).get("enabled", True):
        yield _more(f"      closed: {stage['inboundTransitionState'].get('disabledReason', '')}", "warn")


# -- Jenkins ---------------------------------------------------------------------------------------------------------

def _jenkins(jenkins: Mapping[str, Any] | None) -> Iterator[Line]:
    """jenkins: host, reachable, status (of its answer; 0 for none), version, problem."""
    if not jenkins:
        yield "Jenkins     none in this inventory", "info"
        return
    host = f" on {jenkins['host']}" if jenkins.get("host") else ""
    if not jenkins.get("host"):
        yield f"Jenkins     not there: {jenkins.get('problem') or 'its stack has no host'}", "warn"
    elif not jenkins.get("reachable"):
        yield f"Jenkins     its host {jenkins['host']} does not answer: {_first(jenkins.get('problem', ''))}", "bad"
    elif jenkins.get("status") == 200:
        what = f"version {jenkins['version']}" if jenkins.get("version") else "it"
        yield f"Jenkins     healthy: {what} answers{host}", "good"
    elif jenkins.get("status") == 503:
        yield f"Jenkins     is starting{host}", "warn"
    else:
        yield f"Jenkins     does not answer{host}: {_first(jenkins.get('problem', '')) or jenkins.get('status')}", "bad"


# -- words -----------------------------------------------------------------------------------------------------------

def _problem(part: Any) -> str:
    return str(part["problem"]) if isinstance(part, Mapping) and "problem" in part else ""


def _who(record: Mapping[str, Any]) -> str:
    return " on ".join(str(record[key]) for key in ("user", "host") if record.get(key)) or "somebody"


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _clock(moment: datetime, now: datetime) -> str:
    """'15:49:10 (2 min ago)'; with the date where it is not of this day."""
    there, here = moment.astimezone(UTC), now.astimezone(UTC)
    shown = f"{there:%H:%M:%S}" if there.date() == here.date() else f"{there:%Y-%m-%d %H:%M}"
    return f"{shown} ({ago((here - there).total_seconds())})"


def ago(seconds: float) -> str:
    """'now', '40 s ago', '2 min ago', '3 h ago', '5 days ago'."""
    if seconds < 1:
        return "now"
    for limit, size, word in ((60, 1, "s"), (3600, 60, "min"), (48 * 3600, 3600, "h")):
        if seconds < limit:
            return f"{int(seconds // size)} {word} ago"
    return f"{int(seconds // 86400)} days ago"


def _first(text: str) -> str:
    return str(text).strip().splitlines()[0] if str(text).strip() else ""


def _cut(text: str, width: int) -> str:
    """At most `width` columns, but for a link, of which a part is of no use."""
    if len(text) <= width or "://" in text.split()[-1]:
        return text
    return text[:width - 3].rstrip() + "..."
