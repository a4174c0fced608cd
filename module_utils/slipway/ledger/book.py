"""The list of releases: read, written, kept short."""

from __future__ import annotations

import json
import uuid

from ..aws import dynamodb
from ..aws.session import Aws
from ..errors import InvalidInput
from .lock import KEY
from .record import COMPLETED, Record

#: Beyond what is asked for, so that the newest good one is found behind many failures.
MARGIN = 25
#: One release, and another one to go back to.
LEAST = 2
#: Key of the item that tells which image was deployed last without being found good.
DOUBT = "doubt"


def read(aws: Aws, table: str, service: str, limit: int) -> list[Record]:
    """The newest records first, `limit` at most."""
    items = dynamodb.query(aws, table, "service", service, limit, ("id", "entry"))
    # "release#..." sorts after "lock" and "doubt", so these come last if at all.
    return [json.loads(item["entry"]) for item in items if item["id"] not in (KEY, DOUBT)]


def write(aws: Aws, table: str, entry: Record, token: str, unproved: bool = False) -> bool:
    """Write the record and give the lock back, both or neither; False when the lock was somebody else's by then (the
    record is written all the same). unproved: as close_entry() has it; that lasts until a release is completed."""
    service = entry["service"]
    steps: list[dynamodb.Put | dynamodb.Delete] = [dynamodb.Put(_item(entry)), _back(service, token)]
    if unproved:
        steps.append(dynamodb.Put({"service": service, "id": DOUBT, "entry": json.dumps(
            {name: entry.get(name) or "" for name in ("tag", "digest", "commit")})}))
    elif entry["verdict"] == COMPLETED:
        steps.append(dynamodb.Delete({"service": service, "id": DOUBT}))
    try:
        dynamodb.together(aws, table, steps, token)
    except dynamodb.Conflict:
        add(aws, table, entry)
        return False
    return True


def leave(aws: Aws, table: str, service: str, token: str) -> Record | None:
    """Give the lock back without a record; one that is somebody else's, or gone, is left alone. None as a rule.

    Where the newest image is not known to be good, the lock stays and that image is returned: tag, digest, commit (''
    for what is not known). It is found out by the same call, so that a release of nothing costs no other.
    """
    doubt = dynamodb.Delete({"service": service, "id": DOUBT}, "attribute_not_exists(#service)")
    try:
        dynamodb.together(aws, table, [_back(service, token), doubt], str(uuid.uuid4()))
    except dynamodb.Conflict as conflict:
        found = conflict.items[1] if len(conflict.items) == 2 else {}
        return json.loads(found["entry"]) if found else None
    return None


def _back(service: str, token: str) -> dynamodb.Delete:
    return dynamodb.Delete({"service": service, "id": KEY}, "#token = :token", {"token": token})


def add(aws: Aws, table: str, entry: Record) -> None:
    """Write a record, whoever has the lock."""
    dynamodb.put(aws, table, _item(entry))


def _item(entry: Record) -> dynamodb.Item:
    return {"service": entry["service"], "id": entry["id"], "entry": json.dumps(entry)}


def check_keep(keep: int) -> None:
    """Raise InvalidInput for a number of records that leaves no way back."""
    if keep < LEAST:
        raise InvalidInput(f"The ledger is to keep {keep} records, which leaves no release to go back to.",
                           f"Set ecs_release_ledger_keep to {LEAST} or more.")


def prune(aws: Aws, table: str, service: str, keep: int) -> int:
    """Remove the oldest records beyond `keep`, LEAST or more, but never the newest good one. Returns how many went."""
    keep = max(keep, LEAST)
    records = read(aws, table, service, keep + MARGIN)
    spared = next((record["id"] for record in records if record.get("verdict") == COMPLETED), "")
    old = [record["id"] for record in records[keep:] if record["id"] != spared]
    if old:
        dynamodb.delete_all(aws, table, [{"service": service, "id": one} for one in old])
    return len(old)
