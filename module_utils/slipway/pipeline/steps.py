"""What the actions of one execution did, as a person wants to read it. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

#: Status of CodePipeline -> tone of a line, words.
_TONES = {"Succeeded": ("good", "succeeded"), "Failed": ("bad", "failed"), "Abandoned": ("warn", "abandoned"),
          "InProgress": ("info", "in progress")}


#: All that Jenkins' plugin says of a build that failed before our own step began.
PLUGINS_WORDS = frozenset({"Build failed", "Tests failed", "Failed"})


@dataclass(frozen=True)
class Step:
    """One action. status: CodePipeline's. seconds: how long it took, or takes so far. summary, url: what it says of
    itself, '' for nothing. cause: why it failed, '' otherwise. approval: whether it waits for a person."""

    stage: str
    action: str
    status: str
    seconds: float
    summary: str = ""
    url: str = ""
    cause: str = ""
    code: str = ""
    approval: bool = False
    variables: Mapping[str, str] | None = None

    @property
    def name(self) -> str:
        return self.stage if self.stage == self.action else f"{self.stage}/{self.action}"

    def line(self) -> tuple[str, str]:
        """(text, tone) as Progress.say takes them."""
        tone, words = _TONES.get(self.status, ("info", self.status))
        if self.approval and self.status == "InProgress":
            return f"{self.name:<18} waits for an approval", "warn"
        text = f"{self.name:<18} {words}"
        if self.status != "InProgress":
            text += f" after {self.seconds:.1f} s"
        told = self.cause.splitlines()[0] if self.cause else first_line(self.summary)
        return f"{text}{': ' if told else ''}{told}", tone

    def as_dict(self) -> dict[str, Any]:
        return {"stage": self.stage, "action": self.action, "status": self.status, "seconds": self.seconds,
                "summary": self.summary, "url": self.url or None, "cause": self.cause or None}


def read(details: Iterable[Mapping[str, Any]]) -> list[Step]:
    """ActionExecutionDetails as steps, in the order in which they began; of a retried action only the last try."""
    found: dict[tuple[str, str], Step] = {}
    for detail in sorted(details, key=lambda one: one["startTime"]):
        output = detail.get("output") or {}
        result = output.get("executionResult") or {}
        error = result.get("errorDetails") or {}
        summary = str(result.get("externalExecutionSummary") or "")
        failed = detail["status"] == "Failed"
        kind = (detail.get("input") or {}).get("actionTypeId") or {}
        step = Step(detail["stageName"], detail["actionName"], detail["status"],
                    max(0.0, round((detail.get("lastUpdateTime", detail["startTime"])
                                    - detail["startTime"]).total_seconds(), 1)),
                    summary, str(result.get("externalExecutionUrl") or ""),
                    (str(error.get("message") or "") or summary or "AWS gives no reason") if failed else "",
                    str(error.get("code") or ""), kind.get("category") == "Approval",
                    dict(output.get("outputVariables") or {}))
        found.pop((step.stage, step.action), None)
        found[step.stage, step.action] = step
    return list(found.values())


def revision(steps: Iterable[Step]) -> tuple[str, str]:
    """(commit, message) of the source action; '' for what it does not say."""
    for step in steps:
        if step.variables and "CommitId" in step.variables:
            return step.variables["CommitId"], step.variables.get("CommitMessage", "").strip()
    return "", ""


def witness(steps: Iterable[Step]) -> Step | None:
    """The failed step that tells most of what went wrong: of several the first that says more than "Build failed"."""
    failed = [step for step in steps if step.status == "Failed"]
    return next((step for step in failed if step.cause.strip() not in PLUGINS_WORDS), failed[0] if failed else None)


def only_approvals(steps: Iterable[Step]) -> bool:
    """Whether nothing goes on but the wait for a person."""
    running = [step for step in steps if step.status == "InProgress"]
    return bool(running) and all(step.approval for step in running)


def first_line(text: str) -> str:
    return text.strip().splitlines()[0] if text.strip() else ""
