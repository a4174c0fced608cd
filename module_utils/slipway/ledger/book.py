"""The list of releases: read, written, kept short."""

from __future__ import annotations

import json

from ..aws import dynamodb
from ..aws.session import Aws
from .lock import KEY
from .record import COMPLETED, Record

#: Beyond what is asked for, so that the newest good one is found behind many failures.
_MARGIN = 25


def read(aws: Aws, table: str, service: str, limit: int) -> list[Record]:
    """The newest records first, `limit` at most."""
    items = dynamodb.query(aws, table, "service", service, limit, ("id", "entry"))
    # "release#..." sorts after "lock", so the lock comes last if at all.
    return [json.loads(item["entry"]) for item in items if item["id"] != KEY]


def write(aws: Aws, table: str, entry: Record, token: str) -> bool:
    """Write the record and give the lock back, both or neither; False when the lock was somebody else's by then (the
    record is written all the same)."""
    try:
        dynamodb.replace(aws, table, _item(entry), {"service": entry["service"], "id": KEY}, "#token = :token",
                         {"token": token}, token)
    except dynamodb.Conflict:
        add(aws, table, entry)
        return False
    return True


def add(aws: Aws, table: str, entry: Record) -> None:
    """Write a record, whoever has the lock."""
    dynamodb.put(aws, table, _item(entry))


def _item(entry: Record) -> dynamodb.Item:
    return {"service": entry["service"], "id": entry["id"], "entry": json.dumps(entry)}


def prune(aws: Aws, table: str, service: str, keep: int) -> int:
    """Remove the oldest records beyond `keep`, but never the newest good one. Returns how many went."""
    records = read(aws, table, service, keep + _MARGIN)
    spared = next((record["id"] for record in records if record.get("verdict") == COMPLETED), "")
    old = [record["id"] for record in records[keep:] if record["id"] != spared]
    if old:
        dynamodb.delete_all(aws, table, [{"service": service, "id": one} for one in old])
    return len(old)
