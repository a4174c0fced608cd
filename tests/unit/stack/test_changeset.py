from __future__ import annotations

import json
from typing import Any

import pytest

from slipway.changes import HIDDEN, UNKNOWN, Change, Changes
from slipway.errors import SlipwayError
from slipway.stack import changeset
from slipway.stack.changeset import ResourceChange, Side
from slipway.stack.template import load


def _change(**rc: Any) -> dict[str, Any]:
    return {"Changes": [{"Type": "Resource", "ResourceChange": {
        "Action": "Modify", "LogicalResourceId": "Task", "ResourceType": "AWS::ECS::TaskDefinition",
        "PhysicalResourceId": "web:3", "Replacement": "True", **rc}}]}


def _context(**properties: Any) -> str:
    return json.dumps({"Properties": properties})


def _task(image: str, **environment: str) -> dict[str, Any]:
    return {"Family": "web", "ContainerDefinitions": [
        {"Name": "app", "Image": image, "Environment": [{"Name": k, "Value": v} for k, v in environment.items()]}]}


def _properties(change_set: dict[str, Any], before: Side = Side(), after: Side = Side(),  # noqa: B008 - frozen
                secrets: tuple[str, ...] = ()) -> list[Change]:
    (found,) = changeset.read(change_set, before, after, secrets)
    return list(found.properties)


def test_values_of_the_change_set() -> None:
    change_set = _change(BeforeContext=_context(**_task("repo:1", COLOUR="blue", DB_PASSWORD="old")),
                         AfterContext=_context(**_task("repo:2", COLOUR="blue", DB_PASSWORD="new", MODE="x")))
    app = "ContainerDefinitions[app]"
    assert _properties(change_set) == [
        Change(f"{app}.Image", "repo:1", "repo:2"),
        Change(f"{app}.Environment[DB_PASSWORD].Value", HIDDEN, f"{HIDDEN}, changed"),
        Change(f"{app}.Environment[MODE].Value", None, "x"),
    ]


@pytest.mark.parametrize(("before", "after", "shown"), [
    ({"MasterUserPassword": "a"}, {"MasterUserPassword": "b"}, Change("MasterUserPassword", HIDDEN,
                                                                      f"{HIDDEN}, changed")),
    ({"Url": "http://u:s3cr3t@h"}, {"Url": "http://u:other@h"}, Change("Url", HIDDEN, "http://u:other@h")),
    ({"A": "{{changeSet:KNOWN_AFTER_APPLY}}"}, {"A": "1"}, Change("A", UNKNOWN, "1")),
    ({"A": 1}, {"A": "1"}, None),
    ({"A": True}, {"A": "true"}, None),
    ({"A": ["x"]}, {"A": ["x", "y"]}, Change("A", ["x"], ["x", "y"])),
    ({"A": {"Fn::GetAtt": ["B", "Arn"]}}, {"A": {"Ref": "B"}}, Change("A", "!GetAtt B.Arn", "!Ref B")),
    ({}, {"NextToken": "1"}, Change("NextToken", None, "1")),
    ({}, {"OAuth": {"RefreshToken": "a"}}, Change("OAuth.RefreshToken", None, HIDDEN)),
    ({}, {"Policy": {"Reference": "a"}}, Change("Policy.Reference", None, "a")),
    ({"Name": "/db-password", "Value": "a"}, {"Name": "/db-password", "Value": "b"},
     Change("Value", HIDDEN, f"{HIDDEN}, changed")),
    ({}, {"E": {"Fn::If": ["C", {"Password": "a"}, 1]}},
     Change("E", None, f'!If ["C", {{"Password": "{HIDDEN}"}}, 1]')),
    ({"E": {"Fn::If": ["C", {"Password": "a"}]}}, {"E": {"Fn::If": ["C", {"Password": "b"}]}},
     Change("E", f'!If ["C", {{"Password": "{HIDDEN}"}}]', f'!If ["C", {{"Password": "{HIDDEN}"}}], changed')),
])
def test_property(before: dict[str, Any], after: dict[str, Any], shown: Change | None) -> None:
    change_set = _change(BeforeContext=_context(**before), AfterContext=_context(**after))
    assert _properties(change_set, secrets=("s3cr3t",)) == ([shown] if shown else [])


@pytest.mark.parametrize("entries", [
    pytest.param([{"Name": "DB_PASSWORD", "Value": "s3cret"}, {"Name": "DB_PASSWORD", "Value": "s3cret too"}],
                 id="a name that comes twice"),
    pytest.param([{"Name": {"Fn::Sub": "${App}_PASSWORD"}, "Value": "s3cret"}], id="a name that is no text"),
    pytest.param([{"Key": "DB_PASSWORD", "Value": "s3cret"}, {"Value": "plain"}], id="not all have a name"),
    pytest.param([{"Namespace": "env", "OptionName": "DB_PASSWORD", "Value": "s3cret"}], id="Elastic Beanstalk's"),
])
def test_secret_by_the_name_beside_it(entries: list[dict[str, Any]]) -> None:
    found = _properties(_change(Action="Add", AfterContext=_context(Environment=entries)))
    shown = {c.subject: c.after for c in found}
    assert shown["Environment[0].Value"] == HIDDEN
    assert "s3cret" not in str(found)


def test_masked_by_aws_on_both_sides_and_yet_changed() -> None:
    details = [{"Target": {"Attribute": "Tags"}}, *(
        {"Target": {"Attribute": "Properties", "Name": name}}
        for name in ("Value", "Value", "Url", "Description", "Name", "Hidden"))]
    same = {"Value": "****", "Url": "https://u:****@h", "Description": "as it was"}
    assert _properties(_change(Details=details, BeforeContext=_context(**same, Name="a"),
                               AfterContext=_context(**same, Name="b"))) == [
        Change("Name", "a", "b"), *(Change(name, HIDDEN, f"{HIDDEN}, changed") for name in ("Value", "Url", "Hidden"))]


@pytest.mark.parametrize(("path", "before", "after", "shown"), [
    ("ContainerDefinitions/0/Environment/3", '{"Name":"DB_PASSWORD","Value":"a"}', '{"Name":"DB_PASSWORD","Value":"b"}',
     Change("ContainerDefinitions.0.Environment.3", {"Name": "DB_PASSWORD", "Value": HIDDEN},
            f"{ {'Name': 'DB_PASSWORD', 'Value': HIDDEN} }, changed")),
    ("ContainerDefinitions/0/Environment/3/Value", "a", "b",
     Change("ContainerDefinitions.0.Environment.3.Value", HIDDEN, f"{HIDDEN}, changed")),
    ("Password", "a", "b", Change("Password", HIDDEN, f"{HIDDEN}, changed")),
    ("Value", "1", None, Change("Value", "1", None)),
])
def test_secrets_in_values_of_the_details(path: str, before: str, after: str | None, shown: Change) -> None:
    target = {"Path": f"/Properties/{path}", "BeforeValue": before, **({"AfterValue": after} if after else {})}
    assert _properties(_change(Details=[{"Target": target}])) == [shown]


def test_values_of_the_details() -> None:
    change_set = _change(Details=[{"Target": {"Attribute": "Properties", "Name": "Family", "Path": "/Properties/Family",
                                              "BeforeValue": "a", "AfterValue": "b"}}])
    assert _properties(change_set) == [Change("Family", "a", "b")]


def test_values_of_the_templates_where_aws_leaves_them_out() -> None:
    body = "Resources: {Task: {Type: T, Properties: {Image: !Sub 'repo:${Tag}', Family: web}}}"
    old, new = Side(load(body, "o"), {"Tag": "1"}), Side(load(body, "n"), {"Tag": "2"})
    change_set = _change(Details=[{"Target": {"Attribute": "Properties", "Name": "Image"}},
                                  {"Target": {"Attribute": "Properties", "Name": "Role"}, "CausingEntity": "R.Arn"}])
    assert _properties(change_set, old, new) == [Change("Image", "repo:1", "repo:2"),
                                                 Change("Role", "(present value)", "(follows R.Arn)")]


def test_unchanged_secret_parameter_is_no_difference() -> None:
    body = "Resources: {Task: {Type: T, Properties: {Value: !Ref Pw, Size: !Ref S}}}"
    old, new = Side(load(body, "o"), {"Pw": HIDDEN, "S": "1"}), Side(load(body, "n"), {"Pw": HIDDEN, "S": "2"})
    assert _properties(_change(), old, new) == [Change("Size", "1", "2")]


@pytest.mark.parametrize(("status", "reason", "empty"), [
    ("FAILED", "The submitted information didn't contain changes. Submit different information to create one.", True),
    ("FAILED", "No updates are to be performed.", True),
    ("FAILED", "There are no changes to apply", True),
    ("FAILED", "Transform AWS::X failed", False),
    ("CREATE_COMPLETE", "", False),
])
def test_empty(status: str, reason: str, empty: bool) -> None:
    assert changeset.is_empty({"Status": status, "StatusReason": reason}) is empty


def test_diff_names_what_becomes_of_each_resource() -> None:
    resources = [
        ResourceChange("Task", "T", "Modify", "True", "web:3", properties=(Change("Image", "1", "2"),)),
        ResourceChange("Log", "L", "Remove", physical="/log", policy="Retain"),
        ResourceChange("New", "N", "Add"),
        ResourceChange("Role", "R", "Modify", "Conditional", "role"),
    ]
    changes = changeset.describe("web", resources, Changes("stack web"))
    assert changes.diff()["before"] == "Task (T): web:3\nTask.Image: 1\nLog (L): /log\nRole (R): role\n"
    assert changes.diff()["after"] == ("Task (T): replaced\nTask.Image: 2\nLog (L): left out of the stack, but kept\n"
                                       "New (N): added\nRole (R): modified, perhaps replaced\n")
    assert changeset.summary("web", resources) == "web: 1 to replace, 1 to modify, 1 to add, 1 to remove"
    assert changeset.summary("web", [], 1) == "web: tags, outputs or settings change"


@pytest.mark.parametrize(("resource", "allow", "protected", "refused"), [
    (ResourceChange("Db", "AWS::RDS::DBInstance", "Modify", "True"), ["all"], [], False),
    (ResourceChange("Db", "AWS::RDS::DBInstance", "Modify", "True"), [], [], True),
    (ResourceChange("Db", "AWS::RDS::DBInstance", "Modify", "Conditional"), [], [], True),
    (ResourceChange("Db", "AWS::RDS::DBInstance", "Modify", "True"), ["Db"], [], False),
    (ResourceChange("Db", "AWS::RDS::DBInstance", "Modify", "False"), [], ["Db"], False),
    (ResourceChange("Db", "AWS::RDS::DBInstance", "Modify", "True"), ["all"], ["AWS::RDS::*"], True),
    (ResourceChange("Db", "AWS::RDS::DBInstance", "Remove"), ["all"], ["Db"], True),
    (ResourceChange("Db", "AWS::RDS::DBInstance", "Remove", policy="Retain"), ["all"], ["Db"], False),
    (ResourceChange("In/Db", "AWS::RDS::DBInstance", "Remove"), ["all"], ["Db"], True),
    (ResourceChange("Db", "AWS::RDS::DBInstance", "Add"), [], ["Db"], False),
])
def test_protection(resource: ResourceChange, allow: list[str], protected: list[str], refused: bool) -> None:
    if not refused:
        changeset.refuse_destruction([resource], allow, protected)
        return
    with pytest.raises(SlipwayError) as error:
        changeset.refuse_destruction([resource], allow, protected)
    assert resource.logical in error.value.message
