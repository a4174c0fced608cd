"""A change set on its way: how long it is waited for, and what is passed through S3 and taken back."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from slipway.aws import contents
from slipway.errors import AwsError, WaitTimeout
from slipway.polling import Deadline
from slipway.progress import Progress
from slipway.stack.options import Options
from slipway.stack.proposal import Proposal
from slipway.stack.template import load

STACK = {"StackId": "arn:stack/web", "StackStatus": "UPDATE_COMPLETE"}
LARGE = load("Resources: {Queue: {Type: AWS::SQS::Queue}}\n" + "# large\n" * 7000, "large.yml")
READY = {"Status": "CREATE_COMPLETE", "ExecutionStatus": "AVAILABLE"}


class Aws:
    """answers: by operation; an AwsError is raised. calls: (operation, region, request) in order."""

    region = "eu-west-1"

    def __init__(self, **answers: Any) -> None:
        self.answers = {"create_change_set": {"Id": "arn:cs", "StackId": "arn:stack/web"}, "describe_change_set": READY,
                        **answers}
        self.calls: list[tuple[str, str | None, dict[str, Any]]] = []

    def call(self, service: str, operation: str, /, region: str | None = None, **request: Any) -> dict[str, Any]:
        self.calls.append((operation, region, request))
        answer = self.answers.get(operation, {})
        if isinstance(answer, AwsError):
            raise answer
        return dict(answer)

    def client(self, service: str, region: str | None = None) -> Any:
        return SimpleNamespace(meta=SimpleNamespace(endpoint_url=f"https://{service}.{region}.amazonaws.com"))

    def of(self, operation: str) -> list[dict[str, Any]]:
        return [request for name, _, request in self.calls if name == operation]


class Said(Progress):
    def __init__(self) -> None:
        super().__init__(heartbeat=0.0)
        self.lines: list[str] = []

    def say(self, text: str, tone: str = "info") -> None:
        self.lines.append(text)


def create(aws: Any, limit: float | None = None, progress: Progress | None = None) -> dict[str, Any]:
    options = Options("web", template=LARGE, template_bucket="templates")
    proposal = Proposal(aws, options, STACK, True, progress or Progress(), Deadline(limit))
    return proposal.create(LARGE, [], {}, None)


def home(region: str) -> dict[str, Any]:
    return {"ResponseMetadata": {"HTTPHeaders": {"x-amz-bucket-region": region}}}


def test_a_large_template_is_taken_back() -> None:
    aws = Aws(head_bucket=home("eu-west-1"))
    create(aws)
    (put,), (taken,) = aws.of("put_object"), aws.of("delete_object")
    assert put["Bucket"] == taken["Bucket"] == "templates"
    assert put["Key"] == taken["Key"]
    (request,) = aws.of("create_change_set")
    assert request["TemplateURL"] == f"https://s3.eu-west-1.amazonaws.com/templates/{put['Key']}"
    names = [name for name, _, _ in aws.calls]
    assert names.index("put_object") < names.index("create_change_set") < names.index("delete_object")
    create(aws)
    assert len({p["Key"] for p in aws.of("put_object")}) == 2, "another run may be in need of what has its key"


def test_it_is_taken_back_from_a_refused_change_too() -> None:
    aws = Aws(create_change_set=AwsError("no", code="InsufficientCapabilitiesException"))
    with pytest.raises(AwsError):
        create(aws)
    assert [d["Key"] for d in aws.of("delete_object")] == [p["Key"] for p in aws.of("put_object")]


def test_what_may_not_be_taken_back_is_said_and_no_error() -> None:
    said = Said()
    create(Aws(delete_object=AwsError("s3 DeleteObject: Access Denied.", code="AccessDenied")), progress=said)
    assert any("stays in bucket templates: s3 DeleteObject: Access Denied" in line for line in said.lines)


def test_the_change_set_is_waited_for_as_long_as_the_task_says() -> None:
    said = Said()
    aws = Aws(describe_change_set={"Status": "CREATE_IN_PROGRESS"})
    with pytest.raises(WaitTimeout, match="change set of stack web was not computed within 1 s. Raise wait_timeout"):
        create(aws, limit=0.6, progress=said)
    assert len(aws.of("describe_change_set")) >= 2
    assert "... the change set of web is being computed" in said.lines


@pytest.mark.parametrize(("told", "region"), [
    (home("us-east-2"), "us-east-2"),
    ({}, "eu-west-1"),
    (None, "us-east-2"),
])
def test_address_in_the_buckets_own_region(told: dict[str, Any] | None, region: str) -> None:
    refused = AwsError("Forbidden", code="403")
    refused.response = home("us-east-2")
    aws: Any = Aws(head_bucket=refused if told is None else told)
    assert contents.upload(aws, "b", "k", "body") == f"https://s3.{region}.amazonaws.com/b/k"
    assert [where for name, where, _ in aws.calls if name == "put_object"] == [region]
