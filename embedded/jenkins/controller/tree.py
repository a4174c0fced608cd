"""The tree= parameter of Jenkins' remote API: which fields of the data the caller wants."""

from __future__ import annotations

import re
from typing import Any

Selection = dict[str, "Selection | None"]


def parse(text: str) -> Selection:
    """`a,b[c,d[e]]` -> {a: None, b: {c: None, d: {e: None}}}; a range such as {0,5} after a list is left out."""
    words = re.findall(r"[^\[\],{}]+|\[|\]|,|\{[^}]*\}", text)
    root: Selection = {}
    stack: list[Selection] = [root]
    last = ""
    for word in words:
        if word == "[":
            inner: Selection = {}
            stack[-1][last] = inner
            stack.append(inner)
        elif word == "]":
            if len(stack) > 1:
                stack.pop()
        elif word != "," and not word.startswith("{"):
            last = word.strip()
            stack[-1][last] = None
    return root


def select(data: Any, tree: str) -> Any:
    return _select(data, parse(tree))


def _select(data: Any, chosen: Selection | None) -> Any:
    if isinstance(data, list):
        return [_select(item, chosen) for item in data]
    if not isinstance(data, dict) or chosen is None:
        return data
    return {name: _select(value, chosen.get(name)) for name, value in data.items()
            if name in chosen or "*" in chosen or name == "_class"}
