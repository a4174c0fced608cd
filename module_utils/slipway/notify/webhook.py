"""Posting a message to a webhook, whose address is a secret."""

from __future__ import annotations

import http.client
import json
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from typing import Any

from ..errors import SlipwayError

#: Answers that a second try may better.
_AGAIN = frozenset({429, 500, 502, 503, 504})
_LIMIT = 10.0


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any, **__: Any) -> None:
        """A webhook does not move; the message is not to follow it to another host."""


def post(address: str, body: dict[str, Any], sleep: Callable[[float], None] = time.sleep) -> None:
    """One POST of JSON, tried twice. Raises SlipwayError, which never names the address."""
    try:
        request = urllib.request.Request(address, json.dumps(body).encode(), {"Content-Type": "application/json"})
        known = request.type in ("https", "http") and bool(urllib.parse.urlsplit(address).port or request.host)
    except ValueError:
        known = False
    if not known:
        raise SlipwayError("The webhook's address is no http address.", "Correct ecs_release_notify_webhook.")
    opener = urllib.request.build_opener(_NoRedirect)
    for last in (False, True):
        try:
            with opener.open(request, timeout=_LIMIT):
                return
        except urllib.error.HTTPError as error:
            error.close()
            if last or error.code not in _AGAIN:
                raise SlipwayError(f"The webhook answers {error.code}.",
                                   "Look whether it still exists and takes Slack's format.") from None
        except (OSError, ValueError, http.client.HTTPException) as error:
            # What such an error says would repeat the address; its kind does not.
            why = type(getattr(error, "reason", None) or error).__name__
            if last or not isinstance(error, OSError):
                raise SlipwayError(f"The webhook cannot be reached ({why}).",
                                   "Check its address and the network of this machine.") from None
        sleep(1.0)
