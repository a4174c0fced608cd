"""Something that takes its time, begun before it is needed."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

_Made = TypeVar("_Made")


class Background(Generic[_Made]):
    """make(), in a thread that nobody has to wait for: a module that ends early ends without it."""

    def __init__(self, make: Callable[[], _Made]) -> None:
        self._make = make
        self._made: list[_Made] = []
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._made.append(self._make())
        except BaseException as error:
            self._error = error

    def result(self) -> _Made:
        """What was made; raises what making it raised."""
        self._thread.join()
        if self._error is not None:
            raise self._error
        return self._made[0]
