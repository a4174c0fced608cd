"""The names an image gets."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime

#: Marks what is in an image: content-<first 40 hex digits of the content digest>.
CONTENT_PREFIX = "content-"

_GENERATED = re.compile(r"\d{8}-\d{6}(?:-[0-9a-f]{7,40})?(?:-dirty)?(?:\.\d+)?")


def content_tag(content: str) -> str:
    """The tag for a content digest (64 hex digits). 160 bits are enough to never meet by chance."""
    return CONTENT_PREFIX + content[:40]


def unique_tag(now: datetime, commit: str = "", dirty: bool = False) -> str:
    """20261123-082433-1a2b3c4: UTC date and time, then the source revision if there is one, then '-dirty' if the tree
    differs from it. Tags of this form sort by age."""
    tag = now.strftime("%Y%m%d-%H%M%S")
    if commit:
        tag += f"-{commit[:7].lower()}"
    return tag + "-dirty" if commit and dirty else tag


def next_tag(tag: str) -> str:
    """Another unique tag, for when somebody took `tag` in the same second: .2, .3 ..."""
    stem, dot, number = tag.rpartition(".")
    return f"{stem}.{int(number) + 1}" if dot and number.isdigit() else f"{tag}.2"


def newest_release_tag(tags: Iterable[str]) -> str | None:
    """Which of an image's tags names the release; None when none of them does.

    The youngest generated tag, else the highest of the others in natural order (v1.10 above v1.9). ECR keeps no order
    of tags. 'latest' names a moment, not an image, so it never counts.
    """
    releases = [t for t in tags if not t.startswith(CONTENT_PREFIX) and t != "latest"]
    generated = [t for t in releases if _GENERATED.fullmatch(t)]
    return max(generated or releases, key=_natural, default=None)


def _natural(tag: str) -> list[tuple[int, int, str]]:
    return [(1, int(part), "") if part.isdecimal() else (0, 0, part) for part in re.split(r"(\d+)", tag) if part]


def superseded_tag(content: str) -> str:
    """What an image with the content tag `content` is called as well once `force` built that content again."""
    return content.partition(".")[0] + ".old"


def younger_content_tag(content: str) -> str:
    """The content tag of the next build of the same content: content-x, content-x.2, content-x.3 ..."""
    return next_tag(content)


def without_content(tags: Iterable[str]) -> list[str]:
    """The tags people gave, sorted."""
    return sorted(tag for tag in tags if not tag.startswith(CONTENT_PREFIX))
