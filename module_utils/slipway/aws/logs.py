"""CloudWatch Logs, one function per API call."""

from __future__ import annotations

from .session import Aws


def last_lines(aws: Aws, group: str, stream: str, count: int, region: str | None = None) -> list[str]:
    """The newest `count` lines of a log stream, oldest first.

    region: where the group is, when that is not the session's. Raises AwsError, with code ResourceNotFoundException
    when group or stream does not exist (its message says which).
    """
    answer = aws.call("logs", "get_log_events", region=region, logGroupName=group, logStreamName=stream,
                      limit=count, startFromHead=False)
    return [event["message"].rstrip("\n") for event in answer["events"]]


def group_exists(aws: Aws, name: str, region: str | None = None) -> bool:
    """Whether there is a log group of exactly that name. region: where, when that is not the session's."""
    answer = aws.call("logs", "describe_log_groups", region=region, logGroupNamePrefix=name, limit=50)
    # AWS sorts by name, and a name comes before all that it begins.
    return any(group["logGroupName"] == name for group in answer["logGroups"])


def next_lines(aws: Aws, group: str, stream: str, token: str, region: str | None = None) -> tuple[list[str], str]:
    """A page of lines, oldest first, and the token of the next page. token: '' for the beginning of the stream.

    Raises AwsError, with code ResourceNotFoundException as long as nothing was written.
    """
    more = {"nextToken": token} if token else {}
    answer = aws.call("logs", "get_log_events", region=region, logGroupName=group, logStreamName=stream,
                      startFromHead=True, **more)
    return [event["message"].rstrip("\n") for event in answer["events"]], str(answer.get("nextForwardToken") or token)
