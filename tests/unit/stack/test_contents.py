"""Whose contents a deletion deletes: nothing that the stack keeps, as far as its template tells at all."""

from __future__ import annotations

import json
from typing import Any

import pytest

from slipway.stack.contents import holders

ORIGINAL = """
Transform: AWS::LanguageExtensions
Resources:
  'Fn::ForEach::Buckets': [N, [A, B], {'Bucket${N}': {Type: AWS::S3::Bucket, DeletionPolicy: Retain}}]
"""
BUCKET, REPOSITORY, STACK = "AWS::S3::Bucket", "AWS::ECR::Repository", "AWS::CloudFormation::Stack"


class Aws:
    """templates, resources: by stack, the former also by stage. Every bucket and repository is full."""

    def __init__(self, templates: dict[tuple[str, str], Any], resources: dict[str, list[dict[str, Any]]]) -> None:
        self._templates, self._resources = templates, resources

    def call(self, service: str, operation: str, **request: Any) -> dict[str, Any]:
        if operation == "get_template":
            return {"TemplateBody": self._templates[request["StackName"], request["TemplateStage"]]}
        if operation == "list_stack_resources":
            return {"StackResourceSummaries": self._resources[request["StackName"]]}
        if operation == "list_images":
            return {"imageIds": [{"imageDigest": "sha256:1"}]}
        assert operation == "list_object_versions"
        return {"Versions": [{"Key": "a"}]}


def resource(logical: str, kind: str = BUCKET, physical: str = "", status: str = "CREATE_COMPLETE") -> dict[str, Any]:
    return {"LogicalResourceId": logical, "PhysicalResourceId": physical or logical.lower(), "ResourceType": kind,
            "ResourceStatus": status}


def emptied(processed: Any, *resources: dict[str, Any], retain: list[str] | None = None) -> list[str]:
    aws: Any = Aws({("web", "Original"): ORIGINAL, ("web", "Processed"): processed}, {})
    return [h.logical for h in holders(aws, "web", list(resources), retain or [])]


@pytest.mark.parametrize(("policy", "touched"), [
    ({}, True),
    ({"DeletionPolicy": "Delete"}, True),
    ({"DeletionPolicy": "Retain"}, False),
    ({"DeletionPolicy": "RetainExceptOnCreate"}, False),
    ({"DeletionPolicy": {"Fn::If": ["Keep", "Retain", "Delete"]}}, False),
    ({"DeletionPolicy": None}, False),
])
def test_what_the_template_retains_is_left_alone(policy: dict[str, Any], touched: bool) -> None:
    template = {"Resources": {"BucketA": {"Type": BUCKET, **policy}}}
    for body in (template, json.dumps(template)):
        assert emptied(body, resource("BucketA")) == (["BucketA"] if touched else [])
    assert emptied(template, resource("BucketA"), retain=["BucketA"]) == []
    assert emptied(template, resource("BucketA", status="DELETE_COMPLETE")) == []


@pytest.mark.parametrize("template", [
    ORIGINAL, {"Resources": {"BucketB": {"Type": BUCKET}}}, {"Resources": {"BucketA": []}}, {"Resources": []}, {}, None,
])
def test_what_the_template_does_not_tell_of_is_left_alone(template: Any) -> None:
    assert emptied(template, resource("BucketA")) == []


def test_a_repository_that_ecr_empties_itself() -> None:
    template = {"Resources": {name: {"Type": REPOSITORY, "Properties": properties} for name, properties in (
        ("Own", {"EmptyOnDelete": True}), ("Full", {}))}}
    assert emptied(template, resource("Own", REPOSITORY), resource("Full", REPOSITORY)) == ["Full"]


def test_nested_stacks_by_templates_of_their_own() -> None:
    inner = {"Resources": {"Kept": {"Type": BUCKET, "DeletionPolicy": "Retain"}, "Bucket": {"Type": BUCKET}}}
    outer = {"Resources": {"Inner": {"Type": STACK}, "KeptInner": {"Type": STACK, "DeletionPolicy": "Retain"}}}
    aws: Any = Aws({("web", "Processed"): outer, ("inner", "Processed"): inner},
                   {"inner": [resource("Kept"), resource("Bucket")]})
    resources = [resource("Inner", STACK, "inner"), resource("KeptInner", STACK, "kept")]
    assert [h.logical for h in holders(aws, "web", resources, [])] == ["Inner/Bucket"]
