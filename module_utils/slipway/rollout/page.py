"""Whether a URL answers as a release should."""

from __future__ import annotations

import http.client
import re
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from ..errors import InvalidInput
from ..polling import Deadline, delays

#: One request may take this long, in seconds; more of a page than this is not read, in bytes.
_REQUEST = 5.0
_BODY = 1_000_000
#: What AWS calls a load balancer. No certificate can be had for such a name, so its certificate is always another's.
_BALANCER = re.compile(r"\.elb\.(?:[a-z0-9-]+\.)?amazonaws\.com(?:\.cn)?$", re.IGNORECASE)


class _Elsewhere(Exception):
    """A redirect to another host. str: where to."""


class _SameHost(urllib.request.HTTPRedirectHandler):
    """Follows redirects, as from http to https, for as long as they stay on the host that was asked."""

    def redirect_request(self, req: urllib.request.Request, fp: Any, code: int, msg: str, headers: Any,
                         newurl: str) -> urllib.request.Request | None:
        if urlsplit(newurl).hostname != urlsplit(req.full_url).hostname:
            raise _Elsewhere(newurl)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def check_url(url: str) -> None:
    """Raises InvalidInput where `url` is not one that can be asked."""
    if not url.startswith(("http://", "https://")):
        raise InvalidInput(f"url {url!r} is no http or https address.", "Give it as http://host/path.")


def await_page(url: str, contains: str, seconds: float, validate_certs: bool = True,
               sleep: Callable[[float], None] = time.sleep) -> str:
    """Ask until `url` answers 200 with `contains` in its body; '' then, else what was wrong after `seconds`.

    validate_certs: whether its certificate is verified; that of a load balancer by AWS's own name never is.
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
    try:
        with _opener(url, validate_certs).open(url, timeout=_REQUEST) as answer:
            status, body = answer.status, answer.read(_BODY)
            # What a read of so many bytes misses of a shorter answer is no error to http.client.
            cut_off = len(body) < _BODY and bool(answer.length)
    except _Elsewhere as error:
        return f"it redirects to {error}, and what another host answers is not this application's answer"
    except urllib.error.HTTPError as error:
        error.close()
        return f"it answers {error.code} {error.reason}".rstrip()
    except (http.client.HTTPException, OSError, ValueError) as error:
        return _no_answer(getattr(error, "reason", None) or error)
    if cut_off:
        return f"it does not answer: its page ends after {len(body)} bytes, before its announced length"
    if status != 200:
        return f"it answers {status}"
    if contains and contains not in body.decode("utf-8", "replace"):
        return f"its page does not contain {contains!r}"
    return ""


def _opener(url: str, validate_certs: bool) -> urllib.request.OpenerDirector:
    context = ssl.create_default_context()
    if not validate_certs or _BALANCER.search(urlsplit(url).hostname or ""):
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return urllib.request.build_opener(urllib.request.HTTPSHandler(context=context), _SameHost())


def _no_answer(reason: Any) -> str:
    if isinstance(reason, ssl.SSLCertVerificationError):
        return f"its certificate is not valid: {reason.verify_message}"
    # Of some errors of http.client nothing but their names says what happened.
    return f"it does not answer: {str(reason) or type(reason).__name__}"
