"""Secrets and parameters that tasks are given: whether they are there. No function here reads a value."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..errors import AwsError
from .session import Aws

#: DescribeParameters takes as many names in a filter.
_NAMES_PER_CALL = 50


def describe_secret(aws: Aws, secret: str, region: str | None = None) -> dict[str, Any] | None:
    """Secrets Manager's description of a secret (name or ARN), None when there is none."""
    try:
        return aws.call("secretsmanager", "describe_secret", region=region, SecretId=secret)
    except AwsError as error:
        if error.code == "ResourceNotFoundException":
            return None
        raise


def known_parameters(aws: Aws, names: Sequence[str], region: str | None = None) -> set[str]:
    """Those of `names` that Parameter Store has."""
    found: set[str] = set()
    for first in range(0, len(names), _NAMES_PER_CALL):
        part = list(names[first:first + _NAMES_PER_CALL])
        arguments: dict[str, Any] = {
            "ParameterFilters": [{"Key": "Name", "Option": "Equals", "Values": part}], "MaxResults": _NAMES_PER_CALL}
        while True:
            page = aws.call("ssm", "describe_parameters", region=region, **arguments)
            found.update(parameter["Name"] for parameter in page["Parameters"])
            if not page.get("NextToken"):
                break
            arguments["NextToken"] = page["NextToken"]
    return found
