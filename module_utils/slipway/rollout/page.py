"""Whether a URL answers as a release should."""

from __future__ import annotations

import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable

from ..errors import InvalidInput
from ..polling import Deadline, delays

#: One request may take this long, in seconds; more of a page than this is not read, in bytes.
_REQUEST = 5.0
_BODY = 1_000_000


def check_url(url: str) -> None:
    """Raises InvalidInput where `url` is not one that can be asked."""
    if not url.startswith(("http://", "https://")):
        raise InvalidInput(f"url {url!r} is no http or https address.", "Give it as http://host/path.")


def await_page(url: str, contains: str, seconds: float, validate_certs: bool = True,
               sleep: Callable[[float], None] = time.sleep) -> str:
    """Ask until `url` answers 200 with `contains` in its body; '' then, else what was wrong after `seconds`.

    Asked at least once. The last old tasks may still answer when ECS calls a rollout completed, and a new load
    balancer's name takes its time to resolve: so one bad answer decides nothing.
    """
    deadline = Deadline(seconds)
    for delay in delays(limit=2.0):
        wrong = _ask(url, contains, validate_certs)
        if not wrong or deadline.passed:
            return wrong
        sleep(deadline.cap(delay))
    raise AssertionError("delays() has no end")


def _ask(url: str, contains: str, validate_certs: bool) -> str:
    """What is wrong with the answer of `url`, '' when nothing is."""
    context = ssl.create_default_context()
    if not validate_certs:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    try:
        with urllib.request.urlopen(url, timeout=_REQUEST, context=context) as answer:
            status, body = answer.status, answer.read(_BODY)
    except urllib.error.HTTPError as error:
        return f"it answers {error.code} {error.reason}".rstrip()
    except (urllib.error.URLError, OSError, ValueError) as error:
        return f"it does not answer: {getattr(error, 'reason', None) or error}"
    if status != 200:
        return f"it answers {status}"
    if contains and contains not in body.decode("utf-8", "replace"):
        return f"its page does not contain {contains!r}"
    return ""
