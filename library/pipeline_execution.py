#!/usr/bin/python
# GPL-3.0-or-later (see LICENSE)
"""Door to slipway.pipeline.execution."""

from __future__ import annotations

DOCUMENTATION = r"""
module: pipeline_execution
short_description: Follow an execution of a CodePipeline pipeline to its end
description:
  - Finds an execution by its id or by its commit, or starts one, and shows each action as it begins and ends.
  - An execution that failed fails the task, with stage, action and cause, as the action reported it, and a link. One
    that was stopped fails it too. One that a newer commit overtook ends with status V(Superseded) and a warning.
options:
  pipeline:
    description: Name of the pipeline.
    type: str
    required: true
  execution_id:
    description: Id of the execution.
    type: str
  commit:
    description: Commit, or its beginning, whose newest execution is followed.
    type: str
  start:
    description:
      - Whether an execution is started. Without it, and without O(execution_id) and O(commit), the newest execution is
        followed.
    type: bool
    default: false
  start_timeout:
    description: Seconds within which there has to be an execution.
    type: float
    default: 120
  wait:
    description:
      - Whether its end is awaited. Without, it is only started or found, an execution that failed is no failure, and
        where there is none C(execution_id) is null.
    type: bool
    default: true
  wait_timeout:
    description: Seconds after which waiting for the end is an error; 0 is no limit.
    type: float
    default: 1800
  wait_for_approval:
    description: Whether to wait also while the execution waits for a person. Otherwise it ends with V(InProgress).
    type: bool
    default: false
attributes:
  check_mode:
    description: Starts nothing and waits for nothing.
    support: full
  diff_mode:
    description: There is no difference to show.
    support: none
author: slipway
extends_documentation_fragment:
  - slipway_aws
  - slipway_live
"""

EXAMPLES = r"""
- name: See what becomes of a commit
  pipeline_execution:
    pipeline: shop-pipeline
    commit: 3f2c9a1

- name: Release the newest commit again
  pipeline_execution:
    pipeline: shop-pipeline
    start: true

- name: See how the newest execution stands
  pipeline_execution:
    pipeline: shop-pipeline
    wait: false
  register: newest
"""

RETURN = r"""
status:
  description: V(Succeeded), V(Superseded), or V(InProgress) while it waits for an approval. On failure V(Failed),
    V(Stopped), V(Cancelled), or V(InProgress) where it took too long. Without O(wait) any of them, or null where there
    is no execution yet.
  returned: always
  type: str
msg:
  description: What came of it, in a sentence.
  returned: always
  type: str
pipeline:
  description: Name of the pipeline.
  returned: always
  type: str
execution_id:
  description: Id of the execution; null where there is none.
  returned: always
  type: str
commit:
  description: Its commit; null where its source has none.
  returned: always
  type: str
commit_message:
  description: Message of that commit.
  returned: always
  type: str
actions:
  description: Each action with stage, action, status, seconds, summary, url and cause.
  returned: always
  type: list
  elements: dict
cause:
  description: First line of what the failed action reported.
  returned: when an action failed
  type: str
evidence:
  description: The other lines of it.
  returned: when an action failed
  type: list
  elements: str
url:
  description: Link to what failed, such as the build in Jenkins.
  returned: when an action failed
  type: str
phases:
  description: Seconds by phase.
  returned: always
  type: dict
api_calls:
  description: AWS calls by operation.
  returned: always
  type: dict
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.slipway.aws.session import AWS_ARGUMENTS, Aws
from ansible.module_utils.slipway.door import PROGRESS_ARGUMENTS, run
from ansible.module_utils.slipway.pipeline.execution import Request, follow
from ansible.module_utils.slipway.progress import Progress

ARGUMENTS: dict[str, dict[str, Any]] = {
    "pipeline": {"type": "str", "required": True},
    "execution_id": {"type": "str"},
    "commit": {"type": "str"},
    "start": {"type": "bool", "default": False},
    "start_timeout": {"type": "float", "default": 120},
    "wait": {"type": "bool", "default": True},
    "wait_timeout": {"type": "float", "default": 1800},
    "wait_for_approval": {"type": "bool", "default": False},
    **PROGRESS_ARGUMENTS,
    **AWS_ARGUMENTS,
}


def work(module: AnsibleModule, progress: Progress) -> dict[str, Any]:
    given = module.params
    request = Request(given["pipeline"], given["execution_id"] or "", given["commit"] or "", given["start"],
                      given["start_timeout"], given["wait_timeout"] or None, given["wait_for_approval"], given["wait"])
    return follow(Aws(given), request, progress, module.check_mode)


def main() -> None:
    run(AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True), work)


if __name__ == "__main__":
    main()
