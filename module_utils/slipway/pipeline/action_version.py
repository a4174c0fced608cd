"""Which version the pipeline's custom action gets.

Nothing of a custom action can be changed, and AWS never takes a version again that was used once, not even that of an
action which is deleted. So the version stays while the definition does, and is a number of seconds, which only grows,
when it does not. Pure, but for choose(), which asks for the stack.
"""

from __future__ import annotations

import hashlib
import json
import time
from typing import Any

from ..aws import cloudformation
from ..aws.session import Aws
from ..errors import InvalidInput
from ..stack import report, template

#: Tag of the stack that holds the fingerprint of what its version stands for.
TAG = "slipway:definition"
_TYPE = "AWS::CodePipeline::CustomActionType"
_VERSION = "ActionVersion"
_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"


def choose(aws: Aws, stack_name: str, path: str, parameters: dict[str, Any]) -> dict[str, Any]:
    """The result of module pipeline_action_version. parameters: those of the template at `path` but the version."""
    wanted = fingerprint(template.load_file(path), parameters)
    stack = cloudformation.describe_stack(aws, stack_name) or {}
    if stack.get("StackStatus") == "DELETE_COMPLETE":
        stack = {}
    used = report.parameters(stack).get(_VERSION, "")
    version = decide(used, report.tags(stack).get(TAG, ""), wanted, int(time.time()))
    return {"changed": False, "version": version, "previous": used or None, "new": version != used,
            "definition": wanted, "tag": TAG, "api_calls": aws.api_calls()}


def decide(used: str, stands_for: str, wanted: str, now: int) -> str:
    """used: the version that the stack has, '' for none. stands_for, wanted: fingerprints. now: unix time."""
    if used and stands_for == wanted:
        return used
    # A clock that was put back must not lead to a version from before.
    return base36(max(now, number(used) + 1))


def fingerprint(one: template.Template, parameters: dict[str, Any]) -> str:
    """40 hex digits that differ where AWS would have to replace the action. Raises InvalidInput for a template without
    one."""
    actions = [r for r in one.resources.values() if r.get("Type") == _TYPE]
    if not actions:
        raise InvalidInput(f"Template {one.source} has no {_TYPE}.", "Name the template of the pipeline action.")
    # Tags may change, and the version is what this decides on.
    properties = [{k: v for k, v in (a.get("Properties") or {}).items() if k not in ("Tags", "Version")}
                  for a in actions]
    values = {name: template.scalar(parameters[name]) if parameters.get(name) is not None else declared.default
              for name, declared in one.parameters.items() if name != _VERSION}
    text = json.dumps([properties, values], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:40]


def base36(value: int) -> str:
    digits = ""
    while value:
        value, rest = divmod(value, 36)
        digits = _DIGITS[rest] + digits
    return digits or "0"


def number(version: str) -> int:
    """The opposite of base36(); -1 for a version that is none of ours."""
    try:
        return int(version, 36)
    except ValueError:
        return -1
