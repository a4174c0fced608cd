#!/usr/bin/python
# GPL-3.0-or-later (see LICENSE)
"""A CloudFormation stack, looked at."""

from __future__ import annotations

DOCUMENTATION = r"""
module: cfn_stack_info
short_description: A CloudFormation stack's status, outputs, parameters, resources and drift
description:
  - Returns what a stack is, and changes nothing. A stack that does not exist is no error.
options:
  name:
    description: Name or ARN of the stack.
    type: str
    required: true
    aliases: [stack_name]
  resources:
    description: Whether the result lists the stack's resources, at the price of one more call.
    type: bool
    default: true
  drift:
    description: Whether each resource is compared with what the template says. Takes seconds to minutes.
    type: bool
    default: false
  wait_timeout:
    description: Seconds after which looking for drift ends with an error; 0 is no limit.
    type: int
    default: 600
attributes:
  check_mode:
    description: Changes nothing in any mode.
    support: full
  diff_mode:
    description: Changes nothing.
    support: none
author: slipway
extends_documentation_fragment:
  - slipway_aws
  - slipway_live
"""

EXAMPLES = r"""
- name: The address of the application
  cfn_stack_info:
    name: slipway-web
    resources: false
  register: web

- name: Has anybody changed something by hand?
  cfn_stack_info:
    name: slipway-web
    drift: true
  register: web
  failed_when: web.drift.status == 'DRIFTED'
"""

RETURN = r"""
exists:
  description: Whether there is such a stack.
  returned: always
  type: bool
stack_name:
  description: Name of the stack.
  returned: always
  type: str
stack_id:
  description: ARN of the stack; null where it does not exist.
  returned: always
  type: str
status:
  description: The stack's status; null where it does not exist.
  returned: always
  type: str
outputs:
  description: Outputs by name.
  returned: always
  type: dict
parameters:
  description: Parameter values by name; AWS hides NoEcho ones.
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
resources:
  description: Every resource with logical_resource_id, physical_resource_id, resource_type, status and status_reason.
  returned: with O(resources)
  type: list
  elements: dict
drift:
  description:
    - The stack's drift status, and by resource the path, type, expected and actual value of each difference. Values of
      properties that are likely to be secrets are hidden.
  returned: with O(drift)
  type: dict
phases:
  description: Seconds by phase.
  returned: always
  type: dict
api_calls:
  description: Number of calls by operation.
  returned: always
  type: dict
retries:
  description: Number of calls that were repeated because AWS throttled them or failed for a moment.
  returned: always
  type: int
"""

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.slipway.aws.session import AWS_ARGUMENTS
from ansible.module_utils.slipway.door import PROGRESS_ARGUMENTS, run
from ansible.module_utils.slipway.stack.door import look


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "required": True, "aliases": ["stack_name"]},
            "resources": {"type": "bool", "default": True},
            "drift": {"type": "bool", "default": False},
            "wait_timeout": {"type": "int", "default": 600},
            **PROGRESS_ARGUMENTS,
            **AWS_ARGUMENTS,
        },
        mutually_exclusive=[("profile", "access_key")],
        required_together=[("access_key", "secret_key")],
        supports_check_mode=True,
    )
    run(module, look)


if __name__ == "__main__":
    main()
