"""A stack whose rollback got stuck: what the embedded AWS, whose rollbacks work, cannot be made to do."""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from xml.sax.saxutils import escape

from tests.fault.proxy import BadDay

FAILED, CONTINUED = "UPDATE_ROLLBACK_FAILED", "UPDATE_ROLLBACK_COMPLETE"


class StuckStack(BadDay):
    """Stands in front of CloudFormation, where `stack` is in UPDATE_ROLLBACK_FAILED until its rollback is continued and
    an update begins. Everything else is as it is behind.

    reason: why it stays as it is although the rollback is continued, '' where that helps. continued: how often it was.
    """

    def __init__(self, upstream: str, stack: str, reason: str = "") -> None:
        super().__init__(upstream, 0, 0)
        self._stack, self._reason = stack, reason
        self._status, self._events = FAILED, ""
        self.continued = 0

    def answer(self, operation: str, form: Mapping[str, str]) -> str | None:
        if operation == "ExecuteChangeSet":  # names the change set alone
            self._status = ""
        if operation != "ContinueUpdateRollback" or not self._meant(form):
            return None
        self.continued += 1
        self._status = FAILED if self._reason else CONTINUED
        if self._reason:
            self._note(form, "Service", "AWS::ECS::Service", "UPDATE_FAILED", self._reason)
        self._note(form, self._stack, "AWS::CloudFormation::Stack", self._status)
        return ('<ContinueUpdateRollbackResponse xmlns="http://cloudformation.amazonaws.com/doc/2010-05-15/">'
                "<ContinueUpdateRollbackResult/><ResponseMetadata><RequestId>1</RequestId></ResponseMetadata>"
                "</ContinueUpdateRollbackResponse>")

    def amend(self, operation: str, form: Mapping[str, str], data: bytes) -> bytes:
        if not self._status or not self._meant(form):
            return data
        if operation == "DescribeStacks":
            return re.sub(rb"(?<=<StackStatus>)\w+", self._status.encode(), data)
        if operation == "DescribeStackEvents":
            return data.replace(b"<StackEvents>", b"<StackEvents>" + self._events.encode(), 1)
        return data

    def _meant(self, form: Mapping[str, str]) -> bool:
        """By name or by ARN."""
        name = form.get("StackName", "")
        return name == self._stack or f":stack/{self._stack}/" in name

    def _note(self, form: Mapping[str, str], resource: str, kind: str, status: str, reason: str = "") -> None:
        """An event, before the older ones."""
        fields = {"StackId": form["StackName"], "EventId": uuid.uuid4().hex, "StackName": self._stack,
                  "LogicalResourceId": resource, "PhysicalResourceId": form["StackName"], "ResourceType": kind,
                  "Timestamp": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
                  "ResourceStatus": status, "ResourceStatusReason": reason,
                  "ClientRequestToken": form.get("ClientRequestToken", "")}
        members = "".join(f"<{name}>{escape(value)}</{name}>" for name, value in fields.items() if value)
        self._events = f"<member>{members}</member>{self._events}"
