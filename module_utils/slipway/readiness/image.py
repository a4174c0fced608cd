"""The image that a release deploys without building it: one that another release proved."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from ..aws import ecr
from ..aws.session import Aws
from ..errors import AwsError, InvalidInput
from ..names import check_tag

#: A release's own JSON is a few kilobytes; a pipeline's artifact could hold anything.
_LIMIT = 4_000_000
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


def read(path: str) -> dict[str, Any]:
    """What release.json at `path` says was released: tag, digest, commit, service (all str).

    Raises InvalidInput where the file is missing or no release's, or the release was not good.
    """
    where = f"The release to promote, {path},"
    try:
        text = Path(path).read_bytes()[:_LIMIT]
        found = json.loads(text)
    except OSError as error:
        raise InvalidInput(f"{where} cannot be read: {error.strerror}.",
                           "Correct ecs_release_promote: the release.json of the release before.") from error
    except ValueError as error:
        raise InvalidInput(f"{where} is no JSON: {error}.",
                           "Correct ecs_release_promote: the release.json of the release before.") from error
    if not isinstance(found, dict) or "verdict" not in found:
        raise InvalidInput(f"{where} is not the record of a release.",
                           "Give the release.json that a release writes into ecs_release_report_dir.")
    tag, digest = str(found.get("tag") or ""), str(found.get("digest") or "")
    if found["verdict"] != "completed":
        cause = str(found.get("cause") or found.get("message") or "").rstrip(".")
        raise InvalidInput(f"{where} was not good: {found['verdict']}{f' ({cause})' if cause else ''}.",
                           "Release it well first; only what was proved is promoted.")
    if not _DIGEST.fullmatch(digest):
        raise InvalidInput(f"{where} names no digest, so nobody can tell which image it means.",
                           "Release again with a report, then promote that.")
    return {"tag": check_tag(tag), "digest": digest, "commit": str(found.get("commit") or ""),
            "service": str(found.get("service") or "")}


def promoted(aws: Aws, repository: str, release: dict[str, Any], uri: str) -> dict[str, Any]:
    """The image of `release` (as read() gives it) as this repository has it: tag, digest, image_uri, commit.

    uri: the repository's, as the service stack has it. One call of DescribeImages. Raises InvalidInput where the image
    is not there, or the tag names another one.
    """
    tag, digest = release["tag"], release["digest"]
    try:
        found = ecr.describe_image(aws, repository, {"imageTag": tag})
    except AwsError as error:
        if error.code != "RepositoryNotFoundException":
            raise
        raise InvalidInput(f"Repository {repository} does not exist in {aws.region}.",
                           "Correct ecs_release_repository, or run site.yml, which makes it.") from error
    if found is None:
        raise InvalidInput(f"Repository {repository} has no image {tag}, so it cannot be promoted.",
                           "Name the repository it was released from, or copy it there first: module ecr_promote.")
    if found["imageDigest"] != digest:
        raise InvalidInput(f"Tag {tag} of {repository} names {found['imageDigest']} now, and what was released is "
                           f"{digest}.", "Somebody moved the tag; release again, then promote that.")
    return {"tag": tag, "digest": digest, "commit": release["commit"],
            "image_uri": f"{uri}:{tag}" if uri else ""}
