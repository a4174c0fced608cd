from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from slipway.stack import events

ARN = "arn:aws:cloudformation:eu-west-1:1:stack/web/1"
START = datetime(2026, 1, 2, 8, 31, 2, tzinfo=UTC)


def event(second: int, logical: str, status: str, reason: str = "", kind: str = "AWS::SQS::Queue", path: str = "",
          **more: Any) -> dict[str, Any]:
    physical = ARN if kind == "stack" else more.pop("physical", "")
    return {"EventId": f"{path}{logical}{second}", "StackId": ARN, "LogicalResourceId": logical, "Path": path,
            "PhysicalResourceId": physical, "ResourceStatus": status, "ResourceStatusReason": reason,
            "ResourceType": "AWS::CloudFormation::Stack" if kind in ("stack", "nested") else kind,
            "Timestamp": START + timedelta(seconds=second), **more}


BEGIN = event(0, "web", "UPDATE_IN_PROGRESS", "User Initiated", "stack")
ROLLBACK = event(9, "web", "UPDATE_ROLLBACK_IN_PROGRESS", "The following resource(s) failed to update: [B].", "stack")


@pytest.mark.parametrize(("happened", "cause"), [
    pytest.param([BEGIN, event(1, "A", "UPDATE_COMPLETE")], None, id="nothing failed"),
    pytest.param([BEGIN, event(2, "B", "CREATE_FAILED", "Quota exceeded"),
                  event(3, "A", "CREATE_FAILED", "Resource creation cancelled"), ROLLBACK],
                 "B (AWS::SQS::Queue): Quota exceeded", id="the first, not what was cancelled"),
    pytest.param([BEGIN, event(1, "A", "UPDATE_FAILED", "Resource update cancelled"),
                  event(2, "B", "UPDATE_FAILED", "Access denied"), ROLLBACK],
                 "B (AWS::SQS::Queue): Access denied", id="even if the cancellation is told before it"),
    pytest.param([BEGIN, event(2, "B", "CREATE_FAILED", "Bad name"),
                  event(12, "C", "DELETE_FAILED", "Not empty"), ROLLBACK],
                 "B (AWS::SQS::Queue): Bad name", id="not what failed while rolling back"),
    pytest.param([BEGIN, event(5, "Inner", "CREATE_FAILED", "Embedded stack was not successfully created", "nested",
                               physical="arn:nested"),
                  event(4, "Q", "CREATE_FAILED", "Bad name", path="Inner/"),
                  event(4, "inner", "ROLLBACK_IN_PROGRESS", "failed to create: [Q]", "stack", path="Inner/")],
                 "Inner/Q (AWS::SQS::Queue): Bad name", id="what failed inside a nested stack"),
    pytest.param([BEGIN, event(5, "Inner", "CREATE_FAILED", "TemplateURL must be https", "nested",
                               physical="arn:nested"), ROLLBACK],
                 "Inner (AWS::CloudFormation::Stack): TemplateURL must be https", id="a nested stack that never began"),
    pytest.param([BEGIN, event(1, "web", "UPDATE_ROLLBACK_IN_PROGRESS", "No export named vpc found.", "stack")],
                 "No export named vpc found", id="the stack as a whole"),
    pytest.param([BEGIN, event(1, "B", "CREATE_FAILED")], "B (AWS::SQS::Queue): AWS gives no reason", id="no reason"),
    pytest.param([BEGIN, event(1, "B", "CREATE_IN_PROGRESS", HookStatus="HOOK_COMPLETE_FAILED",
                               HookStatusReason="Bucket is public"), ROLLBACK],
                 "B (AWS::SQS::Queue): Bucket is public", id="a hook"),
])
def test_root_cause(happened: list[dict[str, Any]], cause: str | None) -> None:
    for order in (happened, happened[::-1]):
        found = events.root_cause(order)
        assert (str(found) if found else None) == cause


def test_failures_leave_out_cancellations() -> None:
    happened = [event(3, "A", "CREATE_FAILED", "Resource creation cancelled"), event(2, "B", "CREATE_FAILED", "Quota")]
    assert [e["LogicalResourceId"] for e in events.failures(happened)] == ["B"]


def test_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "UTC")
    __import__("time").tzset()
    assert events.line(event(0, "Vpc", "CREATE_COMPLETE", kind="AWS::EC2::VPC")) == (
        "08:31:02  CREATE_COMPLETE         AWS::EC2::VPC                            Vpc")
    assert events.line(event(1, "Q", "CREATE_FAILED", "No\n such   thing", path="Inner/")) == (
        "08:31:03  CREATE_FAILED           AWS::SQS::Queue                          Inner/Q  No such thing")
    assert "CREATE_IN_PROGRESS (configured)" in events.line(
        event(1, "Q", "CREATE_IN_PROGRESS", DetailedStatus="CONFIGURATION_COMPLETE"))


@pytest.mark.parametrize(("status", "tone"), [
    ("CREATE_COMPLETE", "good"), ("DELETE_COMPLETE", "good"), ("CREATE_FAILED", "bad"), ("CREATE_IN_PROGRESS", "info"),
    ("UPDATE_ROLLBACK_IN_PROGRESS", "warn"), ("UPDATE_ROLLBACK_COMPLETE", "warn"), ("ROLLBACK_FAILED", "bad"),
    ("DELETE_SKIPPED", "warn"),
])
def test_tone(status: str, tone: str) -> None:
    assert events.tone(status) == tone
