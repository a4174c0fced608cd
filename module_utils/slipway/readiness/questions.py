"""Many questions to AWS at once, on one session. What AWS refuses to answer is no fault of the release."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Generic, TypeVar

from ..aws.session import Aws
from ..errors import AwsError

_Answer = TypeVar("_Answer")
#: As many connections as botocore keeps of each client.
_AT_ONCE = 10


class Asked(Generic[_Answer]):
    """A question on its way."""

    def __init__(self, what: str, future: Future[_Answer], unanswered: list[str]) -> None:
        self._what = what
        self._future = future
        self._unanswered = unanswered

    def answer(self) -> _Answer:
        """Raises AwsError."""
        return self._future.result()

    def answer_or(self, otherwise: _Answer) -> _Answer:
        """The answer, or `otherwise` where AWS gives none, which is noted."""
        try:
            return self._future.result()
        except AwsError as error:
            self._unanswered.append(f"{self._what} ({error})")
            return otherwise


class Questions:
    """unanswered: what AWS did not tell, each with the reason."""

    def __init__(self, aws: Aws) -> None:
        self._aws = aws
        self._pool = ThreadPoolExecutor(_AT_ONCE)
        self.unanswered: list[str] = []

    def ask(self, what: str, service: str, call: Callable[..., _Answer], *arguments: Any,
            regions: Sequence[str | None] = ()) -> Asked[_Answer]:
        """call(aws, *arguments), in a thread. service: whose client it uses; regions: where, besides the session's."""
        # A session's clients cannot be made in two threads at once, so each is there before its question is asked.
        for region in regions or (None,):
            self._aws.client(service, region)
        return Asked(what, self._pool.submit(call, self._aws, *arguments), self.unanswered)

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)
