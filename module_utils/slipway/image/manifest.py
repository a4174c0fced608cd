"""What a manifest says about an image; pure."""

from __future__ import annotations

import json
from typing import Any


def size_of(text: str) -> int:
    """Compressed bytes of an image's layers and configuration; of an index, of the manifests it lists."""
    manifest: dict[str, Any] = json.loads(text)
    if "manifests" in manifest:
        return sum(int(part.get("size", 0)) for part in manifest["manifests"])
    return sum(int(part.get("size", 0)) for part in [manifest.get("config") or {}, *(manifest.get("layers") or [])])


def layers_of(text: str) -> int:
    return len(json.loads(text).get("layers") or [])
