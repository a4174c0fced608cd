"""A client that keeps asking a page while something happens to it, and remembers every answer."""

from __future__ import annotations

import collections
import http.client
import threading
import time
import urllib.parse
from typing import Any


class PollingClient:
    """Asks `url` from a thread within the with block, every `pace` seconds, for `limit` seconds at most."""

    def __init__(self, url: str, pace: float = 0.02, limit: float = 300) -> None:
        parts = urllib.parse.urlsplit(url)
        self._address = parts.hostname or "", parts.port or 80
        self._pace, self._limit = pace, limit
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.answers: collections.Counter[Any] = collections.Counter()
        self.bodies: list[str] = []
        #: When a request failed, in seconds since the epoch, and how: the first hundred of them.
        self.failed_at: list[tuple[float, str]] = []

    def __enter__(self) -> PollingClient:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(timeout=30)

    @property
    def failures(self) -> dict[Any, int]:
        """Every answer that was not 200, with its count."""
        return {answer: count for answer, count in self.answers.items() if answer != 200}

    def saw(self, text: str) -> bool:
        return any(text in body for body in self.bodies)

    def _run(self) -> None:
        until = time.monotonic() + self._limit
        while not self._stop.is_set() and time.monotonic() < until:
            connection = http.client.HTTPConnection(*self._address, timeout=10)
            try:
                connection.request("GET", "/")
                answer = connection.getresponse()
                body = answer.read().decode(errors="replace")
                self._count(answer.status)
                if not self.bodies or self.bodies[-1] != body:
                    self.bodies.append(body)
                    del self.bodies[:-200]
            except (OSError, http.client.HTTPException) as error:
                self._count(repr(error))
            finally:
                connection.close()
            time.sleep(self._pace)

    def _count(self, answer: Any) -> None:
        self.answers[answer] += 1
        if answer != 200 and len(self.failed_at) < 100:
            self.failed_at.append((time.time(), str(answer)))
