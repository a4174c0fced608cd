"""Where a rollback goes: the release, and proof that its image is still there."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any

from ..aws import ecr
from ..aws.session import Aws
from ..errors import InvalidInput
from ..image.tag import without_content
from . import book, choose
from .record import Record
from .stack import State, look

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


def find(aws: Aws, table: str, service: str, stack_name: str, repository: str, wanted: str,
         limit: int) -> dict[str, Any]:
    """The target. wanted: '' for the last good release before the present one, else a tag, digest or commit.

    Returns tag, digest, current_tag, current_digest ('' where the tag alone names the image), current_status, release
    (the target's record, None for an image the ledger does not know). Raises InvalidInput where there is no such
    release or its image is gone.
    """
    state = look(aws, stack_name)
    if not state.status:
        raise InvalidInput(f"Stack {stack_name} does not exist in {aws.region}, so there is nothing to take back.",
                           "Check the inventory and the region.")
    records = book.read(aws, table, service, limit) if table else []
    record = choose.named(records, wanted) if wanted else choose.previous(records, state.tag, state.digest)
    image = _image(aws, repository, wanted, record, state)
    tags = without_content(tuple(image.get("imageTags") or ()))
    tag = record["tag"] if record else (wanted if wanted in tags else next(iter(tags), ""))
    if not tag:
        raise InvalidInput(f"The image {image['imageDigest']} has no tag that a stack could name.",
                           "Give it one: module ecr_promote puts a tag on an image without pulling it.")
    return {"tag": tag, "digest": str(image["imageDigest"]), "current_tag": state.tag, "current_digest": state.digest,
            "current_status": state.status, "release": record}


def sentence(target: dict[str, Any], service: str, would: bool) -> str:
    """What the rollback does, for a person."""
    record: Record | None = target["release"]
    if target["tag"] == target["current_tag"] and target["current_digest"] in ("", target["digest"]):
        return f"{service} runs {target['tag']} already."
    known = ""
    if record:
        when = datetime.fromisoformat(record["started"])
        parts = [f"released {when:%Y-%m-%d %H:%M} UTC", f"by {record['user']}" if record.get("user") else "",
                 f"commit {record['commit'][:7]}" if record.get("commit") else ""]
        known = f" ({', '.join(part for part in parts if part)})"
    verb = "Would take" if would else "Taking"
    # A tag that was moved names both.
    which = f" ({target['digest'][:19]})" if target["tag"] == target["current_tag"] else ""
    return f"{verb} {service} from {target['current_tag'] or 'no image'} back to {target['tag']}{which}{known}."


def _image(aws: Aws, repository: str, wanted: str, record: Record | None, state: State) -> dict[str, Any]:
    """ECR's description of the image, which must be the very one that was recorded. Where the stack pins the digest it
    does not matter what the tag names by now."""
    digest = record.get("digest") if record else wanted if wanted.startswith("sha256:") else ""
    if digest and (state.pins or not record):
        ids = {"imageDigest": digest}
    else:
        ids = {"imageTag": record["tag"] if record else wanted}
    name = next(iter(ids.values()))
    if "imageDigest" in ids and not _DIGEST.fullmatch(name):
        raise InvalidInput(f"No release of the ledger has a digest that begins with {name}.",
                           "Give all of it: sha256: and 64 hex digits.")
    found = ecr.describe_image(aws, repository, ids)
    if found is None:
        raise InvalidInput(f"Repository {repository} has no image {name}, so there is nothing to go back to.",
                           "It was deleted, or never there. Name another one: -e ecs_release_rollback_to=TAG.")
    if record and record.get("digest") and record["digest"] != found["imageDigest"]:
        raise InvalidInput(f"Tag {name} of {repository} names {found['imageDigest']} now, and the release was "
                           f"{record['digest']}; the stack has no ImageDigest to name that one by.",
                           "Give that image a tag of its own (module ecr_promote) and name that, or bring the stack's "
                           "template up to date with site.yml first.")
    return found
