#!/usr/bin/python
# GPL-3.0-or-later (see LICENSE)
"""Door to slipway.task: a task that runs once with a new image."""

from __future__ import annotations

DOCUMENTATION = r"""
module: ecs_task
short_description: Run a task once with a new image, before the service gets it
description:
  - For a database's migration and its like. The task definition is the service's own with one container, the new image
    and another command; roles, secrets, log group, network and capacity are those of the service.
  - It waits for the end, shows the task's log as it is written, and fails where the exit code is not 0. The service is
    not touched.
  - Where the service has this image already, nothing is run.
  - The task definition that was made for it is deregistered and deleted at the end.
  - SIGINT and SIGTERM stop the task, and its end is awaited. A task that a killed run left behind is found again and
    waited for instead of starting another; one of another image is let end first.
options:
  cluster:
    description: Name of the service's cluster.
    type: str
    required: true
  service:
    description: Name of the service.
    type: str
    required: true
  image:
    description: The image, as a task definition names it, with its tag.
    type: str
    required: true
  digest:
    description: Digest of the image, which the task is bound to.
    type: str
  command:
    description: What to run, a word each.
    type: list
    elements: str
    required: true
  entry_point:
    description: Entry point instead of the image's or the task definition's own.
    type: list
    elements: str
    default: []
  container:
    description: Container of the service's task definition that it is made from; the first essential one when empty.
    type: str
    default: ""
  environment:
    description: Environment variables besides those of the container. They are no place for secrets.
    type: dict
    default: {}
  wait_timeout:
    description: Seconds after which the task is stopped, which is a failure.
    type: float
    default: 900
attributes:
  check_mode:
    description: Says whether it would be run.
    support: full
  diff_mode:
    description: There is no difference to show.
    support: none
author:
  - the slipway maintainers
extends_documentation_fragment:
  - slipway_aws
  - slipway_live
"""

EXAMPLES = r"""
- name: Migrate the database
  ecs_task:
    cluster: shop
    service: web
    image: "{{ image.image_uri }}"
    digest: "{{ image.digest }}"
    command: [bin/migrate, --all]
"""

RETURN = r"""
msg:
  description: What was done, in a sentence.
  returned: always
  type: str
task:
  description: ARN of the task; null where none was started.
  returned: always
  type: str
exit_code:
  description: Exit code of its container; null where it did not run.
  returned: always
  type: int
log:
  description: The last lines of its log.
  returned: always
  type: list
  elements: str
evidence:
  description: Why it stopped, and its last lines.
  returned: on failure
  type: list
  elements: str
phases:
  description: Seconds by phase.
  returned: always
  type: dict
  sample: {"run": 12.4}
api_calls:
  description: AWS calls by operation.
  returned: always
  type: dict
remedy:
  description: What to do about a failure.
  returned: on failure
  type: str
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.slipway import door
from ansible.module_utils.slipway.aws.session import AWS_ARGUMENTS, Aws
from ansible.module_utils.slipway.progress import Progress
from ansible.module_utils.slipway.task import request
from ansible.module_utils.slipway.task.run import run

ARGUMENTS: dict[str, dict[str, Any]] = {
    "cluster": {"type": "str", "required": True},
    "service": {"type": "str", "required": True},
    "image": {"type": "str", "required": True},
    "digest": {"type": "str"},
    "command": {"type": "list", "elements": "str", "required": True},
    "entry_point": {"type": "list", "elements": "str", "default": []},
    "container": {"type": "str", "default": ""},
    "environment": {"type": "dict", "default": {}},
    "wait_timeout": {"type": "float", "default": 900},
    **door.PROGRESS_ARGUMENTS,
    **AWS_ARGUMENTS,
}


def main() -> None:
    module = AnsibleModule(ARGUMENTS, supports_check_mode=True)

    def work(module: AnsibleModule, progress: Progress) -> dict[str, Any]:
        return run(Aws(module.params), request.of(module.params), progress, module.check_mode)

    door.run(module, work)


if __name__ == "__main__":
    main()
