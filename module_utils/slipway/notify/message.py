"""The message about a release, made from its record (ledger/record.py). Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

SUCCESS, FAILURE, ROLLBACK, ABORT = "success", "failure", "rollback", "abort"
KINDS = (SUCCESS, FAILURE, ROLLBACK, ABORT)
_COLOURS = {SUCCESS: "good", ROLLBACK: "warning", ABORT: "warning", FAILURE: "danger"}
_SUBJECT, _TEXT = 100, 3000


@dataclass(frozen=True)
class Message:
    """kind: one of KINDS. title: one line. lines: what else there is to know. links: text by address."""

    kind: str
    title: str
    lines: tuple[str, ...] = ()
    links: tuple[tuple[str, str], ...] = ()

    def subject(self) -> str:
        """For SNS: ASCII on one line, 100 characters at most."""
        text = " ".join(self.title.split()).encode("ascii", "replace").decode()
        return text if len(text) <= _SUBJECT else f"{text[:_SUBJECT - 3]}..."

    def plain(self) -> str:
        return "\n".join([self.title, *self.lines, *(f"{text}: {address}" for address, text in self.links)])

    def slack(self) -> dict[str, Any]:
        """The body of an incoming webhook as Slack defines it, which Mattermost, Rocket.Chat and others take too."""
        links = [f"<{address}|{_escaped(text)}>" for address, text in self.links]
        details = "\n".join([*map(_escaped, self.lines), *([" · ".join(links)] if links else [])])
        attachment = {"color": _COLOURS[self.kind], "fallback": _escaped(self.title), "text": details}
        return {"text": _escaped(self.title), **({"attachments": [attachment]} if details else {})}


def kind_of(record: Mapping[str, Any]) -> str:
    verdict = record.get("verdict")
    if verdict == "completed":
        return ROLLBACK if record.get("kind") == "rollback" else SUCCESS
    # One that another release asked to stop did not fail.
    return ABORT if verdict == "aborted" or record.get("superseded_by") else FAILURE


def of(record: Mapping[str, Any]) -> Message:
    kind = kind_of(record)
    links = [(str(record.get(key) or ""), text) for key, text in (("url", "application"), ("build_url", "build"))]
    return Message(kind, _title(record, kind), tuple(_short(line) for line in _lines(record, kind)),
                   tuple((address, text) for address, text in links
                         if address.startswith(("https://", "http://")) and not set(address) & set("<>|\n ")))


def _title(record: Mapping[str, Any], kind: str) -> str:
    service, tag = record.get("service") or "?", record.get("tag") or ""
    before = (record.get("from") or {}).get("tag") or ""
    took = f" in {record['seconds']:g} s" if record.get("seconds") else ""
    if kind == SUCCESS:
        return f"{service}: {tag} is released{took}"
    if kind == ROLLBACK:
        return f"{service}: taken back to {tag}{f' from {before}' if before else ''}{took}"
    what = "rollback" if record.get("kind") == "rollback" else "release"
    of_tag = f" of {tag}" if tag else ""
    if kind == ABORT:
        return f"{service}: the {what}{of_tag} was aborted"
    verdict = str(record.get("verdict") or "failed").replace("_", " ")
    return f"{service}: the {what}{of_tag} failed ({verdict})" if verdict != "failed" else (
        f"{service}: the {what}{of_tag} failed")


def _lines(record: Mapping[str, Any], kind: str) -> Iterator[str]:
    if kind in (FAILURE, ABORT):
        for key in ("cause", "remedy"):
            if record.get(key):
                yield str(record[key])
    if record.get("commit"):
        yield f"commit {str(record['commit'])[:12]}"
    if kind in (SUCCESS, ROLLBACK) and record.get("digest"):
        yield f"image {record['digest']}"
    by = " on ".join(str(record[key]) for key in ("user", "host") if record.get(key))
    if by:
        yield f"by {by}"


def _short(text: str) -> str:
    return text if len(text) <= _TEXT else f"{text[:_TEXT - 3]}..."


def _escaped(text: str) -> str:
    """A cause could quote a log line; to Slack these three characters mean links and mentions."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
