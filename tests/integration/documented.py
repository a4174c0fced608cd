"""What a module returns is what it says it returns."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
#: Of every module, from ansible itself.
_OF_ANSIBLE = {"changed", "failed", "msg", "diff", "invocation", "warnings", "deprecations", "exception"}


@cache
def returns(module: str) -> dict[str, str]:
    """Each key of RETURN, and when it is returned."""
    tree = ast.parse((ROOT / "library" / f"{module}.py").read_text())
    [text] = [ast.literal_eval(node.value) for node in tree.body
              if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "RETURN"]
    return {key: value["returned"] for key, value in yaml.safe_load(text).items()}


def check(module: str, result: dict[str, Any]) -> None:
    """Fails for a key that is not documented, and for a documented one that a success lacks."""
    documented = returns(module)
    keys = set(result) - _OF_ANSIBLE
    assert keys <= set(documented), f"not documented: {keys - set(documented)}"
    if not result.get("failed"):
        always = {key for key, when in documented.items() if when == "always"} - _OF_ANSIBLE
        assert always <= keys, f"documented and missing: {always - keys}"
        assert {"changed", "diff"} <= set(result)
