"""What is left to do: what ECR holds against what is wanted. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from ..errors import SlipwayError
from .tag import newest_release_tag

Action = Literal["build", "tag", "nothing"]


@dataclass(frozen=True)
class Held:
    """The image ECR holds with the wanted content. size: compressed bytes as ECR counts them."""

    digest: str
    tags: tuple[str, ...]
    size: int


@dataclass(frozen=True)
class Plan:
    """action: build (and push and tag), tag only, or nothing; tag: what the image is called afterwards; generated:
    nobody asked for that name; missing: tags to put on the image, `tag` first."""

    action: Action
    tag: str
    generated: bool
    missing: tuple[str, ...]


def plan(held: Held | None, tag: str | None, extra_tags: Iterable[str], unique: str, force: bool = False) -> Plan:
    """held: None when ECR has no such content; tag: the wanted one, None for `unique` or the newest it already has."""
    extra = list(dict.fromkeys(extra_tags))
    if held is None or force:
        name = tag or unique
        return Plan("build", name, not tag, tuple(dict.fromkeys([name, *extra])))
    existing = newest_release_tag(held.tags)
    name = tag or existing or unique
    missing = tuple(t for t in dict.fromkeys([name, *extra]) if t not in held.tags)
    return Plan("tag" if missing else "nothing", name, not tag and not existing, missing)


def conflict(repository: str, tag: str, holder: str, wanted: str) -> SlipwayError:
    """An immutable tag names another image. holder, wanted: digests."""
    return SlipwayError(
        f"Tag {tag!r} of repository {repository} is immutable and names {holder}; the image to tag is {wanted}.",
        "Use another tag, or leave 'tag' out to get a unique one.",
        tag=tag, existing_digest=holder, wanted_digest=wanted)
