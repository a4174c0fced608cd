"""An error that the service answers with."""

from __future__ import annotations


class ServiceError(Exception):
    """code: the exception's name in the service's model; message: what a person reads."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
