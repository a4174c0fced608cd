"""Which tags of a repository may move."""

from __future__ import annotations

import pytest

from slipway.errors import InvalidInput
from slipway.image.mutability import ON_CREATION, Mutability, of, wanted

CACHES = Mutability("IMMUTABLE_WITH_EXCLUSION", ("cache-*",))


@pytest.mark.parametrize(("mutability", "tag", "kept"), [
    (Mutability("MUTABLE"), "v1", False),
    (Mutability("IMMUTABLE"), "cache-x", True),
    (CACHES, "v1", True),
    (CACHES, "cache-", False),
    (CACHES, "cache-main", False),
    (CACHES, "my-cache-main", True),
    (CACHES, "Cache-main", True),
    (Mutability("IMMUTABLE_WITH_EXCLUSION", ("a.b", "*-x*")), "acb", True),
    (Mutability("IMMUTABLE_WITH_EXCLUSION", ("a.b", "*-x*")), "v-x1", False),
    (Mutability("MUTABLE_WITH_EXCLUSION", ("v*",)), "v1", True),
    (Mutability("MUTABLE_WITH_EXCLUSION", ("v*",)), "edge", False),
])
def test_a_tag_is_kept(mutability: Mutability, tag: str, kept: bool) -> None:
    assert mutability.keeps(tag) is kept


def test_it_reads_what_it_writes() -> None:
    several = Mutability("MUTABLE_WITH_EXCLUSION", ("a", "b"))
    for one in (Mutability("MUTABLE"), Mutability("IMMUTABLE"), CACHES, several):
        assert of(one.arguments()) == one
    assert of({}) == Mutability("MUTABLE")


@pytest.mark.parametrize(("kind", "exclusions", "current", "result"), [
    (None, None, None, ON_CREATION),
    (None, None, Mutability("MUTABLE"), None),
    ("immutable", None, CACHES, Mutability("IMMUTABLE")),
    ("immutable_with_exclusion", None, None, CACHES),
    ("immutable_with_exclusion", None, Mutability("IMMUTABLE"), CACHES),
    ("immutable_with_exclusion", None, Mutability("IMMUTABLE_WITH_EXCLUSION", ("edge",)),
     Mutability("IMMUTABLE_WITH_EXCLUSION", ("edge",))),
    ("mutable_with_exclusion", ["v*", "a", "v*"], None, Mutability("MUTABLE_WITH_EXCLUSION", ("a", "v*"))),
])
def test_what_the_options_ask_for(kind: str | None, exclusions: list[str] | None, current: Mutability | None,
                                  result: Mutability | None) -> None:
    assert wanted(kind, exclusions, current) == result


@pytest.mark.parametrize(("kind", "exclusions"), [
    (None, ["a"]), ("immutable", ["a"]), ("immutable_with_exclusion", []), ("immutable_with_exclusion", list("abcdef")),
    ("immutable_with_exclusion", ["a*b*c*"]), ("immutable_with_exclusion", ["a/b"]), ("immutable_with_exclusion", [""]),
])
def test_what_ecr_refuses(kind: str | None, exclusions: list[str]) -> None:
    with pytest.raises(InvalidInput):
        wanted(kind, exclusions, None)
