"""What buckets and image repositories hold: counted and deleted. Shapes: botocore's models of s3 and ecr."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..errors import AwsError
from .session import Aws

_COUNT_LIMIT = 1000


def bucket_content(aws: Aws, bucket: str) -> str:
    """`12 objects and versions`, or '' for an empty bucket; counts the first page only."""
    page = aws.call("s3", "list_object_versions", Bucket=bucket, MaxKeys=_COUNT_LIMIT)
    return _counted(len(page.get("Versions", [])) + len(page.get("DeleteMarkers", [])),
                    bool(page.get("IsTruncated")), "object or version", "objects and versions")


def repository_content(aws: Aws, repository: str) -> str:
    """`3 images`, or '' for an empty repository; counts the first page only."""
    page = aws.call("ecr", "list_images", repositoryName=repository, maxResults=_COUNT_LIMIT)
    return _counted(len({i.get("imageDigest") for i in page.get("imageIds", [])}), bool(page.get("nextToken")),
                    "image", "images")


def empty_bucket(aws: Aws, bucket: str) -> None:
    """Delete every object, version and delete marker. Raises AwsError naming the first that would not go."""
    for page in _version_pages(aws, bucket):
        found = [*page.get("Versions", []), *page.get("DeleteMarkers", [])]
        objects = [{"Key": v["Key"], **({"VersionId": v["VersionId"]} if v.get("VersionId") else {})} for v in found]
        if objects:
            answer = aws.call("s3", "delete_objects", Bucket=bucket, Delete={"Objects": objects, "Quiet": True})
            for error in answer.get("Errors", []):
                raise AwsError(f"s3 DeleteObjects: {bucket}/{error.get('Key')}: {error.get('Message')}",
                               code=error.get("Code", ""), operation="DeleteObjects")


def empty_repository(aws: Aws, repository: str) -> None:
    """Delete every image. Raises AwsError naming the first that would not go."""
    while True:
        page = aws.call("ecr", "list_images", repositoryName=repository, maxResults=100)
        # By digest alone: that takes all tags with it.
        digests = sorted({i["imageDigest"] for i in page.get("imageIds", []) if i.get("imageDigest")})
        if not digests:
            return
        answer = aws.call("ecr", "batch_delete_image", repositoryName=repository,
                          imageIds=[{"imageDigest": d} for d in digests])
        # An image index goes before the images it names; those are tried again in the next round.
        failures = [f for f in answer.get("failures", [])
                    if f.get("failureCode") not in ("ImageReferencedByManifestList", "ImageNotFound")]
        if failures or not answer.get("imageIds"):
            first = (failures or answer.get("failures") or [{}])[0]
            raise AwsError(f"ecr BatchDeleteImage: {repository}: {first.get('failureReason') or 'nothing was deleted'}",
                           code=first.get("failureCode", ""), operation="BatchDeleteImage")


def upload(aws: Aws, bucket: str, key: str, body: str) -> str:
    """Put `body` into the bucket; its https address, which is one of the bucket's own region."""
    region = _region_of(aws, bucket)
    aws.call("s3", "put_object", region=region, Bucket=bucket, Key=key, Body=body.encode())
    return f"{aws.client('s3', region).meta.endpoint_url.rstrip('/')}/{bucket}/{key}"


def discard(aws: Aws, bucket: str, key: str) -> None:
    """Take back what was uploaded."""
    aws.call("s3", "delete_object", Bucket=bucket, Key=key)


def _region_of(aws: Aws, bucket: str) -> str:
    try:
        answer = aws.call("s3", "head_bucket", Bucket=bucket)
    except AwsError as error:
        answer = error.response  # it tells the region even to those who may not look
    headers = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    return str(headers.get("x-amz-bucket-region") or aws.region)


def _version_pages(aws: Aws, bucket: str) -> Iterator[dict[str, Any]]:
    markers: dict[str, str] = {}
    while True:
        page = aws.call("s3", "list_object_versions", Bucket=bucket, **markers)
        yield page
        if not page.get("IsTruncated"):
            return
        markers = {k: v for k, v in (("KeyMarker", page.get("NextKeyMarker")),
                                     ("VersionIdMarker", page.get("NextVersionIdMarker"))) if v}


def _counted(number: int, more: bool, one: str, many: str) -> str:
    if not number:
        return ""
    return f"more than {number} {many}" if more else f"{number} {one if number == 1 else many}"
