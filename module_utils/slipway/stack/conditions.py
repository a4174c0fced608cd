"""A template's conditions, as far as the values of its parameters tell: for showing, not for deciding. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..changes import UNKNOWN


def evaluate(conditions: Mapping[str, Any], values: Mapping[str, str]) -> dict[str, bool]:
    """Each condition that `values` (parameters by name) decide; one that rests on anything else is left out."""
    return {name: outcome for name, body in conditions.items()
            if (outcome := _truth(body, conditions, values)) is not None}


def _truth(body: Any, conditions: Mapping[str, Any], values: Mapping[str, str]) -> bool | None:
    if not isinstance(body, Mapping) or len(body) != 1:
        return None
    (function, parts), = body.items()
    if function == "Condition":
        return _truth(conditions.get(parts), conditions, values)
    if function == "Fn::Equals":
        one, other = (_text(part, values) for part in parts)
        return None if one is None or other is None else one == other
    inner = [_truth(part, conditions, values) for part in parts] if isinstance(parts, list) else []
    if function == "Fn::Not" and inner:
        return None if inner[0] is None else not inner[0]
    if function == "Fn::And" and inner:
        return None if None in inner else all(inner)
    if function == "Fn::Or" and inner:
        return None if None in inner else any(inner)
    return None


def _text(part: Any, values: Mapping[str, str]) -> str | None:
    if isinstance(part, Mapping):
        found = values.get(str(part["Ref"])) if set(part) == {"Ref"} else None
        return None if found is None or UNKNOWN in found else found
    if isinstance(part, bool):
        return "true" if part else "false"
    return str(part) if isinstance(part, (str, int, float)) else None
