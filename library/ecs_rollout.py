#!/usr/bin/python
# Copyright: slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Door to slipway.rollout: documentation, arguments, one call."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: ecs_rollout
short_description: Wait for the verdict on one Amazon ECS rollout
description:
  - Follows the deployment of one service that runs the expected task definition, by its id, until ECS calls it
    completed. A service that is healthy again on its old task definition is a failure here, and named so.
  - Verdicts that fail the task are V(failed), V(rolled_back), V(superseded) (another release came after), V(missing),
    V(inactive), V(not_started), V(timed_out) and V(no_answer) (the O(url) check; the new version stays live then).
  - A failed rollout is explained. The message names the likely cause and what to change; stopped tasks with their exit
    codes, the last log lines of failed containers, target health and service events are the evidence.
  - It only reads, so it never reports a change. The first question is asked at once; a rollout that is already
    completed costs one call of DescribeServices.
  - Counts, service events and target health are shown while it waits (O(live)).
options:
  cluster:
    description: Name or ARN of the cluster.
    type: str
    required: true
  service:
    description: Name or ARN of the service.
    type: str
    required: true
  task_definition:
    description:
      - ARN (or family and revision, V(web:12)) that the service is expected to run.
      - Without it the service's latest deployment is followed.
    type: str
  image_tag:
    description:
      - Tag that a container of the deployment must run. Checked once the rollout is completed, and only where
        O(task_definition) is not given.
    type: str
  since:
    description:
      - ISO 8601 time (UTC where it has no offset) from which service events and stopped tasks count.
      - Without it they count from the start of the deployment, by the clock of AWS.
    type: str
  wait_timeout:
    description: Seconds until a rollout that is still in progress is a failure.
    type: float
    default: 900
  url:
    description:
      - Address, as a rule the load balancer's, that has to answer 200 before success is said.
      - A redirect is followed for as long as it stays on the host; what another host answers is not the application's
        answer.
    type: str
  url_contains:
    description: Text that the page at O(url) has to contain, for instance the image tag.
    type: str
  url_timeout:
    description: Seconds within which O(url) has to answer as expected, counted from the completed rollout.
    type: float
    default: 60
  url_validate_certs:
    description:
      - Whether the TLS certificate of O(url) is verified. That of AWS itself is O(validate_certs)'s matter.
      - The certificate of a load balancer that is asked by AWS's own name for it (C(....elb.amazonaws.com)) is not,
        since no certificate can be issued for that name.
    type: bool
    default: true
attributes:
  check_mode:
    description: Reads the present state where there is one, waits for nothing and fails no rollout.
    support: full
  diff_mode:
    description: There is no difference to show.
    support: none
author:
  - slipway contributors (@slipway)
extends_documentation_fragment:
  - slipway_aws
  - slipway_live
"""

EXAMPLES = r"""
- name: Await the release that the stack update started
  ecs_rollout:
    cluster: "{{ stack.outputs.ClusterName }}"
    service: "{{ stack.outputs.ServiceName }}"
    task_definition: "{{ stack.outputs.TaskDefinition }}"

- name: Await it, and see the new page through the load balancer
  ecs_rollout:
    cluster: shop
    service: web
    task_definition: web:12
    wait_timeout: 600
    url: http://shop-123.eu-central-1.elb.amazonaws.com/
    url_contains: "{{ image.tag }}"
"""

RETURN = r"""
verdict:
  description:
    - The outcome. One of V(completed), V(failed), V(rolled_back), V(superseded), V(missing), V(inactive),
      V(not_started), V(timed_out), V(no_answer); in check mode also V(in_progress), or null where nothing can be read
      yet.
  returned: always
  type: str
  sample: completed
msg:
  description: The verdict as a sentence; on failure with the likely cause and what to change.
  returned: always
  type: str
  sample: "web:12 is rolled out on service web (cluster shop, eu-central-1): 2 of 2 tasks running."
remedy:
  description: What to change, alone. Empty where nothing sensible can be said.
  returned: on failure
  type: str
service:
  description: Name of the service.
  returned: always
  type: str
  sample: web
deployment_id:
  description: Id of the deployment that was judged; null when there was none.
  returned: always
  type: str
  sample: ecs-svc/8329157493015827364
task_definition:
  description: ARN of that deployment's task definition; what was expected when there was no deployment.
  returned: always
  type: str
  sample: arn:aws:ecs:eu-central-1:123456789012:task-definition/web:12
rollout_seconds:
  description: Seconds from the deployment's start to its completion, by the clock of AWS; null when not completed.
  returned: always
  type: float
  sample: 41.6
running:
  description: Running tasks of that deployment.
  returned: always
  type: int
  sample: 2
pending:
  description: Pending tasks of that deployment.
  returned: always
  type: int
  sample: 0
desired:
  description: Tasks that the deployment is to run.
  returned: always
  type: int
  sample: 2
phases:
  description: Seconds spent by this module, by phase (wait, url, diagnosis).
  returned: always
  type: dict
  sample: {"wait": 12.4, "url": 0.1}
api_calls:
  description: Calls made, by operation.
  returned: always
  type: dict
  sample: {"ecs.DescribeServices": 9}
retries:
  description: Number of calls that were repeated because AWS throttled them or failed for a moment.
  returned: always
  type: int
service_events:
  description: The service's events of this rollout, oldest first.
  returned: always
  type: list
  elements: dict
  contains:
    at:
      description: When, ISO 8601 in UTC.
      type: str
    message:
      description: What ECS says.
      type: str
  sample: [{"at": "2024-05-31T12:00:03+00:00", "message": "(service web) has reached a steady state."}]
diagnosis:
  description: Why it failed; null for verdicts that explain themselves.
  returned: always
  type: dict
  contains:
    cause:
      description: The likely cause and what to change, in plain words.
      type: str
    kind:
      description: The cause as a stable key.
      type: str
      sample: health_404
    remedy:
      description: What to change.
      type: str
    evidence:
      description: Stopped tasks, log lines, target health and service events.
      type: list
      elements: str
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.slipway import door
from ansible.module_utils.slipway.aws.session import AWS_ARGUMENTS, Aws
from ansible.module_utils.slipway.progress import Progress
from ansible.module_utils.slipway.rollout.follow import Request, follow

ARGUMENTS: dict[str, dict[str, Any]] = {
    "cluster": {"type": "str", "required": True},
    "service": {"type": "str", "required": True},
    "task_definition": {"type": "str"},
    "image_tag": {"type": "str"},
    "since": {"type": "str"},
    "wait_timeout": {"type": "float", "default": 900},
    "url": {"type": "str"},
    "url_contains": {"type": "str"},
    "url_timeout": {"type": "float", "default": 60},
    "url_validate_certs": {"type": "bool", "default": True},
    **door.PROGRESS_ARGUMENTS,
    **AWS_ARGUMENTS,
}


def main() -> None:
    module = AnsibleModule(ARGUMENTS, supports_check_mode=True)

    def work(module: AnsibleModule, progress: Progress) -> dict[str, Any]:
        return follow(Aws(module.params), Request.of(module.params), progress, module.check_mode)

    door.run(module, work)


if __name__ == "__main__":
    main()
