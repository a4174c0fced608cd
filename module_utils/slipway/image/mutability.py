"""Which tags of a repository may move; pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import InvalidInput

#: Tags of build caches: each build moves its own on.
CACHES = "cache-*"

_EXCEPT = "_WITH_EXCLUSION"
_FILTER = re.compile(r"[0-9a-zA-Z._*-]{1,128}")
_MOST_FILTERS, _MOST_WILDCARDS = 5, 2


@dataclass(frozen=True)
class Mutability:
    """kind: as ECR names it; exclusions: patterns of tags for which the opposite holds, sorted."""

    kind: str
    exclusions: tuple[str, ...] = ()

    def keeps(self, tag: str) -> bool:
        """Whether `tag`, once given, stays on its image."""
        excluded = self.kind.endswith(_EXCEPT) and any(_matches(pattern, tag) for pattern in self.exclusions)
        return self.kind.startswith("IMMUTABLE") is not excluded

    def arguments(self) -> dict[str, Any]:
        """As CreateRepository and PutImageTagMutability take it."""
        filters = [{"filterType": "WILDCARD", "filter": pattern} for pattern in self.exclusions]
        return {"imageTagMutability": self.kind,
                **({"imageTagMutabilityExclusionFilters": filters} if filters else {})}

    def __str__(self) -> str:
        return f"{self.kind} ({', '.join(self.exclusions)})" if self.exclusions else self.kind


#: For a repository that is made here: a release needs to know that a tag stays what it was.
ON_CREATION = Mutability("IMMUTABLE" + _EXCEPT, (CACHES,))


def of(repository: dict[str, Any]) -> Mutability:
    """That of a repository as DescribeRepositories gives it."""
    kind = str(repository.get("imageTagMutability") or "MUTABLE")
    filters = repository.get("imageTagMutabilityExclusionFilters") or []
    return Mutability(kind, tuple(sorted(f["filter"] for f in filters)) if kind.endswith(_EXCEPT) else ())


def wanted(kind: str | None, exclusions: Sequence[str] | None, current: Mutability | None) -> Mutability | None:
    """What the options ask for, None for what there is. current: None when the repository has to be made.

    Raises InvalidInput for exclusions that ECR refuses or that nothing asks for.
    """
    kind = kind.upper() if kind else None
    if exclusions is not None and not (kind and kind.endswith(_EXCEPT)):
        raise InvalidInput("image_tag_exclusions is given, and image_tag_mutability allows no exclusions.",
                           "Set image_tag_mutability to immutable_with_exclusion or mutable_with_exclusion.")
    if kind is None:
        return ON_CREATION if current is None else None
    if not kind.endswith(_EXCEPT):
        return Mutability(kind)
    if exclusions is None:
        return Mutability(kind, (current and current.exclusions) or (CACHES,))
    return Mutability(kind, tuple(sorted({_checked(pattern) for pattern in _some(exclusions)})))


def _some(exclusions: Sequence[str]) -> Sequence[str]:
    if not 1 <= len(exclusions) <= _MOST_FILTERS:
        raise InvalidInput(f"image_tag_exclusions has {len(exclusions)} patterns.",
                           f"ECR takes 1 to {_MOST_FILTERS} of them.")
    return exclusions


def _checked(pattern: str) -> str:
    if not _FILTER.fullmatch(pattern) or pattern.count("*") > _MOST_WILDCARDS:
        raise InvalidInput(f"image_tag_exclusions: {pattern!r} is no pattern for tags.",
                           "It has 1 to 128 letters, digits, dots, hyphens and underscores, and at most "
                           f"{_MOST_WILDCARDS} asterisks.")
    return pattern


def _matches(pattern: str, tag: str) -> bool:
    return re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), tag) is not None
