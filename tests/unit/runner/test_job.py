"""What the pipeline hears of a build's job, and what the build hears of the pipeline."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from slipway.runner.failure import JOB_FAILED, Failure
from slipway.runner.job import Job, Late, environment_of, within
from tests.integration.worker_aws import REGION, Refused, WorkerAws

WHY = Failure(JOB_FAILED, "The container exits with hunter22.")


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[WorkerAws]:
    server = WorkerAws()
    for name, value in server.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("AWS_SESSION_TOKEN", raising=False)
    yield server
    server.close()
    assert server.problems == []


def job(aws: WorkerAws, said: list[str], **more: Any) -> Job:
    identifier = aws.offer("shop", None)
    return Job(identifier, "7", "http://jenkins/job/shop/7/console", said.append, REGION, **more)


def test_the_commit_of_a_job(aws: WorkerAws) -> None:
    said: list[str] = []
    one = job(aws, said)
    aws.queue[0]["data"]["inputArtifacts"][0]["revision"] = "3f2c9a"
    assert (one.revision(), said) == ("3f2c9a", [])


def test_nobody_knows_the_commit(aws: WorkerAws) -> None:
    said: list[str] = []
    one = job(aws, said)
    assert one.revision() == ""
    aws.queue.clear()
    assert one.revision() == ""
    assert said[-1].startswith("AWS CodePipeline does not tell the commit of this job: ")


def test_a_failure_is_told_once_with_its_build_and_without_secrets(aws: WorkerAws) -> None:
    said: list[str] = []
    one = job(aws, said, secrets=frozenset({"hunter22"}))
    assert one.fail(WHY)
    assert not one.fail(Failure(JOB_FAILED, "another"))
    assert aws.called("PutJobFailureResult") == [{"jobId": one.identifier, "failureDetails": {
        "type": "JobFailed", "externalExecutionId": "7",
        "message": "The container exits with (hidden).\nThe build: http://jenkins/job/shop/7/console"}}]
    assert said == [f"Told AWS CodePipeline why job {one.identifier} failed (JobFailed)."]


@pytest.mark.parametrize(("code", "told"), [("InvalidJobStateException", True), ("JobNotFoundException", True),
                                            ("ValidationException", False)])
def test_a_pipeline_that_wants_no_answer(aws: WorkerAws, code: str, told: bool) -> None:
    def refuse(_request: dict[str, Any]) -> dict[str, Any]:
        raise Refused(code)

    aws.answers["PutJobFailureResult"] = refuse
    said: list[str] = []
    one = job(aws, said)
    assert not one.fail(WHY)
    assert one.told is told
    assert ("no longer waits for job" if told else "was not told why this failed") in said[0]
    aws.problems = [problem for problem in aws.problems if "ValidationException" not in problem]


def test_an_aws_that_does_not_answer_is_not_waited_for(aws: WorkerAws) -> None:
    def hesitate(_request: dict[str, Any]) -> dict[str, Any]:
        time.sleep(20)
        return {}

    aws.answers["PutJobFailureResult"] = hesitate
    said: list[str] = []
    began = time.monotonic()
    assert not job(aws, said, patience=0.5).fail(WHY)
    assert time.monotonic() - began < 15
    assert said == ["AWS CodePipeline was not told why this failed: no answer in 0.5 s"]


def test_work_has_its_time_and_its_errors_come_through() -> None:
    assert within(10, lambda: 1) == 1
    with pytest.raises(ZeroDivisionError):
        within(10, lambda: 1 // 0)
    with pytest.raises(Late):
        within(0.05, lambda: time.sleep(5))


@pytest.mark.parametrize(("variables", "found"), [
    ({}, {}), ({"aws_environment": "x"}, {}),
    ({"aws_environment": {"AWS_REGION": "eu-central-1", "AWS_X": 1, "PATH": "/evil"}}, {"AWS_REGION": "eu-central-1"})])
def test_what_of_a_releases_environment_is_for_aws(variables: dict[str, Any], found: dict[str, str]) -> None:
    assert environment_of(variables) == found
