"""Requests against the service's model."""

from __future__ import annotations

from typing import Any

import pytest

from embedded.codepipeline import shapes
from embedded.codepipeline.errors import ServiceError

JOB = "01234567-0123-0123-0123-0123456789ab"
GOOD: list[tuple[str, dict[str, Any]]] = [
    ("AcknowledgeJob", {"jobId": JOB, "nonce": "1"}),
    ("PutActionRevision", {"pipelineName": "p", "stageName": "s", "actionName": "a", "actionRevision": {
        "revisionId": "1", "revisionChangeId": "1", "created": 1.5}}),
    ("ListPipelines", {"nextToken": None}),
]
BAD: list[tuple[str, Any, str]] = [
    ("AcknowledgeJob", {"nonce": "1"}, "Value null at 'jobId'.*must not be null"),
    ("AcknowledgeJob", {"jobId": "x", "nonce": "1"}, "Value 'x' at 'jobId'.*regular expression pattern"),
    ("AcknowledgeJob", {"jobId": JOB, "nonce": ""}, "at 'nonce'.*greater than or equal to 1"),
    ("AcknowledgeJob", {"jobId": JOB, "nonce": "1" * 51}, "at 'nonce'.*less than or equal to 50"),
    ("AcknowledgeJob", {"jobId": JOB, "nonce": 1}, "at 'nonce'.*must be a string"),
    ("AcknowledgeJob", {"jobId": JOB, "nonce": "1", "more": 1}, "'more' is not known"),
    ("ListPipelines", {"maxResults": True}, "must be a integer"),
    ("ListPipelines", {"maxResults": 1001}, "less than or equal to 1000"),
    ("PutJobFailureResult", {"jobId": JOB, "failureDetails": {"type": "Bad", "message": "m"}}, "enum value set"),
    ("PollForJobs", {"actionTypeId": {"category": "Build", "owner": "Custom", "provider": "p", "version": "1"},
                     "queryParam": {"a": "b", "c": "d"}}, "at 'queryParam'.*less than or equal to 1"),
    ("TagResource", {"resourceArn": "arn:aws:codepipeline:r:000000000000:p", "tags": [{"key": "k"}]},
     "tags.1.member.value"),
    ("AcknowledgeJob", {}, "2 validation errors detected"),
]


@pytest.mark.parametrize(("operation", "request_"), GOOD)
def test_what_the_model_allows(operation: str, request_: dict[str, Any]) -> None:
    assert shapes.check_request(operation, request_) is request_


@pytest.mark.parametrize(("operation", "request_", "said"), BAD)
def test_what_it_does_not(operation: str, request_: Any, said: str) -> None:
    with pytest.raises(ServiceError, match=said) as caught:
        shapes.check_request(operation, request_)
    assert caught.value.code == "ValidationException"


def test_a_body_that_is_no_object() -> None:
    with pytest.raises(ServiceError) as caught:
        shapes.check_request("ListPipelines", [])
    assert caught.value.code == "SerializationException"
