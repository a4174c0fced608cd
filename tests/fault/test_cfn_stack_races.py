"""cfn_stack while somebody else works on the same stack."""

from __future__ import annotations

import json
import signal
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.fault.server import Refusal
from tests.fault.stacks import ARN, CHANGE_SET, EMPTY, MISSING, MODIFY, Run, Start, event, events, stack

OBSOLETE = Refusal("InvalidChangeSetStatus", "ChangeSet [x] cannot be executed in its current status of [OBSOLETE]")
HELD = Refusal("InvalidChangeSetStatus", "ChangeSet [x] cannot be deleted in status [CREATE_IN_PROGRESS]")
VANISHED = Refusal("ChangeSetNotFound", "ChangeSet [x] does not exist", 404)
CREATED = events(event("web", "CREATE_COMPLETE", "stack"), event("web", "CREATE_IN_PROGRESS", "stack"))


def summaries(*more: dict[str, Any]) -> dict[str, Any]:
    return {"Summaries": list(more)}


def test_where_nobody_is_in_the_way_nothing_more_is_asked(run: Run) -> None:
    _, server = run({})
    assert [name for name, _ in server.requests] == [
        "DescribeStacks", "GetTemplate", "CreateChangeSet", "DescribeChangeSet", "ExecuteChangeSet",
        "DescribeStackEvents", "DescribeStacks"]


def test_a_preview_leaves_a_stack_that_somebody_creates_meanwhile(run: Run) -> None:
    """The empty stack of our change set was there, and another run took it."""
    result, server = run({"DescribeStacks": [MISSING, stack("CREATE_IN_PROGRESS")]}, check=True)
    assert result["changed"]
    assert server.calls["DeleteChangeSet"] == 1
    assert server.calls["DeleteStack"] == 0


def test_a_preview_leaves_a_stack_with_the_change_set_of_somebody_else(run: Run) -> None:
    other = {"ChangeSetName": "theirs", "ChangeSetId": f"{CHANGE_SET}-theirs", "Status": "CREATE_COMPLETE"}
    result, server = run({"DescribeStacks": [MISSING, stack("REVIEW_IN_PROGRESS")],
                          "ListChangeSets": summaries(other)}, check=True)
    assert result["changed"]
    assert server.calls["DeleteStack"] == 0


def test_a_preview_of_a_new_stack_leaves_nothing(run: Run) -> None:
    """The change set goes first, for it takes those of nested stacks along; then the stack, once that is done."""
    ours = {"ChangeSetName": "slipway-1", "ChangeSetId": CHANGE_SET, "Status": "DELETE_IN_PROGRESS"}
    _, server = run({"DescribeStacks": [MISSING, stack("REVIEW_IN_PROGRESS"), stack("REVIEW_IN_PROGRESS"),
                                        stack("DELETE_COMPLETE")],
                     "ListChangeSets": [summaries(ours), summaries()], "DeleteStack": {}}, check=True)
    operations = [name for name, _ in server.requests]
    assert operations[operations.index("DeleteChangeSet"):] == [
        "DeleteChangeSet", "DescribeStacks", "ListChangeSets", "DescribeStacks", "ListChangeSets", "DeleteStack",
        "DescribeStacks"]


def test_two_first_deployments(run: Run) -> None:
    """Theirs is executed before ours: it is waited for, then updated."""
    result, server = run({"DescribeStacks": [MISSING, stack("CREATE_IN_PROGRESS"), stack("CREATE_IN_PROGRESS"),
                                             stack("CREATE_COMPLETE")],
                          "ExecuteChangeSet": [OBSOLETE, {}], "DescribeStackEvents": CREATED})
    assert result["changed"]
    assert server.calls["DeleteStack"] == 0
    assert [r["ChangeSetType"] for r in server.of("CreateChangeSet")] == ["CREATE", "UPDATE"]


def test_a_change_set_that_cannot_be_deleted_is_in_nobodys_way(run: Run) -> None:
    result, server = run({"ExecuteChangeSet": [OBSOLETE, {}], "DescribeStacks": stack("UPDATE_COMPLETE"),
                          "DeleteChangeSet": HELD})
    assert result["changed"]
    assert server.calls["DeleteChangeSet"] == 1, "it is computed: there is nothing to wait for"


@pytest.mark.parametrize(("answers", "tries"), [
    ([HELD, HELD, {}], 3), ([Refusal("AccessDenied", "User is not authorized", 403)], 2)], ids=["computing", "denied"])
def test_interrupted_while_the_change_set_is_computed(start: Start, answers: list[Any], tries: int) -> None:
    process, server = start({"DescribeChangeSet": {**MODIFY, "Status": "CREATE_IN_PROGRESS"},
                             "DeleteChangeSet": answers})
    deadline = time.monotonic() + 30
    while server.calls["DescribeChangeSet"] < 2:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    out, _ = process.communicate(timeout=60)
    assert json.loads(out)["msg"].startswith("Interrupted by SIGTERM before stack web was changed.")
    assert server.calls["DeleteChangeSet"] == tries
    assert server.calls["ExecuteChangeSet"] == 0


def test_a_change_set_that_vanishes_is_made_anew(run: Run) -> None:
    result, server = run({"DescribeChangeSet": [VANISHED, MODIFY], "DescribeStacks": stack("UPDATE_COMPLETE"),
                          "DeleteChangeSet": VANISHED})
    assert result["changed"]
    assert server.calls["CreateChangeSet"] == 2


def test_a_nested_change_set_that_vanishes_is_made_anew(run: Run) -> None:
    inner = {"Action": "Modify", "LogicalResourceId": "Inner", "ResourceType": "AWS::CloudFormation::Stack",
             "ChangeSetId": f"{CHANGE_SET}-inner", "BeforeContext": "{}", "AfterContext": "{}"}
    root = {**MODIFY, "Changes": [{"Type": "Resource", "ResourceChange": inner}]}
    result, server = run({"DescribeChangeSet": [root, VANISHED, MODIFY], "DescribeStacks": stack("UPDATE_COMPLETE")})
    assert result["changed"]
    assert server.calls["CreateChangeSet"] == 2


def test_a_state_that_nobody_leaves_is_told_as_it_is(run: Run) -> None:
    stuck = Refusal("ValidationError", f"Stack:{ARN} is in IMPORT_ROLLBACK_FAILED state and can not be updated.")
    result, server = run({"DescribeStacks": stack("IMPORT_ROLLBACK_FAILED"), "CreateChangeSet": stuck})
    assert "is in IMPORT_ROLLBACK_FAILED state and can not be updated" in result["msg"]
    assert "somebody else" not in result["msg"]
    assert server.calls["CreateChangeSet"] == 2


def test_a_refusal_that_only_sounds_like_a_state_is_final(run: Run) -> None:
    reason = "Export vpc cannot be updated as it is in use by other"
    result, server = run({"DescribeChangeSet": {**EMPTY, "StatusReason": reason}})
    assert reason in result["msg"]
    assert server.calls["CreateChangeSet"] == 1


def test_overtaken_again_and_again(run: Run) -> None:
    """Each time it is another update of theirs, so it is worth another plan."""
    began = datetime.now(UTC)
    looks = [stack("UPDATE_COMPLETE", LastUpdatedTime=began + timedelta(minutes=n)) for n in range(3)]
    result, server = run({"DescribeStacks": looks, "ExecuteChangeSet": [OBSOLETE, OBSOLETE, {}]})
    assert result["changed"]
    assert server.calls["CreateChangeSet"] == 3


def test_an_execution_that_never_began(run: Run) -> None:
    """No event tells of it, and the stack is as it was: the change set knows."""
    failed = {**MODIFY, "ExecutionStatus": "EXECUTE_FAILED", "StatusReason": "Hook refused it"}
    result, _ = run({"DescribeStacks": stack("UPDATE_COMPLETE"), "DescribeStackEvents": events(),
                     "DescribeChangeSet": [MODIFY, failed]})
    assert result["msg"].startswith("CloudFormation did not execute the change set of stack web: Hook refused it.")


def test_an_operation_of_others_that_takes_too_long_says_what_takes_it(run: Run) -> None:
    history = events(event("Db", "UPDATE_IN_PROGRESS", "AWS::RDS::DBInstance", ago=700),
                     event("Queue", "UPDATE_COMPLETE", ago=701), event("Queue", "UPDATE_IN_PROGRESS", ago=702),
                     event("web", "UPDATE_IN_PROGRESS", "stack", ago=703),
                     event("Old", "UPDATE_IN_PROGRESS", ago=900))
    result, _ = run({"DescribeStacks": stack("UPDATE_IN_PROGRESS"), "DescribeStackEvents": history}, wait_timeout=2)
    assert "still in progress: Db (AWS::RDS::DBInstance)." in result["msg"]
