#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Ansible module cfn_preflight."""

from __future__ import annotations

DOCUMENTATION = r"""
module: cfn_preflight
short_description: Check the parameters of a CloudFormation template before any stack is made
description:
  - Checks parameters against the template's declarations and against its Rules, and names every fault at once.
  - Calls nobody and reads the template only; C(changed) is never true.
options:
  template:
    description: The template's file.
    type: path
    required: true
  parameters:
    description: Parameters that the user sets.
    type: dict
    default: {}
  given:
    description: Parameters without a default that get their value later, such as outputs of another stack.
    type: list
    elements: str
    default: []
  option:
    description: What the user sets O(parameters) in, for messages.
    type: str
    default: parameters
attributes:
  check_mode:
    description: Changes nothing in any mode.
    support: full
author: The slipway developers
"""

EXAMPLES = r"""
- name: Check what the inventory says of the Jenkins stack
  cfn_preflight:
    template: files/cloudformation/jenkins.yml
    parameters: "{{ stacks_jenkins_parameters }}"
    given: [AppName, VpcId, SubnetId, ServiceStacks, RepositoryArns]
    option: stacks_jenkins_parameters
"""

RETURN = r"""
template:
  description: The template that was checked.
  returned: success
  type: str
  sample: files/cloudformation/jenkins.yml
"""

from typing import Any  # noqa: E402

from ansible.module_utils.basic import AnsibleModule  # noqa: E402
from ansible.module_utils.slipway import door, stack_preflight  # noqa: E402
from ansible.module_utils.slipway.progress import Progress  # noqa: E402


def work(module: Any, _progress: Progress) -> dict[str, Any]:
    stack_preflight.check(module.params["template"], module.params["parameters"], module.params["given"],
                          module.params["option"])
    return {"changed": False, "template": module.params["template"]}


def main() -> None:
    module = AnsibleModule(argument_spec={
        "template": {"type": "path", "required": True},
        "parameters": {"type": "dict", "default": {}},
        "given": {"type": "list", "elements": "str", "default": []},
        "option": {"type": "str", "default": "parameters"},
    }, supports_check_mode=True)
    door.run(module, work)


if __name__ == "__main__":
    main()
