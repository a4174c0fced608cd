"""What can go wrong, said so that a person knows what to do next."""

from __future__ import annotations

from typing import Any


class SlipwayError(Exception):
    """A failure with its remedy.

    message: what is wrong and where, in plain words, one sentence or two.
    remedy: what to type or change next; empty where nothing sensible can be said.
    details: further keys for the module's result (snake_case, JSON types).
    """

    def __init__(self, message: str, remedy: str = "", **details: Any) -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy
        self.details = details

    def __str__(self) -> str:
        # A message of several lines ends with a line break; the remedy has a line of its own then.
        return f"{self.message}{'' if self.message.endswith(chr(10)) else ' '}{self.remedy}".strip()


class InvalidInput(SlipwayError):
    """The user's value is at fault; nothing was touched."""


class AwsError(SlipwayError):
    """AWS refused or could not be reached. `code` is AWS's error code, '' for a connection error; `response` is what
    AWS answered, {} for none."""

    def __init__(self, message: str, remedy: str = "", code: str = "", operation: str = "", **details: Any) -> None:
        super().__init__(message, remedy, **details)
        self.code = code
        self.operation = operation
        self.aws_message = message
        self.response: dict[str, Any] = {}


class EngineError(SlipwayError):
    """The container engine refused, failed or does not answer."""


class WaitTimeout(SlipwayError):
    """A wait reached its limit; the message says what was still in progress."""


class Interrupted(SlipwayError):
    """SIGINT or SIGTERM arrived while we worked."""
