"""How the properties of a resource differ before and after, secrets hidden. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

from ..changes import HIDDEN, UNKNOWN, Change
from .secrecy import concealed, is_secret, secret_keys

_AWS_UNKNOWN = "{{changeSet:KNOWN_AFTER_APPLY}}"
#: With this AWS masks NoEcho values.
_MASK = "****"
#: The value of an entry of a list, whose name is not in the path.
_ENTRY = re.compile(r"(?i)\.\d+\.(option|parameter)?value$")


def context(text: str | None) -> Any:
    """A Before- or AfterContext: properties by name, what else there is beside them."""
    try:
        found = json.loads(text or "{}")
    except ValueError:
        return {}
    if isinstance(found, dict) and isinstance(found.get("Properties"), dict):
        return {**found["Properties"], **{k: v for k, v in found.items() if k != "Properties"}}
    return found


def differences(old: Any, new: Any, secrets: frozenset[str]) -> Iterator[Change]:
    """Each leaf that differs, by its path. secrets: values never to be shown."""
    before, after = dict(_leaves(old)), dict(_leaves(new))
    for path in [*before, *(p for p in after if p not in before)]:
        (one, hide_one), (other, hide_other) = before.get(path, (None, False)), after.get(path, (None, False))
        if _plain(one) != _plain(other):
            yield _change(path, one, other, secrets, hide_one or hide_other)


def of_target(target: dict[str, Any], secrets: frozenset[str]) -> Change:
    """What a ResourceTargetDefinition with values tells."""
    name = (target.get("Path") or target.get("Name") or target.get("Attribute") or "").strip("/").replace("/", ".")
    name = name.removeprefix("Properties.")
    one, other = (_data(target.get(key)) for key in ("BeforeValue", "AfterValue"))
    return _change(name, one, other, secrets, _ENTRY.search(name) is not None)


def masked(targets: Iterable[dict[str, Any]], old: Any, new: Any, listed: set[str]) -> Iterator[Change]:
    """Properties that change although both their values look the same, for AWS masks them or leaves them out.

    listed: those whose differences are known.
    """
    for name in dict.fromkeys(str(t.get("Name") or "") for t in targets):
        values = [side[name] for side in (old, new) if isinstance(side, dict) and name in side]
        if name and name not in listed and (not values or _MASK in json.dumps(values)):
            yield Change(name, HIDDEN, f"{HIDDEN}, changed")


def first_names(changes: Iterable[Change]) -> set[str]:
    """The properties, at the top, that changes are of."""
    return {re.split(r"[.\[]", c.subject, maxsplit=1)[0] for c in changes}


def _change(path: str, one: Any, other: Any, secrets: frozenset[str], hidden: bool) -> Change:
    shown, now = (_shown(path, _plain(concealed(v)), secrets, hidden) for v in (one, other))
    # Hidden on both sides, yet different: say so, or the difference would vanish.
    return Change(path, shown, f"{now}, changed" if shown == now and one != other else now)


def _data(text: str | None) -> Any:
    """A value of a target: what may hold secrets, an object or a list, is given as JSON."""
    try:
        found = json.loads(text or "")
    except ValueError:
        return text
    return found if isinstance(found, (dict, list)) else text


def _leaves(value: Any, path: str = "", secret: bool = False) -> Iterator[tuple[str, tuple[Any, bool]]]:
    """(path, (value, whether a key above it or a name beside it says that it is a secret))."""
    if isinstance(value, dict) and value and not _is_intrinsic(value):
        kept = secret_keys(value)
        for key, inner in value.items():
            yield from _leaves(inner, f"{path}.{key}" if path else str(key), secret or key in kept)
    elif isinstance(value, list) and any(isinstance(v, (dict, list)) for v in value):
        named = _name_key(value)
        for number, inner in enumerate(value):
            if named:
                rest = {k: v for k, v in inner.items() if k != named}
                yield from _leaves(rest, f"{path}[{inner[named]}]", secret)
            else:
                yield from _leaves(inner, f"{path}[{number}]", secret)
    elif value not in ({}, []):
        yield path, (value, secret)


def _name_key(items: list[Any]) -> str:
    """The key by which the items have names of their own, '' if none: an inserted one then moves no other."""
    for key in ("Name", "Key", "Id", "Sid"):
        names = [i.get(key) for i in items if isinstance(i, dict) and len(i) > 1]
        if all(isinstance(n, str) for n in names) and len(names) == len(items) == len(set(names)):
            return key
    return ""


def _is_intrinsic(value: dict[Any, Any]) -> bool:
    return len(value) == 1 and all(key == "Ref" or str(key).startswith("Fn::") for key in value)


def _plain(value: Any) -> Any:
    if isinstance(value, str):
        return value.replace(_AWS_UNKNOWN, UNKNOWN)
    if isinstance(value, dict) and _is_intrinsic(value):
        (key, inner), = value.items()
        name = key.removeprefix("Fn::")
        if key == "Fn::GetAtt" and isinstance(inner, list):
            inner = ".".join(str(i) for i in inner)
        return f"!{name} {inner if isinstance(inner, str) else json.dumps(inner, sort_keys=True, default=str)}"
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, (int, float)) else value


def _shown(path: str, value: Any, secrets: frozenset[str], hidden: bool) -> Any:
    if value is None or value == UNKNOWN:
        return value
    if hidden or is_secret(path):
        return HIDDEN
    text = value if isinstance(value, str) else json.dumps(value, default=str)
    if any(s == text or len(s) > 2 and s in text for s in secrets):
        return HIDDEN
    return value
