"""Which parameter values go to CloudFormation: given, previous, or the template's default. Pure."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass, field
from typing import Any

from ..changes import HIDDEN, UNKNOWN
from ..errors import InvalidInput
from .template import Declaration, Template, scalar


@dataclass(frozen=True)
class Plan:
    """request: CloudFormation's Parameters. values: by name, what each will be (NoEcho: HIDDEN), for showing.

    secrets: given values of NoEcho parameters, to be kept out of every output.
    """

    request: list[dict[str, Any]] = field(default_factory=list)
    values: dict[str, str] = field(default_factory=dict)
    secrets: frozenset[str] = frozenset()


def plan(given: dict[str, Any], previous: dict[str, str], template: Template) -> Plan:
    """given x previous x template -> Plan.

    given: the task's parameters; None is as if not named. previous: the stack's present values by name (empty for a
    stack that is made anew). A parameter the template no longer declares is dropped; one that is not given keeps its
    previous value, a new one takes the template's default. Raises InvalidInput naming every parameter at fault.
    """
    wanted = {name: value for name, value in given.items() if value is not None}
    faults = _unknown(wanted, template)
    request: list[dict[str, Any]] = []
    values: dict[str, str] = {}
    missing: list[str] = []
    for name, declaration in template.parameters.items():
        if name in wanted:
            text, fault = _text(declaration, wanted[name])
            fault = fault or check(declaration, text)
            if fault:
                faults.append(fault)
            request.append({"ParameterKey": name, "ParameterValue": text})
            values[name] = text
        elif name in previous:
            request.append({"ParameterKey": name, "UsePreviousValue": True})
            values[name] = previous[name]
        elif declaration.default is not None:
            values[name] = declaration.default
        else:
            missing.append(name)
        if declaration.no_echo and name in values:
            values[name] = HIDDEN
    if missing:
        names = ", ".join(missing)
        faults.insert(0, f"{names} {'has' if len(missing) == 1 else 'have'} neither a value nor a default")
    if faults:
        raise InvalidInput(f"Parameters of {template.source}: {'; '.join(faults)}.", "Correct 'parameters'.")
    return Plan(request, values, secrets(given, template))


def secrets(given: dict[str, Any], template: Template) -> frozenset[str]:
    """Given values of the template's NoEcho parameters."""
    return frozenset(scalar(given[d.name]) for d in template.parameters.values()
                     if d.no_echo and given.get(d.name) not in (None, ""))


def gives_secret(given: dict[str, Any], template: Template) -> bool:
    """Whether a NoEcho parameter is given, '' included: nobody can tell whether the stack has that value."""
    return any(d.no_echo and given.get(d.name) is not None for d in template.parameters.values())


def check(declaration: Declaration, text: str) -> str:
    """What CloudFormation would refuse of `text`, in words; '' if nothing. A NoEcho value is never repeated."""
    d = declaration
    if d.from_ssm:
        return ""  # the constraints are for the value behind the path, which AWS reads
    if UNKNOWN in text:
        return ""  # a preview: the value is not there yet to be judged
    shown = HIDDEN if d.no_echo else repr(text)
    fault = _type_fault(d, text) or _value_fault(d, text)
    if not fault:
        return ""
    return f"{d.name} is {shown}, {fault}" + (f" ({d.description.rstrip('.')})" if d.description else "")


def _text(declaration: Declaration, value: Any) -> tuple[str, str]:
    if isinstance(value, dict):
        return "", f"{declaration.name} is a mapping, CloudFormation takes text (use the filter to_json)"
    return scalar(value), ""


def _type_fault(d: Declaration, text: str) -> str:
    if d.type == "Number" and not _is_number(text):
        return "which is not a number"
    if d.type == "List<Number>" and not all(_is_number(v.strip()) for v in text.split(",")):
        return "which is not a list of numbers"
    return ""


def _value_fault(d: Declaration, text: str) -> str:
    many = d.type.startswith("List<") or d.type == "CommaDelimitedList"
    parts = [v.strip() for v in text.split(",")] if many else [text]
    if d.allowed_values and not all(p in d.allowed_values for p in parts):
        return "allowed is " + ", ".join(d.allowed_values)
    if d.allowed_pattern and not all(_matches(d.allowed_pattern, p) for p in parts):
        return f"which does not match {d.allowed_pattern}"
    if d.type == "String" and d.min_length is not None and len(text) < d.min_length:
        return f"which has {len(text)} characters, at least {d.min_length} are needed"
    if d.type == "String" and d.max_length is not None and len(text) > d.max_length:
        return f"which has {len(text)} characters, at most {d.max_length} are allowed"
    if d.type == "Number":
        if d.min_value is not None and float(text) < d.min_value:
            return f"at least {d.min_value:g} is needed"
        if d.max_value is not None and float(text) > d.max_value:
            return f"at most {d.max_value:g} is allowed"
    return ""


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _matches(pattern: str, text: str) -> bool:
    try:
        return re.fullmatch(pattern, text) is not None
    except re.error:
        return True  # Java's regular expressions know more than Python's; then AWS decides


def _unknown(wanted: dict[str, Any], template: Template) -> list[str]:
    faults = []
    for name in wanted:
        if name not in template.parameters:
            near = difflib.get_close_matches(name, template.parameters, n=1)
            faults.append(f"{name} is not declared" + (f", did you mean {near[0]}?" if near else ""))
    return faults
