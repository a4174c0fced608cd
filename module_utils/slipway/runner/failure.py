"""Why a release failed, as CodePipeline shows it: a type and a text that begins with the cause. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

JOB_FAILED, CONFIGURATION, PERMISSION = "JobFailed", "ConfigurationError", "PermissionError"
LIMIT = 5000
HIDDEN = "(hidden)"

#: Who checks values before anything is touched.
_CHECKERS = frozenset({"ecs_preflight", "cfn_preflight", "assert", "validate_argument_spec"})
#: What a missing permission and unusable credentials are called, by AWS or by ourselves.
_DENIED = re.compile(r"AccessDenied|UnauthorizedOperation|AuthorizationError|is not authorized to|"
                     r"in the policy of the identity|credentials have expired|does not accept these credentials|"
                     r"No AWS credentials|sign-on has expired")
_TERMINAL = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|[\x00-\x08\x0b-\x1f\x7f]")
_SECRET_NAME = re.compile(r"secret|passw|token|credential|private_?key|webhook", re.IGNORECASE)
_ACCESS_KEY = re.compile(r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b")
_TAIL_LINES = 8
_SHORTEST_SECRET = 6


@dataclass(frozen=True)
class Failure:
    """kind: a FailureType of CodePipeline's; text: the cause first, then what to do next."""

    kind: str
    text: str


def of_release(record: Mapping[str, Any], failed: Iterable[Mapping[str, Any]], tail: str, code: int) -> Failure:
    """What went wrong, from the best witness there is.

    record: the release's record, {} where it wrote none; failed: the tasks that ended the run, as the runner's callback
    `cause` writes them (task, action, message, remedy); tail: the last that was printed; code: the exit code.
    """
    tasks = list(failed)
    kinds = {_kind(str(task.get("action", "")), _said(task)) for task in tasks}
    # "aborted" without a task is a run that ended between two of them; with one, the task knows better.
    witnesses = (None, "", "completed", "running", *(("aborted",) if tasks else ()))
    if record.get("verdict") not in witnesses and _said(record):
        kind = CONFIGURATION if record["verdict"] == "refused" else JOB_FAILED
        return Failure(PERMISSION if _DENIED.search(_said(record)) else kind, _told(record))
    if tasks:
        kind = next((one for one in (PERMISSION, CONFIGURATION) if one in kinds), JOB_FAILED)
        return Failure(kind, "\n".join(dict.fromkeys(_told(task) for task in tasks)))
    lines = [line.rstrip() for line in _plain(tail).splitlines() if line.strip()][-_TAIL_LINES:]
    said = "\n".join([f"The release ended with exit code {code} and gave no reason. The last that it printed:", *lines]
                     if lines else [f"The release ended with exit code {code} and printed nothing."])
    return Failure(PERMISSION if _DENIED.search(said) else JOB_FAILED, said)


def message(failure: Failure, link: str, secrets: Iterable[str] = ()) -> str:
    """The text for CodePipeline: without control characters and secrets, with the build's address as its last line."""
    text = _ACCESS_KEY.sub(HIDDEN, _plain(failure.text).strip())
    for secret in sorted(set(secrets), key=len, reverse=True):
        text = text.replace(secret, HIDDEN)
    end = f"\nThe build: {link}" if link else ""
    room = LIMIT - len(end)
    return (text if len(text) <= room else f"{text[:room - 3]}...") + end


def secrets_of(*sources: Mapping[str, Any]) -> set[str]:
    """Values, at any depth, of names that speak of secrets."""
    found: set[str] = set()

    def look(value: Any, secret: bool) -> None:
        if isinstance(value, Mapping):
            for name, inner in value.items():
                look(inner, secret or bool(_SECRET_NAME.search(str(name))))
        elif isinstance(value, list):
            for inner in value:
                look(inner, secret)
        elif secret and isinstance(value, str) and len(value) >= _SHORTEST_SECRET:
            found.add(value)

    for source in sources:
        look(source, False)
    return found


def _kind(action: str, said: str) -> str:
    if _DENIED.search(said):
        return PERMISSION
    return CONFIGURATION if action.rpartition(".")[2] in _CHECKERS else JOB_FAILED


def _said(witness: Mapping[str, Any]) -> str:
    return "\n".join(str(witness.get(name) or "") for name in ("cause", "message", "remedy")).strip()


def _told(witness: Mapping[str, Any]) -> str:
    """Cause, message and remedy, each of them once."""
    parts: list[str] = []
    for name in ("cause", "message", "remedy"):
        part = str(witness.get(name) or "").strip()
        if not part or any(_flat(part) in _flat(other) for other in parts):
            continue
        if parts and _flat(part).startswith(_flat(parts[-1])):
            parts.pop()
        parts.append(part)
    return "\n".join(parts)


def _flat(text: str) -> str:
    return " ".join(text.split())


def _plain(text: str) -> str:
    return _TERMINAL.sub("", text.replace("\r\n", "\n"))
