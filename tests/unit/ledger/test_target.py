"""Where a rollback goes when somebody moved a tag: what ECR and the stack answer then."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from slipway.errors import InvalidInput
from slipway.ledger import target

OLD, NEW = f"sha256:{'a' * 64}", f"sha256:{'b' * 64}"


class World:
    """A stack that has tag v1, which names the image NEW now. releases: digests recorded under v1, newest first.

    pins: whether the stack has a parameter ImageDigest.
    """

    region = "eu-west-1"
    shared = None

    def __init__(self, *releases: str, pins: bool = True) -> None:
        self.parameters = {"ImageTag": "v1", **({"ImageDigest": NEW} if pins else {})}
        self.records = [{"id": f"release#{9 - number}", "service": "shop", "kind": "release", "verdict": "completed",
                         "started": "2026-11-23T08:00:00+00:00", "tag": "v1", "digest": digest}
                        for number, digest in enumerate(releases)]

    def call(self, _service: str, operation: str, **arguments: Any) -> Any:
        if operation == "describe_stacks":
            return {"Stacks": [{"StackName": "shop-service", "StackStatus": "UPDATE_COMPLETE", "Parameters": [
                {"ParameterKey": key, "ParameterValue": value} for key, value in self.parameters.items()]}],
                "ResponseMetadata": {"HTTPHeaders": {"date": f"{datetime.now(UTC):%a, %d %b %Y %H:%M:%S GMT}"}}}
        if operation == "query":
            return {"Items": [{"id": {"S": record["id"]}, "entry": {"S": json.dumps(record)}}
                              for record in self.records]}
        (image,) = arguments["imageIds"]
        digest = image.get("imageDigest", NEW)
        return {"imageDetails": [{"imageDigest": digest, "imageTags": ["v1"] if digest == NEW else []}]}


def find(world: Any, wanted: str = "") -> dict[str, Any]:
    return target.find(world, "ledger", "shop", "shop-service", "shop", wanted, 200)


@pytest.mark.parametrize("wanted", ["", OLD, OLD[:25]])
def test_a_moved_tag_is_no_matter_where_the_digest_is_pinned(wanted: str) -> None:
    found = find(World(NEW, OLD), wanted)
    assert (found["tag"], found["digest"]) == ("v1", OLD)
    assert target.sentence(found, "shop", False).startswith(f"Taking shop from v1 back to v1 ({OLD[:19]})")


def test_without_a_pin_it_is_refused_with_a_way_out() -> None:
    with pytest.raises(InvalidInput, match="names sha256:b+ now.*no ImageDigest.*ecr_promote"):
        find(World(NEW, OLD, pins=False), OLD)
    # What would only lead there is not chosen by itself.
    with pytest.raises(InvalidInput, match="no good release to go back to"):
        find(World(NEW, OLD, pins=False))


def test_the_same_image_is_there_already() -> None:
    assert target.sentence(find(World(NEW), "v1"), "shop", False) == "shop runs v1 already."


def test_the_beginning_of_an_unknown_digest_is_not_asked_for() -> None:
    with pytest.raises(InvalidInput, match="No release of the ledger has a digest that begins with sha256:cc"):
        find(World(NEW), f"sha256:{'c' * 20}")
