"""Fetching a file over HTTP(S) or from a file: URL, with the standard library only."""

from __future__ import annotations

import http.client
import shutil
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

from .errors import SlipwayError

#: Seconds without a byte after which a server counts as gone.
SILENCE = 30.0
ATTEMPTS = 3
FINAL = (400, 401, 403, 404, 410)


class DownloadError(SlipwayError):
    """What a URL should have given did not come."""


def fetch(url: str, destination: Path, sleep: Callable[[float], None] = time.sleep) -> None:
    """Write what `url` gives to `destination`, whose old content is lost; a passing failure is tried again."""
    for attempt in range(1, ATTEMPTS + 1):
        try:
            with urllib.request.urlopen(url, timeout=SILENCE) as answer, destination.open("wb") as file:
                shutil.copyfileobj(answer, file)
                expected = answer.headers.get("Content-Length")
            if expected is not None and destination.stat().st_size != int(expected):
                raise http.client.HTTPException("the connection ended early")
            return
        except ValueError as error:
            raise DownloadError(f"{url!r} is no URL: {error}.") from error
        except (OSError, http.client.HTTPException) as error:
            status = getattr(error, "code", 0)
            if not isinstance(error, urllib.error.URLError) and getattr(error, "filename", None) is not None:
                raise  # of this host: no space, no permission
            if attempt == ATTEMPTS or status in FINAL or url.startswith("file:"):
                raise DownloadError(f"{url} cannot be fetched: {_reason(error)}.",
                                    "Check the URL and that this host has a route to it (name resolution, proxy, "
                                    "firewall).") from error
            sleep(float(attempt))


def _reason(error: Exception) -> str:
    if isinstance(error, urllib.error.HTTPError):
        return f"status {error.code} {error.reason}".strip()
    cause = getattr(error, "reason", None) or error
    return str(getattr(cause, "strerror", None) or cause or type(cause).__name__)
