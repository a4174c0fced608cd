"""Source: a repository behind a connection, which nothing on this machine can reach."""

from __future__ import annotations

from ..errors import ActionFailed
from . import Json, register
from .source import Revision, Source


def fetch(action: Json, _wanted: Json) -> Revision:
    raise ActionFailed(
        "ConfigurationError", f"The connection {action['resolved']['ConnectionArn']} cannot be used: the embedded AWS "
        f"has no way to {action['resolved']['FullRepositoryId']} at its provider. Use a CodeCommit or S3 source here.")


register("AWS", "CodeStarSourceConnection", Source(fetch))
