"""What may be shown: of a stack's properties, and of the arguments that the task was given. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Container, Mapping
from typing import Any

from ..changes import HIDDEN

_SECRET_NAME = re.compile(r"(?i)pass(word|wd|phrase)|secret|(?<!next)token|api[_-]?key|private[_-]?key|credential")
#: A list gives its entries a name and a value: {"Name": "DB_PASSWORD", "Value": "..."}.
_NAMES = frozenset({"name", "key", "optionname", "parameterkey"})
_VALUES = frozenset({"value", "optionvalue", "parametervalue"})
_PARAMETERS = ("parameters", "optional_parameters")


def is_secret(path: str) -> bool:
    """Whether a property of this name or path is likely to hold a secret."""
    return _SECRET_NAME.search(path) is not None


def secret_keys(mapping: Mapping[Any, Any]) -> set[Any]:
    """Keys of `mapping` whose values are likely to be secrets: by their own names, or by the name beside a value."""
    # The name may be no text but an intrinsic, {"Fn::Sub": "${App}_PASSWORD"}.
    named = any(str(k).lower() in _NAMES and is_secret(json.dumps(v, default=str)) for k, v in mapping.items())
    return {k for k in mapping if is_secret(str(k)) or named and str(k).lower() in _VALUES}


def concealed(value: Any) -> Any:
    """`value` with what is likely to be a secret hidden, however deep."""
    if isinstance(value, dict):
        secret = secret_keys(value)
        return {k: HIDDEN if k in secret else concealed(v) for k, v in value.items()}
    if isinstance(value, list):
        return [concealed(v) for v in value]
    return value


def shown_arguments(given: Mapping[str, Any], known: Container[str], harmless: Container[str]) -> dict[str, Any]:
    """A module's arguments for its result.

    known: names of its arguments; what has another is hidden, for it may be a parameter under a mistyped name.
    harmless: names of stack parameters that may be shown.
    """
    shown: dict[str, Any] = {}
    for name, value in given.items():
        if name in _PARAMETERS and isinstance(value, dict):
            shown[name] = {k: v if k in harmless else HIDDEN for k, v in value.items()}
        elif value is not None and (name in _PARAMETERS or name not in known):
            shown[name] = HIDDEN
        else:
            shown[name] = value
    return shown
