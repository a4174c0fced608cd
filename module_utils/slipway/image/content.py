"""One digest for everything that decides what a build makes."""

from __future__ import annotations

import hashlib
import json


def content_digest(context: str, dockerfile: str, arguments: dict[str, str], bases: dict[str, str],
                   target: str | None, platforms: list[str], labels: dict[str, str], secret_ids: list[str]) -> str:
    """64 hex digits. context: the context's digest; dockerfile: its text; bases: reference to identity.

    Of build secrets only the names count: their values are not in the image, and must not be guessable from a tag.
    """
    whole = {
        "version": 1,
        "context": context,
        "dockerfile": hashlib.sha256(dockerfile.encode(errors="surrogateescape")).hexdigest(),
        "arguments": arguments,
        "bases": bases,
        "target": target or "",
        "platforms": sorted(platforms),
        "labels": labels,
        "secrets": sorted(secret_ids),
    }
    return hashlib.sha256(json.dumps(whole, sort_keys=True).encode()).hexdigest()
