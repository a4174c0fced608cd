#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Ansible module ecs_task_definitions."""

from __future__ import annotations

DOCUMENTATION = r"""
module: ecs_task_definitions
short_description: Remove every revision of a task definition family
description:
  - The service stack keeps old revisions of its task definition, because a rollback needs them. They outlive the stack;
    this removes them when nothing is to come back.
  - Deregisters active revisions and deletes all of them. AWS finishes the deletion within the hour.
options:
  family:
    description: Name of the family; for the service stack of this project its stack name.
    type: str
    required: true
  state:
    description: Only V(absent).
    type: str
    choices: [absent]
    default: absent
author: The slipway developers
extends_documentation_fragment:
  - slipway_aws
  - slipway_live
"""

EXAMPLES = r"""
- name: Remove what the removed service left
  ecs_task_definitions:
    family: shop-service
    state: absent
"""

RETURN = r"""
removed:
  description: The revisions that were, or in check mode would be, removed.
  returned: success
  type: list
  elements: str
  sample: ["shop-service:1", "shop-service:2"]
api_calls:
  description: Number of calls by operation.
  returned: success
  type: dict
"""

from typing import Any  # noqa: E402

from ansible.module_utils.basic import AnsibleModule  # noqa: E402
from ansible.module_utils.slipway import door, family  # noqa: E402
from ansible.module_utils.slipway.aws.session import AWS_ARGUMENTS, Aws  # noqa: E402
from ansible.module_utils.slipway.progress import Progress  # noqa: E402


def work(module: Any, progress: Progress) -> dict[str, Any]:
    return family.remove(Aws(module.params), module.params["family"], module.check_mode, progress)


def main() -> None:
    module = AnsibleModule(argument_spec={
        "family": {"type": "str", "required": True},
        "state": {"type": "str", "choices": ["absent"], "default": "absent"},
        **door.PROGRESS_ARGUMENTS,
        **AWS_ARGUMENTS,
    }, supports_check_mode=True)
    door.run(module, work)


if __name__ == "__main__":
    main()
