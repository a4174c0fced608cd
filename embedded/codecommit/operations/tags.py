"""Tags of repositories."""

from __future__ import annotations

from typing import Any

from .. import ministack, names
from ..errors import ServiceError
from ..records import Repository, records

_MOST = 50


def check_tags(tags: dict[str, str]) -> dict[str, str]:
    """The tags. Raises ServiceError where AWS takes no such."""
    for key, value in tags.items():
        if not 1 <= len(key) <= 128 or len(value) > 256:
            raise ServiceError("InvalidTagsMapException", "A tag's key has 1 to 128 characters, its value up to 256.")
        if key.lower().startswith("aws:"):
            raise ServiceError("InvalidSystemTagUsageException", f"The tag {key} is AWS' own.")
    if len(tags) > _MOST:
        raise ServiceError("TooManyTagsException", f"A repository has at most {_MOST} tags.")
    return tags


def tag(request: dict[str, Any]) -> dict[str, Any]:
    repository = _of(request)
    if not request.get("tags"):
        raise ServiceError("TagsMapRequiredException", "Give tags.")
    repository.tags = check_tags({**repository.tags, **check_tags(request["tags"])})
    records.changed(repository)
    return {}


def untag(request: dict[str, Any]) -> dict[str, Any]:
    repository = _of(request)
    if not request.get("tagKeys"):
        raise ServiceError("TagKeysListRequiredException", "Give the keys of tags.")
    repository.tags = {key: value for key, value in repository.tags.items() if key not in request["tagKeys"]}
    records.changed(repository)
    return {}


def list_all(request: dict[str, Any]) -> dict[str, Any]:
    return {"tags": dict(_of(request).tags)}


def _of(request: dict[str, Any]) -> Repository:
    arn = request.get("resourceArn")
    if not arn:
        raise ServiceError("ResourceArnRequiredException", "Give a repository's ARN.")
    words = arn.split(":")
    if len(words) != 6 or words[0] != "arn" or words[2] != "codecommit" or not names.is_repository(words[5]):
        raise ServiceError("InvalidResourceArnException", f"{arn[:300]} is not the ARN of a repository.")
    repository = records.find(words[4], words[3], words[5]) if words[4] == ministack.scope()[0] else None
    if repository is None:
        raise ServiceError("RepositoryDoesNotExistException", f"{words[5]} does not exist")
    return repository


OPERATIONS = {"TagResource": tag, "UntagResource": untag, "ListTagsForResource": list_all}
