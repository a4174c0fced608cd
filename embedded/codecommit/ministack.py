"""Everything of this package that touches MiniStack's inside."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import types
from collections.abc import Awaitable, Callable
from typing import Any

Handler = Callable[[str, str, dict[str, str], bytes, dict[str, Any]], Awaitable[Any]]


def default_account() -> str:
    """The account of requests that name none, as git's."""
    return os.environ.get("MINISTACK_ACCOUNT_ID", "000000000000")


def scope() -> tuple[str, str]:
    """Account and region of the request that is being answered."""
    from ministack.core.responses import get_account_id, get_region

    return get_account_id(), get_region()


def put_event(account: str, region: str, entry: dict[str, Any]) -> None:
    """Give EventBridge's default bus an event of a service of AWS."""
    from ministack.core.responses import request_scope
    from ministack.services import eventbridge

    with request_scope(account, region):
        eventbridge._put_events({"Entries": [entry]}, allow_aws_source=True)


def answer(content: dict[str, Any]) -> Any:
    from ministack.core.responses import json_response

    return json_response(content)


def error(code: str, message: str, status: int = 400) -> Any:
    from ministack.core.responses import error_response_json

    return error_response_json(code, message, status)


def physical_name(stack_name: str, logical_id: str) -> str:
    """The name that CloudFormation makes for a resource that was given none."""
    from ministack.services.cloudformation import provisioners

    return str(provisioners._physical_name(stack_name, logical_id, max_len=100))


def add_service(name: str, target_prefix: str, handle: Handler, reset: Callable[[], None]) -> None:
    """Let MiniStack route a JSON service to `handle`, and call `reset` when all its state is emptied."""
    from ministack import app
    from ministack.core import iam_actions, router

    module = types.ModuleType(f"slipway_{name}")
    module.__dict__.update(handle_request=handle, reset=reset)
    router.SERVICE_PATTERNS[name] = {"target_prefixes": [target_prefix], "host_patterns": [rf"^{name}\."]}
    app._loaded_modules[name] = module
    app.SERVICE_REGISTRY[name] = {"module": name}
    app.SERVICE_HANDLERS[name] = app._lazy_handler(name)
    # Where IAM is enforced, a call is held against the repository that it names.
    iam_actions.SERVICE_TO_IAM_NAMESPACE[name] = name
    iam_actions.extract_resource_arn = functools.partial(_resource, iam_actions.extract_resource_arn, name)


def _resource(otherwise: Callable[..., str], name: str, service: str, method: str, path: str, headers: dict[str, str],
              body: bytes, query: dict[str, Any], region: str, account: str) -> str:
    if service != name:
        return otherwise(service, method, path, headers, body, query, region, account)
    with contextlib.suppress(ValueError, AttributeError):
        request = json.loads(body or b"{}")
        if repository := request.get("repositoryName") or request.get("oldName"):
            return f"arn:aws:{name}:{region}:{account}:{repository}"
        return str(request.get("resourceArn") or "*")
    return "*"


def add_resource_type(name: str, handlers: dict[str, Callable[..., Any]]) -> None:
    """Handlers create(logical_id, props, stack_name), update(id, old, new, stack_name), delete(id, props)."""
    from ministack.services.cloudformation import provisioners

    provisioners._RESOURCE_HANDLERS[name] = handlers


def s3_object(bucket: str, key: str) -> bytes:
    """Raises ValueError where the object is missing."""
    from ministack.services import s3

    content = s3._get_object_data(bucket, key)
    if content is None:
        raise ValueError(f"There is no object {key} in the bucket {bucket}.")
    return bytes(content)
