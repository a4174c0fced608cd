"""What a manifest says about an image."""

from __future__ import annotations

import json
from typing import Any

from ..aws import ecr
from ..aws.session import Aws


def size_of(text: str) -> int:
    """Compressed bytes of an image's layers and configuration; pure."""
    manifest: dict[str, Any] = json.loads(text)
    return sum(int(part.get("size", 0)) for part in [manifest.get("config") or {}, *(manifest.get("layers") or [])])


def parts_of(text: str) -> list[str]:
    """Digests of the images that a list of manifests names, [] for a single image; pure."""
    return [part["digest"] for part in json.loads(text).get("manifests") or []]


def image_size(aws: Aws, repository: str, manifest: ecr.Manifest, registry_id: str | None,
               region: str | None = None) -> int:
    """Compressed bytes as ECR counts them: those of an image for several platforms are the largest one's."""
    parts = [{"imageDigest": digest} for digest in parts_of(manifest.text)]
    if not parts:
        return size_of(manifest.text)
    found = ecr.get_manifests(aws, repository, parts, registry_id, region)
    return max((size_of(part.text) for part in found), default=0)
