#!/usr/bin/python
# GPL-3.0-or-later (see LICENSE)
"""Door to slipway.pipeline.action_prune."""

from __future__ import annotations

DOCUMENTATION = r"""
module: pipeline_action_prune
short_description: Delete versions of a pipeline's custom action that nobody uses
description:
  - Deletes the versions of a custom action (category C(Build)) that no pipeline of this account and region names. AWS
    has room for 50 custom actions, and never takes a deleted version again.
  - Costs one call where there is nothing old, and one more for each pipeline where there is.
options:
  provider:
    description: Provider of the action.
    type: str
    required: true
  keep:
    description: Version that stays in any case; empty for none.
    type: str
    default: ""
attributes:
  check_mode:
    description: Says what would be deleted.
    support: full
  diff_mode:
    description: Shows the versions that go.
    support: full
author: slipway
extends_documentation_fragment:
  - slipway_aws
"""

EXAMPLES = r"""
- name: Delete old versions of the action
  pipeline_action_prune:
    provider: Jenkins
    keep: "{{ action.version }}"
"""

RETURN = r"""
deleted:
  description: Versions that were, or would be, deleted.
  returned: success
  type: list
  elements: str
api_calls:
  description: AWS calls by operation.
  returned: success
  type: dict
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.slipway.aws.session import AWS_ARGUMENTS, Aws
from ansible.module_utils.slipway.door import run
from ansible.module_utils.slipway.pipeline import action_prune
from ansible.module_utils.slipway.progress import Progress

ARGUMENTS: dict[str, dict[str, Any]] = {
    "provider": {"type": "str", "required": True},
    "keep": {"type": "str", "default": ""},
    **AWS_ARGUMENTS,
}


def work(module: AnsibleModule, _progress: Progress) -> dict[str, Any]:
    given = module.params
    return action_prune.prune(Aws(given), given["provider"], given["keep"], module.check_mode)


def main() -> None:
    run(AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True), work)


if __name__ == "__main__":
    main()
