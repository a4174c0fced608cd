"""ECR: one function per API call. `registry_id` None is the caller's own registry."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Any

from ..errors import AwsError
from .session import Aws

#: Every manifest type ECR keeps; without the list it may convert a manifest, and its digest with it.
MANIFEST_TYPES = [
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
]


#: DescribeRepositories takes this many names in a call.
REPOSITORIES_PER_CALL = 100
#: Seconds after which what a repository is has to be asked again, and for which one that is expected counts as wanted.
_RECENT, _FORESIGHT = 5.0, 120.0
#: Seconds that a login is used by others of the run: far less than its 12 hours.
_LOGIN_AGE = 600.0


@dataclass(frozen=True)
class Manifest:
    """One image as BatchGetImage gives it; `tag` is the tag it was asked by, '' when asked by digest."""

    digest: str
    tag: str
    text: str
    media_type: str


def describe_repository(aws: Aws, name: str, registry_id: str | None = None,
                        region: str | None = None) -> dict[str, Any] | None:
    """The repository as DescribeRepositories gives it, None when there is none."""
    try:
        answer = aws.call("ecr", "describe_repositories", region=region, repositoryNames=[name],
                          **_registry(registry_id))
    except AwsError as error:
        if error.code == "RepositoryNotFoundException":
            return None
        raise
    found: list[dict[str, Any]] = answer["repositories"]
    return found[0] if found else None


def glance_repository(aws: Aws, name: str, registry_id: str | None = None) -> dict[str, Any] | None:
    """As describe_repository. In a run of several services it may be some seconds old, and come from one call for all
    their repositories."""
    if not aws.shared:
        return describe_repository(aws, name, registry_id)

    def fetch(names: list[str]) -> dict[str, Any]:
        if len(names) == 1:
            return {names[0]: describe_repository(aws, names[0], registry_id)}
        # Refused as a whole where one is missing, and each is asked for alone then.
        answer = aws.call("ecr", "describe_repositories", repositoryNames=names, **_registry(registry_id))
        return {repository["repositoryName"]: repository for repository in answer["repositories"]}

    found = aws.shared.gather(_repositories(aws, registry_id), name, fetch, _RECENT, REPOSITORIES_PER_CALL, _FORESIGHT)
    return dict(found) if found else None


def expect_repository(aws: Aws, name: str, registry_id: str | None = None) -> None:
    """Say that glance_repository will be asked for this one soon."""
    if aws.shared:
        aws.shared.expect(_repositories(aws, registry_id), name)


def _repositories(aws: Aws, registry_id: str | None) -> str:
    return f"repositories {aws.scope} {registry_id or ''}"


def create_repository(aws: Aws, name: str, settings: dict[str, Any], registry_id: str | None = None,
                      region: str | None = None) -> dict[str, Any]:
    """Create it with `settings` (keys of CreateRepository); one that somebody made meanwhile is returned as it is."""
    try:
        created: dict[str, Any] = aws.call("ecr", "create_repository", region=region, repositoryName=name, **settings,
                                           **_registry(registry_id))["repository"]
    except AwsError as error:
        if error.code != "RepositoryAlreadyExistsException":
            raise
        existing = describe_repository(aws, name, registry_id, region)
        if existing is None:
            raise
        return existing
    return created


def put_tag_mutability(aws: Aws, name: str, mutability: dict[str, Any], registry_id: str | None) -> None:
    """mutability: imageTagMutability, and the filters of the exclusions where it has some."""
    aws.call("ecr", "put_image_tag_mutability", repositoryName=name, **mutability, **_registry(registry_id))


def put_scan_on_push(aws: Aws, name: str, scan: bool, registry_id: str | None) -> None:
    aws.call("ecr", "put_image_scanning_configuration", repositoryName=name,
             imageScanningConfiguration={"scanOnPush": scan}, **_registry(registry_id))


def get_lifecycle_policy(aws: Aws, name: str, registry_id: str | None) -> str | None:
    """The policy's JSON text, None when there is none."""
    try:
        text: str = aws.call("ecr", "get_lifecycle_policy", repositoryName=name,
                             **_registry(registry_id))["lifecyclePolicyText"]
    except AwsError as error:
        if error.code == "LifecyclePolicyNotFoundException":
            return None
        raise
    return text


def put_lifecycle_policy(aws: Aws, name: str, policy: str, registry_id: str | None) -> None:
    aws.call("ecr", "put_lifecycle_policy", repositoryName=name, lifecyclePolicyText=policy, **_registry(registry_id))


def delete_lifecycle_policy(aws: Aws, name: str, registry_id: str | None) -> None:
    aws.call("ecr", "delete_lifecycle_policy", repositoryName=name, **_registry(registry_id))


def list_tags(aws: Aws, arn: str) -> dict[str, str]:
    """The repository's resource tags."""
    answer = aws.call("ecr", "list_tags_for_resource", resourceArn=arn)
    return {tag["Key"]: tag["Value"] for tag in answer.get("tags", [])}


def tag_resource(aws: Aws, arn: str, tags: dict[str, str]) -> None:
    aws.call("ecr", "tag_resource", resourceArn=arn, tags=[{"Key": k, "Value": v} for k, v in tags.items()])


def untag_resource(aws: Aws, arn: str, keys: list[str]) -> None:
    aws.call("ecr", "untag_resource", resourceArn=arn, tagKeys=keys)


def describe_image(aws: Aws, repository: str, image_id: dict[str, str], registry_id: str | None = None,
                   region: str | None = None) -> dict[str, Any] | None:
    """imageDetail of {"imageTag": ...} or {"imageDigest": ...}; None when the repository does not hold it."""
    try:
        answer = aws.call("ecr", "describe_images", region=region, repositoryName=repository, imageIds=[image_id],
                          **_registry(registry_id))
    except AwsError as error:
        if error.code == "ImageNotFoundException":
            return None
        raise
    details: list[dict[str, Any]] = answer.get("imageDetails", [])
    return details[0] if details else None


def get_manifests(aws: Aws, repository: str, image_ids: list[dict[str, str]], registry_id: str | None = None,
                  region: str | None = None) -> list[Manifest]:
    """The manifests of those of `image_ids` (up to 100) that exist."""
    answer = aws.call("ecr", "batch_get_image", region=region, repositoryName=repository, imageIds=image_ids,
                      acceptedMediaTypes=MANIFEST_TYPES, **_registry(registry_id))
    return [Manifest(image["imageId"]["imageDigest"], image["imageId"].get("imageTag", ""), image["imageManifest"],
                     image.get("imageManifestMediaType", ""))
            for image in answer.get("images", [])]


def put_image(aws: Aws, repository: str, manifest: Manifest, tag: str, registry_id: str | None = None,
              region: str | None = None) -> None:
    """Put `tag` on an image the repository holds. Raises AwsError with code ImageTagAlreadyExistsException when an
    immutable tag names another image; a tag that already names this one is success."""
    extra = {"imageManifestMediaType": manifest.media_type} if manifest.media_type else {}
    try:
        aws.call("ecr", "put_image", region=region, repositoryName=repository, imageManifest=manifest.text,
                 imageTag=tag, imageDigest=manifest.digest, **extra, **_registry(registry_id))
    except AwsError as error:
        if error.code != "ImageAlreadyExistsException":
            raise


def get_authorization(aws: Aws, registry_id: str | None = None, region: str | None = None) -> tuple[str, str]:
    """User name and password for the registry, valid for 12 hours."""
    def ask() -> str:
        # `registryIds` is deprecated but harmless: the token opens every registry the caller may use.
        answer = aws.call("ecr", "get_authorization_token", region=region,
                          **({"registryIds": [registry_id]} if registry_id else {}))
        return str(answer["authorizationData"][0]["authorizationToken"])

    # AWS throttles it; one login does for all services of a run. It is shared in memory only.
    token = (aws.shared.once(f"login {aws.scope} {region} {registry_id}", ask, _LOGIN_AGE) if aws.shared else ask())
    user, _, password = base64.b64decode(token).decode().partition(":")
    return user, password


def describe_scan(aws: Aws, repository: str, digest: str, registry_id: str | None = None,
                  next_token: str | None = None) -> dict[str, Any] | None:
    """DescribeImageScanFindings' answer, one page; None when no scan of the image exists."""
    try:
        return aws.call("ecr", "describe_image_scan_findings", repositoryName=repository,
                        imageId={"imageDigest": digest}, maxResults=1000,
                        **({"nextToken": next_token} if next_token else {}), **_registry(registry_id))
    except AwsError as error:
        if error.code == "ScanNotFoundException":
            return None
        raise


def start_scan(aws: Aws, repository: str, digest: str, registry_id: str | None = None) -> None:
    aws.call("ecr", "start_image_scan", repositoryName=repository, imageId={"imageDigest": digest},
             **_registry(registry_id))


def _registry(registry_id: str | None) -> dict[str, str]:
    return {"registryId": registry_id} if registry_id else {}
