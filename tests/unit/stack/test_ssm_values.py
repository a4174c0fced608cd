"""Whether a parameter of an SSM type is as it was: its path, and the value behind it."""

from __future__ import annotations

from typing import Any

import pytest

from slipway.progress import Progress
from slipway.stack.lifecycle import Present
from slipway.stack.options import Options
from slipway.stack.template import load

BODY = "Parameters: {Ami: {Type: 'AWS::SSM::Parameter::Value<String>'}}\nResources: {Queue: {Type: AWS::SQS::Queue}}\n"


class Aws:
    """A stack whose Ami is /old, ami-1. values: of SSM now."""

    shared, region, retries = None, "eu-west-1", 0

    def __init__(self, values: dict[str, str]) -> None:
        ami = {"ParameterKey": "Ami", "ParameterValue": "/old", "ResolvedValue": "ami-1"}
        self._answers: dict[str, dict[str, Any]] = {
            "describe_stacks": {"Stacks": [{"StackName": "web", "StackId": "arn:stack/web", "Parameters": [ami],
                                            "StackStatus": "UPDATE_COMPLETE"}]},
            "get_template": {"TemplateBody": BODY},
            "get_parameters": {"Parameters": [{"Name": n, "Value": v} for n, v in values.items()]},
            "create_change_set": {"Id": "arn:cs", "StackId": "arn:stack/web"},
            "describe_change_set": {"Status": "CREATE_COMPLETE"},
        }
        self.asked: list[str] = []

    def call(self, service: str, operation: str, /, **_: Any) -> dict[str, Any]:
        self.asked.append(operation)
        return dict(self._answers.get(operation, {}))

    def api_calls(self) -> dict[str, int]:
        return {}


@pytest.mark.parametrize(("given", "values", "changed"), [
    pytest.param(None, {"/old": "ami-1"}, False, id="as it was"),
    pytest.param("/old", {"/old": "ami-1"}, False, id="given again"),
    pytest.param(None, {"/old": "ami-2"}, True, id="another value"),
    pytest.param("/new", {"/new": "ami-1"}, True, id="another path to the same value"),
    pytest.param("/old", {}, True, id="a value that cannot be read"),
])
def test_changed(given: str | None, values: dict[str, str], changed: bool) -> None:
    aws: Any = Aws(values)
    options = Options("web", template=load(BODY, "t"), parameters={"Ami": given})
    result = Present(aws, options, Progress(), check=True).run()
    assert result["changed"] is changed
    assert ("create_change_set" in aws.asked) is changed
    assert changed or len(aws.asked) <= 3
