"""The parameters of a template, checked before any stack is made. All faults are named at once. Nothing is called."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from .errors import InvalidInput, SlipwayError
from .stack import template as templates
from .stack.parameters import check as check_parameter


def check(template: str, parameters: dict[str, Any], given: Sequence[str], option: str) -> None:
    """Raise InvalidInput that lists every fault, one a line.

    parameters: what the user sets. given: parameters that get their value later. option: what the user sets them in.
    """
    faults = [str(fault) for fault in _faults(template, parameters, given, option)]
    if len(faults) == 1:
        raise InvalidInput(faults[0])
    if faults:
        raise InvalidInput("\n".join([f"{len(faults)} values are at fault:", *(f"- {fault}" for fault in faults)]))


def _faults(path: str, parameters: dict[str, Any], given: Sequence[str], option: str) -> Iterator[SlipwayError]:
    template = templates.load_file(path)
    wanted = {name: value for name, value in parameters.items() if value is not None}
    for name, value in wanted.items():
        if name not in template.parameters:
            yield InvalidInput(f"Parameter {name} is not in {Path(path).name}.",
                               f"It has {', '.join(sorted(template.parameters))}.")
        elif isinstance(value, dict):
            yield InvalidInput(f"Parameter {name} is a mapping.", f"Give text, a number or a list in {option}.")
        elif fault := check_parameter(template.parameters[name], templates.scalar(value)):
            yield InvalidInput(f"Parameter {fault}.")
    missing = [name for name, declaration in template.parameters.items()
               if declaration.default is None and name not in wanted and name not in given]
    if missing:
        yield InvalidInput(f"Parameters without a value: {', '.join(missing)}.", f"Set them in {option}.")
    values = {name: templates.scalar(wanted[name]) if name in wanted else declaration.default
              for name, declaration in template.parameters.items()}
    for words in broken_rules(template.document.get("Rules") or {}, values):
        yield InvalidInput(words)


def broken_rules(rules: dict[str, Any], values: dict[str, str | None]) -> Iterator[str]:
    """AssertDescription of every assertion in a template's Rules that `values` break.

    What cannot be told here is left to AWS.
    """
    for rule in rules.values():
        if "RuleCondition" in rule and _value(rule["RuleCondition"], values) is not True:
            continue
        for assertion in rule.get("Assertions", []):
            if _value(assertion.get("Assert"), values) is False:
                yield " ".join(str(assertion.get("AssertDescription", "A rule of the template is broken.")).split())


def _value(node: Any, values: dict[str, str | None]) -> Any:
    """True, False or text; None for what depends on a value or a function that is not known here."""
    if not isinstance(node, dict):
        return templates.scalar(node) if isinstance(node, (int, float)) else node
    (function, argument), = node.items()
    if function == "Ref":
        return values.get(argument)
    parts = [_value(part, values) for part in argument] if isinstance(argument, list) else []
    if function == "Fn::Contains" and isinstance(argument[0], list):
        found = [_value(part, values) for part in argument[0]]
        return None if parts[1] is None or None in found else parts[1] in found
    if function == "Fn::Equals":
        return None if None in parts else parts[0] == parts[1]
    if function == "Fn::Not":
        return None if parts[0] is None else not parts[0]
    if function == "Fn::And":
        return False if False in parts else None if None in parts else True
    if function == "Fn::Or":
        return True if True in parts else None if None in parts else False
    return None
