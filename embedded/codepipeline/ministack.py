"""The one file of this package that touches MiniStack's inside; extension.py checks its version and imports us."""

from __future__ import annotations

import functools
import json
import logging
import time
from collections.abc import Callable
from typing import Any
from xml.etree import ElementTree

from ministack import app as ministack
from ministack.core import iam_actions, router
from ministack.core.arn import parse_arn
from ministack.core.concurrency import spawn_background
from ministack.core.iam_evaluator import EvalContext, evaluate, resolve_caller_identity, resolve_principal
from ministack.core.responses import AccountRegionScopedDict as ScopedDict
from ministack.core.responses import get_account_id as account_id
from ministack.core.responses import get_region as region_name
from ministack.core.responses import new_uuid, request_scope
from ministack.core.router import extract_access_key_id
from ministack.services import eventbridge, iam, lambda_svc, s3, sns, sts
from ministack.services.cloudformation import provisioners

Json = dict[str, Any]
log = logging.getLogger("slipway")

__all__ = ["Denied", "ScopedDict", "account_id", "background", "caller_arn", "check_role", "emit", "function_exists",
           "function_retries", "get_object", "invoke_function", "new_uuid", "physical_name", "publish", "put_object",
           "region_name", "register", "request_scope", "session", "trusts"]

NAME = "codepipeline"
PRINCIPAL = "codepipeline.amazonaws.com"


class Denied(Exception):
    """A role may not do something; the text is what IAM says."""


# --- threads, callers ---------------------------------------------------------------------------------------------

def background(what: Callable[..., None], *arguments: Any) -> None:
    """Run it on a thread of its own, in the caller's account and region."""
    spawn_background(what, *arguments, thread_name="codepipeline")


def caller_arn(headers: Json) -> str:
    """Who sent a request."""
    identity = resolve_caller_identity(extract_access_key_id(headers, {}) or "")
    return str(identity["userArn"]) if identity else f"arn:aws:iam::{account_id()}:root"


# --- roles --------------------------------------------------------------------------------------------------------

def trusts(role_arn: str, principal: str = PRINCIPAL) -> bool:
    """Whether the role exists and lets this service assume it."""
    role = iam._roles.get_scoped(role_arn.split(":")[4], None, role_arn.rpartition("/")[2])
    if not role:
        return False
    document = role.get("AssumeRolePolicyDocument") or "{}"
    policy = json.loads(document) if isinstance(document, str) else document
    return any(statement.get("Effect") == "Allow" and principal in _listed(statement.get("Principal"))
               for statement in _listed_statements(policy))


def _listed_statements(policy: Json) -> list[Json]:
    statements = policy.get("Statement") or []
    return statements if isinstance(statements, list) else [statements]


def _listed(principal: Any) -> list[str]:
    services = principal.get("Service", []) if isinstance(principal, dict) else []
    return [services] if isinstance(services, str) else list(services)


def session(role_arn: str, name: str, policy: Json, seconds: int) -> Json:
    """Credentials of the role that may do what both its policies and this one allow; CodePipeline's own names."""
    account, role = role_arn.split(":")[4], role_arn.rpartition("/")[2]
    key, secret, token = iam._gen_session_access_key(), iam._gen_secret(), iam._gen_session_token()
    sts.register_session(key, {
        "Arn": f"arn:aws:sts::{account}:assumed-role/{role}/{name}", "UserId": f"{sts._role_id(role_arn)}:{name}",
        "SecretAccessKey": secret, "SessionToken": token, "Expiration": time.time() + seconds, "AccountId": account,
        "PrincipalType": "AssumedRole", "SourceAccessKeyId": "", "SourcePrincipalArn": PRINCIPAL, "SessionTags": [],
        "SessionPolicies": {"Policy": json.dumps(policy), "PolicyArns": []}})
    return {"accessKeyId": key, "secretAccessKey": secret, "sessionToken": token}


def check_role(role_arn: str, action: str, resource: str) -> None:
    """Raise Denied where the embedded AWS enforces IAM and the role may not do this."""
    if not ministack.AUTH:
        return
    anything = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
    key = session(role_arn, "codepipeline", anything, 60)["accessKeyId"]
    try:
        principal = resolve_principal(key, account_id())
        who = getattr(principal, "arn", role_arn)
        if getattr(principal, "policies", None) is not None:
            context = EvalContext(
                principal_arn=who, principal_type=principal.type, principal_account=principal.account, action=action,
                resource_arn=resource, region=region_name(), service_context={"aws:tagkeys": None},
                principal_keys=principal.keys)
            if evaluate(context, principal.policies, *principal.limits).decision == "Allow":
                return
        raise Denied(f"User: {who} is not authorized to perform: {action} on resource: {resource}")
    finally:
        sts._sessions.pop(key, None)


# --- S3 -----------------------------------------------------------------------------------------------------------

def put_object(bucket: str, key: str, content: bytes, headers: Json) -> None:
    """Raises OSError with S3's words."""
    answer = _s3("PUT", bucket, key, {"content-length": str(len(content)), **headers}, content, {})
    if answer[0] >= 300:
        raise OSError(_s3_message(answer))


def get_object(bucket: str, key: str, version: str = "") -> tuple[bytes, Json]:
    """The object and its headers, names in lower case. Raises OSError with S3's words."""
    answer = _s3("GET", bucket, key, {}, b"", {"versionId": [version]} if version else {})
    if answer[0] >= 300:
        raise OSError(_s3_message(answer))
    return answer[2], {name.lower(): value for name, value in answer[1].items()}


def _s3(method: str, bucket: str, key: str, headers: Json, body: bytes, query: Json) -> Any:
    handler = functools.partial(s3.handle_request, internal=True, enforce_bucket_region=False)
    return ministack.call_service_handler_sync(handler, method, f"/{bucket}/{key}", headers, body, query)


def _s3_message(answer: Any) -> str:
    try:
        root = ElementTree.fromstring(answer[2])
        return f"{root.findtext('Message')} (Service: Amazon S3; Error Code: {root.findtext('Code')})"
    except ElementTree.ParseError:
        return f"Amazon S3 answered {answer[0]}"


# --- Lambda, SNS, EventBridge -------------------------------------------------------------------------------------

def function_exists(name: str) -> bool:
    return bool(lambda_svc._get_func_record_for_ref(name)[1])


def function_retries(name: str) -> int:
    """How often Lambda repeats an asynchronous invocation that failed: twice, unless the function says less."""
    function = lambda_svc._get_func_record_for_ref(name)[0] or {}
    found = (lambda_svc._event_invoke_config(function, None) or {}).get("MaximumRetryAttempts")
    return 2 if found is None else int(found)


def invoke_function(name: str, event: Json) -> str:
    """Run the function to its end; what it failed with, '' where it did not."""
    function, config, _ = lambda_svc._get_func_record_for_ref(name)
    if not function or not config:
        return f"The function {name} does not exist."
    record = lambda_svc._execution_record_for_config(function, config)
    result = lambda_svc._execute_function_with_config_scope(record, event)
    if not result.get("error"):
        return ""
    body = result.get("body")
    if isinstance(body, dict):
        return f"{body.get('errorType', 'Error')}: {body.get('errorMessage', '')}"
    return str(body or "it ended without an answer")


def publish(topic: str, subject: str, message: Json) -> bool:
    """Whether the topic exists and took the message."""
    return sns.publish_internal(topic, json.dumps(message), subject) is not None


def emit(detail_type: str, resource: str, detail: Json) -> None:
    """An event of CodePipeline on the default bus."""
    eventbridge._put_events({"Entries": [{"Source": "aws.codepipeline", "DetailType": detail_type,
                                          "Resources": [resource], "Detail": json.dumps(detail)}]},
                            allow_aws_source=True)


_invoke_target = eventbridge._invoke_target
_validate_target = eventbridge._validate_target_arn


def _start_or_invoke(start: Callable[[str, str, Json], None]) -> Callable[..., None]:
    def invoke(target: Json, event: Json, rule: Json, view: Any = None) -> None:
        arn = str(target.get("Arn", ""))
        if not arn.startswith("arn:aws:codepipeline:"):
            _invoke_target(target, event, rule, view)
            return
        where = parse_arn(arn)
        if (where.account_id, where.region) != (account_id(), region_name()):
            log.warning("EventBridge: %s is in another account or region, and was not started", arn)
            return
        try:
            if not trusts(str(target["RoleArn"]), "events.amazonaws.com"):
                raise Denied(f"EventBridge cannot assume the role {target['RoleArn']}")
            check_role(str(target["RoleArn"]), "codepipeline:StartPipelineExecution", arn)
            start(where.resource, str(rule.get("Arn", "")), _target_input(target, event, rule, view))
        except Exception as error:
            # As a FailedInvocation of the rule: nobody waits for an answer.
            log.warning("EventBridge: the pipeline %s was not started: %s", arn, error)

    return invoke


def _target_input(target: Json, event: Json, rule: Json, view: Any) -> Json:
    """What the target's own input says; only where it has one, for the event itself is no input of a pipeline."""
    text = target.get("Input") or ""
    if target.get("InputTransformer"):
        text = eventbridge._apply_input_transformer(target["InputTransformer"], rule,
                                                    view or eventbridge._pattern_event_view(event))
    try:
        found = json.loads(text or "{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _target_with_role(target: Json) -> Any:
    arn = str(target.get("Arn", ""))
    if arn.startswith("arn:aws:codepipeline:") and not target.get("RoleArn"):
        return eventbridge.error_response_json("ValidationException", f"RoleArn is required for target {arn}.", 400)
    return _validate_target(target)


def physical_name(stack_name: str, logical_id: str) -> str:
    """The name that CloudFormation gives a resource without one."""
    return str(provisioners._physical_name(stack_name, logical_id, max_len=100))


# --- registration -------------------------------------------------------------------------------------------------

#: Operations whose permission is given on a stage, an action, or an action type instead of on a pipeline.
_ON_STAGE = ("RetryStageExecution", "EnableStageTransition", "DisableStageTransition", "RollbackStage")
_ON_ACTION = ("PutApprovalResult", "PutActionRevision")
_ON_TYPE = ("CreateCustomActionType", "DeleteCustomActionType", "PollForJobs")
_TYPE_NAMES = ("owner", "category", "provider", "version")

_extract_arn = iam_actions.extract_resource_arn


def _resource_arn(service: str, method: str, path: str, headers: Json, body: bytes, query: Json, region: str,
                  account: str) -> str:
    if service != NAME:
        return str(_extract_arn(service, method, path, headers, body, query, region, account))
    operation = headers.get("x-amz-target", "").rpartition(".")[2]
    try:
        request = json.loads(body or b"{}")
    except ValueError:
        request = {}
    base = f"arn:aws:codepipeline:{region}:{account}:"
    if operation in _ON_TYPE:
        kind = request.get("actionTypeId") or {"owner": "Custom", **request}
        return base + "actiontype:" + "/".join(str(kind.get(name)) for name in _TYPE_NAMES)
    if "resourceArn" in request:
        return str(request["resourceArn"])
    pipeline = (request.get("pipelineName") or request.get("name") or (request.get("pipeline") or {}).get("name"))
    if not pipeline:
        return "*"
    names = [pipeline]
    if operation in _ON_STAGE + _ON_ACTION:
        names.append(request.get("stageName", ""))
    if operation in _ON_ACTION:
        names.append(request.get("actionName", ""))
    return base + "/".join(names)


def register(module: Any, target_prefix: str, resource_types: Json, replacing: dict[str, tuple[str, ...]],
             start: Callable[[str, str, Json], None]) -> None:
    """Make the module one of MiniStack's services, with its CloudFormation types and as a target of rules."""
    ministack.SERVICE_REGISTRY[NAME] = {"module": NAME}
    ministack.SERVICE_HANDLERS[NAME] = module.handle_request
    ministack._loaded_modules[NAME] = module
    ministack._state_map[NAME] = NAME
    router.SERVICE_PATTERNS[NAME] = {"target_prefixes": [target_prefix], "host_patterns": [r"codepipeline\."],
                                     "credential_scope": NAME}
    iam_actions.SERVICE_TO_IAM_NAMESPACE[NAME] = NAME
    iam_actions.extract_resource_arn = _resource_arn
    provisioners._RESOURCE_HANDLERS.update(resource_types)
    provisioners._REPLACING_PROPERTIES.update(replacing)
    provisioners._STACK_TAG_PROPERTY.update(dict.fromkeys(resource_types, ("Tags", "list")))
    eventbridge._invoke_target = _start_or_invoke(start)
    eventbridge._validate_target_arn = _target_with_role
