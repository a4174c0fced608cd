"""Why a release failed, as the pipeline shows it."""

from __future__ import annotations

from typing import Any

import pytest

from slipway.runner.failure import CONFIGURATION, HIDDEN, JOB_FAILED, LIMIT, PERMISSION, Failure, message, secrets_of
from slipway.runner.failure import of_release as why

CRASHED = {"verdict": "rolled_back", "cause": "Container web exited with code 1.",
           "message": "Container web exited with code 1. Look at its last lines.", "remedy": "Look at its last lines."}
TASK = {"task": "Build and push the image", "action": "ecr_push", "message": "The image does not build.", "remedy": ""}


def test_the_releases_own_record_is_the_best_witness() -> None:
    assert why(CRASHED, [{**TASK, "message": "something else"}], "noise", 2) == Failure(
        JOB_FAILED, "Container web exited with code 1. Look at its last lines.")


def test_cause_message_and_remedy_each_once_and_in_this_order() -> None:
    record = {"verdict": "failed", "cause": "Out of memory.", "message": "The service did not settle.",
              "remedy": "Raise Memory."}
    assert why(record, [], "", 2).text == "Out of memory.\nThe service did not settle.\nRaise Memory."


@pytest.mark.parametrize(("record", "failed", "kind"), [
    ({"verdict": "refused", "message": "The Dockerfile is missing."}, [], CONFIGURATION),
    ({"verdict": "refused", "message": "The AWS credentials have expired."}, [], PERMISSION),
    ({"verdict": "stack_failed", "message": "is not authorized to perform: ecs:UpdateService"}, [], PERMISSION),
    ({"verdict": "image_failed", "message": "RUN make failed."}, [], JOB_FAILED),
    ({}, [TASK], JOB_FAILED),
    ({}, [{**TASK, "action": "ecs_preflight"}], CONFIGURATION),
    ({}, [{**TASK, "action": "ansible.builtin.validate_argument_spec"}], CONFIGURATION),
    ({}, [{**TASK, "remedy": "Allow ecr:PutImage in the policy of the identity that runs this."}], PERMISSION),
    # The release ended between its modules: a task knows why.
    ({"verdict": "aborted", "message": "The release ended before its rollout was judged."}, [TASK], JOB_FAILED),
    # What was released before this run failed somewhere else.
    ({"verdict": "completed", "message": ""}, [TASK], JOB_FAILED),
])
def test_the_kind_of_a_failure(record: dict[str, Any], failed: list[dict[str, str]], kind: str) -> None:
    found = why(record, failed, "", 2)
    assert found.kind == kind
    assert "ended before" not in found.text or not failed


def test_where_nobody_wrote_a_reason_the_last_lines_are_it() -> None:
    tail = "\x1b[31mERROR! the playbook could not be found\x1b[0m\n\n" + "line\n" * 20
    said = why({}, [], tail + "the last", 1).text
    assert said.splitlines()[0] == "The release ended with exit code 1 and gave no reason. The last that it printed:"
    assert said.splitlines()[1:] == ["line"] * 7 + ["the last"]
    assert why({}, [], " \n", 137).text == "The release ended with exit code 137 and printed nothing."


def test_a_message_ends_with_the_build_however_long_it_is() -> None:
    link = "http://localhost:8080/job/shop/7/console"
    assert message(Failure(JOB_FAILED, "Because."), link) == f"Because.\nThe build: {link}"
    assert message(Failure(JOB_FAILED, "Because."), "") == "Because."
    long = message(Failure(JOB_FAILED, "x" * 9000), link)
    assert len(long) == LIMIT
    assert long.endswith(f"...\nThe build: {link}")


def test_a_message_holds_no_secret_and_no_control_character() -> None:
    variables = {"aws_environment": {"AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMI", "AWS_REGION": "eu-central-1"},
                 "ecs_release_notify": {"webhook_url": "https://hooks.example/T0/abc"},
                 "db": {"passwords": ["hunter22", "short"]}}
    secrets = secrets_of(variables)
    assert secrets == {"wJalrXUtnFEMI", "https://hooks.example/T0/abc", "hunter22"}
    text = "in eu-central-1: wJalrXUtnFEMI\x00 AKIAIOSFODNN7EXAMPLE hunter22 short\x1b[31m red\x1b[0m"
    assert message(Failure(JOB_FAILED, text), "", secrets) == (
        f"in eu-central-1: {HIDDEN} {HIDDEN} {HIDDEN} short red")
