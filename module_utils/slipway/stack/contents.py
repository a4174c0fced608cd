"""Buckets and image repositories of a stack, and what is in them: CloudFormation deletes neither while it is full."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ..aws import cloudformation
from ..aws import contents as calls
from ..aws.session import Aws
from ..errors import AwsError
from .template import parse

_BUCKET = "AWS::S3::Bucket"
_REPOSITORY = "AWS::ECR::Repository"
_STACK = "AWS::CloudFormation::Stack"


@dataclass(frozen=True)
class Holder:
    """A bucket or repository. content: what is in it, in words; '' where it is empty or must not be asked."""

    logical: str
    type: str
    physical: str
    content: str

    def __str__(self) -> str:
        what = "Bucket" if self.type == _BUCKET else "Repository"
        return f"{what} {self.physical} ({self.logical}) is not empty: {self.content}"

    def as_result(self) -> dict[str, str]:
        return {"logical_resource_id": self.logical, "resource_type": self.type,
                "physical_resource_id": self.physical, "content": self.content}

    def empty(self, aws: Aws) -> None:
        if self.type == _BUCKET:
            calls.empty_bucket(aws, self.physical)
        else:
            calls.empty_repository(aws, self.physical)


def holders(aws: Aws, stack: str, resources: list[dict[str, Any]], retain: list[str]) -> list[Holder]:
    """Every bucket and repository that the deletion of `stack` (an ARN) would delete, nested stacks included.

    resources: its StackResourceSummaries.
    Left out: what the template retains or does not tell of, what `retain` names, and repositories that ECR empties
    itself.
    """
    return list(_each(aws, stack, resources, retain, ""))


def _each(aws: Aws, stack: str, all_resources: list[dict[str, Any]], retain: list[str], path: str) -> Iterator[Holder]:
    resources = [r for r in all_resources
                 if r["ResourceType"] in (_BUCKET, _REPOSITORY, _STACK) and r.get("PhysicalResourceId")
                 and r["ResourceStatus"] != "DELETE_COMPLETE"]
    if not resources:
        return
    declared = _declared(aws, stack)
    for r in resources:
        logical = r["LogicalResourceId"]
        resource = declared.get(logical)
        # What we cannot read may well be retained: its contents are not ours to delete.
        if not isinstance(resource, dict) or resource.get("DeletionPolicy", "Delete") != "Delete" or logical in retain:
            continue
        kind, physical = r["ResourceType"], r["PhysicalResourceId"]
        if kind == _STACK:
            yield from _each(aws, physical, cloudformation.stack_resources(aws, physical), retain, f"{path}{logical}/")
        elif kind == _REPOSITORY and (resource.get("Properties") or {}).get("EmptyOnDelete") in (True, "true"):
            continue
        else:
            yield Holder(path + logical, kind, physical, _content(aws, kind, physical))


def _declared(aws: Aws, stack: str) -> dict[str, Any]:
    """Resources by logical id, those that a transform made or changed as it did."""
    template = cloudformation.get_template(aws, stack, processed=True)
    document = parse(template, stack) if isinstance(template, str) else template
    found = document.get("Resources") if isinstance(document, dict) else None
    return found if isinstance(found, dict) else {}


def _content(aws: Aws, kind: str, physical: str) -> str:
    try:
        return calls.bucket_content(aws, physical) if kind == _BUCKET else calls.repository_content(aws, physical)
    except AwsError as error:
        if "AccessDenied" in error.code or error.code in ("NoSuchBucket", "RepositoryNotFoundException"):
            return ""  # gone, or not ours to read: CloudFormation decides
        raise
