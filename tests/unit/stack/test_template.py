from __future__ import annotations

import pytest

from slipway.errors import InvalidInput
from slipway.stack import template

SHORT = """
AWSTemplateFormatVersion: 2010-09-09
Parameters:
  Size: {Type: Number, Default: 3, MinValue: 1}
  Ami: {Type: 'AWS::SSM::Parameter::Value<AWS::EC2::Image::Id>', Default: /aws/ami}
Resources:
  Queue:
    Type: AWS::SQS::Queue
    Properties:
      QueueName: !Sub '${AWS::StackName}-q'
      Tags: [{Key: a, Value: !GetAtt Other.Arn}]
      DelaySeconds: !If [Big, !Ref Size, 0]
Outputs:
  Url: {Value: !Ref Queue, Condition: Big}
"""


def test_short_intrinsics_and_dates() -> None:
    loaded = template.load(SHORT, "t")
    properties = loaded.resources["Queue"]["Properties"]
    assert loaded.document["AWSTemplateFormatVersion"] == "2010-09-09"
    assert properties["QueueName"] == {"Fn::Sub": "${AWS::StackName}-q"}
    assert properties["Tags"][0]["Value"] == {"Fn::GetAtt": ["Other", "Arn"]}
    assert properties["DelaySeconds"] == {"Fn::If": ["Big", {"Ref": "Size"}, 0]}
    assert loaded.outputs == ["Url"]
    assert loaded.parameters["Size"] == template.Declaration("Size", "Number", "3", min_value=1.0)
    assert loaded.parameters["Ami"].from_ssm


@pytest.mark.parametrize(("body", "said"), [
    ("Resources:\n  A: [1\n  B: 2\n", "line 3"),
    ("Resources:\n  A:\n    Type: X\n  A:\n    Type: Y\n", "line 4, column 3: key 'A' is given twice"),
    ('{"Resources": {"A": }}', "line 1, column 21"),
    ("- a\n- b\n", "not a mapping"),
    ("Parameters: {}\n", "no Resources"),
    ("Resources: {A: {Properties: {}}}\n", "resource A has no Type"),
    ("Resources: {A: {Type: X}}\nParameters: {P: String}\n", "parameter P is not a mapping"),
    ("Resources: {A: {Type: X}}\nParameters: {P: {Type: String, MinLength: many}}\n", "parameter P:"),
])
def test_what_is_wrong_and_where(body: str, said: str) -> None:
    with pytest.raises(InvalidInput) as error:
        template.load(body, "stack.yml")
    assert "stack.yml" in error.value.message
    assert said in error.value.message


@pytest.mark.parametrize(("resources", "needed"), [
    ("{A: {Type: AWS::SQS::Queue}}", {}),
    ("{A: {Type: AWS::IAM::Policy, Properties: {PolicyName: p}}}", {"CAPABILITY_IAM": ["A (AWS::IAM::Policy)"]}),
    ("{A: {Type: AWS::IAM::Role, Properties: {RoleName: r}}, B: {Type: AWS::IAM::Role}}",
     {"CAPABILITY_NAMED_IAM": ["A (AWS::IAM::Role)"]}),
    ("{A: {Type: AWS::IAM::UserToGroupAddition}}", {"CAPABILITY_IAM": ["A (AWS::IAM::UserToGroupAddition)"]}),
    # AWS asks for none here.
    ("{A: {Type: AWS::IAM::OIDCProvider}, B: {Type: AWS::IAM::ServiceLinkedRole}}", {}),
])
def test_capabilities(resources: str, needed: dict[str, list[str]]) -> None:
    assert template.load(f"Resources: {resources}", "t").capabilities == needed


@pytest.mark.parametrize(("more", "why"), [
    ("", ""),
    ("Transform: AWS::Serverless-2016-10-31", "macro"),
    ("Metadata: {a: '{{resolve:ssm:/x}}'}", "dynamic"),
])
def test_when_only_a_change_set_knows(more: str, why: str) -> None:
    assert why in template.load(f"Resources: {{A: {{Type: X}}}}\n{more}\n", "t").hidden_inputs
    assert bool(why) == bool(template.load(f"Resources: {{A: {{Type: X}}}}\n{more}\n", "t").hidden_inputs)


def test_same_whatever_the_form() -> None:
    assert template.same(SHORT, SHORT + "# a comment\n")
    assert template.same('{"Resources": {"A": {"Type": "X"}}}', "Resources: {A: {Type: X}}")
    assert template.same({"Resources": {"A": {"Type": "X"}}}, "Resources: {A: {Type: X}}")
    assert not template.same(SHORT, SHORT.replace("-q'", "-p'"))
    assert not template.same("Resources: [", SHORT)


@pytest.mark.parametrize(("one", "other"), [("0", "false"), ("1.0", "1"), ("1", "'1'"), ("[0]", "[false]"),
                                            ("{b: 0}", "{b: false}"), ("{1: b}", "{true: b}"), ("[1]", "[1, 1]")])
def test_not_the_same_as_python_has_it(one: str, other: str) -> None:
    assert not template.same(f"A: {one}", f"A: {other}")
    assert not template.same(template.parse(f"A: {one}", ""), f"A: {other}")
    assert template.same(template.parse(f"A: {one}", ""), f"A: {one}")


@pytest.mark.parametrize(("resources", "nested"), [
    ("{A: {Type: AWS::SQS::Queue}}", False),
    ("{A: {Type: AWS::CloudFormation::Stack}}", True),
    ("{A: {Type: AWS::Serverless::Application}}", True),
    ("{'Fn::ForEach::All': [N, [a, b], {'S${N}': {Type: AWS::CloudFormation::Stack}}]}", True),
    ("{'Fn::ForEach::All': [N, [a, b], {'S${N}': {Type: AWS::SQS::Queue}}]}", False),
])
def test_nested_stacks_wherever_they_are(resources: str, nested: bool) -> None:
    assert template.load(f"Resources: {resources}", "t").nested is nested


@pytest.mark.parametrize(("value", "shown"), [
    ({"Ref": "Size"}, "3"),
    ({"Ref": "Queue"}, {"Ref": "Queue"}),
    ({"Fn::Sub": "a-${Size}"}, "a-3"),
    ({"Fn::Sub": "${Size}-${Queue.Arn}"}, {"Fn::Sub": "3-${Queue.Arn}"}),
    ([{"a": {"Ref": "Size"}}], [{"a": "3"}]),
])
def test_resolved_for_showing(value: object, shown: object) -> None:
    assert template.resolved(value, {"Size": "3"}) == shown
