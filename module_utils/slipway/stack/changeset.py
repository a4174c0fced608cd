"""What a change set would do, for people and for checks. Pure: reads what DescribeChangeSet gave."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from ..changes import UNKNOWN, Change, Changes
from ..errors import SlipwayError
from .conditions import evaluate
from .differences import context, differences, first_names, masked, of_target
from .template import Template, resolved

_EMPTY = ("didn't contain changes", "did not contain changes", "no updates are to be performed",
          "there are no changes", "contains no changes")
_VERBS = {"Add": "added", "Remove": "removed", "Modify": "modified", "Import": "imported", "Dynamic": "may change",
          "SyncWithActual": "recorded as it is"}


@dataclass(frozen=True)
class ResourceChange:
    """One resource of a change set. logical: with the path of nested stacks before it, as in `Web/Service`.

    action: Add, Modify, Remove, Import, Dynamic. replacement: True, False or Conditional ('' where it does not apply).
    """

    logical: str
    type: str
    action: str
    replacement: str = ""
    physical: str | None = None
    policy: str = ""
    properties: tuple[Change, ...] = ()

    @property
    def what(self) -> str:
        """What becomes of it, in a word or two."""
        if self.action == "Modify" and self.replacement == "True":
            return "replaced"
        if self.action == "Modify" and self.replacement == "Conditional":
            return "modified, perhaps replaced"
        if self.action == "Remove" and self.policy in ("Retain", "Snapshot"):
            return "left out of the stack, but kept" if self.policy == "Retain" else "removed after a snapshot"
        return _VERBS.get(self.action, self.action.lower())

    @property
    def destroys(self) -> bool:
        """Whether the present resource may be gone afterwards."""
        return self.replacement in ("True", "Conditional") or (self.action == "Remove" and self.policy != "Retain")

    def as_result(self) -> dict[str, Any]:
        """For the module's return value."""
        return {"logical_resource_id": self.logical, "resource_type": self.type, "action": self.action,
                "replacement": self.replacement or None, "physical_resource_id": self.physical,
                "policy_action": self.policy or None,
                "properties": [{"path": c.subject, "before": c.before, "after": c.after} for c in self.properties]}


@dataclass(frozen=True)
class Side:
    """One side of a difference where the change set brings no values: a template and its parameter values."""

    template: Template | None = None
    values: dict[str, str] = field(default_factory=dict)

    def properties(self, logical: str) -> Any:
        if not self.template:
            return {}
        conditions = self.template.document.get("Conditions") or {}
        properties = self.template.resources.get(logical, {}).get("Properties") or {}
        return resolved(properties, self.values, evaluate(conditions, self.values))


def is_empty(change_set: dict[str, Any]) -> bool:
    """Whether a FAILED change set failed because nothing changes; AWS has several wordings."""
    reason = str(change_set.get("StatusReason", "")).lower()
    return change_set.get("Status") == "FAILED" and any(words in reason for words in _EMPTY)


def read(change_set: dict[str, Any], before: Side, after: Side, secrets: Iterable[str] = (),
         path: str = "") -> list[ResourceChange]:
    """The Changes of a DescribeChangeSet answer.

    before, after: the templates, for services that leave the property values out. secrets: values never to be shown.
    path: logical id of the nested stack, with its slash.
    """
    found = []
    for change in change_set.get("Changes", []):
        rc = change.get("ResourceChange")
        if not rc:
            continue
        found.append(ResourceChange(
            logical=path + rc.get("LogicalResourceId", ""),
            type=rc.get("ResourceType", ""),
            action=rc.get("Action", ""),
            replacement=rc.get("Replacement", "") if rc.get("Action") == "Modify" else "",
            physical=rc.get("PhysicalResourceId") or None,
            policy=rc.get("PolicyAction", ""),
            properties=tuple(_properties(rc, before, after, frozenset(secrets))),
        ))
    return found


def from_template(template: Template, values: dict[str, str], secrets: Iterable[str] = ()) -> list[ResourceChange]:
    """All resources of a template as additions: the plan where AWS cannot be asked yet."""
    side = Side(template, values)
    hidden = frozenset(secrets)
    return [ResourceChange(logical, str(resource.get("Type", "")), "Add",
                           properties=tuple(differences({}, side.properties(logical), hidden)))
            for logical, resource in template.resources.items()]


def describe(stack: str, resources: list[ResourceChange], changes: Changes) -> Changes:
    """Add each resource and its properties to `changes`."""
    for r in resources:
        subject = f"{r.logical} ({r.type})"
        if r.action in ("Add", "Import"):
            changes.add(subject, None, r.what)
        else:
            changes.add(subject, r.physical or "exists", r.what)
        for c in r.properties:
            changes.add(f"{r.logical}.{c.subject}", c.before, c.after)
    return changes


def summary(stack: str, resources: list[ResourceChange], others: int = 0) -> str:
    """One line: `slipway-web: 1 to replace, 2 to add`. others: how many differences are not of a resource."""
    counts = {"to replace": 0, "to modify": 0, "to add": 0, "to remove": 0, "to import": 0}
    for r in resources:
        if r.replacement == "True":
            counts["to replace"] += 1
        elif r.action == "Add":
            counts["to add"] += 1
        elif r.action == "Remove":
            counts["to remove"] += 1
        elif r.action == "Import":
            counts["to import"] += 1
        else:
            counts["to modify"] += 1
    parts = [f"{n} {what}" for what, n in counts.items() if n]
    if not parts:
        return f"{stack}: {'tags, outputs or settings change' if others else 'nothing changes'}"
    return f"{stack}: {', '.join(parts)}"


def refuse_destruction(resources: list[ResourceChange], allow_replacement: list[str], protected: list[str]) -> None:
    """Raise SlipwayError where a resource would or may be replaced or removed against the task's options.

    Both lists hold logical ids and types, with wildcards; `all` in allow_replacement is everything.
    """
    faults = []
    for r in resources:
        if protected and r.destroys and _listed(r, protected):
            faults.append(f"{r.logical} ({r.type}) would be {r.what}, but it is protected")
        elif (r.replacement in ("True", "Conditional") and "all" not in allow_replacement
              and not _listed(r, allow_replacement)):
            faults.append(f"{r.logical} ({r.type}) would be {r.what}, which allow_replacement does not allow")
    if faults:
        raise SlipwayError(f"Refused before anything was touched: {'; '.join(faults)}.",
                           "Change the template back, or name the resource in the task's options.")


def _listed(r: ResourceChange, patterns: list[str]) -> bool:
    own = r.logical.rsplit("/", 1)[-1]
    return any(fnmatchcase(r.type, p) or fnmatchcase(own, p) or fnmatchcase(r.logical, p) for p in patterns)


def _properties(rc: dict[str, Any], before: Side, after: Side, secrets: frozenset[str]) -> list[Change]:
    targets = [d.get("Target", {}) for d in rc.get("Details", [])]
    if rc.get("BeforeContext") or rc.get("AfterContext"):
        old, new = context(rc.get("BeforeContext")), context(rc.get("AfterContext"))
        seen = list(differences(old, new, secrets))
        return seen + list(masked(targets, old, new, first_names(seen)))
    if any("BeforeValue" in t or "AfterValue" in t for t in targets):
        return list({c.subject: c for c in (of_target(t, secrets) for t in targets)}.values())
    logical = rc.get("LogicalResourceId", "")
    if rc.get("Action") == "Remove":
        return []
    old = {} if rc.get("Action") in ("Add", "Import") else before.properties(logical)
    seen = list(differences(old, after.properties(logical), secrets))
    named = first_names(seen)
    for detail in rc.get("Details", []):
        target = detail.get("Target", {})
        name = target.get("Name") or target.get("Attribute") or ""
        if name and name not in named:
            named.add(name)
            cause = detail.get("CausingEntity")
            seen.append(Change(name, "(present value)", f"(follows {cause})" if cause else UNKNOWN))
    return seen
