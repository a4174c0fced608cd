"""Thin calls to CodePipeline for the job that a worker has acknowledged."""

from __future__ import annotations

from typing import Any

from .session import Aws

#: What CodePipeline takes of a failure's message.
MESSAGE = 5000


def details(aws: Aws, job: str) -> dict[str, Any]:
    """What the job is to do: inputArtifacts with their revisions, outputArtifacts, pipelineContext."""
    found = aws.call("codepipeline", "get_job_details", jobId=job)
    data: dict[str, Any] = (found.get("jobDetails") or {}).get("data") or {}
    return data


def fail(aws: Aws, job: str, kind: str, message: str, execution: str) -> None:
    """End the job as failed. kind: a FailureType; execution: number of the build, '' where unknown. Raises AwsError,
    with code InvalidJobStateException where the job has ended already."""
    known = {"externalExecutionId": execution} if execution else {}
    aws.call("codepipeline", "put_job_failure_result", jobId=job,
             failureDetails={"type": kind, "message": message[:MESSAGE], **known})
