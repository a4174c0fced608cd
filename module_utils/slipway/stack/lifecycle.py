"""A stack as the task wants it: read, plan through a change set, apply, report."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from ..aws import cloudformation
from ..aws.session import Aws
from ..changes import UNKNOWN, Changes
from ..errors import AwsError, Interrupted, InvalidInput, SlipwayError, WaitTimeout
from ..interrupt import held
from ..polling import Deadline, delays
from ..progress import Phases, Progress
from . import changeset, events, parameters, proposal, recovery, report
from .delete import refuse_protected, remove, settled, take_protection
from .options import Options
from .template import Template, from_stack, from_summary, is_nested, load, same, scalar
from .waiting import Watch, moment

#: States in which comparing template and parameters says as much as a change set.
_COMPARABLE = frozenset({"CREATE_COMPLETE", "UPDATE_COMPLETE", "IMPORT_COMPLETE"})
_SUCCESS = _COMPARABLE
_ROUNDS = 6


@dataclass
class _Plan:
    """One round's view: the stack (None: does not exist), the template and all that follows from both."""

    stack: dict[str, Any] | None
    template: Template
    parameters: parameters.Plan
    tags: dict[str, str]
    changes: Changes
    resources: list[changeset.ResourceChange] = field(default_factory=list)
    change_set: dict[str, Any] | None = None
    policy: str | None = None

    @property
    def creating(self) -> bool:
        return self.stack is None or self.stack["StackStatus"] == "REVIEW_IN_PROGRESS"


class Present:
    """state=present.

    hide: called with the template as soon as it is known, which tells the secrets, before anything could be printed.
    """

    def __init__(self, aws: Aws, options: Options, progress: Progress, check: bool,
                 hide: Callable[[Template], None] = lambda _: None) -> None:
        self._aws = aws
        self._o = options
        self._progress = progress
        self._check = check
        self._hide = hide
        self._phases = Phases()
        self._deadline = Deadline(options.wait_timeout)
        self._proposal: proposal.Proposal | None = None
        self._watch: Watch | None = None
        #: The stack as the present round began with it; whether it is known to have changed since an earlier look.
        self._found: dict[str, Any] | None = None
        self._touched = False
        #: What was done to the stack before it was planned, as a change; the events of that.
        self._recovered: tuple[str, str] | None = None
        self._earlier: list[dict[str, Any]] = []
        self._recreated = False
        self._goes_on = ""
        self._plan_in_work: _Plan | None = None

    def run(self) -> dict[str, Any]:
        """The module's result. Raises SlipwayError."""
        o = self._o
        if o.template:
            self._hide(o.template)
            # Everything that can be refused without AWS is refused now: every name is taken for a present one.
            parameters.plan(o.given(o.template), dict.fromkeys(o.template.parameters, ""), o.template)
        if o.unknown_inputs:
            return self._blind(None)
        try:
            return self._rounds()
        except Interrupted as interruption:
            raise self._stopped(interruption) from interruption
        except WaitTimeout as timeout:
            raise self._timed_out(timeout) from timeout
        finally:
            # Refused or failed in between: the plan that nobody carries out does not stay behind. What went wrong
            # first is what counts.
            with suppress(SlipwayError):
                self._drop_proposal()

    def _rounds(self) -> dict[str, Any]:
        """Plan and apply; anew where the stack moved on in between."""
        before: tuple[Any, ...] | None = None
        for pause, _ in zip(delays(first=0.5, factor=2), range(_ROUNDS), strict=False):
            try:
                return self._round()
            except proposal.Superseded as moved:
                # What cannot be deleted now is in somebody's hands; with us nobody waits for it.
                with suppress(AwsError):
                    self._drop_proposal()
                if not moved.busy and moment(self._found) == before:
                    raise moved.error from moved  # nobody changed anything, so that is how it is
                before = moment(self._found)
                self._touched = True
                self._progress.say(f"{self._o.name}: {moved}; planning anew", "warn")
            time.sleep(self._deadline.cap(pause))
        raise SlipwayError(f"Stack {self._o.name} was changed by somebody else {_ROUNDS} times while we planned.",
                           "Run this again when the others are done.")

    def _round(self) -> dict[str, Any]:
        with self._phases("read"):
            stack = self._found = settled(self._aws, self._o, self._progress, self._deadline, anew=self._touched)
        status = stack["StackStatus"] if stack else ""
        if stack and recovery.is_dead(self._o, status):
            return self._recreate(stack)
        if stack and recovery.needs_rollback(self._o, status):
            if self._check:
                return self._after_rollback(stack)
            stack = self._turn_back(stack)
        with self._phases("plan"):
            plan = self._plan(stack)
        if not plan.changes.changed:
            if not self._recovered:
                return self._result(stack, plan, changed=False)
            plan.changes.add(f"stack {self._o.name}", *self._recovered)
            summary = f"{self._o.name}: {self._recovered[1]}"
            return self._result(stack, plan, changed=True, **{**self._shown(plan), "summary": summary})
        changeset.refuse_destruction(plan.resources, self._o.allow_replacement, self._o.protected)
        if self._check:
            with self._phases("plan"):
                self._drop_proposal()
            # A stack that is only planned has no status and no id, whatever its preview left for a moment.
            shown = None if plan.creating else stack
            return self._result(shown, plan, changed=True,
                                outputs=self._planned_outputs(plan, shown), **self._shown(plan))
        return self._apply(plan)

    # -- plan ---------------------------------------------------------------------------------------------------------

    def _plan(self, stack: dict[str, Any] | None) -> _Plan:
        o = self._o
        creating = stack is None or stack["StackStatus"] == "REVIEW_IN_PROGRESS"
        template = self._template(None if creating else stack)
        self._hide(template)
        previous = {} if creating or stack is None else report.parameters(stack)
        plan = _Plan(stack, template, parameters.plan(o.given(template), previous, template),
                     _merged_tags(o, {} if stack is None else report.tags(stack)), Changes(f"stack {o.name}"))
        self._check_capabilities(plan)
        if creating or not self._is_same(plan):
            self._propose(plan)
        self._plan_settings(plan)
        return plan

    def _template(self, stack: dict[str, Any] | None) -> Template:
        o = self._o
        if o.template:
            return o.template
        if o.template_url:
            return from_summary(cloudformation.get_template_summary(self._aws, o.template_url), o.template_url)
        if stack is None:
            raise InvalidInput(f"Stack {o.name} does not exist and no template is given.",
                               "Give 'template' or 'template_url'.")
        return from_stack(stack) if _tells_enough(o, stack) else self._present_template(stack)

    def _present_template(self, stack: dict[str, Any]) -> Template:
        body = cloudformation.get_template(self._aws, stack["StackId"])
        return load(body if isinstance(body, str) else json.dumps(body), f"of stack {self._o.name}")

    def _check_capabilities(self, plan: _Plan) -> None:
        acknowledged = {*self._o.capabilities, *((plan.stack or {}).get("Capabilities", []))}
        if "CAPABILITY_NAMED_IAM" in acknowledged:
            acknowledged.add("CAPABILITY_IAM")
        for capability, needed_by in plan.template.capabilities.items():
            if capability not in acknowledged:
                raise InvalidInput(f"Template {plan.template.source} needs {capability} for {', '.join(needed_by)}.",
                                   f"Give 'capabilities: [{capability}]' if it may do so.")

    def _is_same(self, plan: _Plan) -> bool:
        """Whether nothing can differ, decided without a change set: see the notes in library/cfn_stack.py."""
        o, stack, template = self._o, plan.stack, plan.template
        assert stack is not None
        previous = report.parameters(stack)
        if (stack["StackStatus"] not in _COMPARABLE or template.hidden_inputs
                or parameters.gives_secret(o.given(template), template)
                or plan.tags != report.tags(stack) or set(previous) != set(template.parameters)
                or (o.notification_arns is not None
                    and sorted(o.notification_arns) != sorted(stack.get("NotificationARNs", [])))
                or _rollback_configuration(o, stack) not in (None, _present_rollback_configuration(stack))):
            return False
        plain = {n for n, d in template.parameters.items() if not d.from_ssm and not d.no_echo}
        if any(plan.parameters.values[n] != previous[n] for n in plain):
            return False
        if o.template and not same(cloudformation.get_template(self._aws, stack["StackId"]), o.template.body):
            return False
        return self._ssm_unmoved(plan)

    def _ssm_unmoved(self, plan: _Plan) -> bool:
        """Whether every SSM parameter behind a parameter still has the value that the stack works with."""
        assert plan.stack is not None
        names: dict[str, str] = {}
        present: dict[str, str] = {}
        for p in plan.stack.get("Parameters", []):
            declaration = plan.template.parameters[p["ParameterKey"]]
            if not declaration.from_ssm:
                continue
            given = self._o.given(plan.template).get(declaration.name)
            kept = p.get("ParameterValue") if "ResolvedValue" in p else declaration.default
            name = str(given) if given is not None else kept
            # Another path is a change, whatever is behind it today.
            if not name or "ResolvedValue" in p and name != p.get("ParameterValue"):
                return False
            names[declaration.name] = name
            present[declaration.name] = p.get("ResolvedValue") or p.get("ParameterValue", "")
        if not names:
            return True
        try:
            values = cloudformation.ssm_values(self._aws, sorted(set(names.values())))
        except AwsError:
            return False  # not ours to read: the change set knows
        return all(values.get(name) == present[key] for key, name in names.items())

    def _propose(self, plan: _Plan) -> None:
        """Make the change set and read it into the plan."""
        o, stack = self._o, plan.stack
        self._proposal = proposal.Proposal(self._aws, o, None if plan.creating else stack,
                                           existed=stack is not None, progress=self._progress,
                                           deadline=self._deadline)
        plan.change_set = self._proposal.create(plan.template, plan.parameters.request, plan.tags,
                                                _rollback_configuration(o, stack))
        if changeset.is_empty(plan.change_set):
            plan.change_set = None
            self._drop_proposal()
            return
        lacking = not plan.creating and proposal.lacks_values(plan.change_set)
        if plan.template.unread and stack and (lacking or is_nested(plan.change_set)):
            plan.template = self._present_template(stack)
            plan.parameters = parameters.plan(o.given(plan.template), report.parameters(stack), plan.template)
            if is_nested(plan.change_set):
                # Asked for without the stacks in it.
                self._drop_proposal()
                self._propose(plan)
                return
        before, after = changeset.Side(), changeset.Side(plan.template, self._known(plan.parameters.values))
        if lacking and stack:
            present = self._present_template(stack) if o.template or o.template_url else plan.template
            before = changeset.Side(present, self._known(report.parameters(stack)))
        secrets = plan.parameters.secrets
        plan.resources = changeset.read(plan.change_set, before, after, secrets)
        plan.resources += [r for logical, nested in self._proposal.nested(plan.change_set)
                           for r in changeset.read(nested, changeset.Side(), changeset.Side(), secrets, f"{logical}/")]
        changeset.describe(o.name, plan.resources, plan.changes)
        self._plan_rest(plan)

    def _known(self, values: dict[str, str]) -> dict[str, str]:
        """`values` and the pseudo parameters, for showing."""
        return {**values, "AWS::StackName": self._o.name, "AWS::Region": self._aws.region}

    def _plan_rest(self, plan: _Plan) -> None:
        """What a change set does not list: tags, parameters, and that there is anything at all."""
        old_tags = {} if plan.creating or plan.stack is None else report.tags(plan.stack)
        for key in sorted({*old_tags, *plan.tags}):
            plan.changes.add(f"tag {key}", old_tags.get(key), plan.tags.get(key))
        if not plan.changes.changed:
            plan.changes.add(f"stack {self._o.name}", "outputs or settings as they are", "updated")

    def _plan_settings(self, plan: _Plan) -> None:
        """Termination protection and stack policy: they belong to no change set."""
        o, stack = self._o, plan.stack
        if o.termination_protection is not None:
            present = bool((stack or {}).get("EnableTerminationProtection", False))
            plan.changes.add("termination protection", present, o.termination_protection)
        if o.stack_policy is not None:
            policy = None if plan.creating or not stack else cloudformation.get_stack_policy(self._aws,
                                                                                             stack["StackId"])
            if _json(policy) != _json(o.stack_policy):
                plan.policy = o.stack_policy
                plan.changes.add("stack policy", _json(policy), _json(o.stack_policy))

    def _drop_proposal(self) -> None:
        if self._proposal:
            self._proposal.drop()
            self._proposal = None

    # -- apply --------------------------------------------------------------------------------------------------------

    def _apply(self, plan: _Plan) -> dict[str, Any]:
        o, stack = self._o, plan.stack
        self._progress.say(changeset.summary(o.name, plan.resources, len(plan.changes.items)))
        stack_id = plan.change_set["StackId"] if plan.change_set else (stack or {}).get("StackId", "")
        if plan.policy and not plan.creating:
            cloudformation.set_stack_policy(self._aws, stack_id, plan.policy)
        if plan.change_set:
            assert self._proposal is not None
            with self._phases("create" if plan.creating else "update"):
                token = f"slipway-{uuid.uuid4().hex}"
                with held():
                    self._proposal.execute(token)
                    self._watch = Watch(self._aws, stack_id, self._progress, plan.change_set["ServerTime"], token,
                                        partial(report.explain, self._aws), stack, self._proposal.finished)
                    self._plan_in_work = plan
                stack = self._watch.wait(self._deadline, f"the {self._verb(plan)} of {o.name}")
            if stack["StackStatus"] not in _SUCCESS:
                raise report.failure(self._aws, o.name, self._verb(plan), stack, self._watch.events, self._phases,
                                     self._watch.explanations, self._earlier, **self._shown(plan))
        with self._phases("settings"):
            if plan.policy and plan.creating:
                cloudformation.set_stack_policy(self._aws, stack_id, plan.policy)
            assert stack is not None
            wanted = o.termination_protection
            if wanted is not None and wanted != bool(stack.get("EnableTerminationProtection", False)):
                cloudformation.update_termination_protection(self._aws, stack_id, wanted)
                stack["EnableTerminationProtection"] = wanted
        return self._result(stack, plan, changed=True, **self._shown(plan))

    def _verb(self, plan: _Plan) -> str:
        return "creation" if plan.creating else "update"

    # -- states left by others or by a crash --------------------------------------------------------------------------

    def _recreate(self, stack: dict[str, Any]) -> dict[str, Any]:
        status = stack["StackStatus"]
        if not self._o.recreate_failed:
            raise SlipwayError(f"Stack {self._o.name} is in {status}.",
                               "Give 'recreate_failed: true' to delete it and create it anew.")
        if self._recreated:
            raise SlipwayError(f"Stack {self._o.name} is in {status} again after it was deleted.")
        if self._o.template is None and self._o.template_url is None:
            raise InvalidInput(f"Stack {self._o.name} is in {status}; to create it anew a template is needed.",
                               "Give 'template' or 'template_url'.")
        refuse_protected(self._o, stack)
        with self._phases("plan"):
            # All that would be refused of the new stack, before the old one is deleted.
            template = self._template(None)
            self._hide(template)
            values = parameters.plan(self._o.given(template), {}, template)
            self._check_capabilities(_Plan(None, template, values, {}, Changes("")))
            left = recovery.left_of(self._aws, self._o, stack, template)
            changeset.refuse_destruction(left, self._o.allow_replacement, self._o.protected)
        if self._check:
            return self._blind(stack, left)
        self._recreated = self._touched = True
        self._goes_on = "deletion"
        self._progress.say(f"{self._o.name}: {status} from an earlier run, deleting it to create it anew", "warn")
        with self._phases("delete"):
            take_protection(self._aws, stack)
            remove(self._aws, self._o, stack, self._progress, self._deadline, self._earlier, self._phases)
        self._goes_on = ""
        return self._round()

    def _turn_back(self, stack: dict[str, Any]) -> dict[str, Any]:
        self._goes_on = "rollback"
        self._recovered = stack["StackStatus"], recovery.TURNED_BACK[stack["StackStatus"]]
        self._touched = True
        with self._phases("rollback"):
            stack = recovery.turn_back(self._aws, self._o, stack, self._progress, self._deadline, self._phases,
                                       self._earlier)
        self._goes_on = ""
        return stack

    def _after_rollback(self, stack: dict[str, Any]) -> dict[str, Any]:
        """Check mode cannot plan here: what the rollback brings back only the rollback tells."""
        status = stack["StackStatus"]
        changes = Changes(f"stack {self._o.name}")
        changes.add(f"stack {self._o.name}", status, f"{recovery.TURNED_BACK[status]}, then planned anew")
        return report.result(self._aws, stack, self._phases, self._o.template, changed=True, diff=changes.diff(),
                             summary=f"{self._o.name}: {recovery.TURNED_BACK[status]}, then planned anew")

    def _blind(self, dead: dict[str, Any] | None, left: Iterable[changeset.ResourceChange] = ()) -> dict[str, Any]:
        """The plan from the template alone, in check mode: inputs are unknown yet, or the stack is to be made anew.

        left: what the stack that is deleted for that still holds.
        """
        o = self._o
        if not self._check:
            raise InvalidInput(f"Parameters {', '.join(o.unknown_inputs)} of stack {o.name} are {UNKNOWN!r}.",
                               "That is a value of check mode; give a real one.")
        template = o.template
        changes = Changes(f"stack {o.name}")
        resources: list[changeset.ResourceChange] = []
        if dead:
            changes.add(f"stack {o.name}", dead["StackStatus"], "deleted and created anew")
            for r in left:
                changes.add(f"{r.logical} ({r.type})", r.physical, r.what)
        if template:
            # Whether the stack exists was not asked: what has no default may have a previous value.
            previous = {} if dead else {d.name: UNKNOWN for d in template.parameters.values() if d.default is None}
            plan = parameters.plan(o.given(template), previous, template)
            resources = changeset.from_template(template, self._known(plan.values), plan.secrets)
            changeset.describe(o.name, resources, changes)
        if not changes.changed:
            changes.add(f"stack {o.name}", None, "created or updated")
        return report.result(
            self._aws, None, self._phases, template, stack_name=o.name, changed=True,
            outputs=dict.fromkeys(template.outputs if template else [], UNKNOWN),
            changes=[r.as_result() for r in resources], diff=changes.diff())

    # -- interruption -------------------------------------------------------------------------------------------------

    def _stopped(self, interruption: Interrupted) -> SlipwayError:
        """Leave no damage; the error to end with."""
        said = interruption.message.rstrip(".")
        if self._goes_on:
            said = said.split(";")[0]
            return Interrupted(f"{said}; the {self._goes_on} of stack {self._o.name} goes on in AWS.",
                               "Run this again to wait for its end.")
        if self._watch is None:
            self._progress.say(f"{said}; nothing was changed", "warn")
            with suppress(AwsError):
                self._drop_proposal()
            return Interrupted(f"{said} before stack {self._o.name} was changed.", interruption.remedy)
        plan = self._plan_in_work
        assert plan is not None
        if self._o.on_interrupt == "leave":
            return Interrupted(f"{said}; the {self._verb(plan)} of stack {self._o.name} goes on in AWS.",
                               "Run this again to wait for its end.")
        status = self._undo(plan, said)
        return Interrupted(f"{said}; the {self._verb(plan)} of stack {self._o.name} was "
                           f"{_undone(plan.creating, status)}.", report.remedy(status), status=status)

    def _timed_out(self, timeout: WaitTimeout) -> SlipwayError:
        timeout.details["verdict"] = "timed_out"
        if self._watch is None or self._o.on_timeout == "leave":
            if self._watch is None:
                with suppress(AwsError):
                    self._drop_proposal()
            return timeout
        plan = self._plan_in_work
        assert plan is not None
        status = self._undo(plan, timeout.message)
        return WaitTimeout(f"{timeout.message} It was {_undone(plan.creating, status)}.", report.remedy(status),
                           status=status, **timeout.details)

    def _undo(self, plan: _Plan, why: str) -> str:
        """Cancel the update, or delete the half-made stack; wait for the end. The status then."""
        assert self._watch is not None and plan.change_set is not None
        name, stack_id = self._o.name, plan.change_set["StackId"]
        deadline = Deadline(self._o.wait_timeout)
        if plan.creating:
            self._progress.say(f"{why.rstrip('.')}: deleting the half-made stack {name}", "warn")
            stack = cloudformation.describe_stack(self._aws, stack_id)
            if stack is None:
                return "DELETE_COMPLETE"
            if stack["StackStatus"] in _SUCCESS:
                return str(stack["StackStatus"])
            return str(remove(self._aws, self._o, stack, self._progress, deadline, [], self._phases)["StackStatus"])
        self._progress.say(f"{why.rstrip('.')}: cancelling the update of {name} and waiting for its rollback", "warn")
        token = f"slipway-{uuid.uuid4().hex}"
        self._watch.follow(token)
        try:
            cloudformation.cancel_update(self._aws, stack_id, token)
        except AwsError as error:
            if error.code != "ValidationError":
                raise
            # Too late to cancel: it is over, or turns back already.
        stack = self._watch.wait(deadline, f"the rollback of {name}")
        status = str(stack["StackStatus"])
        self._progress.say(f"{name}: {_undone(False, status)}", events.tone(status))
        return status

    # -- report -------------------------------------------------------------------------------------------------------

    def _result(self, stack: dict[str, Any] | None, plan: _Plan, **more: Any) -> dict[str, Any]:
        if self._o.with_resources and stack is not None and stack.get("StackId"):
            more["resources"] = report.resources(cloudformation.stack_resources(self._aws, stack["StackId"]))
        if self._watch or self._earlier:
            seen = [*self._earlier, *(self._watch.events if self._watch else [])]
            more["events"] = [events.report(e) for e in seen]
        found = report.result(self._aws, stack, self._phases, plan.template, **more)
        found["stack_name"] = self._o.name
        return found

    def _shown(self, plan: _Plan) -> dict[str, Any]:
        return {"changes": [r.as_result() for r in plan.resources], "diff": plan.changes.diff(),
                "summary": changeset.summary(self._o.name, plan.resources, len(plan.changes.items))}

    def _planned_outputs(self, plan: _Plan, stack: dict[str, Any] | None) -> dict[str, str]:
        """Outputs as far as they are known before the change: present ones, UNKNOWN for new ones."""
        present = report.outputs(stack or {})
        names = plan.template.outputs or list(present)
        return {name: present.get(name, UNKNOWN) for name in names}


def _tells_enough(o: Options, stack: dict[str, Any]) -> bool:
    """Whether a change of the stack can be planned without a look at its template, which stays: where plain parameters
    change, and nothing else is asked for."""
    given = {p["ParameterKey"]: p for p in stack.get("Parameters", [])}
    wanted = {name: scalar(value) for name, value in {**o.optional_parameters, **o.parameters}.items()
              if value is not None and (name in given or name not in o.optional_parameters)}
    return (stack["StackStatus"] in {*_COMPARABLE, "UPDATE_ROLLBACK_COMPLETE"}
            and all(name in given and UNKNOWN not in value and "ResolvedValue" not in given[name]
                    and given[name].get("ParameterValue") != "****" for name, value in wanted.items())
            and any(value != given[name].get("ParameterValue") for name, value in wanted.items()))


def _undone(creating: bool, status: str) -> str:
    if status in _SUCCESS:
        return f"complete before it could be stopped ({status})"
    return f"stopped and deleted ({status})" if creating else f"cancelled and rolled back ({status})"


def _merged_tags(o: Options, present: dict[str, str]) -> dict[str, str]:
    if o.tags is None:
        return present
    return dict(o.tags) if o.purge_tags else {**present, **o.tags}


def _rollback_configuration(o: Options, stack: dict[str, Any] | None) -> dict[str, Any] | None:
    """None where it is untouched; of what is given the omitted half stays as it is."""
    if o.rollback_triggers is None and o.rollback_monitoring_minutes is None:
        return None
    found = _present_rollback_configuration(stack or {})
    if o.rollback_triggers is not None:
        found["RollbackTriggers"] = o.rollback_triggers
    if o.rollback_monitoring_minutes is not None:
        found["MonitoringTimeInMinutes"] = o.rollback_monitoring_minutes
    return found


def _present_rollback_configuration(stack: dict[str, Any]) -> dict[str, Any]:
    present = stack.get("RollbackConfiguration", {})
    return {"RollbackTriggers": present.get("RollbackTriggers", []),
            "MonitoringTimeInMinutes": present.get("MonitoringTimeInMinutes", 0)}


def _json(text: str | None) -> Any:
    if text is None:
        return None
    try:
        return json.loads(text)
    except ValueError:
        raise InvalidInput("stack_policy is not JSON.", "Give the policy document as JSON text.") from None
