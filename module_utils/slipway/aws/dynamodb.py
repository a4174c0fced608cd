"""Amazon DynamoDB, one function per API call, for items of strings and numbers. All raise AwsError."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from ..errors import AwsError
from ..polling import delays
from .session import Aws

#: BatchWriteItem takes this many items in a call.
ITEMS_PER_BATCH = 25
#: How often a transaction is tried that others were in the way of; with the waits between, about five seconds.
_ATTEMPTS = 7
_FAILED = "ConditionalCheckFailed"

#: An item: attribute name to text or number.
Item = dict[str, Any]


class Conflict(Exception):
    """A condition did not hold. item: what the table has instead, {} when there is nothing; items: of several, {} for
    those that did hold."""

    def __init__(self, item: Item, items: Sequence[Item] = ()) -> None:
        super().__init__("the condition did not hold")
        self.item = item
        self.items = items


def get(aws: Aws, table: str, key: Item) -> Item:
    """The item, {} when there is none."""
    return plain(aws.call("dynamodb", "get_item", TableName=table, Key=typed(key), ConsistentRead=True).get("Item", {}))


def put(aws: Aws, table: str, item: Item, condition: str = "", values: Item | None = None) -> None:
    """Put the item, if the condition holds where one is given. Attributes are named #name in it. Raises Conflict."""
    arguments: dict[str, Any] = {"TableName": table, "Item": typed(item)}
    if condition:
        arguments |= {"ConditionExpression": condition, "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
                      "ExpressionAttributeNames": _names(condition)}
    if values:
        arguments["ExpressionAttributeValues"] = typed({f":{k}": v for k, v in values.items()})
    _conditional(aws, "put_item", arguments)


def update(aws: Aws, table: str, key: Item, expression: str, condition: str, values: Item) -> Item:
    """Change the item if the condition holds. Returns it as it is then. Raises Conflict."""
    answer = _conditional(aws, "update_item", {
        "TableName": table, "Key": typed(key), "UpdateExpression": expression, "ConditionExpression": condition,
        "ExpressionAttributeNames": _names(expression + condition), "ReturnValues": "ALL_NEW",
        "ExpressionAttributeValues": typed({f":{k}": v for k, v in values.items()}),
        "ReturnValuesOnConditionCheckFailure": "ALL_OLD"})
    return plain(answer.get("Attributes", {}))


def update_all(aws: Aws, table: str, keys: Sequence[Item], expression: str, condition: str,
               values: Sequence[Item]) -> list[Item | None]:
    """Change up to 100 items, those whose condition holds, in one call where all do. values: for each key. Returns for
    each key None where its item was changed, else what there is instead, {} for nothing. What others are in the way of
    is tried again for some seconds, then it is an AwsError."""
    found: list[Item | None] = [None] * len(keys)
    left, waits, attempts = list(range(len(keys))), _waits(), 1
    while left:
        try:
            aws.call("dynamodb", "transact_write_items", TransactItems=[{"Update": {
                "TableName": table, "Key": typed(keys[number]), "UpdateExpression": expression,
                "ConditionExpression": condition, "ExpressionAttributeNames": _names(expression + condition),
                "ExpressionAttributeValues": typed({f":{k}": v for k, v in values[number].items()}),
                "ReturnValuesOnConditionCheckFailure": "ALL_OLD"}} for number in left])
            break
        except AwsError as error:
            reasons = error.response.get("CancellationReasons", [])
            if error.code != "TransactionCanceledException" or len(reasons) != len(left):
                raise
            refused = {number: plain(reason.get("Item", {})) for number, reason in zip(left, reasons, strict=True)
                       if reason.get("Code") == _FAILED}
            # Without those whose condition did not hold the rest may go through at once.
            if not refused:
                if attempts == _ATTEMPTS:
                    raise
                attempts += 1
                time.sleep(next(waits))
            for number, item in refused.items():
                found[number] = item
            left = [number for number in left if number not in refused]
    return found


@dataclass(frozen=True)
class Put:
    """Of together(): write this item, whatever there is."""

    item: Item


@dataclass(frozen=True)
class Delete:
    """Of together(): delete the item of this key, if the condition holds where one is given (#name, :value)."""

    key: Item
    condition: str = ""
    values: Item = field(default_factory=dict)


def together(aws: Aws, table: str, steps: Sequence[Put | Delete], token: str) -> None:
    """Do all of the steps or none, in one call. token: makes a repeated call count once (36 characters at most).

    Raises Conflict when a condition does not hold, with `items`: for each step what the table has instead, {} where its
    condition held or there is nothing.
    """
    waits = _waits()
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            aws.call("dynamodb", "transact_write_items", ClientRequestToken=token,
                     TransactItems=[_step(table, step) for step in steps])
        except AwsError as error:
            if error.code != "TransactionCanceledException":
                raise
            if _FAILED in error.aws_message:
                reasons = error.response.get("CancellationReasons", [])
                raise Conflict({}, [plain(reason.get("Item", {})) for reason in reasons]) from error
            # Somebody was at one of the items in this moment (a beat of the lock).
            if "TransactionConflict" not in error.aws_message or attempt == _ATTEMPTS:
                raise
            time.sleep(next(waits))
        else:
            return


def _step(table: str, step: Put | Delete) -> dict[str, Any]:
    if isinstance(step, Put):
        return {"Put": {"TableName": table, "Item": typed(step.item)}}
    arguments: dict[str, Any] = {"TableName": table, "Key": typed(step.key)}
    if step.condition:
        arguments |= {"ConditionExpression": step.condition, "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
                      "ExpressionAttributeNames": _names(step.condition)}
    if step.values:
        arguments["ExpressionAttributeValues"] = typed({f":{k}": v for k, v in step.values.items()})
    return {"Delete": arguments}


def _waits() -> Iterator[float]:
    """Between two tries of a transaction. Those who were in each other's way would meet again without jitter."""
    return delays(first=0.1, limit=2.0, factor=2.0, jitter=0.5)


def delete(aws: Aws, table: str, key: Item, condition: str, values: Item) -> None:
    """Delete the item if the condition holds. Raises Conflict."""
    _conditional(aws, "delete_item", {
        "TableName": table, "Key": typed(key), "ConditionExpression": condition,
        "ExpressionAttributeNames": _names(condition), "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
        "ExpressionAttributeValues": typed({f":{k}": v for k, v in values.items()})})


def query(aws: Aws, table: str, name: str, value: str, limit: int, attributes: Sequence[str] = ()) -> list[Item]:
    """The items whose partition key `name` is `value`, the greatest sort key first, `limit` at most.

    attributes: which of them; all when empty.
    """
    arguments: dict[str, Any] = {
        "TableName": table, "KeyConditionExpression": f"#{name} = :value", "ScanIndexForward": False,
        "ExpressionAttributeNames": {f"#{name}": name}, "ExpressionAttributeValues": typed({":value": value}),
        "ConsistentRead": True}
    if attributes:
        arguments["ProjectionExpression"] = ", ".join(f"#{attribute}" for attribute in attributes)
        arguments["ExpressionAttributeNames"] |= {f"#{attribute}": attribute for attribute in attributes}
    found: list[Item] = []
    while len(found) < limit:
        page = aws.call("dynamodb", "query", Limit=limit - len(found), **arguments)
        found += [plain(item) for item in page.get("Items", [])]
        if not page.get("LastEvaluatedKey"):
            break
        arguments["ExclusiveStartKey"] = page["LastEvaluatedKey"]
    return found


def delete_all(aws: Aws, table: str, keys: Sequence[Item]) -> None:
    """Delete the items of these keys, whatever they are; those that AWS leaves over for load stay for the next time."""
    for start in range(0, len(keys), ITEMS_PER_BATCH):
        aws.call("dynamodb", "batch_write_item", RequestItems={
            table: [{"DeleteRequest": {"Key": typed(key)}} for key in keys[start:start + ITEMS_PER_BATCH]]})


def typed(item: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """An item as the API has it; pure."""
    return {name: {"N": str(value)} if isinstance(value, int) else {"S": str(value)} for name, value in item.items()}


def plain(item: Mapping[str, Mapping[str, str]]) -> Item:
    """The opposite of typed()."""
    return {name: int(Decimal(value["N"])) if "N" in value else value["S"] for name, value in item.items()
            if "N" in value or "S" in value}


def _names(*expressions: str) -> dict[str, str]:
    # Many plain words are reserved in expressions; with # none is.
    return {f"#{name}": name for expression in expressions for name in re.findall(r"#(\w+)", expression)}


def _conditional(aws: Aws, operation: str, arguments: dict[str, Any]) -> dict[str, Any]:
    try:
        return aws.call("dynamodb", operation, **arguments)
    except AwsError as error:
        if error.code == "ConditionalCheckFailedException":
            raise Conflict(plain(error.response.get("Item", {}))) from error
        raise
