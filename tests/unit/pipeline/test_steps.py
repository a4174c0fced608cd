"""Actions of an execution, as a person reads them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from slipway.pipeline import steps

START = datetime(2026, 11, 23, 15, 0, tzinfo=UTC)


def detail(stage: str, action: str, status: str = "Succeeded", at: float = 0, took: float = 1.5,
           category: str = "Build", variables: dict[str, str] | None = None, **result: Any) -> dict[str, Any]:
    return {"stageName": stage, "actionName": action, "status": status, "startTime": START + timedelta(seconds=at),
            "lastUpdateTime": START + timedelta(seconds=at + took), "input": {"actionTypeId": {"category": category}},
            "output": {"executionResult": result, "outputVariables": variables or {}}}


def test_actions_come_in_the_order_in_which_they_began() -> None:
    found = steps.read([detail("Build", "Report", at=5), detail("Source", "Source"), detail("Build", "Release", at=2)])
    assert [step.name for step in found] == ["Source", "Build/Release", "Build/Report"]
    assert found[0].seconds == 1.5


def test_of_an_action_that_was_retried_the_last_try_counts() -> None:
    found = steps.read([detail("Build", "Release", "Failed", at=1), detail("Build", "Release", "InProgress", at=9)])
    assert [step.status for step in found] == ["InProgress"]


def test_a_line_says_how_it_ended_and_what_it_says_of_itself() -> None:
    (good,) = steps.read([detail("Build", "Report", externalExecutionSummary="Released 3f2c9a1\nas x")])
    assert good.line() == ("Build/Report       succeeded after 1.5 s: Released 3f2c9a1", "good")
    error = {"code": "JobFailed", "message": "No Dockerfile.\nAdd one."}
    (bad,) = steps.read([detail("Build", "Release", "Failed", errorDetails=error)])
    assert bad.line() == ("Build/Release      failed after 1.5 s: No Dockerfile.", "bad")
    assert bad.cause == "No Dockerfile.\nAdd one."
    (going,) = steps.read([detail("Build", "Release", "InProgress")])
    assert going.line() == ("Build/Release      in progress", "info")


def test_a_failure_without_details_still_has_a_cause() -> None:
    (summed,) = steps.read([detail("Build", "Release", "Failed", externalExecutionSummary="Build failed")])
    assert summed.cause == "Build failed"
    (silent,) = steps.read([detail("Build", "Release", "Failed")])
    assert silent.cause == "AWS gives no reason"


def test_the_commit_is_the_source_actions() -> None:
    found = steps.read([detail("Source", "Source", category="Source",
                               variables={"CommitId": "3f2c9a1", "CommitMessage": "Make it pink\n"}),
                        detail("Build", "Release", at=2)])
    assert steps.revision(found) == ("3f2c9a1", "Make it pink")
    assert steps.revision([]) == ("", "")


def test_a_wait_for_a_person_is_told_from_work() -> None:
    approval = detail("Approval", "Approve", "InProgress", category="Approval", at=3)
    found = steps.read([detail("Build", "Release"), approval])
    assert found[1].line() == ("Approval/Approve   waits for an approval", "warn")
    assert steps.only_approvals(found)
    assert not steps.only_approvals(steps.read([detail("Build", "Release", "InProgress"), approval]))
    assert not steps.only_approvals(steps.read([detail("Build", "Release")]))


def test_of_several_that_failed_the_one_that_names_the_cause_counts() -> None:
    def failed(action: str, message: str) -> dict[str, Any]:
        return detail("Build", action, "Failed", errorDetails={"code": "JobFailed", "message": message})

    jenkins, check = failed("Release", "Build failed"), failed("Check", "The artifact is no zip.")
    for details in ([jenkins, check], [check, jenkins]):
        found = steps.witness(steps.read(details))
        assert found and found.action == "Check"
    alone = steps.witness(steps.read([detail("Source", "Source"), jenkins]))
    assert alone and alone.action == "Release"
    assert steps.witness(steps.read([detail("Source", "Source")])) is None
