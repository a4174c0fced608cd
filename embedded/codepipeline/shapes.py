"""Requests and answers against botocore's model of the service."""

from __future__ import annotations

import re
from typing import Any

import botocore.session

from .errors import ServiceError

Json = dict[str, Any]

MODEL = botocore.session.Session().get_service_model("codepipeline")
TARGET_PREFIX = str(MODEL.metadata["targetPrefix"])
CONTENT_TYPE = f"application/x-amz-json-{MODEL.metadata['jsonVersion']}"
#: Python's types of what JSON carries. A timestamp is a number of seconds.
_TYPES: dict[str, tuple[type, ...]] = {
    "structure": (dict,), "map": (dict,), "list": (list,), "string": (str,), "boolean": (bool,),
    "integer": (int,), "long": (int,), "timestamp": (int, float)}


def check_request(operation: str, request: Any) -> Json:
    """The request, when the model allows it. Raises ServiceError with everything that it does not allow."""
    shape = MODEL.operation_model(operation).input_shape
    if not isinstance(request, dict):
        raise ServiceError("SerializationException", "The request's body is not a JSON object.")
    refuse(list(problems(shape, request, "")))
    return request


def check_value(shape_name: str, value: Any, path: str) -> None:
    """The same for one shape of the model, as CloudFormation's types need it."""
    refuse(list(problems(MODEL.shape_for(shape_name), value, path)))


def refuse(found: list[str]) -> None:
    if found:
        raise ServiceError("ValidationException", f"{len(found)} validation error{'s' * (len(found) > 1)} detected: "
                           + "; ".join(found))


def problems(shape: Any, value: Any, path: str) -> list[str]:
    """What is wrong with a value, in the words that AWS uses."""
    if not _fits(value, _TYPES[shape.type_name]):
        return [_failed(value, path, f"Member must be a {shape.type_name}")]
    if shape.type_name == "structure":
        return _structure(shape, value, path)
    found = _limits(shape, value, path)
    if shape.type_name == "list":
        for number, item in enumerate(value, 1):
            found += problems(shape.member, item, f"{path}.{number}.member")
    elif shape.type_name == "map":
        for key, item in value.items():
            found += problems(shape.key, key, f"{path}.key")
            found += problems(shape.value, item, f"{path}.{key}.member")
    return found


def _fits(value: Any, allowed: tuple[type, ...]) -> bool:
    """For Python, True is a number."""
    return isinstance(value, allowed) and (bool in allowed or not isinstance(value, bool))


def _structure(shape: Any, value: Json, path: str) -> list[str]:
    found = []
    for name in shape.required_members:
        if value.get(name) is None:
            found.append(f"Value null at '{_below(path, name)}' failed to satisfy constraint: Member must not be null")
    for name, item in value.items():
        if name not in shape.members:
            found.append(f"'{_below(path, name)}' is not known to the service model")
        elif item is not None:
            found += problems(shape.members[name], item, _below(path, name))
    return found


def _limits(shape: Any, value: Any, path: str) -> list[str]:
    limits, found = shape.metadata, []
    if isinstance(value, str):
        if "enum" in limits and value not in limits["enum"]:
            found.append(_failed(value, path, f"Member must satisfy enum value set: [{', '.join(limits['enum'])}]"))
        if "pattern" in limits and not re.fullmatch(limits["pattern"], value, re.DOTALL | re.ASCII):
            found.append(_failed(value, path, f"Member must satisfy regular expression pattern: {limits['pattern']}"))
    if shape.type_name in ("string", "list", "map"):
        size, what = len(value), "have length "
    elif shape.type_name in ("integer", "long"):
        size, what = value, "have value "
    else:
        return found
    if "min" in limits and size < limits["min"]:
        found.append(_failed(value, path, f"Member must {what}greater than or equal to {limits['min']}"))
    if "max" in limits and size > limits["max"]:
        found.append(_failed(value, path, f"Member must {what}less than or equal to {limits['max']}"))
    return found


def _failed(value: Any, path: str, constraint: str) -> str:
    shown = value if isinstance(value, str) else repr(value)
    shown = shown if len(shown) < 200 else shown[:200] + "..."
    return f"Value '{shown}' at '{path}' failed to satisfy constraint: {constraint}"


def _below(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
