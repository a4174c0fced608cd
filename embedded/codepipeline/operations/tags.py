"""Tags of pipelines and custom action types."""

from __future__ import annotations

from .. import action_types, settings
from ..errors import ServiceError
from ..store import Json, store
from . import page


def set_tags(arn: str, given: list[Json]) -> list[Json]:
    """Add tags to a resource. Raises ServiceError before anything is changed."""
    wanted = {**(store.tags.get(arn) or {}), **{item["key"]: item["value"] for item in given}}
    if len({item["key"] for item in given}) < len(given):
        raise ServiceError("InvalidTagsException", "Two tags have the same key.")
    own = [key for key in wanted if not key.startswith("aws:")]
    if len(own) > settings.MAX_TAGS:
        raise ServiceError("TooManyTagsException", f"A resource has at most {settings.MAX_TAGS} tags.")
    if wanted:
        store.tags[arn] = wanted
    return [{"key": key, "value": value} for key, value in wanted.items()]


def tag(request: Json, _caller: str) -> Json:
    for item in request["tags"]:
        if item["key"].lower().startswith("aws:"):
            raise ServiceError("InvalidTagsException", "Tags whose keys start with aws: are AWS's own.")
    set_tags(_known(request["resourceArn"]), request["tags"])
    return {}


def untag(request: Json, _caller: str) -> Json:
    tags = store.tags.get(_known(request["resourceArn"])) or {}
    for key in request["tagKeys"]:
        tags.pop(key, None)
    return {}


def listed(request: Json, _caller: str) -> Json:
    tags = store.tags.get(_known(request["resourceArn"])) or {}
    return page([{"key": key, "value": value} for key, value in tags.items()], request, "tags", 100)


def _known(arn: str) -> str:
    """The ARN, where it is that of something that exists."""
    from .custom_types import action_type_arn

    parts = arn.split(":", 5)
    if len(parts) < 6 or parts[2] != "codepipeline":
        raise ServiceError("InvalidArnException", f"{arn} is not the ARN of a pipeline or of a custom action.")
    types = [action_type_arn(found["id"]) for found in action_types.listed("Custom")]
    if parts[5] not in store.pipelines and arn not in types:
        raise ServiceError("ResourceNotFoundException", f"There is no resource {arn}.")
    return arn


OPERATIONS = {"TagResource": tag, "UntagResource": untag, "ListTagsForResource": listed}
