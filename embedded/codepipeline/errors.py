"""What a caller is told when something is refused, and what an action fails with."""

from __future__ import annotations


class ServiceError(Exception):
    """An answer of CodePipeline that is an error; code is the exception's name in the service model."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class ActionFailed(Exception):
    """An action cannot do its work; code and message become its error details."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


def invalid(message: str) -> ServiceError:
    return ServiceError("ValidationException", message)
