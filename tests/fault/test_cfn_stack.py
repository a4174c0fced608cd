"""cfn_stack against what the embedded AWS cannot be made to do: throttling, races, failed rollbacks, long histories."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.fault.server import Refusal, Script
from tests.fault.stacks import ARN, CHANGE_SET, DONE, EMPTY, MODIFY, TEMPLATE, Run, event, events, stack


def test_ordinary_update(run: Run) -> None:
    result, server = run({}, tags={"a": "b"}, capabilities=["CAPABILITY_IAM"], notification_arns=["arn:aws:sns:x:1:t"],
                         role_arn="arn:aws:iam::123456789012:role/cloudformation", disable_rollback=False,
                         rollback_triggers=["arn:aws:cloudwatch:eu-west-1:123456789012:alarm:a"])
    assert result["changed"]
    assert result["outputs"] == {"Url": "u"}
    assert result["changes"][0]["properties"] == [{"path": "DelaySeconds", "before": "1", "after": "5"}]
    (request,) = server.of("CreateChangeSet")
    assert request["Tags"] == [{"Key": "a", "Value": "b"}]
    assert request["RollbackConfiguration"]["RollbackTriggers"][0]["Type"] == "AWS::CloudWatch::Alarm"
    assert server.of("ExecuteChangeSet")[0]["DisableRollback"] == "false"
    assert server.of("DescribeChangeSet")[0]["IncludePropertyValues"] == "true"


ALARM = "arn:aws:cloudwatch:eu-west-1:123456789012:alarm:"
PLAIN = {"Arn": f"{ALARM}a", "Type": "AWS::CloudWatch::Alarm"}
COMPOSITE = {"Arn": f"{ALARM}b", "Type": "AWS::CloudWatch::CompositeAlarm"}


def test_rollback_triggers_plain_and_composite(run: Run) -> None:
    wanted = [PLAIN["Arn"], {"arn": COMPOSITE["Arn"], "type": COMPOSITE["Type"]}]
    _, server = run({}, rollback_triggers=wanted, rollback_monitoring_minutes=5)
    (request,) = server.of("CreateChangeSet")
    assert request["RollbackConfiguration"] == {"RollbackTriggers": [PLAIN, COMPOSITE], "MonitoringTimeInMinutes": "5"}
    present = {"RollbackTriggers": [PLAIN, COMPOSITE], "MonitoringTimeInMinutes": 5}
    there = {"DescribeStacks": stack("UPDATE_COMPLETE", RollbackConfiguration=present),
             "GetTemplate": {"TemplateBody": TEMPLATE}}
    same, server = run(there, rollback_triggers=wanted)
    assert not same["changed"]
    assert server.calls["CreateChangeSet"] == 0
    longer, server = run(there, rollback_monitoring_minutes=10)
    assert longer["changed"]
    (request,) = server.of("CreateChangeSet")
    assert request["RollbackConfiguration"] == {"RollbackTriggers": [PLAIN, COMPOSITE], "MonitoringTimeInMinutes": "10"}


@pytest.mark.parametrize("wrong", [{"arn": ALARM, "type": "AWS::EC2::Instance"}, {"type": "AWS::CloudWatch::Alarm"}, 7])
def test_rollback_triggers_that_are_none(run: Run, wrong: Any) -> None:
    result, server = run({}, rollback_triggers=[wrong])
    assert result["failed"]
    assert "rollback" in result["msg"]
    assert not server.calls


NESTED = """
Parameters:
  Word: {Type: String, NoEcho: true, Default: none}
Resources:
  Inner: {Type: AWS::CloudFormation::Stack, Properties: {TemplateURL: https://bucket.s3.amazonaws.com/inner.yml}}
"""


def change_set_of(name: str, *changes: dict[str, Any], root: str = "") -> dict[str, Any]:
    return {"ChangeSetId": f"{CHANGE_SET}-{name}", "StackId": ARN, "Status": "CREATE_COMPLETE",
            "ExecutionStatus": "AVAILABLE", "Changes": [{"Type": "Resource", "ResourceChange": c} for c in changes],
            **({"RootChangeSetId": root, "ParentChangeSetId": root} if root else {})}


def modified(logical: str, kind: str, before: str, after: str, **more: Any) -> dict[str, Any]:
    return {"Action": "Modify", "LogicalResourceId": logical, "PhysicalResourceId": f"{logical}-1",
            "Replacement": "False", "ResourceType": kind, "BeforeContext": before, "AfterContext": after, **more}


@pytest.fixture
def nested_plan() -> Script:
    """A stack in a stack in the stack, each with a change of its own."""
    inner, deep = f"{CHANGE_SET}-inner", f"{CHANGE_SET}-deep"
    pages = {
        CHANGE_SET: {**change_set_of("root", modified(
            "Inner", "AWS::CloudFormation::Stack", "{}", "{}", ChangeSetId=inner)), "ChangeSetId": CHANGE_SET},
        inner: change_set_of(
            "inner",
            modified("Queue", "AWS::SQS::Queue", '{"Properties":{"DelaySeconds":"1"}}',
                     '{"Properties":{"DelaySeconds":"5"}}'),
            modified("Parameter", "AWS::SSM::Parameter", '{"Properties":{"Value":"old words"}}',
                     '{"Properties":{"Value":"correct horse"}}'),
            modified("Deep", "AWS::CloudFormation::Stack", "{}", "{}", ChangeSetId=deep), root=CHANGE_SET),
        deep: change_set_of(
            "deep", modified("Db", "AWS::RDS::DBInstance", '{"Properties":{"Engine":"mysql"}}',
                             '{"Properties":{"Engine":"postgres"}}', Replacement="True"), root=CHANGE_SET),
    }
    return lambda request: pages[request["ChangeSetName"]]


def test_changes_of_nested_stacks_are_shown(run: Run, nested_plan: Script, tmp_path: Path) -> None:
    template = tmp_path / "nested.yml"
    template.write_text(NESTED)
    result, server = run({"DescribeChangeSet": nested_plan}, template=str(template), check=True,
                         secret_parameters={"Word": "correct horse"})
    assert server.of("CreateChangeSet")[0]["IncludeNestedStacks"] == "true"
    assert [c["logical_resource_id"] for c in result["changes"]] == [
        "Inner", "Inner/Queue", "Inner/Parameter", "Inner/Deep", "Inner/Deep/Db"]
    assert "Inner/Queue.DelaySeconds: 1\n" in result["diff"]["before"]
    assert "Inner/Queue.DelaySeconds: 5\n" in result["diff"]["after"]
    assert "Inner/Deep/Db (AWS::RDS::DBInstance): replaced\n" in result["diff"]["after"]
    assert "Inner/Deep/Db.Engine: postgres" in result["diff"]["after"]
    assert "correct horse" not in json.dumps(result)
    # The one at the root takes the others along; AWS refuses to delete those.
    assert [r["ChangeSetName"] for r in server.of("DeleteChangeSet")] == [CHANGE_SET]
    assert server.calls["ExecuteChangeSet"] == 0


def test_what_a_nested_stack_would_replace_can_be_refused(run: Run, nested_plan: Script, tmp_path: Path) -> None:
    template = tmp_path / "nested.yml"
    template.write_text(NESTED)
    result, server = run({"DescribeChangeSet": nested_plan}, template=str(template), protected=["AWS::RDS::*"])
    assert "Inner/Deep/Db (AWS::RDS::DBInstance) would be replaced, but it is protected" in result["msg"]
    assert server.calls["ExecuteChangeSet"] == 0
    assert server.calls["DeleteChangeSet"] == 1


def test_an_update_with_nested_stacks_is_executed_at_the_root(run: Run, nested_plan: Script, tmp_path: Path) -> None:
    template = tmp_path / "nested.yml"
    template.write_text(NESTED)
    result, server = run({"DescribeChangeSet": nested_plan}, template=str(template))
    assert result["changed"]
    assert [r["ChangeSetName"] for r in server.of("ExecuteChangeSet")] == [CHANGE_SET]
    assert len(result["changes"]) == 5


def test_a_change_set_takes_its_time(run: Run) -> None:
    result, _ = run({"DescribeChangeSet": [{**MODIFY, "Status": "CREATE_PENDING"},
                                           {**MODIFY, "Status": "CREATE_IN_PROGRESS"}, MODIFY]})
    assert result["changed"]


@pytest.mark.parametrize("reason", ["No updates are to be performed.",
                                    "The submitted information didn't contain changes. Submit different information."])
def test_every_wording_of_nothing_to_do(run: Run, reason: str) -> None:
    result, server = run({"DescribeChangeSet": {**EMPTY, "StatusReason": reason}})
    assert not result["changed"]
    assert server.calls["DeleteChangeSet"] == 1


def test_refused_change_set_gives_awss_reason(run: Run) -> None:
    result, server = run({"DescribeChangeSet": {**EMPTY, "StatusReason": "Template error: no such thing"}})
    assert "Template error: no such thing" in result["msg"]
    assert server.calls["DeleteChangeSet"] == 1


def test_throttled(run: Run) -> None:
    slow = Refusal("Throttling", "Rate exceeded")
    result, _ = run({"DescribeStackEvents": [slow, slow, DONE],
                     "CreateChangeSet": [slow, {"Id": CHANGE_SET, "StackId": ARN}]})
    assert result["changed"]
    assert result["retries"] == 3


def test_overtaken_between_plan_and_execution(run: Run) -> None:
    obsolete = Refusal("InvalidChangeSetStatus", "ChangeSet [x] cannot be executed in its current status of [OBSOLETE]")
    result, server = run({"ExecuteChangeSet": [obsolete, {}],
                          "DescribeStacks": [stack("UPDATE_COMPLETE"), stack("UPDATE_COMPLETE")]})
    assert result["changed"]
    assert server.calls["CreateChangeSet"] == 2


def test_somebody_else_began_an_update(run: Run) -> None:
    busy = Refusal("ValidationError", f"Stack:{ARN} is in UPDATE_IN_PROGRESS state and can not be updated.")
    result, server = run({"CreateChangeSet": [busy, {"Id": CHANGE_SET, "StackId": ARN}],
                          "DescribeStacks": [stack("UPDATE_COMPLETE"), stack("UPDATE_IN_PROGRESS"),
                                             stack("UPDATE_COMPLETE")]})
    assert result["changed"]
    assert server.calls["CreateChangeSet"] == 2


def test_cleanup_is_not_the_end(run: Run) -> None:
    cleanup = event("web", "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS", "stack", ago=.5)
    result, server = run({
        "DescribeStackEvents": [events(cleanup), events(event("web", "UPDATE_COMPLETE", "stack"), cleanup)],
        "DescribeStacks": [stack("UPDATE_COMPLETE"), stack("UPDATE_COMPLETE_CLEANUP_IN_PROGRESS"),
                           stack("UPDATE_COMPLETE")]})
    assert result["status"] == "UPDATE_COMPLETE"
    assert server.calls["DescribeStackEvents"] >= 2


def test_old_events_are_never_fetched(run: Run) -> None:
    old = [event("Queue", "UPDATE_COMPLETE", ago=2000 + n) for n in range(90)]
    begun = event("web", "UPDATE_IN_PROGRESS", "stack")
    pages = [events(begun, *old, token="more"), events(begun, *old, token="more"),
             events(event("web", "UPDATE_COMPLETE", "stack"), begun, *old, token="more")]
    result, server = run({"DescribeStackEvents": pages})
    assert [e["logical_id"] for e in result["events"]] == ["web", "web"]
    assert not any("NextToken" in request for request in server.of("DescribeStackEvents"))


def test_failed_rollback_is_continued_first(run: Run) -> None:
    back = events(event("web", "UPDATE_ROLLBACK_COMPLETE", "stack"),
                  event("web", "UPDATE_ROLLBACK_IN_PROGRESS", "stack"))
    result, server = run({
        "DescribeStacks": [stack("UPDATE_ROLLBACK_FAILED"), stack("UPDATE_ROLLBACK_COMPLETE"),
                           stack("UPDATE_COMPLETE")],
        "ContinueUpdateRollback": {}, "DescribeStackEvents": [back, DONE]}, skip_resources=["Queue"])
    assert result["changed"]
    (request,) = server.of("ContinueUpdateRollback")
    assert request["ResourcesToSkip"] == ["Queue"]
    assert request["ClientRequestToken"]


def test_failed_rollback_in_check_mode_changes_nothing(run: Run) -> None:
    result, server = run({"DescribeStacks": stack("UPDATE_ROLLBACK_FAILED")}, check=True)
    assert result["changed"]
    assert set(server.calls) == {"DescribeStacks"}


def test_failed_deletion_is_tried_again_and_retains(run: Run) -> None:
    left = {"LogicalResourceId": "Sg", "PhysicalResourceId": "sg-1", "ResourceType": "AWS::EC2::SecurityGroup",
            "LastUpdatedTimestamp": datetime.now(UTC), "ResourceStatus": "DELETE_FAILED"}
    failed = events(event("web", "DELETE_FAILED", "stack"),
                    event("Sg", "DELETE_FAILED", reason="has a dependent object"))
    gone = events(event("web", "DELETE_COMPLETE", "stack"))
    result, server = run({
        "DescribeStacks": [stack("UPDATE_COMPLETE"), stack("DELETE_FAILED"), stack("DELETE_COMPLETE")],
        "ListStackResources": {"StackResourceSummaries": [left]}, "DeleteStack": {},
        "DescribeStackEvents": [failed, gone]}, state="absent", retain_resources=["Sg", "Other"])
    assert result["status"] == "DELETE_COMPLETE"
    first, second = server.of("DeleteStack")
    assert "RetainResources" not in first
    assert second["RetainResources"] == ["Sg"]


def test_deletion_that_fails_twice_names_the_cause(run: Run) -> None:
    failed = [events(event("web", "DELETE_FAILED", "stack"),
                     event("Sg", "DELETE_FAILED", reason="has a dependent object"))
              for _ in range(2)]
    result, _ = run({"DescribeStacks": [stack("UPDATE_COMPLETE"), stack("DELETE_FAILED")],
                     "ListStackResources": {"StackResourceSummaries": []}, "DeleteStack": {},
                     "DescribeStackEvents": failed}, state="absent")
    assert result["msg"].startswith("Sg (AWS::SQS::Queue): has a dependent object.")
    assert "retain_resources" in result["remedy"]


def test_cause_inside_a_nested_stack(run: Run) -> None:
    inner = ARN.replace("web", "web-Inner-1")
    outer_begun = event("Inner", "UPDATE_IN_PROGRESS", "nested", physical=inner, ago=1)
    outer = [events(outer_begun), events(
        event("web", "UPDATE_ROLLBACK_COMPLETE", "stack"),
        event("Inner", "UPDATE_FAILED", "nested", "Embedded stack was not successfully updated", .2, physical=inner),
        outer_begun)]
    nested = events(event("web-Inner-1", "UPDATE_ROLLBACK_IN_PROGRESS", "stack", arn=inner, ago=.4),
                    event("Db", "UPDATE_FAILED", "AWS::RDS::DBInstance", "No space left", .5, arn=inner))

    def pages(request: dict[str, Any]) -> dict[str, Any]:
        if request["StackName"] == inner:
            return nested
        return outer.pop(0) if len(outer) > 1 else outer[0]

    result, _ = run({"DescribeStackEvents": pages,
                     "DescribeStacks": [stack("UPDATE_COMPLETE"), stack("UPDATE_ROLLBACK_COMPLETE")]})
    assert result["msg"].startswith("Inner/Db (AWS::RDS::DBInstance): No space left.")


def test_expired_credentials(run: Run) -> None:
    result, _ = run({"DescribeStacks": Refusal("ExpiredToken", "The security token included is expired", 403)})
    assert result["msg"].startswith("The AWS credentials have expired.")
