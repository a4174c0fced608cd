#!/usr/bin/python
# GPL-3.0-or-later (see LICENSE)
"""A CloudFormation stack, created, updated, previewed or deleted."""

from __future__ import annotations

DOCUMENTATION = r"""
module: cfn_stack
short_description: A CloudFormation stack, created, updated, previewed or deleted
description:
  - Brings a stack to what a template and parameters say, always through a change set, and waits for the end.
  - Only the parameters that change need be named. Every other one keeps its previous value, a new one takes the
    template's default, one that left the template is dropped.
  - In check mode the change set is made, read and deleted; with C(--diff) it shows what becomes of every
    resource and the values of its properties before and after. Secrets are hidden.
  - While it works, each stack event appears as it happens, those of nested stacks included.
  - On failure the message leads with what failed first and why, not with the cancellations that followed.
  - Run again after any interruption, it converges.
options:
  name:
    description: Name of the stack.
    type: str
    required: true
    aliases: [stack_name]
  state:
    description: V(present) creates or updates the stack, V(absent) deletes it.
    type: str
    choices: [present, absent]
    default: present
  template:
    description:
      - Path of the template on the machine that runs the module, YAML (short intrinsics too) or JSON.
      - Without O(template) and O(template_url) the stack's previous template is used.
    type: path
  template_url:
    description: Address of a template in S3.
    type: str
  template_bucket:
    description:
      - S3 bucket through which a template of more than 51,200 bytes is passed, under C(slipway/). CloudFormation makes
        a copy; the object is deleted as soon as it has, in check mode too. What a killed run leaves there nobody needs.
    type: str
  parameters:
    description:
      - Values of template parameters. Lists are joined by commas; null is as if the parameter were not named.
      - Values of parameters that the template declares NoEcho appear in no output. Before the template is read, and
        with O(state=absent), no value does.
      - In check mode a value that contains C((known after apply)), as an earlier stack's preview returns it, makes the
        module plan from the template alone.
    type: dict
    default: {}
  optional_parameters:
    description:
      - As O(parameters), but a name that the template does not declare is left out; for a parameter that older stacks
        lack. In check mode C((known after apply)) stands for the template's default here.
    type: dict
    default: {}
  secret_parameters:
    description: As O(parameters), and kept out of every output whatever the template declares.
    type: dict
    default: {}
  tags:
    description: Tags of the stack; null is no value and refused. Omitted means untouched.
    type: dict
  purge_tags:
    description: Whether tags that are not in O(tags) are removed.
    type: bool
    default: true
  capabilities:
    description:
      - What the template may do, V(CAPABILITY_IAM) or V(CAPABILITY_NAMED_IAM). The error says which one is needed and
        for which resources. What an existing stack was granted it keeps, whatever else is given.
    type: list
    elements: str
    choices: [CAPABILITY_IAM, CAPABILITY_NAMED_IAM, CAPABILITY_AUTO_EXPAND]
    default: []
  role_arn:
    description: Role that CloudFormation works with. Omitted, it uses the one it used before.
    type: str
  notification_arns:
    description: SNS topics that get the stack's events. Omitted means untouched.
    type: list
    elements: str
  termination_protection:
    description:
      - Whether the stack is protected against deletion. Omitted means untouched. A change of it alone is a change.
      - With O(state=absent) V(false) takes the protection away first.
    type: bool
  stack_policy:
    description: Stack policy as JSON text. Of an existing stack it is set before the update. Omitted means untouched.
    type: str
  rollback_triggers:
    description:
      - CloudWatch alarms that make CloudFormation roll back. Omitted means untouched.
      - Each is the ARN of an alarm, or a mapping with C(arn) and C(type); the type is C(AWS::CloudWatch::Alarm) unless
        given, and has to be C(AWS::CloudWatch::CompositeAlarm) for a composite alarm, whose ARN looks the same.
    type: list
    elements: raw
  rollback_monitoring_minutes:
    description: Minutes for which the alarms are watched after the update. Omitted means untouched.
    type: int
  on_failure:
    description: What becomes of a stack whose first creation fails. CloudFormation's default is V(rollback).
    type: str
    choices: [rollback, do_nothing, delete]
  disable_rollback:
    description:
      - Whether a failed operation leaves what it made, for a look at it. Not together with O(on_failure).
      - A stack that this left in V(UPDATE_FAILED) is updated from there as long as it is true; without it the failed
        update is rolled back first, then the plan is made anew.
    type: bool
  allow_replacement:
    description:
      - Logical ids and types, wildcards allowed, that may be replaced; V(all) is everything.
      - A change set that replaces anything else, or perhaps does, is refused before it is executed.
    type: list
    elements: str
    default: [all]
  protected:
    description:
      - Logical ids and types, wildcards allowed, that are never replaced or removed; C(AWS::RDS::*) for example.
      - A change set that would, or perhaps does, is refused before it is executed; so is what O(recreate_failed) does.
    type: list
    elements: str
    default: []
  recreate_failed:
    description:
      - Whether a stack that can only be deleted (V(ROLLBACK_COMPLETE) after a failed first create, V(ROLLBACK_FAILED),
        V(DELETE_FAILED), V(CREATE_FAILED) unless O(disable_rollback)) is deleted and created anew.
      - Parameters, capabilities, and O(allow_replacement) and O(protected) for what the stack still holds, are checked
        before it is deleted. Termination protection is an error, unless O(termination_protection) is V(false).
    type: bool
    default: true
  skip_resources:
    description: Logical ids that are skipped when the rollback of a stack in V(UPDATE_ROLLBACK_FAILED) is continued.
    type: list
    elements: str
    default: []
  retain_resources:
    description:
      - Logical ids left behind when the stack is deleted and their deletion fails. CloudFormation takes this only then;
        to keep a resource in any case give it C(DeletionPolicy) V(Retain) in the template.
    type: list
    elements: str
    default: []
  empty_on_delete:
    description:
      - Whether O(state=absent) first empties the buckets and image repositories that go with the stack. Without it a
        bucket or repository that is not empty is an error, before anything is deleted. Check mode lists what would be
        emptied. What the template, its transforms carried out, retains or does not tell of is left alone.
    type: bool
    default: false
  wait_timeout:
    description: Seconds after which waiting ends with an error that says what was still in progress; 0 is no limit.
    type: int
    default: 3600
  on_timeout:
    description:
      - V(leave) leaves the operation running in AWS when O(wait_timeout) is reached, V(rollback) stops it as
        O(on_interrupt=rollback) does. Change sets know no timeout of their own.
    type: str
    choices: [leave, rollback]
    default: leave
  on_interrupt:
    description:
      - What SIGINT or SIGTERM (Ctrl-C, an aborted build) does to an operation in progress. V(rollback) cancels an
        update and waits for its rollback; a stack that is being created for the first time is deleted. V(leave) leaves
        it running in AWS. Before the change set is executed an interruption changes nothing.
      - A deletion cannot be taken back and goes on.
    type: str
    choices: [rollback, leave]
    default: rollback
  with_resources:
    description: Whether the result lists the stack's resources, at the price of one more call.
    type: bool
    default: false
requirements: [PyYAML]
attributes:
  check_mode:
    description: Makes, reads and deletes a change set; a stack that did not exist does not exist afterwards.
    support: full
  diff_mode:
    description: Shows each resource's action and each property's value before and after.
    support: full
notes:
  - Nothing to do is found out without a change set where that is safe - same template, parameters and tags on a stack
    in a good state, and the values behind SSM-typed parameters unmoved - and with an empty change set where it is not
    (macros, nested stacks, dynamic references, NoEcho values given, templates in S3). That takes two or three calls.
  - Where no template is given and other values are, of plain parameters that the stack has, its template is not read,
    and what O(parameters) may be is checked by CloudFormation alone; nothing is touched where it refuses a value.
  - An operation of somebody else on the stack is waited for, then the plan is made anew.
  - Where a stack has to be rolled back before it takes an update (V(UPDATE_ROLLBACK_FAILED), V(UPDATE_FAILED) unless
    O(disable_rollback)), that alone is a change; check mode cannot see past it.
  - Interrupted on a remote host the module hears nothing of it and works to its end.
author: slipway
extends_documentation_fragment:
  - slipway_aws
  - slipway_live
"""

EXAMPLES = r"""
- name: The network
  cfn_stack:
    name: slipway-network
    template: files/cloudformation/network.yml
    parameters:
      AppName: slipway
    tags:
      project: slipway
  register: network

- name: A new image, and nothing else
  cfn_stack:
    name: slipway-web
    parameters:
      ImageTag: "{{ image_tag }}"
    protected: ["AWS::ElasticLoadBalancingV2::LoadBalancer"]
    wait_timeout: 900

- name: Away with it, images and all
  cfn_stack:
    name: slipway-registry
    state: absent
    empty_on_delete: true
"""

RETURN = r"""
stack_name:
  description: Name of the stack.
  returned: always
  type: str
stack_id:
  description: ARN of the stack; null where it does not exist.
  returned: always
  type: str
status:
  description: The stack's status, DELETE_COMPLETE after a deletion; null for one that check mode would create.
  returned: always
  type: str
  sample: UPDATE_COMPLETE
outputs:
  description:
    - Outputs by name. In check mode those of a stack, or output, that does not exist yet are C((known after apply)).
  returned: always
  type: dict
parameters:
  description: Parameter values by name, NoEcho ones hidden, SSM-typed ones with their path.
  returned: always
  type: dict
tags:
  description: Tags of the stack.
  returned: always
  type: dict
termination_protection:
  description: Whether the stack is protected against deletion.
  returned: always
  type: bool
summary:
  description: What the change set does, in a line.
  returned: when something changes
  type: str
  sample: "slipway-web: 1 to replace, 1 to modify"
changes:
  description: Resources that change.
  returned: always
  type: list
  elements: dict
  contains:
    logical_resource_id:
      description: Logical id, with the nested stacks above it before slashes.
      type: str
    resource_type:
      description: Type of the resource.
      type: str
    physical_resource_id:
      description: Present physical id.
      type: str
    action:
      description: Add, Modify, Remove, Import or Dynamic.
      type: str
    replacement:
      description: "True, False or Conditional as text; null where it does not apply."
      type: str
    policy_action:
      description: What the deletion or replace policy does to the present resource.
      type: str
    properties:
      description: Path, before and after of each property that differs.
      type: list
      elements: dict
events:
  description: Events of this run, oldest first, with time, status, type, logical_id, physical_id and reason.
  returned: always
  type: list
  elements: dict
failed_events:
  description: Those of resources that failed by themselves.
  returned: always
  type: list
  elements: dict
root_cause:
  description: What failed first and why.
  returned: on failure of a stack operation
  type: str
verdict:
  description:
    - What the failure is called. V(rolled_back) where the update was rolled back because ECS gave up a service's new
      version, V(superseded) where another deployment of the service came in between, V(timed_out) where
      O(wait_timeout) was reached, otherwise V(stack_failed).
  returned: on failure of a stack operation
  type: str
cause_kind:
  description: The cause as a stable key, as in the diagnosis of M(ecs_rollout); empty where tasks of ECS did not tell.
  returned: on failure of a stack operation
  type: str
  sample: crash
evidence:
  description: What else was found about the cause, such as the reasons of stopped ECS tasks.
  returned: on failure of a stack operation
  type: list
  elements: str
remedy:
  description: What to do next.
  returned: on failure
  type: str
resources:
  description: Every resource with logical_resource_id, physical_resource_id, resource_type, status and status_reason.
  returned: with O(with_resources)
  type: list
  elements: dict
emptied:
  description: Buckets and repositories that were, or would be, emptied.
  returned: with O(state=absent) on a stack that exists
  type: list
  elements: dict
phases:
  description: Seconds by phase.
  returned: always
  type: dict
  sample: {read: 0.03, plan: 0.12, update: 21.4}
api_calls:
  description: Number of calls by operation.
  returned: always
  type: dict
  sample: {cloudformation.DescribeStacks: 1, cloudformation.GetTemplate: 1}
retries:
  description: Number of calls that were repeated because AWS throttled them or failed for a moment.
  returned: always
  type: int
"""

from typing import Any, NoReturn

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.slipway.aws.session import AWS_ARGUMENTS
from ansible.module_utils.slipway.door import PROGRESS_ARGUMENTS, run
from ansible.module_utils.slipway.stack.door import work
from ansible.module_utils.slipway.stack.secrecy import shown_arguments

CAPABILITIES = ["CAPABILITY_IAM", "CAPABILITY_NAMED_IAM", "CAPABILITY_AUTO_EXPAND"]


class QuietModule(AnsibleModule):
    """Shows none of the arguments that may be secrets, neither in its result - an error of its own constructor
    included - nor in the system log: which of them are secrets only the template tells.

    harmless: names of the stack parameters that may be shown.
    """

    harmless: frozenset[str] = frozenset()

    def exit_json(self, **result: Any) -> NoReturn:
        super().exit_json(**result, invocation=self._invocation())

    def fail_json(self, msg: str, **result: Any) -> NoReturn:
        super().fail_json(msg, **result, invocation=self._invocation())

    def _invocation(self) -> dict[str, Any]:
        known = {*self.argument_spec, *(one for spec in self.argument_spec.values() for one in spec.get("aliases", []))}
        return {"module_args": shown_arguments(self.params, known, self.harmless)}

    def _log_invocation(self) -> None:
        pass


def main() -> None:
    module = QuietModule(
        argument_spec={
            "name": {"type": "str", "required": True, "aliases": ["stack_name"]},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "template": {"type": "path"},
            "template_url": {"type": "str"},
            "template_bucket": {"type": "str"},
            "parameters": {"type": "dict", "default": {}},
            "optional_parameters": {"type": "dict", "default": {}},
            "secret_parameters": {"type": "dict", "default": {}, "no_log": True},
            "tags": {"type": "dict"},
            "purge_tags": {"type": "bool", "default": True},
            "capabilities": {"type": "list", "elements": "str", "choices": CAPABILITIES, "default": []},
            "role_arn": {"type": "str"},
            "notification_arns": {"type": "list", "elements": "str"},
            "termination_protection": {"type": "bool"},
            "stack_policy": {"type": "str"},
            "rollback_triggers": {"type": "list", "elements": "raw"},
            "rollback_monitoring_minutes": {"type": "int"},
            "on_failure": {"type": "str", "choices": ["rollback", "do_nothing", "delete"]},
            "disable_rollback": {"type": "bool"},
            "allow_replacement": {"type": "list", "elements": "str", "default": ["all"]},
            "protected": {"type": "list", "elements": "str", "default": []},
            "recreate_failed": {"type": "bool", "default": True},
            "skip_resources": {"type": "list", "elements": "str", "default": []},
            "retain_resources": {"type": "list", "elements": "str", "default": []},
            "empty_on_delete": {"type": "bool", "default": False},
            "wait_timeout": {"type": "int", "default": 3600},
            "on_timeout": {"type": "str", "choices": ["leave", "rollback"], "default": "leave"},
            "on_interrupt": {"type": "str", "choices": ["rollback", "leave"], "default": "rollback"},
            "with_resources": {"type": "bool", "default": False},
            **PROGRESS_ARGUMENTS,
            **AWS_ARGUMENTS,
        },
        mutually_exclusive=[("template", "template_url"), ("on_failure", "disable_rollback"),
                            ("profile", "access_key")],
        required_together=[("access_key", "secret_key")],
        supports_check_mode=True,
    )
    run(module, work)


if __name__ == "__main__":
    main()
