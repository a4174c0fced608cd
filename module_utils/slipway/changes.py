"""The difference is an object: `changed` and `--diff` come from the same list."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

HIDDEN = "(hidden)"
#: Stands for a value that only AWS can give, once the plan is carried out.
UNKNOWN = "(known after apply)"


@dataclass(frozen=True)
class Change:
    """One thing that differs: where (`subject`), and its value before and after; None is absent."""

    subject: str
    before: Any
    after: Any


@dataclass
class Changes:
    """What a plan would do to one resource, in order."""

    header: str
    items: list[Change] = field(default_factory=list)

    def add(self, subject: str, before: Any, after: Any) -> None:
        """Record a difference; equal values are none."""
        if before != after:
            self.items.append(Change(subject, before, after))

    @property
    def changed(self) -> bool:
        return bool(self.items)

    def diff(self) -> dict[str, str]:
        """Ansible's diff: texts with one line a subject."""
        return {
            "before_header": self.header,
            "after_header": self.header,
            "before": "".join(_line(c.subject, c.before) for c in self.items if c.before is not None),
            "after": "".join(_line(c.subject, c.after) for c in self.items if c.after is not None),
        }


def _line(subject: str, value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, sort_keys=True, default=str)
    return f"{subject}: {text}\n"
