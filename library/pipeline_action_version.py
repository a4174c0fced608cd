#!/usr/bin/python
# GPL-3.0-or-later (see LICENSE)
"""Door to slipway.pipeline.action_version."""

from __future__ import annotations

DOCUMENTATION = r"""
module: pipeline_action_version
short_description: Choose the version of a pipeline's custom action
description:
  - Nothing of a custom action of CodePipeline can be changed, and a version that was used once is never taken again.
  - Returns the version that the action's stack has, as long as the template and its parameters still define the same
    action, and a version that was never used before when they do not. Changes nothing by itself.
options:
  stack_name:
    description: Name of the stack that holds the action.
    type: str
    required: true
  template:
    description: Path of its template.
    type: path
    required: true
  parameters:
    description: Parameters of the template but C(ActionVersion).
    type: dict
    default: {}
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
"""

EXAMPLES = r"""
- name: Choose the version of the pipeline's action
  pipeline_action_version:
    stack_name: slipway-pipeline-action
    template: files/cloudformation/pipeline_action.yml
    parameters:
      ActionProvider: Jenkins
      JenkinsURL: https://jenkins.example.com
  register: action
"""

RETURN = r"""
version:
  description: The version, 1 to 9 digits and letters.
  returned: success
  type: str
  sample: tqx3k1
previous:
  description: The version that the stack has; null where there is no stack.
  returned: success
  type: str
new:
  description: Whether the action has to be made anew.
  returned: success
  type: bool
definition:
  description: What the version stands for, as a fingerprint. It belongs into the stack's tag named in RV(tag).
  returned: success
  type: str
tag:
  description: Key of that tag.
  returned: success
  type: str
api_calls:
  description: AWS calls by operation.
  returned: success
  type: dict
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.slipway.aws.session import AWS_ARGUMENTS, Aws
from ansible.module_utils.slipway.door import run
from ansible.module_utils.slipway.pipeline import action_version
from ansible.module_utils.slipway.progress import Progress

ARGUMENTS: dict[str, dict[str, Any]] = {
    "stack_name": {"type": "str", "required": True},
    "template": {"type": "path", "required": True},
    "parameters": {"type": "dict", "default": {}},
    **AWS_ARGUMENTS,
}


def work(module: AnsibleModule, _progress: Progress) -> dict[str, Any]:
    given = module.params
    return action_version.choose(Aws(given), given["stack_name"], given["template"], given["parameters"])


def main() -> None:
    run(AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True), work)


if __name__ == "__main__":
    main()
