"""What CloudFormation answers of a stack named web, for the fault server's scripts."""

from __future__ import annotations

import itertools
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.fault.server import FaultServer, Refusal, Script

#: A module run against a script: its result, and the server with what it was asked.
Run = Callable[..., tuple[dict[str, Any], FaultServer]]
#: The same, not waited for: the process.
Start = Callable[..., tuple[subprocess.Popen[str], FaultServer]]
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


MISSING = Refusal("ValidationError", "Stack with id web does not exist")


def stack(status: str, **more: Any) -> dict[str, Any]:
    return {"Stacks": [{"StackName": "web", "StackId": ARN, "StackStatus": status, "CreationTime": datetime.now(UTC),
                        **more}]}


def event(logical: str, status: str, kind: str = "AWS::SQS::Queue", reason: str = "", ago: float = 0,
          arn: str = ARN, physical: str = "p") -> dict[str, Any]:
    whole, number = kind == "stack", next(_numbers)
    return {"EventId": f"e{number}", "StackId": arn, "StackName": "web", "LogicalResourceId": logical,
            "PhysicalResourceId": arn if whole else physical, "ResourceStatus": status, "ResourceStatusReason": reason,
            "ResourceType": "AWS::CloudFormation::Stack" if whole or kind == "nested" else kind,
            # Newer than the operation, whenever its test comes; `ago` may make it older. Lists have the newest first.
            "Timestamp": datetime.now(UTC) + timedelta(seconds=600 - ago, microseconds=-100 * number)}


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
