"""Our change set of a stack: made, read, executed or dropped."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from ..aws import cloudformation, contents
from ..aws.session import Aws
from ..errors import AwsError, SlipwayError
from ..interrupt import held
from . import changeset
from .options import Options
from .template import INLINE_LIMIT, Template
from .waiting import short_waits

#: Ours are told by this; each has a name of its own, and is addressed by its ARN.
PREFIX = "slipway-"
#: A preview lives for seconds: what is older was left by a killed run. Executing one, CloudFormation drops the others.
_ABANDONED_AFTER = timedelta(minutes=15)
_LIMIT = 300.0


class Superseded(Exception):
    """Somebody else works on the stack, or changed it since."""


class Proposal:
    """existing: the stack to update, None for a new one. existed: the name was taken before (REVIEW_IN_PROGRESS)."""

    def __init__(self, aws: Aws, options: Options, existing: dict[str, Any] | None, existed: bool) -> None:
        self._aws = aws
        self._o = options
        self._existing = existing
        self._existed = existed
        self._arn = ""
        self._stack_id = ""
        self._executed = False
        self._empty = False

    def create(self, template: Template, parameters: list[dict[str, Any]], tags: dict[str, str],
               rollback: dict[str, Any] | None) -> dict[str, Any]:
        """Make the change set, wait until it is computed; DescribeChangeSet's answer with `ServerTime`.

        An empty one is returned too (Status FAILED). Raises Superseded, and SlipwayError with AWS's reason where the
        change set fails otherwise; nothing is left behind then.
        """
        request = self._request(template, parameters, tags, rollback)
        with held():
            self._take(self._create(request))
        for _ in short_waits(_LIMIT):
            answer = cloudformation.describe_change_set(self._aws, self._arn)
            answer["ServerTime"] = cloudformation.server_time(answer)
            self._empty = changeset.is_empty(answer)
            if answer["Status"] == "CREATE_COMPLETE" or self._empty:
                return answer
            if answer["Status"] == "FAILED":
                reason = answer.get("StatusReason", "")
                details = self._validation(reason)
                self.drop()
                if _is_busy(reason):
                    raise Superseded(reason)
                raise SlipwayError(f"CloudFormation refuses the change of stack {self._o.name}: {reason.rstrip('.')}."
                                   + "".join(f" {d.rstrip('.')}." for d in details),
                                   "Correct the template or the parameters.")
        raise SlipwayError(f"The change set of stack {self._o.name} was not computed within {_LIMIT:.0f} s.",
                           "Run this again.")

    def nested(self, change_set: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
        """(logical path, change set) of every stack nested in it that changes."""
        for change in change_set.get("Changes", []):
            rc = change.get("ResourceChange", {})
            if rc.get("ChangeSetId"):
                child = cloudformation.describe_change_set(self._aws, rc["ChangeSetId"])
                logical = path + rc["LogicalResourceId"]
                yield logical, child
                yield from self.nested(child, f"{logical}/")

    def execute(self, token: str) -> None:
        """Raises Superseded where the stack moved on since the change set was made."""
        # AWS refuses DisableRollback of a change set that was made with OnStackFailure.
        disable = None if self._o.on_failure and not self._existing else self._o.disable_rollback
        try:
            cloudformation.execute_change_set(self._aws, self._arn, token, disable)
        except AwsError as error:
            if error.code in ("InvalidChangeSetStatus", "ChangeSetNotFound") or _is_busy(error.aws_message):
                raise Superseded(error.aws_message) from error
            raise
        self._executed = True

    def drop(self) -> None:
        """Delete the change set, and the empty stack that came into being with it. Nothing if it was executed."""
        if self._executed or not self._arn:
            return
        if self._stack_id and not self._existing and not self._existed:
            # The stack takes its change set along.
            cloudformation.delete_stack(self._aws, self._stack_id, f"slipway-{uuid.uuid4().hex}")
            for _ in short_waits(30.0):
                stack = cloudformation.describe_stack(self._aws, self._stack_id)
                if stack is None or stack["StackStatus"] == "DELETE_COMPLETE":
                    break
        else:
            cloudformation.delete_change_set(self._aws, self._arn)
            if not self._empty:
                self._clear_left_overs()
        self._arn = ""

    def _take(self, created: dict[str, Any]) -> None:
        self._arn, self._stack_id = created["Id"], created["StackId"]

    def _create(self, request: dict[str, Any]) -> dict[str, Any]:
        try:
            return cloudformation.create_change_set(self._aws, **request)
        except AwsError as error:
            # AlreadyExists is the stack: somebody created it just now.
            if _is_busy(error.aws_message) or error.code == "AlreadyExistsException":
                raise Superseded(error.aws_message) from error
            raise

    def _clear_left_overs(self) -> None:
        """Delete change sets of ours that nobody can be waiting for any more."""
        now = datetime.now(UTC)
        for found in cloudformation.list_change_sets(self._aws, self._o.name):
            if (found["ChangeSetName"].startswith(PREFIX) and found.get("ExecutionStatus") != "EXECUTE_IN_PROGRESS"
                    and now - found["CreationTime"] > _ABANDONED_AFTER):
                cloudformation.delete_change_set(self._aws, found["ChangeSetId"])

    def _request(self, template: Template, parameters: list[dict[str, Any]], tags: dict[str, str],
                 rollback: dict[str, Any] | None) -> dict[str, Any]:
        o, existing = self._o, self._existing
        token = f"{PREFIX}{uuid.uuid4().hex}"
        request: dict[str, Any] = {
            "StackName": existing["StackId"] if existing else o.name,
            "ChangeSetName": token,
            "ChangeSetType": "UPDATE" if existing else "CREATE",
            "ClientToken": token,
            "Description": "made by slipway",
            "Parameters": parameters,
            "Capabilities": o.capabilities or list((existing or {}).get("Capabilities", [])),
        }
        if o.template is not None:
            if template.size > INLINE_LIMIT:
                assert o.template_bucket is not None and template.body is not None
                digest = hashlib.sha256(template.body.encode()).hexdigest()
                request["TemplateURL"] = contents.upload(self._aws, o.template_bucket,
                                                         f"slipway/{o.name}/{digest}.template", template.body)
            else:
                request["TemplateBody"] = template.body
        elif o.template_url:
            request["TemplateURL"] = o.template_url
        else:
            request["UsePreviousTemplate"] = True
        # The whole list every time: what is left out here CloudFormation may take away.
        if tags or (existing and existing.get("Tags")):
            request["Tags"] = [{"Key": k, "Value": v} for k, v in sorted(tags.items())]
        arns = o.notification_arns if o.notification_arns is not None else (existing or {}).get("NotificationARNs")
        if arns or o.notification_arns is not None:
            request["NotificationARNs"] = list(arns or [])
        if o.role_arn:
            request["RoleARN"] = o.role_arn
        if rollback is not None:
            request["RollbackConfiguration"] = rollback
        if o.on_failure and not existing:
            request["OnStackFailure"] = {"do_nothing": "DO_NOTHING", "rollback": "ROLLBACK",
                                         "delete": "DELETE"}[o.on_failure]
        if template.nested:
            request["IncludeNestedStacks"] = True
        return request

    def _validation(self, reason: str) -> list[str]:
        """What AWS's validation found, where the reason only points to it."""
        if "DescribeEvents" not in reason and "alidation" not in reason:
            return []
        try:
            found = cloudformation.failed_change_set_events(self._aws, self._arn)
        except (AwsError, AttributeError):  # a botocore from before DescribeEvents
            return []
        return [f"{e.get('LogicalResourceId', '')}: {text}" for e in found
                if (text := e.get("ValidationStatusReason") or e.get("ResourceStatusReason"))]


def lacks_values(change_set: dict[str, Any]) -> bool:
    """Whether the endpoint left out the property values that IncludePropertyValues asked for."""
    for change in change_set.get("Changes", []):
        rc = change.get("ResourceChange", {})
        if rc.get("Action") == "Modify" and not rc.get("BeforeContext") and not rc.get("AfterContext") and not any(
                "BeforeValue" in d.get("Target", {}) or "AfterValue" in d.get("Target", {})
                for d in rc.get("Details", [])):
            return True
    return False


def _is_busy(message: str) -> bool:
    """Whether AWS says that an operation on the stack is in progress."""
    return "_IN_PROGRESS state" in message or "can not be updated" in message or "cannot be updated" in message
