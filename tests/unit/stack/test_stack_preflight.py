"""Every value of a template that a user sets, checked before anything is made."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from slipway import stack_preflight
from slipway.errors import InvalidInput

TEMPLATES = Path(__file__).resolve().parents[3] / "files" / "cloudformation"
GIVEN = ["AppName", "VpcId", "SubnetId", "ServiceStacks", "RepositoryArns", "JenkinsURL"]
RIGHT = {"YourIP": "203.0.113.7/32", "KeyName": "my-key"}


def check(**changes: Any) -> None:
    stack_preflight.check(str(TEMPLATES / "jenkins.yml"), {**RIGHT, **changes}, GIVEN, "stacks_jenkins_parameters")


def test_the_four_values_of_the_readme_are_enough() -> None:
    check()


def test_session_manager_needs_no_address() -> None:
    check(AccessMode="SSM", YourIP="")


@pytest.mark.parametrize(("changes", "said"), [
    ({"KeyName": None}, "without a value: KeyName. Set them in stacks_jenkins_parameters"),
    ({"YourIP": ""}, "With AccessMode SSH give YourIP"),
    ({"YourIP": "203.0.113.7"}, "YourIP is '203.0.113.7'"),
    ({"YourIP": "0.0.0.0/0"}, "YourIP is '0.0.0.0/0'"),
    ({"AccessMode": "ssh"}, "AccessMode is 'ssh', allowed is SSH, SSM"),
    ({"ActionProvider": "a" * 26}, "ActionProvider is 'aaaaaaaaaaaaaaaaaaaaaaaaaa'"),
    ({"ImageId": "ami-0123456789abcdef0"}, "must be the name of an SSM parameter"),
    ({"DiskSize": "big"}, "DiskSize is 'big', which is not a number"),
    ({"KeyNames": "x"}, "Parameter KeyNames is not in jenkins.yml"),
    ({"KeyName": {"a": 1}}, "KeyName is a mapping"),
    ({"JenkinsURL": "http://jenkins.example.org/"}, "without a slash at its end"),
])
def test_a_fault_is_named(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidInput, match=".") as refused:
        check(**changes)
    assert said in " ".join(str(refused.value).split())


def test_all_faults_are_named_at_once() -> None:
    with pytest.raises(InvalidInput) as refused:
        check(KeyName=None, YourIP="", DiskSize=1)
    assert str(refused.value).startswith("3 values are at fault:")


@pytest.mark.parametrize(("assertion", "broken"), [
    ({"Fn::Equals": [{"Ref": "A"}, "1"]}, False),
    ({"Fn::Equals": [{"Ref": "A"}, "2"]}, True),
    ({"Fn::Not": [{"Fn::Equals": [{"Ref": "A"}, 1]}]}, True),
    ({"Fn::And": [{"Fn::Equals": [{"Ref": "A"}, "1"]}, {"Fn::Equals": [{"Ref": "B"}, "x"]}]}, True),
    ({"Fn::Or": [{"Fn::Equals": [{"Ref": "A"}, "1"]}, {"Fn::Equals": [{"Ref": "B"}, "x"]}]}, False),
    ({"Fn::Contains": [["1", "2"], {"Ref": "A"}]}, False),
    ({"Fn::Contains": [["3"], {"Ref": "A"}]}, True),
    # What depends on AWS is left to AWS.
    ({"Fn::Contains": [{"Fn::RefAll": "AWS::EC2::VPC::Id"}, {"Ref": "A"}]}, False),
    ({"Fn::Equals": [{"Ref": "AWS::Region"}, "eu-west-1"]}, False),
    ({"Fn::Not": [{"Fn::Equals": [{"Ref": "AWS::Region"}, "eu-west-1"]}]}, False),
])
def test_rules_are_read_as_cloudformation_reads_them(assertion: Any, broken: bool) -> None:
    rules = {"Rule": {"Assertions": [{"Assert": assertion, "AssertDescription": "no"}]}}
    assert list(stack_preflight.broken_rules(rules, {"A": "1", "B": "2"})) == (["no"] if broken else [])


def test_a_rule_whose_condition_is_not_met_asks_nothing() -> None:
    rules = {"Rule": {"RuleCondition": {"Fn::Equals": [{"Ref": "A"}, "2"]},
                      "Assertions": [{"Assert": {"Fn::Equals": ["1", "2"]}}]}}
    assert list(stack_preflight.broken_rules(rules, {"A": "1"})) == []
    assert len(list(stack_preflight.broken_rules(rules, {"A": "2"}))) == 1
