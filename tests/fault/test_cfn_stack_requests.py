"""What cfn_stack asks CloudFormation for, and what it takes for a change."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.fault.server import Refusal
from tests.fault.stacks import ARN, CHANGE_SET, TEMPLATE, Run, event, events, stack

URL = "https://bucket.s3.amazonaws.com/web.yml"
TOPIC = "arn:aws:sns:eu-west-1:123456789012:events"
ROLE = "arn:aws:iam::123456789012:role/cloudformation"


def summary(**more: Any) -> dict[str, Any]:
    return {"GetTemplateSummary": {"Parameters": [], "ResourceTypes": ["AWS::SQS::Queue"], **more}}


def test_role_and_topics(run: Run) -> None:
    _, server = run({}, check=True, role_arn=ROLE, notification_arns=[TOPIC])
    (request,) = server.of("CreateChangeSet")
    assert request["RoleARN"] == ROLE
    assert request["NotificationARNs"] == [TOPIC]
    present = {"DescribeStacks": stack("UPDATE_COMPLETE", NotificationARNs=[TOPIC], RoleARN=ROLE)}
    _, server = run(present, check=True)
    (request,) = server.of("CreateChangeSet")
    assert request["NotificationARNs"] == [TOPIC], "what is left out here CloudFormation takes away"
    assert "RoleARN" not in request, "CloudFormation keeps the one it used before"
    _, server = run(present, check=True, notification_arns=[])
    (request,) = server.of("CreateChangeSet")
    assert not request["NotificationARNs"]


@pytest.mark.parametrize(("present", "given", "sent"), [
    ([], ["CAPABILITY_IAM"], ["CAPABILITY_IAM"]),
    (["CAPABILITY_NAMED_IAM"], [], ["CAPABILITY_NAMED_IAM"]),
    (["CAPABILITY_NAMED_IAM"], ["CAPABILITY_AUTO_EXPAND"], ["CAPABILITY_AUTO_EXPAND", "CAPABILITY_NAMED_IAM"]),
    (["CAPABILITY_IAM"], ["CAPABILITY_IAM"], ["CAPABILITY_IAM"]),
])
def test_capabilities_add_up(run: Run, tmp_path: Path, present: list[str], given: list[str], sent: list[str]) -> None:
    path = tmp_path / "iam.yml"
    path.write_text("Resources: {R: {Type: AWS::IAM::Role}}\n")
    result, server = run({"DescribeStacks": stack("UPDATE_COMPLETE", Capabilities=present)}, check=True,
                         template=str(path), capabilities=given)
    assert result["changed"]
    assert server.of("CreateChangeSet")[0]["Capabilities"] == sent


@pytest.mark.parametrize("kind", ["AWS::CloudFormation::Stack", "AWS::Serverless::Application"])
def test_a_template_in_s3_with_nested_stacks(run: Run, kind: str) -> None:
    result, server = run(summary(ResourceTypes=["AWS::SQS::Queue", kind]), check=True, template_url=URL)
    assert result["changed"]
    (request,) = server.of("CreateChangeSet")
    assert request["TemplateURL"] == URL
    assert "TemplateBody" not in request
    assert request["IncludeNestedStacks"] == "true"


def test_what_a_nested_stack_of_a_template_in_s3_would_replace_can_be_refused(run: Run) -> None:
    change_set = {"StackId": ARN, "Status": "CREATE_COMPLETE", "ExecutionStatus": "AVAILABLE"}
    change = {"Action": "Modify", "PhysicalResourceId": "p", "BeforeContext": "{}", "AfterContext": "{}"}
    pages = {
        CHANGE_SET: {**change_set, "ChangeSetId": CHANGE_SET, "Changes": [{"Type": "Resource", "ResourceChange": {
            **change, "LogicalResourceId": "Inner", "ResourceType": "AWS::CloudFormation::Stack",
            "Replacement": "False", "ChangeSetId": f"{CHANGE_SET}-inner"}}]},
        f"{CHANGE_SET}-inner": {**change_set, "ChangeSetId": f"{CHANGE_SET}-inner", "Changes": [{
            "Type": "Resource", "ResourceChange": {**change, "LogicalResourceId": "Db", "Replacement": "True",
                                                   "ResourceType": "AWS::RDS::DBInstance"}}]}}
    result, server = run({**summary(ResourceTypes=["AWS::CloudFormation::Stack"]),
                          "DescribeChangeSet": lambda request: pages[request["ChangeSetName"]]},
                         template_url=URL, protected=["AWS::RDS::*"])
    assert server.of("CreateChangeSet")[0]["IncludeNestedStacks"] == "true", "else AWS tells of none of it"
    assert "Inner/Db (AWS::RDS::DBInstance) would be replaced, but it is protected" in result["msg"]
    assert "ExecuteChangeSet" not in server.calls


def test_a_template_in_s3_is_asked_for_its_parameters(run: Run) -> None:
    declared = {"Parameters": [{"ParameterKey": "Delay", "ParameterType": "Number"},
                               {"ParameterKey": "Word", "ParameterType": "String", "NoEcho": True}]}
    present = {"DescribeStacks": stack("UPDATE_COMPLETE", Parameters=[
        {"ParameterKey": "Delay", "ParameterValue": "1"}, {"ParameterKey": "Gone", "ParameterValue": "2"}])}
    result, server = run({**summary(**declared), **present}, check=True, template_url=URL,
                         parameters={"Word": "hunter22hunter"})
    assert result["changed"]
    assert server.of("GetTemplateSummary") == [{"TemplateURL": URL}]
    (request,) = server.of("CreateChangeSet")
    assert request["Parameters"] == [{"ParameterKey": "Delay", "UsePreviousValue": "true"},
                                     {"ParameterKey": "Word", "ParameterValue": "hunter22hunter"}]
    assert "IncludeNestedStacks" not in request
    assert "hunter22hunter" not in str(result)
    refused, server = run({**summary(**declared), **present}, template_url=URL, parameters={"Dely": 1})
    assert "did you mean Delay?" in refused["msg"]
    assert "CreateChangeSet" not in server.calls


def test_a_template_in_s3_tells_what_it_may_do(run: Run) -> None:
    needs = summary(Capabilities=["CAPABILITY_NAMED_IAM", "CAPABILITY_AUTO_EXPAND"],
                    CapabilitiesReason="The following resource(s) require capabilities: [AWS::IAM::Role]")
    refused, server = run(needs, template_url=URL)
    assert f"Template {URL} needs CAPABILITY_NAMED_IAM for The following resource(s)" in refused["msg"]
    assert "CreateChangeSet" not in server.calls
    _, server = run(needs, check=True, template_url=URL, capabilities=["CAPABILITY_NAMED_IAM"])
    assert server.of("CreateChangeSet")[0]["Capabilities"] == ["CAPABILITY_NAMED_IAM"]


NO_ECHO = "Parameters: {Word: {Type: String, NoEcho: true}}\nResources: {Queue: {Type: AWS::SQS::Queue}}\n"


@pytest.mark.parametrize("word", ["", "x"])
def test_a_secret_that_is_given_may_be_another(run: Run, tmp_path: Path, word: str) -> None:
    path = tmp_path / "word.yml"
    path.write_text(NO_ECHO)
    present: dict[str, Any] = {
        "DescribeStacks": stack("UPDATE_COMPLETE", Parameters=[{"ParameterKey": "Word", "ParameterValue": "****"}]),
        "GetTemplate": {"TemplateBody": NO_ECHO}}
    result, server = run(present, check=True, template=str(path), parameters={"Word": word})
    assert result["changed"]
    assert server.of("CreateChangeSet")[0]["Parameters"] == [{"ParameterKey": "Word", "ParameterValue": word}]
    result, server = run(present, check=True, template=str(path), parameters={"Word": None})
    assert not result["changed"]
    assert "CreateChangeSet" not in server.calls


@pytest.mark.parametrize(("before", "after"), [("0", "false"), ("1", "1.0")])
def test_another_type_is_another_template(run: Run, tmp_path: Path, before: str, after: str) -> None:
    body = "Resources: {{P: {{Type: AWS::SSM::Parameter, Properties: {{Type: String, Value: {}}}}}}}\n"
    path = tmp_path / "typed.yml"
    path.write_text(body.format(after))
    result, _ = run({"GetTemplate": {"TemplateBody": body.format(before)}}, check=True, template=str(path))
    assert result["changed"]


def test_what_the_result_tells_of_the_work(run: Run) -> None:
    summaries = {"StackResourceSummaries": [
        {"LogicalResourceId": "Queue", "PhysicalResourceId": "q", "ResourceType": "AWS::SQS::Queue",
         "LastUpdatedTimestamp": datetime.now(UTC), "ResourceStatus": "UPDATE_COMPLETE"},
        {"LogicalResourceId": "Topic", "ResourceType": "AWS::SNS::Topic", "LastUpdatedTimestamp": datetime.now(UTC),
         "ResourceStatus": "CREATE_FAILED", "ResourceStatusReason": "no"}]}
    result, server = run({"ListStackResources": summaries}, with_resources=True)
    assert result["resources"] == [
        {"logical_resource_id": "Queue", "physical_resource_id": "q", "resource_type": "AWS::SQS::Queue",
         "status": "UPDATE_COMPLETE", "status_reason": None},
        {"logical_resource_id": "Topic", "physical_resource_id": None, "resource_type": "AWS::SNS::Topic",
         "status": "CREATE_FAILED", "status_reason": "no"}]
    assert [r["StackName"] for r in server.of("ListStackResources")] == [ARN]
    assert list(result["phases"]) == ["read", "plan", "update", "settings"]
    assert all(isinstance(seconds, float) for seconds in result["phases"].values())
    assert result["phases"]["update"] > 0
    plain, server = run({"GetTemplate": {"TemplateBody": TEMPLATE}})
    assert not plain["changed"]
    assert "resources" not in plain
    assert list(plain["phases"]) == ["read", "plan"]
    assert sum(server.calls.values()) <= 3


def test_a_tag_without_a_value_is_refused(run: Run) -> None:
    result, server = run({}, tags={"a": None, "b": "c"})
    assert "Tag a has no value" in result["msg"]
    assert not server.calls


def test_a_new_stack_that_failed_and_was_deleted_again_says_what_to_do(run: Run) -> None:
    gone = events(event("web", "DELETE_COMPLETE", "stack"), event("Queue", "CREATE_FAILED", reason="Bad queue"),
                  event("web", "CREATE_IN_PROGRESS", "stack"))
    result, server = run({"DescribeStacks": [Refusal("ValidationError", "Stack with id web does not exist"),
                                             stack("DELETE_COMPLETE")], "DescribeStackEvents": gone},
                         on_failure="delete")
    assert server.of("CreateChangeSet")[0]["OnStackFailure"] == "DELETE"
    assert "DisableRollback" not in server.of("ExecuteChangeSet")[0]
    assert result["msg"].startswith("Queue (AWS::SQS::Queue): Bad queue.")
    assert result["remedy"] == "Nothing of it is left. Correct the cause and run this again."
