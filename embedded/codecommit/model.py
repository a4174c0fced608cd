"""Requests and answers as botocore's model of the service describes them.

A request that does not fit gets the service's own error where the model has one for it, else ValidationException; an
answer that does not fit is our own mistake and raises.
"""

from __future__ import annotations

import base64
import binascii
import functools
from typing import Any

import botocore.session
from botocore.model import ListShape, MapShape, OperationModel, Shape, StructureShape
from botocore.validate import ParamValidator

from .errors import ServiceError

SERVICE = "codecommit"


@functools.cache
def _service() -> Any:
    return botocore.session.get_session().get_service_model(SERVICE)


def target_prefix() -> str:
    return str(_service().metadata["targetPrefix"])


def operation(name: str) -> OperationModel | None:
    return _service().operation_model(name) if name in _service().operation_names else None


def request(found: OperationModel, content: dict[str, Any]) -> dict[str, Any]:
    """The request's members, blobs as bytes. Raises ServiceError."""
    shape = found.input_shape
    if shape is None:
        return {}
    given = _decoded(shape, content, "")
    report = ParamValidator().validate(given, _without_required(shape))
    if report.has_errors():
        raise ServiceError("ValidationException", report.generate_report())
    return dict(given)


def answer(found: OperationModel, content: dict[str, Any]) -> dict[str, Any]:
    """The answer as it is sent. Raises ValueError where the model has no such answer."""
    if found.output_shape is None:
        if content:
            raise ValueError(f"{found.name} answers nothing, but was given {sorted(content)}.")
        return {}
    report = ParamValidator().validate(content, found.output_shape)
    if report.has_errors():
        raise ValueError(f"{found.name}: {report.generate_report()}")
    return dict(_encoded(found.output_shape, content, found.name))


def check_error(found: OperationModel, code: str) -> str:
    """The code. Raises ValueError where this operation is not known to answer with it."""
    known = {shape.name for shape in found.error_shapes}
    if code not in known | {"ValidationException", "SerializationException"}:
        raise ValueError(f"{found.name} does not answer with {code}.")
    return code


def _without_required(shape: StructureShape) -> StructureShape:
    """What is missing at the top has errors of its own, which the operations raise."""
    return StructureShape(shape.name, {**shape._shape_model, "required": []}, shape._shape_resolver)


def _decoded(shape: Shape, value: Any, where: str) -> Any:
    if isinstance(shape, StructureShape) and isinstance(value, dict):
        return {key: _decoded(shape.members[key], item, f"{where}.{key}") if key in shape.members else item
                for key, item in value.items() if item is not None}
    if isinstance(shape, ListShape) and isinstance(value, list):
        return [_decoded(shape.member, item, where) for item in value]
    if isinstance(shape, MapShape) and isinstance(value, dict):
        return {key: _decoded(shape.value, item, where) for key, item in value.items()}
    if shape.type_name == "blob":
        try:
            return base64.b64decode(value, validate=True)
        except (binascii.Error, TypeError, ValueError) as error:
            raise ServiceError("SerializationException", f"{where.lstrip('.')} is no base64.") from error
    return value


def _encoded(shape: Shape, value: Any, where: str) -> Any:
    if isinstance(shape, StructureShape):
        if unknown := set(value) - set(shape.members):
            raise ValueError(f"{where}: the model has no {sorted(unknown)}.")
        return {key: _encoded(shape.members[key], item, f"{where}.{key}") for key, item in value.items()}
    if isinstance(shape, ListShape):
        return [_encoded(shape.member, item, where) for item in value]
    if isinstance(shape, MapShape):
        return {key: _encoded(shape.value, item, where) for key, item in value.items()}
    if shape.type_name == "blob":
        return base64.b64encode(value).decode()
    return value
