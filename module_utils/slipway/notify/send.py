"""Tells of a release wherever its settings say. What cannot be told is a warning, and never fails a release."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..aws import sns
from ..aws.session import Aws
from ..errors import SlipwayError
from . import message, webhook


@dataclass(frozen=True)
class Settings:
    """topic: ARN of an SNS topic; webhook: an address, which is a secret; '' for neither. on: kinds of messages."""

    topic: str = ""
    webhook: str = ""
    on: Sequence[str] = message.KINDS

    @classmethod
    def of(cls, given: Mapping[str, Any] | None) -> Settings:
        """given: option `notify` of module ecs_ledger."""
        found = given or {}
        on = found.get("on")
        return cls(str(found.get("topic") or ""), str(found.get("webhook") or ""), message.KINDS if on is None else on)

    @property
    def any(self) -> bool:
        return bool(self.topic or self.webhook)


def send(settings: Settings, record: Mapping[str, Any], session: Callable[[], Aws]) -> list[str]:
    """Tell of the release with this record. session: gives an Aws, asked for a topic only. Returns warnings."""
    if not settings.any or message.kind_of(record) not in settings.on:
        return []
    told = message.of(record)
    ways: list[tuple[str, Callable[[], None]]] = []
    warnings = []
    if settings.topic and settings.topic.count(":") != 5:
        warnings.append(f"Nobody was told of this release by topic {settings.topic}: that is no ARN of a topic.")
    elif settings.topic:
        ways.append((f"topic {settings.topic}", lambda: sns.publish(
            session(), settings.topic, told.subject(), told.plain(),
            {"service": str(record.get("service", "")), "kind": told.kind, "verdict": str(record.get("verdict", ""))})))
    if settings.webhook:
        ways.append(("the webhook", lambda: webhook.post(settings.webhook, told.slack())))
    for where, way in ways:
        try:
            way()
        except SlipwayError as error:
            warnings.append(f"Nobody was told of this release by {where}: {error}")
    return warnings
