"""What CodePipeline remembers. Everything in it is JSON, and survives a restart.

A change is made with the lock held and never waits for anything; what it causes elsewhere (an event, a thread that
fetches a revision) is noted with after() and happens once the lock is free.
"""

from __future__ import annotations

import copy
import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from .ministack import ScopedDict

Json = dict[str, Any]
log = logging.getLogger("slipway")

_SCOPED = ("pipelines", "executions", "actions", "jobs", "types", "tags")


class Store:
    """One dictionary per kind of record, each apart for every account and region."""

    def __init__(self) -> None:
        self.pipelines = ScopedDict()
        """name -> pipeline."""
        self.executions = ScopedDict()
        """id -> pipeline execution."""
        self.actions = ScopedDict()
        """id -> action execution."""
        self.jobs = ScopedDict()
        """id -> job of a worker or a function."""
        self.types = ScopedDict()
        """category/provider/version -> custom action type, deleted ones too: their version is used up."""
        self.tags = ScopedDict()
        """ARN -> {key: value}."""
        self.changed: Callable[[], None] = lambda: None
        """Called after every change, so that it gets saved."""
        self._lock = threading.RLock()
        self._depth = 0
        self._afterwards: list[Callable[[], None]] = []

    @contextmanager
    def changing(self) -> Iterator[None]:
        """Hold the lock; when the outermost of these ends well or badly, do what was noted meanwhile."""
        todo: list[Callable[[], None]] = []
        with self._lock:
            self._depth += 1
            try:
                yield
            finally:
                self._depth -= 1
                if not self._depth:
                    todo, self._afterwards = self._afterwards, []
                    self.changed()
        for what in todo:
            try:
                what()
            except Exception:
                # The change itself is made; whoever asked for it must not hear of this.
                log.exception("an effect of a change in CodePipeline")

    @contextmanager
    def reading(self) -> Iterator[None]:
        with self._lock:
            yield

    def after(self, what: Callable[[], None]) -> None:
        """Do it when the lock is free again, in the order of these calls."""
        self._afterwards.append(what)

    def snapshot(self) -> Json:
        with self._lock:
            return {name: copy.deepcopy(getattr(self, name)) for name in _SCOPED}

    def restore(self, saved: Json) -> None:
        with self._lock:
            for name in _SCOPED:
                if name in saved:
                    getattr(self, name).update(saved[name])

    def clear(self) -> None:
        with self._lock:
            for name in _SCOPED:
                getattr(self, name).clear()


store = Store()
