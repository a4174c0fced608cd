"""Property values in a change set of the embedded AWS, before and after, as DescribeChangeSet gives them when asked.

Imported by extension.py, and like it a file that touches MiniStack's inside. As on AWS, what only the change itself
will tell has a mark in its place, and the values of NoEcho parameters are masked.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from typing import Any

from ministack.services import cloudformation as cfn
from ministack.services.cloudformation import changesets, engine
from ministack.services.cloudformation.helpers import _esc, _p

Json = dict[str, Any]

UNKNOWN = "{{changeSet:KNOWN_AFTER_APPLY}}"
MASK = "****"
_END = "</ResourceChange>"


def describe(original: Callable[[Json], Any]) -> Callable[[Json], Any]:
    """DescribeChangeSet with IncludePropertyValues."""

    def handle(params: Json) -> Any:
        answer = original(params)
        _, change_set = changesets._find_change_set(_p(params, "ChangeSetName"), _p(params, "StackName"))
        if answer[0] != 200 or _p(params, "IncludePropertyValues", "false").lower() != "true":
            return answer
        if "_contexts" not in change_set:
            change_set["_contexts"] = _contexts(change_set)
        status, headers, body = answer
        parts = body.decode().split(_END)
        filled = [f"{part}{context}{_END}" for part, context in zip(parts, change_set["_contexts"], strict=False)]
        return status, headers, "".join([*filled, *parts[len(filled):]]).encode()

    return handle


def _contexts(change_set: Json) -> list[str]:
    """For each of its changes the XML of BeforeContext and AfterContext."""
    stack = cfn._stacks.get(change_set["StackName"]) or {}
    resources = stack.get("_resources", {})
    changes = [change["ResourceChange"] for change in change_set["Changes"]]
    made = {change["LogicalResourceId"]: _Unknown() for change in changes
            if change["Action"] in ("Add", "Import") or change.get("Replacement") == "True"}
    with changesets._stack_region_context(stack, change_set["StackId"]):
        before = _properties(stack.get("_template") or {}, stack.get("_resolved_params") or {}, resources, change_set)
        after = _properties(change_set["_template"], change_set["_resolved_params"], {**resources, **made}, change_set)
    return ["".join(_elements(change, before, after)) for change in changes]


def _elements(change: Json, before: Json, after: Json) -> Iterator[str]:
    name, action = change["LogicalResourceId"], change["Action"]
    for tag, side, there in (("BeforeContext", before, action not in ("Add", "Import")),
                             ("AfterContext", after, action != "Remove")):
        if there and name in side:
            yield f"<{tag}>{_esc(json.dumps({'Properties': side[name]}, default=str))}</{tag}>"


def _properties(template: Json, parameters: Json, resources: Json, change_set: Json) -> Json:
    """By logical id, with every intrinsic function resolved that can be."""
    masked = {name: {**one, "Value": MASK} if one.get("NoEcho") else one for name, one in parameters.items()}
    conditions = engine._evaluate_conditions(template, parameters) if template else {}
    found = {}
    for name, resource in template.get("Resources", {}).items():
        try:
            found[name] = engine._resolve_refs(
                copy.deepcopy(resource.get("Properties", {})), resources, masked, conditions,
                template.get("Mappings", {}), change_set["StackName"], change_set["StackId"])
        except (ValueError, KeyError, TypeError, IndexError, AttributeError):
            # What cannot be resolved yet, MiniStack itself compares as it is written.
            found[name] = resource.get("Properties", {})
    return found


class _Unknown(dict[str, Any]):
    """A resource that the change makes: none of its values are known."""

    def __init__(self) -> None:
        super().__init__(PhysicalResourceId=UNKNOWN, Attributes=_Anything())


class _Anything(dict[str, Any]):
    def __contains__(self, _name: object) -> bool:
        return True

    def __getitem__(self, _name: str) -> Any:
        return UNKNOWN

    def get(self, _name: str, _default: Any = None) -> Any:
        return UNKNOWN
