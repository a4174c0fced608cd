"""Which release to go back to. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ..errors import InvalidInput
from .record import COMPLETED, ROLLBACK, Record

_SHORTEST_COMMIT = 7
_SHORTEST_DIGEST = len("sha256:") + 12


def good(records: Iterable[Record]) -> list[Record]:
    """Releases that were deployed well and that nobody went back from afterwards; newest first, as `records` are."""
    withdrawn: set[str] = set()
    found = []
    for record in records:
        if record.get("verdict") != COMPLETED:
            continue
        if not {record.get("digest"), record.get("tag")} & withdrawn:
            found.append(record)
        if record.get("kind") == ROLLBACK:
            left = record.get("from") or {}
            withdrawn |= {left[name] for name in ("digest", "tag") if left.get(name)}
    return found


def previous(records: Sequence[Record], current_tag: str) -> Record:
    """The last good release before the one whose tag is deployed now. records: newest first. Raises InvalidInput."""
    well = good(records)
    current = next((record for record in well if record.get("tag") == current_tag), None)
    digest = (current or {}).get("digest")
    older = well[well.index(current) + 1:] if current else well
    for record in older:
        if record.get("tag") != current_tag and (not digest or record.get("digest") != digest):
            return record
    raise InvalidInput("There is no good release to go back to: the ledger has none before "
                       f"{current_tag or 'the one that runs now'}.",
                       "Name an image: -e ecs_release_rollback_to=TAG, a digest or a commit.")


def named(records: Sequence[Record], wanted: str) -> Record | None:
    """The newest release of that tag, digest or commit (beginnings will do for the last two); None when there is none.

    Raises InvalidInput when a beginning fits several images.
    """
    by_tag = [record for record in records if record.get("tag") == wanted]
    if by_tag:
        return by_tag[0]
    if wanted.startswith("sha256:") and len(wanted) >= _SHORTEST_DIGEST:
        fitting = [record for record in records if str(record.get("digest", "")).startswith(wanted)]
    elif len(wanted) >= _SHORTEST_COMMIT:
        fitting = [record for record in records if str(record.get("commit", "")).startswith(wanted.lower())]
    else:
        fitting = []
    images = {record.get("digest") or record.get("tag") for record in fitting}
    if len(images) > 1 and len({record.get("commit") for record in fitting}) > 1:
        tags = ", ".join(dict.fromkeys(str(record.get("tag")) for record in fitting))
        raise InvalidInput(f"{wanted} fits several releases: {tags}.", "Name one of them by its tag.")
    return next((record for record in fitting if record.get("verdict") == COMPLETED), fitting[0] if fitting else None)
