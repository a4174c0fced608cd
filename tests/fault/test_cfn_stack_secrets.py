"""A secret is in no output of cfn_stack, whatever is wrong with the task, and in none of what it shows of a stack."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.fault.server import Refusal
from tests.fault.stacks import ARN, CHANGE_SET, Run, stack

SECRET = "hunter22hunter"
TEMPLATE = """
Parameters:
  Word: {Type: String, NoEcho: true}
  Size: {Type: String, Default: small}
  Path: {Type: 'AWS::SSM::Parameter::Value<String>', Default: /p}
Resources: {Queue: {Type: AWS::SQS::Queue}}
"""
GIVEN = {"Word": SECRET, "Size": "large"}
HIDDEN = "(hidden)"
MISSING = Refusal("ValidationError", "Stack with id web does not exist")


@pytest.fixture
def template(tmp_path: Path) -> str:
    path = tmp_path / "secret.yml"
    path.write_text(TEMPLATE)
    return str(path)


@pytest.mark.parametrize("arguments", [
    pytest.param({"parameters": GIVEN, "statee": "present"}, id="no such argument"),
    pytest.param({"parameters": GIVEN, "on_failure": "explode"}, id="no such choice"),
    pytest.param({"parameters": GIVEN, "template_url": "https://x"}, id="arguments that exclude each other"),
    pytest.param({"parameters": GIVEN, "wait_timeout": "x"}, id="a wrong type"),
    pytest.param({"optional_parameters": GIVEN, "wait_timeout": "x"}, id="optional parameters"),
    pytest.param({"secret_parameters": GIVEN, "wait_timeout": "x"}, id="secret parameters"),
    pytest.param({"parameters": f"Word={SECRET} Size"}, id="text that is no mapping"),
    pytest.param({"paramters": GIVEN}, id="parameters under a mistyped name"),
    pytest.param({"parameters": {"Word": {"deep": SECRET}}}, id="a mapping as a value"),
    pytest.param({"parameters": {"Wrod": SECRET}}, id="a name that the template does not declare"),
    pytest.param({"parameters": GIVEN, "template": "/nowhere.yml"}, id="a template that cannot be read"),
    pytest.param({"parameters": {"Word": "ab", "Size": "ab"}, "wait_timeout": "x"}, id="a short one"),
])
def test_no_refused_task_shows_a_secret(run: Run, template: str, arguments: dict[str, Any]) -> None:
    result, server = run({}, **{"template": template, **arguments})
    assert result["failed"]
    assert SECRET not in json.dumps(result)
    assert '"ab"' not in json.dumps(result)
    assert "large" not in json.dumps(result["invocation"])
    assert not server.calls


@pytest.mark.parametrize("option", ["parameters", "optional_parameters"])
def test_a_deletion_shows_no_parameter(run: Run, option: str) -> None:
    result, _ = run({"DescribeStacks": MISSING}, state="absent", **{option: GIVEN})
    assert result["status"] == "DELETE_COMPLETE"
    assert result["invocation"]["module_args"][option] == {"Word": HIDDEN, "Size": HIDDEN}


@pytest.mark.parametrize("secret", [SECRET, "ab"])
def test_what_the_template_says_is_harmless_is_shown(run: Run, template: str, secret: str) -> None:
    present = stack("UPDATE_COMPLETE", Parameters=[{"ParameterKey": n, "ParameterValue": "x"} for n in GIVEN])
    result, _ = run({"DescribeStacks": present}, check=True, template=template,
                    parameters={"Size": "large", "Word": secret}, optional_parameters={"Size": secret, "Other": "o"})
    shown = result["invocation"]["module_args"]
    assert shown["parameters"] == {"Size": HIDDEN, "Word": HIDDEN}, "Size is once given what Word is"
    assert shown["optional_parameters"] == {"Size": HIDDEN, "Other": HIDDEN}
    result, _ = run({"DescribeStacks": present}, check=True, template=template, parameters={"Size": "large"},
                    optional_parameters={"Word": secret, "Other": secret}, tags={"a": "b"})
    shown = result["invocation"]["module_args"]
    assert shown["parameters"] == {"Size": "large"}
    assert shown["optional_parameters"] == {"Word": HIDDEN, "Other": HIDDEN}
    assert shown["tags"] == {"a": "b"}
    assert secret not in json.dumps(result["diff"]) + json.dumps(shown["optional_parameters"])


def drifted(properties: dict[str, Any], *differences: tuple[str, Any, Any]) -> dict[str, Any]:
    return {"StackResourceDrifts": [{
        "StackId": ARN, "LogicalResourceId": "Task", "ResourceType": "AWS::ECS::TaskDefinition",
        "StackResourceDriftStatus": "MODIFIED", "Timestamp": datetime.now(UTC),
        "ExpectedProperties": json.dumps(properties), "ActualProperties": json.dumps(properties),
        "PropertyDifferences": [{"PropertyPath": path, "DifferenceType": "NOT_EQUAL",
                                 "ExpectedValue": expected if isinstance(expected, str) else json.dumps(expected),
                                 "ActualValue": actual if isinstance(actual, str) else json.dumps(actual)}
                                for path, expected, actual in differences]}]}


def detection(status: str, **more: Any) -> dict[str, Any]:
    return {"StackId": ARN, "StackDriftDetectionId": "d-1", "DetectionStatus": status, "Timestamp": datetime.now(UTC),
            **more}


DRIFT: dict[str, Any] = {
    "DescribeStacks": stack("UPDATE_COMPLETE"),
    "DetectStackDrift": {"StackDriftDetectionId": "d-1"},
    "DescribeStackDriftDetectionStatus": [detection("DETECTION_IN_PROGRESS"),
                                          detection("DETECTION_COMPLETE", StackDriftStatus="DRIFTED")],
}


def test_drift_by_property(run: Run) -> None:
    """Secrets hidden by the path, by a name beside the value or above it, and in a whole entry."""
    entries = [{"Name": "MODE", "Value": "a"}, {"Name": "DB_PASSWORD", "Value": SECRET}]
    result, _ = run({**DRIFT, "DescribeStackResourceDrifts": drifted(
        {"ContainerDefinitions": [{"Name": "app", "Environment": entries}]},
        ("/Cpu", "256", "512"),
        ("/Tags", ["a"], []),
        ("/MasterUserPassword", SECRET, "x"),
        ("/ContainerDefinitions/0/Environment/0/Value", "a", "b"),
        ("/ContainerDefinitions/0/Environment/1/Value", SECRET, "x"),
        ("/ContainerDefinitions/0/Environment/7/Value", SECRET, "x"),
        ("/ContainerDefinitions/0/Environment/3", {"Name": "DB_PASSWORD", "Value": SECRET}, "null"),
        ("/Environment", {"Variables": {"DB_PASSWORD": SECRET, "MODE": "a"}}, {"Variables": {}}),
    )}, module="cfn_stack_info", drift=True, resources=False)
    assert SECRET not in json.dumps(result)
    assert result["drift"]["status"] == "DRIFTED"
    assert result["drift"]["detection_status"] == "DETECTION_COMPLETE"
    (resource,) = result["drift"]["resources"]
    assert resource["status"] == "MODIFIED"
    assert resource["differences"][0] == {"path": "/Cpu", "type": "NOT_EQUAL", "expected": 256, "actual": 512}
    assert {d["path"].removeprefix("/ContainerDefinitions/0"): (d["expected"], d["actual"])
            for d in resource["differences"][1:]} == {
        "/Tags": (["a"], []),
        "/MasterUserPassword": (HIDDEN, HIDDEN),
        "/Environment/0/Value": ("a", "b"),
        "/Environment/1/Value": (HIDDEN, HIDDEN),
        "/Environment/7/Value": (HIDDEN, HIDDEN),
        "/Environment/3": ({"Name": "DB_PASSWORD", "Value": HIDDEN}, None),
        "/Environment": ({"Variables": {"DB_PASSWORD": HIDDEN, "MODE": "a"}}, {"Variables": {}}),
    }


def test_a_drift_detection_that_fails_in_part_says_so(run: Run) -> None:
    result, _ = run({**DRIFT, "DescribeStackDriftDetectionStatus": detection(
        "DETECTION_FAILED", StackDriftStatus="UNKNOWN", DetectionStatusReason="Failed to detect drift on Task"),
        "DescribeStackResourceDrifts": {"StackResourceDrifts": []},
    }, module="cfn_stack_info", drift=True, resources=False)
    assert not result.get("failed")
    assert result["drift"] == {"status": "UNKNOWN", "detection_status": "DETECTION_FAILED",
                               "reason": "Failed to detect drift on Task", "resources": []}


def test_a_change_of_a_secret_alone_is_seen(run: Run, template: str) -> None:
    """AWS masks both sides."""
    masked = json.dumps({"Properties": {"Value": "****", "Type": "String"}})
    change = {"Action": "Modify", "LogicalResourceId": "S", "PhysicalResourceId": "s", "Replacement": "False",
              "ResourceType": "AWS::SSM::Parameter", "BeforeContext": masked, "AfterContext": masked,
              "Details": [{"Target": {"Attribute": "Properties", "Name": name, "RequiresRecreation": "Never"},
                           "ChangeSource": "ParameterReference", "CausingEntity": "Word"}
                          for name in ("Value", "Type")]}
    result, _ = run({
        "DescribeStacks": stack("UPDATE_COMPLETE", Parameters=[{"ParameterKey": "Word", "ParameterValue": "****"}]),
        "DescribeChangeSet": {"ChangeSetId": CHANGE_SET, "StackId": ARN, "Status": "CREATE_COMPLETE",
                              "ExecutionStatus": "AVAILABLE",
                              "Changes": [{"Type": "Resource", "ResourceChange": change}]},
    }, check=True, template=template, parameters={"Word": SECRET})
    assert result["changes"][0]["properties"] == [
        {"path": "Value", "before": HIDDEN, "after": f"{HIDDEN}, changed"}], "Type is what it was, for all to see"
    assert f"S.Value: {HIDDEN}, changed\n" in result["diff"]["after"]
