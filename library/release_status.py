#!/usr/bin/python
# GPL-3.0-or-later (see LICENSE)
"""Door to slipway.status."""

from __future__ import annotations

DOCUMENTATION = r"""
module: release_status
short_description: What runs where, how it got there, and how it is
description:
  - Shows on one screen, for each service, what is deployed (tag, digest, commit, since when, by whom), the health of
    the service, and the stages of its pipeline with their state and times; and Jenkins.
  - What is deployed is read from the service that runs; the ledger says which commit that is, and who released it.
  - Works where parts are missing, and says which. Changes nothing.
options:
  services:
    description: The services, in the order of the screen.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Name to show.
        type: str
        required: true
      stack_name:
        description: Name of the service stack.
        type: str
        required: true
      pipeline:
        description: Name of the pipeline; empty for none.
        type: str
        default: ""
  table:
    description: Name of the ledger's table; empty for none.
    type: str
    default: ""
  jenkins:
    description:
      - What its host told of Jenkins, with keys C(host), C(reachable), C(status) (of its HTTP answer), C(version) and
        C(problem). Empty where there is none.
    type: dict
    default: {}
  width:
    description: Columns of the screen. Links are never cut.
    type: int
    default: 80
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
- name: What runs where
  release_status:
    services:
      - name: shop
        stack_name: shop-service
        pipeline: shop-pipeline
    table: my-network-ledger
"""

RETURN = r"""
screen:
  description: The lines of the screen.
  returned: success
  type: list
  elements: str
healthy:
  description: Whether no line of the screen tells of a failure.
  returned: success
  type: bool
api_calls:
  description: AWS calls by operation.
  returned: success
  type: dict
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.slipway.aws.session import AWS_ARGUMENTS, Aws
from ansible.module_utils.slipway.door import PROGRESS_ARGUMENTS, run
from ansible.module_utils.slipway.progress import Progress
from ansible.module_utils.slipway.status.door import show

ARGUMENTS: dict[str, dict[str, Any]] = {
    "services": {"type": "list", "elements": "dict", "required": True, "options": {
        "name": {"type": "str", "required": True},
        "stack_name": {"type": "str", "required": True},
        "pipeline": {"type": "str", "default": ""},
    }},
    "table": {"type": "str", "default": ""},
    "jenkins": {"type": "dict", "default": {}},
    "width": {"type": "int", "default": 80},
    **PROGRESS_ARGUMENTS,
    **AWS_ARGUMENTS,
}


def work(module: AnsibleModule, progress: Progress) -> dict[str, Any]:
    return show(Aws(module.params), module.params, progress)


def main() -> None:
    run(AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True), work)


if __name__ == "__main__":
    main()
