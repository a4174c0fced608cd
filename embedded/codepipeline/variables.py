"""References to variables in an action's configuration: #{namespace.name}."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from .errors import ActionFailed

Json = dict[str, Any]
REFERENCE = re.compile(r"#\{\s*([^}\s]*)\s*\}")
#: Namespaces that every pipeline has.
PIPELINE, VARIABLES = "codepipeline", "variables"


def references(text: str) -> list[tuple[str, str]]:
    """Every reference's text and namespace; the namespace is '' where it has no period."""
    return [(found, found.partition(".")[0] if "." in found else "") for found in REFERENCE.findall(text)]


def resolve(configuration: Json, namespaces: dict[str, Json]) -> Json:
    """The configuration with every reference replaced. Raises ActionFailed for one that has no value."""

    def value(found: re.Match[str]) -> str:
        namespace, _, name = found[1].partition(".")
        known = namespaces.get(namespace, {})
        if name not in known:
            raise ActionFailed("ConfigurationError", f"The variable #{{{found[1]}}} has no value: the namespace "
                               f"{namespace} has {_names(known)}.")
        return str(known[name])

    return {key: REFERENCE.sub(value, text) for key, text in configuration.items()}


def _names(known: Iterable[str]) -> str:
    return ", ".join(sorted(known)) or "no variables"
