"""cfn_stack on stacks that earlier runs left half-way."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.fault.server import Refusal, Script
from tests.fault.stacks import ARN, CHANGE_SET, DONE, EMPTY, MISSING, TEMPLATE, Run, Start, event, events, stack

CREATED = events(event("web", "CREATE_COMPLETE", "stack"), event("web", "CREATE_IN_PROGRESS", "stack"))
DELETED = events(event("web", "DELETE_COMPLETE", "stack"), event("Queue", "DELETE_COMPLETE"))
BACK = events(event("web", "UPDATE_ROLLBACK_COMPLETE", "stack"), event("web", "UPDATE_ROLLBACK_IN_PROGRESS", "stack"))


def resource(logical: str, status: str, kind: str = "AWS::SQS::Queue", physical: str = "p") -> dict[str, Any]:
    return {"LogicalResourceId": logical, "PhysicalResourceId": physical, "ResourceType": kind,
            "LastUpdatedTimestamp": datetime.now(UTC), "ResourceStatus": status}


def left(*resources: dict[str, Any]) -> dict[str, Any]:
    return {"StackResourceSummaries": list(resources)}


#: A first create that failed, deleted and made anew.
ANEW: dict[str, Script] = {
    "DescribeStacks": [stack("ROLLBACK_COMPLETE"), stack("DELETE_COMPLETE"), MISSING, stack("CREATE_COMPLETE")],
    "ListStackResources": left(resource("Queue", "DELETE_COMPLETE")), "DeleteStack": {},
    "DescribeStackEvents": [DELETED, CREATED]}
PROTECTED: dict[str, Any] = {"protected": ["AWS::SQS::*"], "allow_replacement": []}


def test_events_of_the_deletion_are_told_too(run: Run) -> None:
    result, _ = run(ANEW, **PROTECTED)
    assert result["status"] == "CREATE_COMPLETE"
    assert [e["status"] for e in result["events"]] == [
        "DELETE_COMPLETE", "DELETE_COMPLETE", "CREATE_IN_PROGRESS", "CREATE_COMPLETE"]


@pytest.mark.parametrize(("there", "options", "refusal"), [
    (resource("Queue", "DELETE_FAILED"), {"protected": ["AWS::SQS::*"]}, "would be replaced, but it is protected"),
    (resource("Queue", "CREATE_COMPLETE"), {"allow_replacement": []}, "which allow_replacement does not allow"),
    (resource("Gone", "DELETE_FAILED", "AWS::RDS::DBInstance"), {"protected": ["Gone"]},
     "Gone (AWS::RDS::DBInstance) would be removed, but it is protected"),
], ids=["protected", "allow_replacement", "no longer in the template"])
@pytest.mark.parametrize("check", [False, True])
def test_what_a_dead_stack_still_holds_is_protected(run: Run, check: bool, there: dict[str, Any],
                                                    options: dict[str, Any], refusal: str) -> None:
    result, server = run({"DescribeStacks": stack("DELETE_FAILED"), "ListStackResources": left(there)}, check=check,
                         **options)
    assert refusal in result["msg"]
    assert server.calls["DeleteStack"] == 0


def test_what_a_nested_stack_of_a_dead_one_still_holds_is_protected(run: Run) -> None:
    inner = ARN.replace("web", "web-Inner")
    pages = {ARN: left(resource("Inner", "DELETE_FAILED", "AWS::CloudFormation::Stack", inner)),
             inner: left(resource("Db", "DELETE_FAILED", "AWS::RDS::DBInstance"))}
    result, server = run({"DescribeStacks": stack("ROLLBACK_FAILED"),
                          "ListStackResources": lambda request: pages[request["StackName"]]}, protected=["AWS::RDS::*"])
    assert "Inner/Db (AWS::RDS::DBInstance) would be removed, but it is protected" in result["msg"]
    assert server.calls["DeleteStack"] == 0


def test_what_is_retained_is_not_destroyed(run: Run) -> None:
    result, server = run({**ANEW, "DescribeStacks": [stack("DELETE_FAILED"), stack("DELETE_COMPLETE"), MISSING,
                                                     stack("CREATE_COMPLETE")],
                          "ListStackResources": left(resource("Queue", "DELETE_FAILED"))},
                         retain_resources=["Queue"], **PROTECTED)
    assert result["status"] == "CREATE_COMPLETE"
    assert server.of("DeleteStack")[0]["RetainResources"] == ["Queue"]


@pytest.mark.parametrize(("template", "refusal"), [
    ("Parameters: {N: {Type: String}}\n" + TEMPLATE, "N has neither a value nor a default"),
    ("Resources: {R: {Type: AWS::IAM::Role, Properties: {RoleName: r}}}\n", "needs CAPABILITY_NAMED_IAM")])
@pytest.mark.parametrize("check", [False, True])
def test_what_the_new_stack_lacks_is_found_before_the_old_one_is_deleted(run: Run, tmp_path: Path, check: bool,
                                                                         template: str, refusal: str) -> None:
    path = tmp_path / "new.yml"
    path.write_text(template)
    # What the dead stack was granted and given goes with it.
    dead = stack("ROLLBACK_COMPLETE", Capabilities=["CAPABILITY_NAMED_IAM"],
                 Parameters=[{"ParameterKey": "N", "ParameterValue": "old"}])
    result, server = run({"DescribeStacks": dead}, check=check, template=str(path))
    assert refusal in result["msg"]
    assert server.calls["DeleteStack"] == 0


@pytest.mark.parametrize("check", [False, True])
def test_a_dead_stack_without_a_template(run: Run, check: bool) -> None:
    result, _ = run({"DescribeStacks": stack("ROLLBACK_COMPLETE")}, check=check, template=None)
    assert "to create it anew a template is needed" in result["msg"]


def test_a_dead_stack_that_is_protected_against_termination(run: Run) -> None:
    dead = stack("ROLLBACK_COMPLETE", EnableTerminationProtection=True)
    for check in (False, True):
        result, server = run({**ANEW, "DescribeStacks": dead}, check=check)
        assert "protected against termination" in result["msg"]
        assert server.calls["DeleteStack"] == 0
    result, server = run({**ANEW, "DescribeStacks": [dead, stack("DELETE_COMPLETE"), MISSING, stack("CREATE_COMPLETE")],
                          "UpdateTerminationProtection": {}}, termination_protection=False)
    assert result["status"] == "CREATE_COMPLETE"
    assert server.of("UpdateTerminationProtection")[0]["EnableTerminationProtection"] == "false"


def test_a_preview_shows_what_is_deleted(run: Run) -> None:
    result, _ = run({"DescribeStacks": stack("CREATE_FAILED"),
                     "ListStackResources": left(resource("Old", "CREATE_COMPLETE"))}, check=True)
    assert "Old (AWS::SQS::Queue): removed\n" in result["diff"]["after"]


def test_a_failed_update_that_was_left_is_rolled_back_first(run: Run) -> None:
    role = "arn:aws:iam::123456789012:role/cloudformation"
    result, server = run({
        "DescribeStacks": [stack("UPDATE_FAILED"), stack("UPDATE_ROLLBACK_COMPLETE"), stack("UPDATE_COMPLETE")],
        "RollbackStack": {}, "DescribeStackEvents": [BACK, DONE]}, role_arn=role)
    assert result["status"] == "UPDATE_COMPLETE"
    (request,) = server.of("RollbackStack")
    assert request["ClientRequestToken"]
    assert request["RoleARN"] == role
    operations = [name for name, _ in server.requests]
    assert operations.index("RollbackStack") < operations.index("CreateChangeSet")


def test_a_failed_update_that_may_fail_again_goes_on_from_there(run: Run) -> None:
    result, server = run({"DescribeStacks": [stack("UPDATE_FAILED"), stack("UPDATE_COMPLETE")]}, disable_rollback=True)
    assert result["status"] == "UPDATE_COMPLETE"
    assert server.calls["RollbackStack"] == 0
    assert server.of("ExecuteChangeSet")[0]["DisableRollback"] == "true"


def test_a_rollback_that_fails_leads_with_its_cause(run: Run) -> None:
    failed = events(event("web", "UPDATE_ROLLBACK_FAILED", "stack"),
                    event("Db", "UPDATE_FAILED", "AWS::RDS::DBInstance", "No space left"))
    result, server = run({"DescribeStacks": [stack("UPDATE_FAILED"), stack("UPDATE_ROLLBACK_FAILED")],
                          "RollbackStack": {}, "DescribeStackEvents": failed})
    assert result["msg"].startswith("Db (AWS::RDS::DBInstance): No space left.")
    assert server.calls["CreateChangeSet"] == 0


@pytest.mark.parametrize(("status", "call"), [("UPDATE_ROLLBACK_FAILED", "ContinueUpdateRollback"),
                                              ("UPDATE_FAILED", "RollbackStack")])
def test_a_rollback_alone_is_a_change(run: Run, status: str, call: str) -> None:
    """In check mode and without."""
    script: dict[str, Script] = {"DescribeStacks": [stack(status), stack("UPDATE_ROLLBACK_COMPLETE")], call: {},
                                 "DescribeStackEvents": BACK, "DescribeChangeSet": EMPTY}
    planned, server = run(script, check=True)
    assert planned["changed"]
    assert set(server.calls) == {"DescribeStacks"}
    result, _ = run(script)
    assert result["changed"]
    assert result["status"] == "UPDATE_ROLLBACK_COMPLETE"
    assert [e["status"] for e in result["events"]] == ["UPDATE_ROLLBACK_IN_PROGRESS", "UPDATE_ROLLBACK_COMPLETE"]
    assert f"stack web: {status}" in result["diff"]["before"]
    assert "rol" in result["summary"]


def test_killed_in_a_continued_rollback_the_next_run_converges(start: Start, run: Run) -> None:
    looks = iter([stack("UPDATE_ROLLBACK_FAILED")])
    process, server = start({"DescribeStacks": lambda _: next(looks, stack("UPDATE_ROLLBACK_IN_PROGRESS")),
                             "ContinueUpdateRollback": {}, "DescribeStackEvents": events()})
    deadline = time.monotonic() + 30
    while not server.calls["ContinueUpdateRollback"]:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.kill()
    process.communicate()
    # It goes on without us, and the next run finds it at work.
    result, server = run({
        "DescribeStacks": [stack("UPDATE_ROLLBACK_IN_PROGRESS"), stack("UPDATE_ROLLBACK_COMPLETE"),
                           stack("UPDATE_ROLLBACK_COMPLETE"), stack("UPDATE_COMPLETE")],
        "DescribeStackEvents": [BACK, DONE]})
    assert result["status"] == "UPDATE_COMPLETE"
    assert server.calls["ContinueUpdateRollback"] == 0


def test_change_sets_that_killed_runs_left_are_cleared(run: Run) -> None:
    def one(name: str, hours: float = 1, execution: str = "AVAILABLE") -> dict[str, Any]:
        return {"ChangeSetName": name, "ChangeSetId": f"{CHANGE_SET}-{name}", "ExecutionStatus": execution,
                "CreationTime": datetime.now(UTC) - timedelta(hours=hours)}

    held = Refusal("InvalidChangeSetStatus", "ChangeSet [x] cannot be deleted")
    found = [one("slipway-held"), one("slipway-old"), one("slipway-young", 0.1), one("theirs"),
             one("slipway-executed", execution="EXECUTE_COMPLETE"), one("slipway-obsolete", execution="OBSOLETE")]

    def delete(request: dict[str, Any]) -> dict[str, Any]:
        if request["ChangeSetName"].endswith("held"):
            raise held
        return {}

    result, server = run({"ListChangeSets": {"Summaries": found}, "DeleteChangeSet": delete}, check=True)
    assert result["changed"]
    assert [r["ChangeSetName"].removeprefix(CHANGE_SET) for r in server.of("DeleteChangeSet")] == [
        "", "-slipway-held", "-slipway-old", "-slipway-obsolete"]
    # A run that changes the stack need not look for them: AWS drops them then.
    _, server = run({"ListChangeSets": {"Summaries": found}, "DeleteChangeSet": delete})
    assert server.calls["DeleteChangeSet"] == server.calls["ListChangeSets"] == 0


POLICY = '{"Statement": [{"Effect": "Allow", "Action": "Update:*", "Principal": "*", "Resource": "*"}]}'


@pytest.mark.parametrize(("present", "changed"), [(None, True), (POLICY.replace("Allow", "Deny"), True),
                                                  (POLICY.replace(" ", ""), False)], ids=["none", "another", "same"])
def test_stack_policy(run: Run, present: str | None, changed: bool) -> None:
    """Set alone, without a change set."""
    script: dict[str, Script] = {"GetTemplate": {"TemplateBody": TEMPLATE}, "SetStackPolicy": {},
                                 "GetStackPolicy": {"StackPolicyBody": present} if present else {}}
    planned, server = run(script, check=True, stack_policy=POLICY)
    assert planned["changed"] is changed
    assert server.calls["SetStackPolicy"] == 0
    result, server = run(script, stack_policy=POLICY)
    assert result["changed"] is changed
    assert [r["StackPolicyBody"] for r in server.of("SetStackPolicy")] == [POLICY] * changed
    assert server.calls["CreateChangeSet"] == 0


def test_stack_policy_before_an_update_and_after_a_create(run: Run) -> None:
    _, server = run({"SetStackPolicy": {}, "GetStackPolicy": {}}, stack_policy=POLICY)
    operations = [name for name, _ in server.requests]
    assert operations.index("SetStackPolicy") < operations.index("ExecuteChangeSet")
    _, server = run({"SetStackPolicy": {}, "DescribeStacks": [MISSING, stack("CREATE_COMPLETE")],
                     "DescribeStackEvents": CREATED}, stack_policy=POLICY)
    operations = [name for name, _ in server.requests]
    assert operations.index("SetStackPolicy") > operations.index("ExecuteChangeSet")
    assert server.calls["GetStackPolicy"] == 0
