"""IAM, one function per API call."""

from __future__ import annotations

from typing import Any

from ..errors import AwsError
from .session import Aws


def get_role(aws: Aws, name: str) -> dict[str, Any] | None:
    """The role as GetRole gives it (its trust policy decoded); None when there is none. name: without its path."""
    try:
        found: dict[str, Any] = aws.call("iam", "get_role", RoleName=name)["Role"]
    except AwsError as error:
        if error.code in ("NoSuchEntity", "NoSuchEntityException"):
            return None
        raise
    return found
