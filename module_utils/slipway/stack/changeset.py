"""What a change set would do, for people and for checks. Pure: reads what DescribeChangeSet gave."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from ..changes import HIDDEN, UNKNOWN, Change, Changes
from ..errors import SlipwayError
from .conditions import evaluate
from .template import Template, resolved

_EMPTY = ("didn't contain changes", "did not contain changes", "no updates are to be performed",
          "there are no changes", "contains no changes")
_SECRET_NAME = re.compile(r"(?i)pass(word|wd|phrase)|secret|(?<!next)token|api[_-]?key|private[_-]?key|credential")
_AWS_UNKNOWN = "{{changeSet:KNOWN_AFTER_APPLY}}"
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
                           properties=tuple(_differences({}, side.properties(logical), hidden)))
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


def is_secret(path: str) -> bool:
    """Whether a property of this path is likely to hold a secret."""
    return _SECRET_NAME.search(path) is not None


def _listed(r: ResourceChange, patterns: list[str]) -> bool:
    own = r.logical.rsplit("/", 1)[-1]
    return any(fnmatchcase(r.type, p) or fnmatchcase(own, p) or fnmatchcase(r.logical, p) for p in patterns)


def _properties(rc: dict[str, Any], before: Side, after: Side, secrets: frozenset[str]) -> list[Change]:
    if rc.get("BeforeContext") or rc.get("AfterContext"):
        return list(_differences(_context(rc.get("BeforeContext")), _context(rc.get("AfterContext")), secrets))
    targets = [d.get("Target", {}) for d in rc.get("Details", [])]
    if any("BeforeValue" in t or "AfterValue" in t for t in targets):
        found: dict[str, Change] = {}
        for t in targets:
            name = (t.get("Path") or t.get("Name") or t.get("Attribute") or "").strip("/").replace("/", ".")
            name = name.removeprefix("Properties.")
            found[name] = Change(name, _shown(name, t.get("BeforeValue"), secrets),
                                 _shown(name, t.get("AfterValue"), secrets))
        return list(found.values())
    logical = rc.get("LogicalResourceId", "")
    if rc.get("Action") == "Remove":
        return []
    old = {} if rc.get("Action") in ("Add", "Import") else before.properties(logical)
    seen = list(_differences(old, after.properties(logical), secrets))
    named = {re.split(r"[.\[]", c.subject, maxsplit=1)[0] for c in seen}
    for detail in rc.get("Details", []):
        target = detail.get("Target", {})
        name = target.get("Name") or target.get("Attribute") or ""
        if name and name not in named:
            named.add(name)
            cause = detail.get("CausingEntity")
            seen.append(Change(name, "(present value)", f"(follows {cause})" if cause else UNKNOWN))
    return seen


def _context(text: str | None) -> Any:
    try:
        context = json.loads(text or "{}")
    except ValueError:
        return {}
    if isinstance(context, dict) and isinstance(context.get("Properties"), dict):
        return {**context["Properties"], **{k: v for k, v in context.items() if k != "Properties"}}
    return context


def _differences(old: Any, new: Any, secrets: frozenset[str]) -> Iterator[Change]:
    before, after = dict(_leaves(old)), dict(_leaves(new))
    for path in [*before, *(p for p in after if p not in before)]:
        one, other = before.get(path), after.get(path)
        if one != other:
            shown, now = _shown(path, one, secrets), _shown(path, other, secrets)
            # Both hidden, yet different: say so, or the difference would vanish.
            yield Change(path, shown, f"{HIDDEN}, changed" if shown == now == HIDDEN else now)


def _leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict) and value and not _is_intrinsic(value):
        for key, inner in value.items():
            yield from _leaves(inner, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list) and any(isinstance(v, (dict, list)) for v in value):
        named = _name_key(value)
        for number, inner in enumerate(value):
            if named:
                rest = {k: v for k, v in inner.items() if k != named}
                yield from _leaves(rest, f"{path}[{inner[named]}]")
            else:
                yield from _leaves(inner, f"{path}[{number}]")
    elif value not in ({}, []):
        yield path, _plain(value)


def _name_key(items: list[Any]) -> str:
    """The key by which the items have names of their own, '' if none: an inserted one then moves no other."""
    for key in ("Name", "Key", "Id", "Sid"):
        names = [i.get(key) for i in items if isinstance(i, dict) and len(i) > 1]
        if all(isinstance(n, str) for n in names) and len(names) == len(items) == len(set(names)):
            return key
    return ""


def _is_intrinsic(value: dict[str, Any]) -> bool:
    return len(value) == 1 and next(iter(value)).startswith(("Fn::", "Ref"))


def _plain(value: Any) -> Any:
    if value == _AWS_UNKNOWN:
        return UNKNOWN
    if isinstance(value, dict) and _is_intrinsic(value):
        (key, inner), = value.items()
        name = key.removeprefix("Fn::")
        if key == "Fn::GetAtt" and isinstance(inner, list):
            inner = ".".join(str(i) for i in inner)
        return f"!{name} {inner if isinstance(inner, str) else json.dumps(inner, sort_keys=True, default=str)}"
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, (int, float)) else value


def _shown(path: str, value: Any, secrets: frozenset[str]) -> Any:
    if value is None or value == UNKNOWN:
        return value
    if is_secret(path):
        return HIDDEN
    text = value if isinstance(value, str) else json.dumps(value, default=str)
    if any(s == text or len(s) > 2 and s in text for s in secrets):
        return HIDDEN
    return value
