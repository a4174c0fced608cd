"""cfn_stack against what the embedded AWS cannot be made to do: throttling, races, failed rollbacks, long histories."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.fault.server import FaultServer, Refusal, Script

ROOT = Path(__file__).resolve().parents[2]
ARN = "arn:aws:cloudformation:eu-west-1:123456789012:stack/web/11111111-2222"
CHANGE_SET = "arn:aws:cloudformation:eu-west-1:123456789012:changeSet/slipway-1/1"
TEMPLATE = "Resources: {Queue: {Type: AWS::SQS::Queue, Properties: {DelaySeconds: 5}}}\n"
OLD = "Resources: {Queue: {Type: AWS::SQS::Queue, Properties: {DelaySeconds: 1}}}\n"
EMPTY = {"Changes": [], "ChangeSetId": CHANGE_SET, "StackId": ARN, "Status": "FAILED", "ExecutionStatus": "UNAVAILABLE",
         "StatusReason": "The submitted information didn't contain changes."}
MODIFY = {"ChangeSetId": CHANGE_SET, "StackId": ARN, "Status": "CREATE_COMPLETE", "ExecutionStatus": "AVAILABLE",
          "Changes": [{"Type": "Resource", "ResourceChange": {
              "Action": "Modify", "LogicalResourceId": "Queue", "PhysicalResourceId": "q", "Replacement": "False",
              "ResourceType": "AWS::SQS::Queue", "BeforeContext": '{"Properties":{"DelaySeconds":"1"}}',
              "AfterContext": '{"Properties":{"DelaySeconds":"5"}}'}}]}
_numbers = itertools.count()


def stack(status: str, **more: Any) -> dict[str, Any]:
    return {"Stacks": [{"StackName": "web", "StackId": ARN, "StackStatus": status, "CreationTime": datetime.now(UTC),
                        **more}]}


def event(logical: str, status: str, kind: str = "AWS::SQS::Queue", reason: str = "", ago: float = 0,
          arn: str = ARN, physical: str = "p") -> dict[str, Any]:
    whole = kind == "stack"
    return {"EventId": f"e{next(_numbers)}", "StackId": arn, "StackName": "web", "LogicalResourceId": logical,
            "PhysicalResourceId": arn if whole else physical, "ResourceStatus": status, "ResourceStatusReason": reason,
            "ResourceType": "AWS::CloudFormation::Stack" if whole or kind == "nested" else kind,
            "Timestamp": datetime.now(UTC) + timedelta(seconds=2 - ago)}


def events(*newest_first: dict[str, Any], token: str = "") -> dict[str, Any]:
    return {"StackEvents": list(newest_first), **({"NextToken": token} if token else {})}


DONE = events(event("web", "UPDATE_COMPLETE", "stack"), event("Queue", "UPDATE_COMPLETE"),
              event("web", "UPDATE_IN_PROGRESS", "stack"))
#: Everything an ordinary update asks for; a test replaces what goes otherwise.
ORDINARY: dict[str, Script] = {
    "DescribeStacks": [stack("UPDATE_COMPLETE"), stack("UPDATE_COMPLETE", Outputs=[
        {"OutputKey": "Url", "OutputValue": "u"}])],
    "GetTemplate": {"TemplateBody": OLD},
    "CreateChangeSet": {"Id": CHANGE_SET, "StackId": ARN},
    "DescribeChangeSet": MODIFY,
    "ExecuteChangeSet": {},
    "DeleteChangeSet": {},
    "ListChangeSets": {"Summaries": []},
    "DescribeStackEvents": DONE,
}


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Callable[..., tuple[dict[str, Any], FaultServer]]]:
    servers: list[FaultServer] = []

    def start(script: dict[str, Script], **arguments: Any) -> tuple[dict[str, Any], FaultServer]:
        server = FaultServer({k: list(v) if isinstance(v, list) else v for k, v in {**ORDINARY, **script}.items()})
        servers.append(server)
        template = tmp_path / "stack.yml"
        template.write_text(TEMPLATE)
        if arguments.get("state") != "absent":
            arguments = {"template": str(template), **arguments}
        program = (f"import runpy, ansible.module_utils as m; m.__path__.append({str(ROOT / 'module_utils')!r}); "
                   f"runpy.run_path({str(ROOT / 'library/cfn_stack.py')!r}, run_name='__main__')")
        given = {"name": "web", "_ansible_check_mode": arguments.pop("check", False), **arguments}
        done = subprocess.run(
            [sys.executable, "-c", program], input=json.dumps({"ANSIBLE_MODULE_ARGS": given}), text=True,
            capture_output=True, timeout=90, check=False,
            env={**os.environ, "AWS_ENDPOINT_URL": server.url, "AWS_REGION": "eu-west-1", "AWS_ACCESS_KEY_ID": "test",
                 "AWS_SECRET_ACCESS_KEY": "test"})
        assert "Traceback" not in done.stderr + done.stdout, done.stderr + done.stdout
        assert server.wrong == []
        result: dict[str, Any] = json.loads(done.stdout)
        return result, server

    yield start
    for server in servers:
        server.close()


Run = Callable[..., tuple[dict[str, Any], FaultServer]]


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
    old = [event("Queue", "UPDATE_COMPLETE", ago=1000 + n) for n in range(90)]
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
