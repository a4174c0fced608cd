"""What a look before the release found: faults that stop it, warnings that do not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import InvalidInput


@dataclass(frozen=True)
class Finding:
    """subject: a stable key (stack, role, secret, log_group, percents,
    capacity, lock, repository). message: what is the matter;
    remedy: what to do, '' where nothing has to be done. fatal: whether the release could only fail."""

    subject: str
    message: str
    remedy: str = ""
    fatal: bool = True

    def __str__(self) -> str:
        return f"{self.message} {self.remedy}".strip()

    def as_dict(self) -> dict[str, Any]:
        """For a module's result."""
        return {"subject": self.subject, "message": self.message, "remedy": self.remedy, "fatal": self.fatal}


def refuse(findings: Sequence[Finding]) -> None:
    """Raise InvalidInput that names every fatal finding with its remedy; nothing where there is none."""
    fatal = [finding for finding in findings if finding.fatal]
    details: dict[str, Any] = {"findings": [finding.as_dict() for finding in findings]}
    if len(fatal) == 1:
        raise InvalidInput(fatal[0].message, fatal[0].remedy, **details)
    if fatal:
        raise InvalidInput("\n".join([f"{len(fatal)} things stand in the way of this release:",
                                      *(f"- {finding}" for finding in fatal)]), **details)
