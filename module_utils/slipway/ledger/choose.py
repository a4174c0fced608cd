"""Which release to go back to. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from ..errors import InvalidInput
from .record import COMPLETED, ROLLBACK, Record, same_image

_SHORTEST_COMMIT = 7
_NAME_ANOTHER = "Name an image: -e ecs_release_rollback_to=TAG, a digest or a commit."
_SHORTEST_DIGEST = len("sha256:") + 12


def good(records: Iterable[Record]) -> list[Record]:
    """Releases that were deployed well and that nobody went back from afterwards; newest first, as `records` are."""
    withdrawn: list[Record] = []
    found = []
    for record in records:
        if record.get("verdict") != COMPLETED:
            continue
        if not any(same_image(record, left) for left in withdrawn):
            found.append(record)
        if record.get("kind") == ROLLBACK and record.get("from"):
            withdrawn.append(record["from"])
    return found


def previous(records: Sequence[Record], current_tag: str, current_digest: str = "") -> Record:
    """The last good release before the one that is deployed now. records: newest first. current_digest: '' where the
    tag alone names the image; then no other one of that tag will do. Raises InvalidInput."""
    well = good(records)
    now = {"tag": current_tag, "digest": current_digest}
    at = next((number for number, record in enumerate(well) if same_image(record, now)), -1)
    known = now if current_digest or at < 0 else well[at]
    for record in well[at + 1:]:
        if not same_image(record, known) and (current_digest or record.get("tag") != current_tag):
            return record
    raise InvalidInput("There is no good release to go back to: the ledger has none before "
                       f"{current_tag or 'the one that runs now'}.",
                       _NAME_ANOTHER)


def named(records: Sequence[Record], wanted: str) -> Record | None:
    """The newest release of that tag, digest or commit (beginnings will do for the last two); None when there is none.

    Raises InvalidInput when a beginning fits several images, and for a commit that no image was made of.
    """
    by_tag = [record for record in records if record.get("tag") == wanted]
    if by_tag:
        return by_tag[0]
    if wanted.startswith("sha256:"):
        fitting = [record for record in records if str(record.get("digest", "")).startswith(wanted)
                   and len(wanted) >= _SHORTEST_DIGEST]
    else:
        fitting = _of_commit(records, wanted.lower())
    images = {record.get("digest") or record.get("tag") for record in fitting}
    if len(images) > 1 and len({record.get("commit") for record in fitting}) > 1:
        raise InvalidInput(f"{wanted} fits several releases: {_tags(fitting)}.", "Name one of them by its tag.")
    return next((record for record in fitting if record.get("verdict") == COMPLETED), fitting[0] if fitting else None)


def _of_commit(records: Iterable[Record], wanted: str) -> list[Record]:
    """Those with an image of a commit that begins so. What was changed beside the commit is not of it, unless `wanted`
    ends in -dirty too."""
    beginning, _, mark = wanted.partition("-")
    if len(beginning) < _SHORTEST_COMMIT:
        return []
    of_it = [record for record in records if str(record.get("commit", "")).startswith(beginning)]
    fitting = [record for record in of_it if str(record["commit"]).partition("-")[2] == mark]
    made = [record for record in fitting if record.get("tag")]
    if fitting and not made:
        last = fitting[0]
        why, when = str(last.get("verdict")).replace("_", " "), datetime.fromisoformat(last["started"])
        raise InvalidInput(f"Commit {beginning[:_SHORTEST_COMMIT]} was never released well ({why} on "
                           f"{when:%Y-%m-%d %H:%M} UTC), so it has no image to go back to.", _NAME_ANOTHER)
    if not made and not mark and _tags(of_it):
        raise InvalidInput(f"Commit {beginning[:_SHORTEST_COMMIT]} was released with changes beside it only: "
                           f"{_tags(of_it)}.", "Name one of them by its tag.")
    return made


def _tags(records: Iterable[Record]) -> str:
    return ", ".join(dict.fromkeys(str(record.get("tag")) for record in records if record.get("tag")))
