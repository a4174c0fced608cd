"""The values in a change set of the embedded AWS."""

from __future__ import annotations

import json
from typing import Any

from tests.integration.conftest import EmbeddedAws

UNKNOWN = "{{changeSet:KNOWN_AFTER_APPLY}}"
PARAMETERS = {"Size": {"Type": "String"}, "Word": {"Type": "String", "NoEcho": True}}
QUEUE = {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": {"Fn::Sub": "values-${Size}"},
                                                   "DelaySeconds": {"Ref": "Size"}}}
STORED = {"Type": "AWS::SSM::Parameter", "Properties": {"Type": "String", "Name": "/values/word", "Value": {
    "Fn::Sub": "${Size} ${Word}"}}}
BEFORE = {"Parameters": PARAMETERS, "Resources": {"Queue": QUEUE, "Stored": STORED}}
AFTER = {"Parameters": PARAMETERS, "Resources": {
    "Queue": QUEUE, "Topic": {"Type": "AWS::SNS::Topic", "Properties": {"DisplayName": {"Ref": "Size"}}},
    "Told": {"Type": "AWS::SSM::Parameter", "Properties": {"Type": "String", "Name": "/values/topic", "Value": {
        "Fn::Sub": "${Queue.Arn} ${Topic.TopicName}"}}}}}


def test_values_before_and_after(aws: EmbeddedAws) -> None:
    cloudformation = aws.client("cloudformation")
    given = [{"ParameterKey": "Size", "ParameterValue": "1"}, {"ParameterKey": "Word", "ParameterValue": "hush"}]
    cloudformation.create_stack(StackName="values", TemplateBody=json.dumps(BEFORE), Parameters=given)
    cloudformation.get_waiter("stack_create_complete").wait(StackName="values", WaiterConfig={"Delay": 1})
    made = cloudformation.create_change_set(
        StackName="values", ChangeSetName="next", TemplateBody=json.dumps(AFTER), Parameters=[
            {"ParameterKey": "Size", "ParameterValue": "2"}, {"ParameterKey": "Word", "ParameterValue": "louder"}])

    def described(**more: Any) -> dict[str, dict[str, Any]]:
        answer = cloudformation.describe_change_set(ChangeSetName=made["Id"], **more)
        assert "hush" not in json.dumps(answer, default=str) and "louder" not in json.dumps(answer["Changes"])
        return {change["ResourceChange"]["LogicalResourceId"]: change["ResourceChange"] for change in answer["Changes"]}

    assert not any("BeforeContext" in change or "AfterContext" in change for change in described().values())
    changes = described(IncludePropertyValues=True)

    def values(name: str, side: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(changes[name][side])["Properties"]
        return found

    assert (values("Queue", "BeforeContext")["DelaySeconds"], values("Queue", "AfterContext")["DelaySeconds"]) == (
        "1", "2")
    assert (changes["Queue"]["Replacement"], changes["Topic"]["Action"], changes["Stored"]["Action"]) == (
        "True", "Add", "Remove")
    assert values("Stored", "BeforeContext")["Value"] == "1 ****" and "AfterContext" not in changes["Stored"]
    assert values("Topic", "AfterContext") == {"DisplayName": "2"} and "BeforeContext" not in changes["Topic"]
    # The queue is replaced, the topic is new: neither's values are known before.
    assert values("Told", "AfterContext")["Value"] == f"{UNKNOWN} {UNKNOWN}"

    cloudformation.delete_change_set(ChangeSetName=made["Id"])
    cloudformation.delete_stack(StackName="values")
