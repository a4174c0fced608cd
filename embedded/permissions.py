"""IAM, where MiniStack enforces it (AUTH=true): what a release needs of it beyond MiniStack's own.

- calls of ECR, ECS, IAM and CloudWatch Logs are held against the resources that AWS's service authorization reference
  names - a repository, a service, a task, a role with its path, a log stream
- DynamoDB: the condition key dynamodb:LeadingKeys
- CloudFormation acts in the name of whoever started the update, as AWS does for a stack without a role of its own
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import Any

from ministack.core import iam_actions, iam_evaluator
from ministack.core.responses import get_account_id, get_region
from ministack.services.cloudformation import provisioners

Json = dict[str, Any]


def install() -> None:
    """After everything else that teaches MiniStack new services: what is there now is built on."""
    iam_actions.extract_resource_arn = functools.partial(_resource_as_aws, iam_actions.extract_resource_arn)
    iam_actions.dynamodb_service_context = functools.partial(_with_leading_keys, iam_actions.dynamodb_service_context)
    handlers = provisioners._RESOURCE_HANDLERS
    definition, service = handlers["AWS::ECS::TaskDefinition"], handlers["AWS::ECS::Service"]
    # (logical id, properties, stack), (physical id, old, new properties, stack ...)
    definition["create"] = _as_caller(definition["create"], 1, _of_definition)
    definition["update"] = _as_caller(definition["update"], 2, _of_definition)
    service["update"] = _as_caller(service["update"], 0, _of_service)


# -- which resource a call is about -----------------------------------------------------------------------------------


def _resource_as_aws(otherwise: Callable[..., str], service: str, method: str, path: str, headers: Json, body: bytes,
                     query_params: Json, region: str, account_id: str) -> str:
    found = otherwise(service, method, path, headers, body, query_params, region, account_id)
    if service == "iam":
        return _with_path(found, account_id)
    if service == "cloudformation" and found == "*":
        return _of_change_set(query_params) or found
    if service not in ("ecr", "ecs", "logs"):
        return found
    given: Json = {}
    with suppress(ValueError):
        given = json.loads(body or b"{}")
    if service == "ecr":
        names = given.get("repositoryNames")
        return f"arn:aws:ecr:{region}:{account_id}:repository/{names[0]}" if names else found
    operation = str(headers.get("x-amz-target", "")).rpartition(".")[2]
    if service == "logs":
        stream = given.get("logStreamName")
        return f"{found}:log-stream:{stream}" if stream and ":log-group:" in found else found
    return _of_ecs(operation, given, f"arn:aws:ecs:{region}:{account_id}") or found


def _of_change_set(query_params: Json) -> str:
    """The stack of a change set that is named by its ARN alone; '' where there is none."""
    from ministack.services import cloudformation

    given = query_params.get("ChangeSetName") or ""
    name = given[0] if isinstance(given, list) else given
    return str((cloudformation._change_sets.get(name) or {}).get("StackId", ""))


def _with_path(arn: str, account_id: str) -> str:
    """The role's own ARN, which has its path."""
    from ministack.services import iam

    found = iam._roles.get_scoped(account_id, None, arn.rpartition("/")[2]) if ":role/" in arn else None
    return str(found["Arn"]) if found else arn


#: Operations of ECS that know no resource.
_ANYTHING = {"DeregisterTaskDefinition", "DescribeTaskDefinition", "ListTaskDefinitions", "ListTasks", "ListClusters",
             "DescribeCapacityProviders"}


def _of_ecs(operation: str, given: Json, prefix: str) -> str:
    """The resource of a call of ECS, of several the first; '' where MiniStack's will do."""
    if operation in _ANYTHING:
        return "*"
    names = given.get("services") or given.get("tasks") or [given.get("service") or given.get("task")]
    name = str(names[0] or "")
    if name.startswith("arn:"):
        return name
    cluster = str(given.get("cluster") or "default").rpartition("/")[2]
    if operation in ("DescribeServices", "UpdateService", "ListServiceDeployments", "DeleteService"):
        return f"{prefix}:service/{cluster}/{name}"
    if operation in ("DescribeTasks", "StopTask"):
        return f"{prefix}:task/{cluster}/{name}"
    if operation == "RegisterTaskDefinition":
        return f"{prefix}:task-definition/{given.get('family')}:*"
    if operation in ("RunTask", "DeleteTaskDefinitions"):
        named = str((given.get("taskDefinitions") or [given.get("taskDefinition")])[0])
        return named if named.startswith("arn:") else f"{prefix}:task-definition/{named}"
    if operation == "DescribeContainerInstances":
        one = str((given.get("containerInstances") or [""])[0])
        return one if one.startswith("arn:") else f"{prefix}:container-instance/{cluster}/{one}"
    return ""


def _with_leading_keys(otherwise: Callable[[bytes], Json], body: bytes) -> Json:
    context = otherwise(body)
    with suppress(ValueError):
        keys = sorted(set(_leading_keys(json.loads(body or b"{}"))))
        if keys:
            context["dynamodb:LeadingKeys"] = keys
    return context


def _leading_keys(request: Json) -> Iterator[str]:
    """Values of partition keys that a request names. An item's is found by the name that its table gives it."""
    from ministack.services import dynamodb

    def of(table: str, item: Mapping[str, Any]) -> Iterator[str]:
        schema = (dynamodb._tables.get(table.rpartition("/")[2]) or {}).get("KeySchema") or []
        for part in schema:
            if part.get("KeyType") == "HASH" and part.get("AttributeName") in item:
                yield from map(str, item[part["AttributeName"]].values())

    table = str(request.get("TableName") or "")
    for item in (request.get("Key"), request.get("Item")):
        yield from of(table, item or {})
    name, _, value = str(request.get("KeyConditionExpression") or "").partition(" AND ")[0].partition("=")
    if name and value.strip() in (request.get("ExpressionAttributeValues") or {}):
        yield from map(str, request["ExpressionAttributeValues"][value.strip()].values())
    for action in request.get("TransactItems") or []:
        for one in action.values():
            yield from of(str(one.get("TableName")), one.get("Key") or one.get("Item") or {})
    for name, writes in (request.get("RequestItems") or {}).items():
        for write in writes if isinstance(writes, list) else []:
            for one in write.values():
                yield from of(name, one.get("Key") or one.get("Item") or {})


# -- CloudFormation in its caller's name ------------------------------------------------------------------------------

#: (action, resource, condition keys)
Call = tuple[str, str, Json]


def _of_definition(props: Json) -> Iterator[Call]:
    """What registering a task definition takes."""
    own = f"arn:aws:ecs:{get_region()}:{get_account_id()}:task-definition/{props.get('Family', '')}:*"
    yield "ecs:RegisterTaskDefinition", own, {}
    yield "ecs:TagResource", own, {}
    yield "ecs:DescribeTaskDefinition", "*", {}
    for role in {props.get("ExecutionRoleArn"), props.get("TaskRoleArn")} - {None, ""}:
        yield "iam:GetRole", str(role), {}
        yield "iam:PassRole", str(role), {"iam:PassedToService": "ecs-tasks.amazonaws.com"}


def _of_service(arn: str) -> Iterator[Call]:
    """What updating a service takes."""
    yield "ecs:UpdateService", arn, {}
    yield "ecs:DescribeServices", arn, {}


def _as_caller(handler: Callable[..., Any], place: int, calls: Callable[[Any], Iterator[Call]]) -> Callable[..., Any]:
    """The handler, once all that it calls in AWS is allowed; place: of the argument that `calls` is about. Raises
    ValueError in AWS's words otherwise."""
    @functools.wraps(handler)
    def handle(*arguments: Any) -> Any:
        for action, resource, keys in calls(arguments[place]):
            service = action.partition(":")[0]
            denied = iam_evaluator.enforce(iam_evaluator._verified_key.get(), action, service, get_region(),
                                           resource_arn=resource, service_context=keys)
            if denied:
                words = iam_actions.identity_denial_message(action, denied.principal_arn, resource,
                                                            denied.decision == "Deny")
                raise ValueError(f'Resource handler returned message: "{words}" (HandlerErrorCode: AccessDenied)')
        return handler(*arguments)

    return handle
