"""A change of parameters alone is planned without the stack's template, unless that has to tell something."""

from __future__ import annotations

from typing import Any

import pytest

from tests.fault.stacks import CHANGE_SET, MODIFY, Run, stack

PLAIN = {"ParameterKey": "ImageTag", "ParameterValue": "v1"}
SECRET = {"ParameterKey": "Word", "ParameterValue": "****"}
STORED = {"ParameterKey": "Ami", "ParameterValue": "/ami/path", "ResolvedValue": "ami-1"}
BODY = """
Parameters:
  ImageTag: {Type: String}
  Word: {Type: String, NoEcho: true}
  Ami: {Type: 'AWS::SSM::Parameter::Value<String>'}
Resources:
  Queue: {Type: AWS::SQS::Queue, Properties: {QueueName: !Sub '${ImageTag}-${Word}'}}
"""


def present(**more: Any) -> dict[str, Any]:
    return {"DescribeStacks": stack("UPDATE_COMPLETE", Parameters=[PLAIN, SECRET, STORED], Capabilities=[
        "CAPABILITY_IAM"]), "GetTemplate": {"TemplateBody": BODY}, **more}


def kept(*names: str) -> list[dict[str, Any]]:
    return [{"ParameterKey": name, "UsePreviousValue": "true"} for name in names]


@pytest.mark.parametrize("given", [{"parameters": {"ImageTag": "v2"}},
                                   {"parameters": {"ImageTag": "v2"}, "optional_parameters": {"ImageDigest": "sha"}}])
def test_another_image(run: Run, given: dict[str, Any]) -> None:
    result, server = run(present(), check=True, template=None, **given)
    assert result["changed"] and server.calls["GetTemplate"] == 0
    (request,) = server.of("CreateChangeSet")
    assert (request["UsePreviousTemplate"], request["Capabilities"]) == ("true", ["CAPABILITY_IAM"])
    assert request["Parameters"] == [{"ParameterKey": "ImageTag", "ParameterValue": "v2"}, *kept("Word", "Ami")]
    assert "IncludeNestedStacks" not in request
    (change,) = result["changes"]
    assert change["properties"] == [{"path": "DelaySeconds", "before": "1", "after": "5"}]
    assert result["parameters"] == {"ImageTag": "v1", "Word": "(hidden)", "Ami": "/ami/path"}


@pytest.mark.parametrize("given", [{}, {"parameters": {"ImageTag": "v1"}}, {
    "parameters": {"ImageTag": "v1"}, "optional_parameters": {"ImageTag": "v2"}}])
def test_the_same_again_is_compared_with_the_template(run: Run, given: dict[str, Any]) -> None:
    body = "Parameters: {ImageTag: {Type: String}}\nResources: {Queue: {Type: AWS::SQS::Queue}}\n"
    result, server = run({"DescribeStacks": stack("UPDATE_COMPLETE", Parameters=[PLAIN]),
                          "GetTemplate": {"TemplateBody": body}}, template=None, **given)
    assert not result["changed"]
    assert dict(server.calls) == {"DescribeStacks": 1, "GetTemplate": 1}


@pytest.mark.parametrize("given", [
    {"parameters": {"ImageTag": "v2", "Word": "hush"}},
    {"parameters": {"ImageTag": "v2", "Ami": "/other/path"}},
    {"parameters": {"ImageTag": "v2"}, "optional_parameters": {"Word": "hush"}},
])
def test_what_only_the_template_tells_is_read(run: Run, given: dict[str, Any]) -> None:
    _, server = run(present(), check=True, template=None, **given)
    assert server.calls["GetTemplate"] == 1


def test_an_unknown_parameter_is_told_from_the_template(run: Run) -> None:
    result, server = run(present(), template=None, parameters={"ImageTag": "v2", "ImageTog": "x"})
    assert "ImageTog" in result["msg"] and "CreateChangeSet" not in server.calls


def test_an_endpoint_that_gives_no_values_is_helped(run: Run) -> None:
    bare = {**MODIFY, "Changes": [{"Type": "Resource", "ResourceChange": {
        "Action": "Modify", "LogicalResourceId": "Queue", "PhysicalResourceId": "q", "Replacement": "False",
        "ResourceType": "AWS::SQS::Queue"}}]}
    result, server = run(present(DescribeChangeSet=bare), check=True, template=None, parameters={"ImageTag": "v2"})
    assert (server.calls["GetTemplate"], server.calls["CreateChangeSet"]) == (1, 1)
    (change,) = result["changes"]
    assert change["properties"] == [{"path": "QueueName", "before": "v1-(hidden)", "after": "v2-(hidden)"}]


def test_nested_stacks_are_asked_for(run: Run) -> None:
    inner = {"Action": "Modify", "LogicalResourceId": "Inner", "ResourceType": "AWS::CloudFormation::Stack",
             "BeforeContext": "{}", "AfterContext": "{}"}
    root = {**MODIFY, "Changes": [{"Type": "Resource", "ResourceChange": inner}]}
    nested = {**MODIFY, "Changes": [{"Type": "Resource", "ResourceChange": {
        **inner, "ChangeSetId": f"{CHANGE_SET}-inner"}}]}
    body = BODY + "  Inner: {Type: AWS::CloudFormation::Stack, Properties: {TemplateURL: u}}\n"
    result, server = run(present(DescribeChangeSet=[root, nested, MODIFY], GetTemplate={"TemplateBody": body}),
                         check=True, template=None, parameters={"ImageTag": "v2"})
    first, second = server.of("CreateChangeSet")
    assert "IncludeNestedStacks" not in first and second["IncludeNestedStacks"] == "true"
    assert (server.calls["GetTemplate"], server.calls["DeleteChangeSet"]) == (1, 2)
    assert [change["logical_resource_id"] for change in result["changes"]] == ["Inner", "Inner/Queue"]
