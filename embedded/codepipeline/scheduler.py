"""Deadlines: one thread that sleeps until the next one. Kept in memory; the engine sets them again after a restart."""

from __future__ import annotations

import heapq
import itertools
import logging
import threading
import time
from collections.abc import Callable

from .ministack import account_id, region_name, request_scope

log = logging.getLogger("slipway")


class Scheduler:
    def __init__(self) -> None:
        self._wake = threading.Condition()
        self._number = itertools.count()
        self._queue: list[tuple[float, int, str, str, Callable[[], None]]] = []
        self._running = False

    def at(self, when: float, what: Callable[[], None]) -> None:
        """Call it at this time (seconds since the epoch), in the account and region of the caller. What it was set for
        may be over by then: that is for the called to see."""
        with self._wake:
            heapq.heappush(self._queue, (when, next(self._number), account_id(), region_name(), what))
            if not self._running:
                self._running = True
                threading.Thread(target=self._run, name="codepipeline-deadlines", daemon=True).start()
            self._wake.notify()

    def clear(self) -> None:
        with self._wake:
            self._queue.clear()

    def _run(self) -> None:
        while True:
            with self._wake:
                while not self._queue or self._queue[0][0] > time.time():
                    self._wake.wait(max(0.001, self._queue[0][0] - time.time()) if self._queue else None)
                _, _, account, region, what = heapq.heappop(self._queue)
            with request_scope(account, region):
                try:
                    what()
                except Exception:
                    log.exception("a deadline of CodePipeline")


scheduler = Scheduler()
