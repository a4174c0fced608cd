"""What a release came to, from what its modules returned."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any

import pytest

from slipway.ledger.record import PROVISIONAL, closed, is_release, opened, orphaned, record_id

START, END = "2026-11-23T08:00:00+00:00", "2026-11-23T08:00:41+00:00"
ENTRY = opened("shop", "shop-service", "release", datetime.fromisoformat(START), "0123456789", {"tag": "old"},
               commit="1a2b3c4")
IMAGE = {"tag": "new", "digest": "sha256:1", "built": True, "phases": {"build": 2.0, "total": 3.0},
         "api_calls": {"e": 2}}
STACK = {"changed": True, "phases": {"plan": 0.1, "update": 9.0}, "outputs": {"AppURL": "http://x"},
         "api_calls": {"c": 5}, "parameters": {"ImageTag": "new"}}
ROLLOUT = {"verdict": "completed", "msg": "web:2 is rolled out.", "task_definition": "web:2",
           "phases": {"wait": 1.0}}


def test_records_of_one_second_sort_by_time() -> None:
    first = datetime.fromisoformat(START)
    assert record_id(first, "ffffffff") < record_id(first + timedelta(milliseconds=1), "00000000")
    # As it was before: to the second.
    assert f"release#{START}#ffffffff" < record_id(first + timedelta(milliseconds=1), "00000000")


@pytest.mark.parametrize(("image", "stack", "rollout", "verdict", "message"), [
    (IMAGE, STACK, ROLLOUT, "completed", "web:2 is rolled out."),
    ({"failed": True, "msg": "The build failed."}, {}, {}, "image_failed", "The build failed."),
    (IMAGE, {"failed": True, "msg": "Service: crash."}, {}, "stack_failed", "Service: crash."),
    (IMAGE, STACK, {"failed": True, "verdict": "rolled_back", "msg": "Went back."}, "rolled_back", "Went back."),
    (IMAGE, {"failed": True, "verdict": "rolled_back", "msg": "Service: crash."}, {}, "rolled_back", "Service: crash."),
    (IMAGE, {"failed": True, "verdict": "timed_out", "msg": "Not ended."}, {}, "timed_out", "Not ended."),
    (IMAGE, {"changed": False}, {"failed": True, "msg": "No region."}, "refused", "No region."),
    # The new version is under way, whatever became of it.
    (IMAGE, STACK, {"failed": True, "msg": "AWS does not answer."}, "aborted", "AWS does not answer."),
    (IMAGE, STACK, {}, "aborted", "The release ended before its rollout was judged."),
])
def test_the_verdict(image: dict[str, Any], stack: dict[str, Any], rollout: dict[str, Any], verdict: str,
                     message: str) -> None:
    record = closed(ENTRY, image, stack, rollout, END)
    assert (record["verdict"], record["message"]) == (verdict, message)
    assert (record["started"], record["ended"], record["seconds"]) == (START, END, 41.0)


def test_what_is_known_of_a_good_one() -> None:
    record = closed(ENTRY, IMAGE, STACK, ROLLOUT, END)
    assert record["phases"] == {"image.build": 2.0, "stack.plan": 0.1, "stack.update": 9.0, "rollout.wait": 1.0}
    assert record["api_calls"] == {"e": 2, "c": 5}
    assert (record["tag"], record["from"], record["commit"], record["url"]) == ("new", {"tag": "old"}, "1a2b3c4",
                                                                                "http://x")
    assert json.loads(json.dumps(record)) == record


def test_a_record_of_a_huge_release_fits_its_item() -> None:
    event = {"time": START, "status": "UPDATE_FAILED", "type": "T" * 90, "logical_id": "L" * 250, "reason": "r" * 900}
    stack = {"failed": True, "msg": "m" * 10_000, "events": [event] * 3000, "evidence": ["e" * 3000] * 500,
             "changes": [{"action": "Modify", "properties": [{"path": "p", "before": "b" * 9000}]}] * 400}
    record = closed(ENTRY, IMAGE, stack, {}, END)
    # 400 kB is an item's limit.
    assert len(json.dumps(record).encode()) < 400_000


def test_unknown_values_of_a_plan_are_none() -> None:
    assert closed(ENTRY, {"digest": "(known after apply)"}, {}, {}, END)["digest"] == ""


@pytest.mark.parametrize(("image", "stack", "rollout", "expected"), [
    (IMAGE, STACK, ROLLOUT, True),
    ({**IMAGE, "changed": False}, {"changed": False}, ROLLOUT, False),
    ({"failed": True}, {}, {}, True),
    (IMAGE, {"changed": False}, {"failed": True}, True),
])
def test_a_run_that_did_nothing_is_no_release(image: dict[str, Any], stack: dict[str, Any], rollout: dict[str, Any],
                                              expected: bool) -> None:
    assert is_release(image, stack, rollout) is expected


@pytest.mark.parametrize(("status", "tag", "verdict", "message"), [
    ("UPDATE_COMPLETE", "new", "completed", "its stack update went through: new is deployed"),
    ("UPDATE_COMPLETE", "old", "aborted", "the stack is UPDATE_COMPLETE and old is deployed"),
    ("UPDATE_ROLLBACK_COMPLETE", "old", "aborted", "the stack is UPDATE_ROLLBACK_COMPLETE and old is deployed"),
    ("UPDATE_ROLLBACK_FAILED", "old", "aborted", "UPDATE_ROLLBACK_FAILED"),
    ("", "", "aborted", "there is no stack"),
])
def test_what_became_of_one_whose_process_ended(status: str, tag: str, verdict: str, message: str) -> None:
    record = orphaned(ENTRY, status, tag, END)
    assert record["verdict"] == verdict
    assert message in record["message"]


def test_an_end_before_the_start_takes_no_time() -> None:
    assert closed(ENTRY, IMAGE, STACK, ROLLOUT, "2026-11-23T07:59:59+00:00")["seconds"] == 0.0


REMEDY = "Correct the command."


@pytest.mark.parametrize(("result", "cause"), [
    ({"msg": f"It crashed. {REMEDY}", "remedy": REMEDY}, "It crashed."),
    ({"msg": "2 values are at fault:\n- one\n- two"}, "2 values are at fault: - one - two"),
    ({"msg": "The build failed at step 3.\nlog line\nlog line"}, "The build failed at step 3."),
    ({"msg": "Rolled back. It crashed.", "diagnosis": {"cause": f"It crashed. {REMEDY}", "remedy": REMEDY}},
     "It crashed."),
    ({"msg": ""}, ""),
    ({"msg": REMEDY, "remedy": REMEDY}, REMEDY),
])
def test_the_cause_of_a_failure_is_one_line(result: dict[str, Any], cause: str) -> None:
    record = closed(ENTRY, {"failed": True, **result}, {}, {}, END)
    assert record["cause"] == cause


@pytest.mark.parametrize(("stack", "rollout"), [
    ({"failed": True, "msg": "Service: crash.", "cause_kind": "crash"}, {}),
    (STACK, {"failed": True, "verdict": "failed", "msg": "x", "diagnosis": {"cause": "x", "kind": "crash"}}),
])
def test_the_cause_has_its_stable_key(stack: dict[str, Any], rollout: dict[str, Any]) -> None:
    assert closed(ENTRY, IMAGE, stack, rollout, END)["cause_kind"] == "crash"
    assert closed(ENTRY, IMAGE, STACK, ROLLOUT, END)["cause_kind"] == ""


def test_a_good_release_has_no_cause_and_says_whether_it_changed_anything() -> None:
    assert closed(ENTRY, IMAGE, STACK, ROLLOUT, END)["cause"] == ""
    assert closed(ENTRY, IMAGE, STACK, ROLLOUT, END)["changed"] is True
    assert closed(ENTRY, IMAGE, {**STACK, "changed": False}, ROLLOUT, END)["changed"] is False


def test_what_was_refused_before_it_began_is_refused() -> None:
    refusal = {"failed": True, "msg": "No such folder. Correct it.", "remedy": "Correct it."}
    record = closed(ENTRY, {}, {}, {}, END, refusal)
    assert (record["verdict"], record["cause"], record["remedy"]) == ("refused", "No such folder.", "Correct it.")
    assert closed(ENTRY, IMAGE, STACK, ROLLOUT, END, {"failed": False})["verdict"] == "completed"


def event(at: str, status: str) -> dict[str, str]:
    return {"time": f"2026-11-23T08:00:{at}+00:00", "status": status, "type": "AWS::CloudFormation::Stack",
            "logical_id": "shop", "reason": ""}


BEGAN = 1795420800.0  # START


def test_an_interrupted_release_tells_what_it_was_doing() -> None:
    notes = [{"module": "ecr_push", "at": BEGAN + 1}, {"module": "ecr_push", "at": BEGAN + 4, "result": IMAGE},
             {"module": "cfn_stack", "at": BEGAN + 4}]
    events = [event("05", "UPDATE_IN_PROGRESS"), event("11", "UPDATE_ROLLBACK_IN_PROGRESS"),
              event("20", "UPDATE_ROLLBACK_COMPLETE")]
    record = orphaned(ENTRY, "UPDATE_ROLLBACK_COMPLETE", "old", END, events, notes)
    assert record["verdict"] == "aborted"
    assert record["message"] == ("The process of this release ended early while it updated its stack; the stack is "
                                 "UPDATE_ROLLBACK_COMPLETE and old is deployed.")
    assert record["cause"] == record["message"]
    assert (record["tag"], record["digest"]) == ("new", "sha256:1")
    assert record["phases"] == {"image.build": 2.0, "stack.update": 6.0, "stack.rollback": 9.0}
    assert [one["status"] for one in record["events"]] == [one["status"] for one in events]


def test_how_long_an_unfinished_build_had_been_at_work_is_known() -> None:
    record = orphaned(ENTRY, "UPDATE_COMPLETE", "old", END, [], [{"module": "ecr_push", "at": BEGAN + 1}])
    assert record["phases"] == {"image.interrupted": 40.0}
    assert "ended early while it built and pushed its image; the stack" in record["message"]


def test_an_image_that_another_one_put_in_place_is_not_taken_for_ours() -> None:
    notes = [{"module": "ecr_push", "at": BEGAN, "result": {**IMAGE, "tag": "mine"}}]
    record = orphaned(ENTRY, "UPDATE_COMPLETE", "theirs", END, [], notes)
    assert (record["verdict"], record["tag"], record["digest"]) == ("completed", "theirs", "")


def test_a_release_that_only_just_got_its_turn_has_deployed_nothing() -> None:
    """What another one deployed while it waited is not its own."""
    record = orphaned({**ENTRY, PROVISIONAL: True}, "UPDATE_COMPLETE", "theirs", END)
    assert record["verdict"] == "aborted" and PROVISIONAL not in record
    assert record["message"].endswith("the stack is UPDATE_COMPLETE and theirs is deployed.")


def test_one_that_was_superseded_says_by_whom() -> None:
    entry = {**ENTRY, "superseded_by": "ann on build-2, https://ci/8"}
    record = orphaned(entry, "UPDATE_ROLLBACK_COMPLETE", "old", END, [], [{"module": "cfn_stack", "at": BEGAN}])
    assert (record["verdict"], record["superseded_by"]) == ("superseded", "ann on build-2, https://ci/8")
    assert record["message"].startswith("Superseded by ann on build-2, https://ci/8 while it updated its stack; ")
    # Too late to stop it.
    assert orphaned(entry, "UPDATE_COMPLETE", "new", END)["verdict"] == "completed"


def test_another_image_of_the_same_tag_is_another_image() -> None:
    entry = {**ENTRY, "from": {"tag": "v1", "digest": "sha256:1"}}
    assert orphaned(entry, "UPDATE_COMPLETE", "v1", END, digest="sha256:1")["verdict"] == "aborted"
    record = orphaned(entry, "UPDATE_COMPLETE", "v1", END, digest="sha256:2")
    assert (record["verdict"], record["digest"]) == ("completed", "sha256:2")
