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
