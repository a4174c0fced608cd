"""Amazon SNS, one function per API call."""

from __future__ import annotations

from collections.abc import Mapping

from .session import Aws


def publish(aws: Aws, topic: str, subject: str, message: str, attributes: Mapping[str, str]) -> None:
    """topic: an ARN, whose region is where it is published. attributes: for the filters of subscriptions."""
    aws.call("sns", "publish", region=topic.split(":")[3], TopicArn=topic, Subject=subject, Message=message,
             MessageAttributes={name: {"DataType": "String", "StringValue": value}
                                for name, value in attributes.items() if value})
