"""The one place that speaks HTTP to Jenkins: what a status means, what to do next, and what may be tried again.

Credentials are an API token (`user:token` in a file of the host's root), which needs no crumb and no session.
"""

from __future__ import annotations

import base64
import http.client
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from email.message import Message
from pathlib import Path
from typing import Any

from ..errors import SlipwayError

#: Seconds a single answer may take. Jenkins answers a POST of a job's configuration within a second or two.
ANSWER_TIMEOUT = 60.0
#: Seconds a call waits for a Jenkins that is starting (503) or not there yet (connection refused).
PATIENCE = 120.0
FORM = "application/x-www-form-urlencoded"
#: What a connection that was never made, or an answer that was never whole, raises.
BROKEN = (OSError, http.client.HTTPException)


class JenkinsError(SlipwayError):
    """Jenkins refused, failed or does not answer. `status` is its answer's, 0 for none."""

    def __init__(self, message: str, remedy: str = "", status: int = 0, **details: Any) -> None:
        super().__init__(message, remedy, **details)
        self.status = status


@dataclass(frozen=True)
class Answer:
    """headers: as received; asked for without regard to case."""

    status: int
    headers: Message
    body: bytes

    def text(self) -> str:
        return self.body.decode("utf-8", "replace")


class _StayHere(urllib.request.HTTPRedirectHandler):
    """A redirect is an answer (safeRestart gives one), and never a reason to carry credentials elsewhere."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


class Jenkins:
    """`url` without a trailing slash or with one; `credentials_file` empty for an anonymous caller."""

    def __init__(self, url: str, credentials_file: str = "", patience: float = PATIENCE,
                 sleep: Callable[[float], None] = time.sleep, clock: Callable[[], float] = time.monotonic) -> None:
        if not url.startswith(("http://", "https://")):
            raise JenkinsError(f"{url!r} is no URL of a Jenkins.", "Give one that begins with http:// or https://.")
        self.url = url.rstrip("/")
        self._credentials_file = credentials_file
        self._patience = patience
        self._sleep = sleep
        self._clock = clock
        # Never through a proxy of the environment: Jenkins is on this host, and the token is nobody else's.
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), _StayHere())

    def get(self, path: str, missing_ok: bool = False) -> Answer | None:
        """The answer to a GET; None for a 404 when `missing_ok`."""
        answer = self._patiently("GET", path, None, "")
        if answer.status == 404 and missing_ok:
            return None
        return self._checked("GET", path, answer)

    def post(self, path: str, body: bytes = b"", content_type: str = FORM) -> Answer:
        """The answer to a POST, redirects included.

        It is sent again only when Jenkins cannot have acted on it: the connection was refused, or 503 while starting.
        """
        return self._checked("POST", path, self._patiently("POST", path, body, content_type))

    def wait_ready(self, timeout: float, say: Callable[[str], None] = lambda _: None) -> str:
        """Wait until Jenkins answers with these credentials; its version."""
        limit = self._clock() + timeout
        seen = ""
        while True:
            try:
                answer = self._once("GET", "/api/json?tree=mode", None, "")
            except BROKEN as error:
                state = f"does not answer yet ({_reason(error)})"
            else:
                if answer.status not in (502, 503):
                    return self._version(self._checked("GET", "/api/json", answer))
                state = "is starting"
            if state != seen:
                say(f"Jenkins at {self.url} {state}")
                seen = state
            if self._clock() >= limit:
                raise JenkinsError(f"Jenkins at {self.url} {state}, after {timeout:.0f} s.",
                                   "Read its journal: journalctl -u jenkins")
            self._sleep(1.0)

    def _version(self, answer: Answer) -> str:
        version = answer.headers.get("X-Jenkins")
        if not version:
            raise JenkinsError(f"What answers at {self.url} is no Jenkins: its answer has no X-Jenkins header.",
                               "Check the URL and the port, and what listens there (ss -ltnp).")
        return str(version)

    def _patiently(self, method: str, path: str, body: bytes | None, content_type: str) -> Answer:
        """Send, and again while Jenkins is starting, as long as the patience lasts."""
        limit = self._clock() + self._patience
        delay = 0.2
        while True:
            try:
                answer = self._once(method, path, body, content_type)
            except BROKEN as error:
                # Refused: it was never sent. Anything else may have been acted upon, which only a GET does not mind.
                if self._clock() >= limit or not (method == "GET" or _refused(error)):
                    raise JenkinsError(f"{method} {self.url}{path}: Jenkins does not answer ({_reason(error)}).",
                                       "Check that it runs: systemctl status jenkins") from error
            else:
                if answer.status != 503:
                    return answer
                if self._clock() >= limit:
                    raise JenkinsError(f"{method} {self.url}{path}: Jenkins is still starting "
                                       f"after {self._patience:.0f} s.", "Read its journal: journalctl -u jenkins", 503)
            self._sleep(delay)
            delay = min(delay * 2, 2.0)

    def _once(self, method: str, path: str, body: bytes | None, content_type: str) -> Answer:
        request = urllib.request.Request(self.url + path, data=body, method=method)
        if self._credentials_file:
            # Read for every call: the role that owns the file may write it anew meanwhile.
            request.add_header("Authorization", _authorization(self._credentials_file))
        if content_type:
            request.add_header("Content-Type", content_type)
        try:
            with self._opener.open(request, timeout=ANSWER_TIMEOUT) as reply:
                return Answer(reply.status, reply.headers, reply.read())
        except urllib.error.HTTPError as error:
            with error:
                return Answer(error.code, error.headers, error.read())

    def _checked(self, method: str, path: str, answer: Answer) -> Answer:
        """The answer, when it is one of success."""
        status = answer.status
        if status < 400:
            return answer
        where = f"{method} {self.url}{path}"
        if status == 401:
            raise JenkinsError(f"{where}: Jenkins does not accept the token of {self._credentials_file or 'nobody'}.",
                               "Run the role jenkins again: it restores the token.", status)
        if status == 403:
            who = "the user of " + self._credentials_file if self._credentials_file else "an anonymous caller"
            raise JenkinsError(f"{where}: Jenkins does not permit this to {who}.",
                               "Give the credentials file of an administrator.", status)
        if status == 404:
            raise JenkinsError(f"{where}: there is no such thing on this Jenkins.",
                               "Check the name; Jenkins distinguishes capital letters.", status)
        if status >= 500:
            raise JenkinsError(f"{where}: Jenkins failed with status {status}{_said(answer)}.",
                               "Read its journal: journalctl -u jenkins", status)
        raise JenkinsError(f"{where}: Jenkins refused with status {status}{_said(answer)}.", "", status)


def _authorization(credentials_file: str) -> str:
    try:
        credentials = Path(credentials_file).read_text(encoding="utf-8").strip()
    except OSError as error:
        raise JenkinsError(f"The credentials file {credentials_file} cannot be read: {error.strerror}.",
                           "Run the role jenkins first, and this as root.") from error
    user, colon, token = credentials.partition(":")
    if not (user and colon and token) or not credentials.isprintable():
        raise JenkinsError(f"The credentials file {credentials_file} does not hold user:token in one line.",
                           "Run the role jenkins again: it writes the file.")
    return "Basic " + base64.b64encode(credentials.encode()).decode()


def _said(answer: Answer) -> str:
    """What Jenkins gives as its reason: the header X-Error."""
    text = answer.headers.get("X-Error") or ""
    return f": {text.rstrip('.')}" if text else ""


def _refused(error: BaseException) -> bool:
    return isinstance(getattr(error, "reason", error), ConnectionRefusedError)


def _reason(error: BaseException) -> str:
    """The plain words in an error of a connection."""
    cause = getattr(error, "reason", None) or error
    return str(getattr(cause, "strerror", None) or cause or type(cause).__name__)
