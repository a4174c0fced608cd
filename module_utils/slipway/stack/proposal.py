"""Our change set of a stack: made, read, executed or dropped."""

from __future__ import annotations

import math
import re
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from ..aws import cloudformation, contents
from ..aws.session import Aws
from ..errors import AwsError, SlipwayError, WaitTimeout
from ..interrupt import held
from ..polling import Deadline
from ..progress import Progress
from . import changeset
from .options import Options
from .template import INLINE_LIMIT, Template
from .waiting import short_waits

#: Ours are told by this; each has a name of its own, and is addressed by its ARN.
PREFIX = "slipway-"
#: A preview lives for seconds: what is older was left by a killed run. Executing one, CloudFormation drops the others.
_ABANDONED_AFTER = timedelta(minutes=15)
#: CloudFormation deletes no change set that it still computes: for so long that is waited for.
_COMPUTING = 10.0
_EMPTY_STACK = 30.0
#: `Stack:arn:... is in UPDATE_IN_PROGRESS state and can not be updated.`
_STATE = re.compile(r"is in \[?(\w+)\]? state")


class Superseded(Exception):
    """The stack is not as it was when the plan was made, so that the plan is to be made anew.

    error: what to end with where a new plan meets the same refusal. busy: an operation is in progress.
    """

    def __init__(self, reason: str, error: SlipwayError, busy: bool = False) -> None:
        super().__init__(reason)
        self.error = error
        self.busy = busy


class Proposal:
    """existing: the stack to update, None for a new one. existed: the name was taken before (REVIEW_IN_PROGRESS)."""

    def __init__(self, aws: Aws, options: Options, existing: dict[str, Any] | None, existed: bool,
                 progress: Progress, deadline: Deadline) -> None:
        self._aws = aws
        self._o = options
        self._progress = progress
        self._deadline = deadline
        self._existing = existing
        self._existed = existed
        self._arn = ""
        self._stack_id = ""
        self._passed = ""
        self._executed = False
        self._computed = False
        self._empty = False

    def create(self, template: Template, parameters: list[dict[str, Any]], tags: dict[str, str],
               rollback: dict[str, Any] | None) -> dict[str, Any]:
        """Make the change set, wait until it is computed; DescribeChangeSet's answer with `ServerTime`.

        An empty one is returned too (Status FAILED). Raises Superseded, and SlipwayError with AWS's reason where the
        change set fails otherwise; nothing is left behind then. WaitTimeout after the deadline.
        """
        with held():
            self._take(self._create(self._request(template, parameters, tags, rollback)))
        for _ in short_waits(self._deadline.cap(math.inf)):
            self._progress.heartbeat(f"... the change set of {self._o.name} is being computed")
            answer = self._described(self._arn)
            answer["ServerTime"] = cloudformation.server_time(answer)
            self._computed = answer["Status"] in ("CREATE_COMPLETE", "FAILED")
            self._empty = changeset.is_empty(answer)
            if answer["Status"] == "CREATE_COMPLETE" or self._empty:
                return answer
            if answer["Status"] == "FAILED":
                reason = answer.get("StatusReason", "")
                details = self._validation(reason)
                self.drop()
                refused = SlipwayError(
                    f"CloudFormation refuses the change of stack {self._o.name}: {reason.rstrip('.')}."
                    + "".join(f" {d.rstrip('.')}." for d in details), "Correct the template or the parameters.")
                if state := _STATE.search(reason):
                    raise Superseded(reason, refused, state[1].endswith("_IN_PROGRESS"))
                raise refused
        raise WaitTimeout(f"The change set of stack {self._o.name} was not computed within "
                          f"{self._deadline.elapsed:.0f} s.", "Raise wait_timeout, or run this again.")

    def nested(self, change_set: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
        """(logical path, change set) of every stack nested in it that changes. Raises Superseded where one is gone."""
        for change in change_set.get("Changes", []):
            rc = change.get("ResourceChange", {})
            if rc.get("ChangeSetId"):
                child = self._described(rc["ChangeSetId"])
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
            _check_superseded(error, "InvalidChangeSetStatus", "ChangeSetNotFound")
            raise
        self._executed = True

    def finished(self) -> bool:
        """Whether the change set was carried out. Raises SlipwayError with AWS's reason where that did not even begin.
        """
        try:
            answer = self._described(self._arn, values=False)
        except Superseded:
            return True  # a later one took its place
        if answer["ExecutionStatus"] == "EXECUTE_FAILED":
            raise SlipwayError(f"CloudFormation did not execute the change set of stack {self._o.name}: "
                               f"{(answer.get('StatusReason') or 'AWS gives no reason').rstrip('.')}.",
                               "Run this again.")
        return bool(answer["ExecutionStatus"] == "EXECUTE_COMPLETE")

    def drop(self) -> None:
        """Delete the change set, and the empty stack that came into being with it. Nothing if it was executed.

        A stack that somebody else has begun to use stays, and so does a change set that CloudFormation does not let go:
        the operation that holds it takes it along, or a later run (_clear_left_overs).
        """
        if self._executed or not self._arn:
            return
        # First of all, for it takes along what it made for nested stacks; the stack's deletion does not.
        self._delete()
        if self._stack_id and not self._existing and not self._existed:
            self._delete_empty_stack()
        elif not self._empty:
            self._clear_left_overs()
        self._arn = ""

    def _delete(self) -> None:
        for _ in short_waits(0.0 if self._computed else _COMPUTING):
            if _let_go(self._aws, self._arn):
                return

    def _delete_empty_stack(self) -> None:
        """Delete the stack that our change set made, if it still is nobody else's."""
        for _ in short_waits(_EMPTY_STACK):
            # In this order: a change set that was made and executed between the two looks is in the list.
            stack = cloudformation.describe_stack(self._aws, self._stack_id)
            if stack is None or stack["StackStatus"] != "REVIEW_IN_PROGRESS":
                return
            found = cloudformation.list_change_sets(self._aws, self._stack_id)
            if any(s["ChangeSetId"] != self._arn for s in found):
                return
            if not any(s.get("Status") in ("DELETE_PENDING", "DELETE_IN_PROGRESS") for s in found):
                break
        cloudformation.delete_stack(self._aws, self._stack_id, f"slipway-{uuid.uuid4().hex}")
        for _ in short_waits(_EMPTY_STACK):
            stack = cloudformation.describe_stack(self._aws, self._stack_id)
            if stack is None or stack["StackStatus"] == "DELETE_COMPLETE":
                return

    def _described(self, arn: str, values: bool = True) -> dict[str, Any]:
        """DescribeChangeSet's answer. Raises Superseded where it is gone: somebody executed another one."""
        try:
            return cloudformation.describe_change_set(self._aws, arn, values)
        except AwsError as error:
            _check_superseded(error, "ChangeSetNotFound")
            raise

    def _take(self, created: dict[str, Any]) -> None:
        self._arn, self._stack_id = created["Id"], created["StackId"]

    def _create(self, request: dict[str, Any]) -> dict[str, Any]:
        try:
            return cloudformation.create_change_set(self._aws, **request)
        except AwsError as error:
            # AlreadyExists is the stack: somebody created it just now.
            _check_superseded(error, "AlreadyExistsException")
            raise
        finally:
            self._take_back()

    def _take_back(self) -> None:
        """Delete the template that was passed through S3: by now CloudFormation has a copy of its own."""
        if not self._passed:
            return
        assert self._o.template_bucket is not None
        try:
            contents.discard(self._aws, self._o.template_bucket, self._passed)
        except AwsError as error:
            self._progress.say(f"{self._passed} stays in bucket {self._o.template_bucket}: {error.message}", "warn")
        self._passed = ""

    def _clear_left_overs(self) -> None:
        """Delete change sets of ours that nobody can be waiting for any more."""
        now = datetime.now(UTC)
        for found in cloudformation.list_change_sets(self._aws, self._o.name):
            if (found["ChangeSetName"].startswith(PREFIX) and now - found["CreationTime"] > _ABANDONED_AFTER
                    and not found.get("ExecutionStatus", "").startswith("EXECUTE_")):
                _let_go(self._aws, found["ChangeSetId"])

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
            # What the stack was granted it keeps: a request without it would be refused.
            "Capabilities": sorted({*o.capabilities, *(existing or {}).get("Capabilities", [])}),
        }
        if o.template is not None:
            if template.size > INLINE_LIMIT:
                assert o.template_bucket is not None and template.body is not None
                # A key of this run's own: nobody else can need what is there.
                self._passed = f"slipway/{o.name}/{token}.template"
                request["TemplateURL"] = contents.upload(self._aws, o.template_bucket, self._passed, template.body)
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


def _let_go(aws: Aws, arn: str) -> bool:
    """Delete a change set; whether it is gone: False where CloudFormation works on it or on its stack."""
    try:
        cloudformation.delete_change_set(aws, arn)
    except AwsError as error:
        if error.code == "InvalidChangeSetStatus":
            return False
        if error.code != "ChangeSetNotFound" and not cloudformation.is_missing(error):
            raise
    return True


def _check_superseded(error: AwsError, *codes: str) -> None:
    """Raise Superseded where AWS refused with one of `codes`, or because of the state that the stack is in."""
    message = error.aws_message
    state = _STATE.search(message)
    if error.code in codes or state or "already exists" in message or cloudformation.is_missing(error):
        raise Superseded(message, error, bool(state and state[1].endswith("_IN_PROGRESS"))) from error
