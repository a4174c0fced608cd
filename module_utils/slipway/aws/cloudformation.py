"""CloudFormation, one function a call. Shapes: botocore's service model `cloudformation/2010-05-15`.

Every function takes an Aws (session.py) first and raises AwsError.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from ..errors import AwsError
from .session import Aws

_SERVICE = "cloudformation"

#: Seconds for which others of a run may rely on what one of them was told of a stack.
RECENT = 5.0


def describe_stack(aws: Aws, name: str) -> dict[str, Any] | None:
    """The stack `name` (name or ARN) as DescribeStacks gives it, with `ServerTime` and `SeenAt`, the same
    moment by our own clock; None if there is none.

    By name a deleted stack is absent; by ARN it is given with StackStatus DELETE_COMPLETE.
    """
    try:
        answer = aws.call(_SERVICE, "describe_stacks", StackName=name)
    except AwsError as error:
        if is_missing(error):
            return None
        raise
    stacks = answer["Stacks"]
    if not stacks:
        return None
    return {**stacks[0], "ServerTime": server_time(answer), "SeenAt": datetime.now(UTC)}


def glance(aws: Aws, name: str, age: float) -> dict[str, Any] | None:
    """As describe_stack. In a run of several services it may be `age` seconds old, and come from one call for all their
    stacks, where the credentials may list stacks and the account has not many more."""
    if not aws.shared:
        return describe_stack(aws, name)

    lists = aws.shared.hosts >= _WORTH_A_LIST and _may_list(aws)

    def fetch(names: list[str]) -> dict[str, Any]:
        found = _listed(aws, set(names)) if lists and len(names) >= _WORTH_A_LIST else {}
        return {**found, **{one: describe_stack(aws, one) for one in names if one not in found}}

    found = aws.shared.gather(f"stacks {aws.scope}", name, fetch, age, 500 if lists else 1, _FORESIGHT, whole=True)
    return dict(found) if found else None


def glance_no_more(aws: Aws, name: str) -> None:
    """Say that glance will not be asked for `name` any more, so that nobody asks on its behalf."""
    if aws.shared:
        aws.shared.forget(f"stacks {aws.scope}", name)


#: From so many stacks on it pays to list all of them, if they come on so many pages (of about a hundred).
_WORTH_A_LIST, _PAGES = 3, 3
#: Seconds for which a stack that was asked for will be asked for again: other services have their turn in between.
_FORESIGHT = 120.0


def _may_list(aws: Aws) -> bool:
    def probe() -> bool:
        try:
            aws.call(_SERVICE, "describe_stacks")
        except AwsError:
            return False
        return True

    return bool(aws.shared and aws.shared.once(f"lists {aws.scope}", probe, 600.0))


def _listed(aws: Aws, names: set[str]) -> dict[str, Any]:
    """Those of `names` that are on the first pages of the list of all stacks."""
    found: dict[str, Any] = {}
    for number, page in enumerate(_pages(aws, "describe_stacks"), 1):
        times = {"ServerTime": server_time(page), "SeenAt": datetime.now(UTC)}
        for stack in page["Stacks"]:
            found.update({one: {**stack, **times} for one in (stack["StackName"], stack["StackId"]) if one in names})
        if number == _PAGES or len(found) == len(names):
            break
    return found


def all_stacks(aws: Aws) -> list[dict[str, Any]]:
    """Every stack of account and region, a call for about a hundred of them."""
    return [stack for page in _pages(aws, "describe_stacks") for stack in page["Stacks"]]


def is_missing(error: AwsError) -> bool:
    """Whether AWS says that the stack does not exist (a ValidationError, told apart by its words only)."""
    return error.code == "ValidationError" and "does not exist" in error.aws_message


def server_time(answer: dict[str, Any]) -> datetime:
    """When the server answered, to the second, by its own clock; ours where it does not say."""
    date = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date", "")
    try:
        return parsedate_to_datetime(date)
    except (TypeError, ValueError):
        return datetime.now(UTC)


def get_template(aws: Aws, stack: str, processed: bool = False) -> Any:
    """The template as it was given, or as its transforms made it: a str, or a dict for JSON (botocore decodes that)."""
    stage = "Processed" if processed else "Original"
    return aws.call(_SERVICE, "get_template", StackName=stack, TemplateStage=stage)["TemplateBody"]


def get_template_summary(aws: Aws, url: str) -> dict[str, Any]:
    """Parameters, Capabilities, ResourceTypes of the template at the S3 address `url`."""
    return aws.call(_SERVICE, "get_template_summary", TemplateURL=url)


def create_change_set(aws: Aws, **request: Any) -> dict[str, Any]:
    """CreateChangeSet -> {Id, StackId}."""
    return aws.call(_SERVICE, "create_change_set", **request)


def describe_change_set(aws: Aws, arn: str, values: bool = True) -> dict[str, Any]:
    """The change set with all its Changes (every page); `values`: with property values."""
    request: dict[str, Any] = {"ChangeSetName": arn}
    if values:
        request["IncludePropertyValues"] = True
    answer = aws.call(_SERVICE, "describe_change_set", **request)
    answer.setdefault("Changes", [])
    token = answer.get("NextToken")
    while token:
        page = aws.call(_SERVICE, "describe_change_set", NextToken=token, **request)
        answer["Changes"] += page.get("Changes", [])
        token = page.get("NextToken")
    return answer


def execute_change_set(aws: Aws, arn: str, token: str, disable_rollback: bool | None) -> None:
    request: dict[str, Any] = {"ChangeSetName": arn, "ClientRequestToken": token}
    if disable_rollback is not None:
        request["DisableRollback"] = disable_rollback
    aws.call(_SERVICE, "execute_change_set", **request)


def delete_change_set(aws: Aws, arn: str) -> None:
    aws.call(_SERVICE, "delete_change_set", ChangeSetName=arn)


def list_change_sets(aws: Aws, stack: str) -> list[dict[str, Any]]:
    """Summaries of the stack's change sets."""
    return [s for page in _pages(aws, "list_change_sets", StackName=stack) for s in page.get("Summaries", [])]


def failed_change_set_events(aws: Aws, arn: str) -> list[dict[str, Any]]:
    """What the validation of a change set found, as DescribeEvents gives it (OperationEvents)."""
    answer = aws.call(_SERVICE, "describe_events", ChangeSetName=arn, Filters={"FailedEvents": True})
    return list(answer.get("OperationEvents", []))


def stack_events(aws: Aws, stack: str) -> Iterator[list[dict[str, Any]]]:
    """StackEvents, newest first, by the page (100 events); each is asked for only when it is wanted."""
    for page in _pages(aws, "describe_stack_events", StackName=stack):
        yield page.get("StackEvents", [])


def stack_resources(aws: Aws, stack: str) -> list[dict[str, Any]]:
    """StackResourceSummaries of every resource."""
    return [r for page in _pages(aws, "list_stack_resources", StackName=stack)
            for r in page.get("StackResourceSummaries", [])]


def cancel_update(aws: Aws, stack: str, token: str) -> None:
    aws.call(_SERVICE, "cancel_update_stack", StackName=stack, ClientRequestToken=token)


def continue_update_rollback(aws: Aws, stack: str, skip: list[str], token: str) -> None:
    request: dict[str, Any] = {"StackName": stack, "ClientRequestToken": token}
    if skip:
        request["ResourcesToSkip"] = skip
    aws.call(_SERVICE, "continue_update_rollback", **request)


def rollback_stack(aws: Aws, stack: str, token: str, role: str | None = None) -> None:
    """Take a stack in UPDATE_FAILED back to where it was last stable."""
    request: dict[str, Any] = {"StackName": stack, "ClientRequestToken": token}
    if role:
        request["RoleARN"] = role
    aws.call(_SERVICE, "rollback_stack", **request)


def delete_stack(aws: Aws, stack: str, token: str, retain: list[str] | None = None, role: str | None = None) -> None:
    request: dict[str, Any] = {"StackName": stack, "ClientRequestToken": token}
    if retain:
        request["RetainResources"] = retain
    if role:
        request["RoleARN"] = role
    aws.call(_SERVICE, "delete_stack", **request)


def update_termination_protection(aws: Aws, stack: str, protect: bool) -> None:
    aws.call(_SERVICE, "update_termination_protection", StackName=stack, EnableTerminationProtection=protect)


def get_stack_policy(aws: Aws, stack: str) -> str | None:
    return aws.call(_SERVICE, "get_stack_policy", StackName=stack).get("StackPolicyBody") or None


def set_stack_policy(aws: Aws, stack: str, body: str) -> None:
    aws.call(_SERVICE, "set_stack_policy", StackName=stack, StackPolicyBody=body)


def detect_drift(aws: Aws, stack: str) -> str:
    """Start a drift detection; its id."""
    return str(aws.call(_SERVICE, "detect_stack_drift", StackName=stack)["StackDriftDetectionId"])


def drift_detection(aws: Aws, detection: str) -> dict[str, Any]:
    return aws.call(_SERVICE, "describe_stack_drift_detection_status", StackDriftDetectionId=detection)


def resource_drifts(aws: Aws, stack: str) -> list[dict[str, Any]]:
    """StackResourceDrifts of every resource that was checked."""
    return [d for page in _pages(aws, "describe_stack_resource_drifts", StackName=stack)
            for d in page.get("StackResourceDrifts", [])]


def ssm_values(aws: Aws, names: list[str]) -> dict[str, str]:
    """Values of plain SSM parameters by name; unknown ones are left out. Asks for ten at a time (SSM's limit)."""
    found: dict[str, str] = {}
    for start in range(0, len(names), 10):
        answer = aws.call("ssm", "get_parameters", Names=names[start:start + 10])
        for parameter in answer.get("Parameters", []):
            # Public parameters answer to their name, versioned ones to name and selector.
            found[parameter["Name"] + parameter.get("Selector", "")] = parameter["Value"]
    return found


def _pages(aws: Aws, operation: str, **request: Any) -> Iterator[dict[str, Any]]:
    token: str | None = None
    while True:
        page = aws.call(_SERVICE, operation, **request, **({"NextToken": token} if token else {}))
        yield page
        token = page.get("NextToken")
        if not token:
            return
