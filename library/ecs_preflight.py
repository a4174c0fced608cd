#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Ansible module ecs_preflight."""

from __future__ import annotations

DOCUMENTATION = r"""
module: ecs_preflight
short_description: Check every value of a release before anything is made
description:
  - Checks names against the real rules of ECR, ECS and CloudFormation, the application's folder and Dockerfile, the
    template of the service stack and the parameters for it, and names every fault at once.
  - Then asks AWS, all at once, who it is talking to, what state the stack is in, whether the repository is there,
    whether another release of the service runs, whether roles, secrets and log groups of the present task definition
    are there, and whether one more task finds room on the instances. What stands in the way of the release is an error,
    each fault with its remedy; what only delays it is a warning. So is what the caller may not read.
  - Reads only; C(changed) is never true.
options:
  app_name:
    description: Name of the application.
    type: str
    required: true
  stack_name:
    description: Name of the service stack.
    type: str
    required: true
  repository:
    description: Name of the ECR repository.
    type: str
    required: true
  source:
    description: Folder of the application. It is looked at where an image may have to be built.
    type: str
    default: ""
  dockerfile:
    description: Path of the Dockerfile inside O(source).
    type: str
    default: Dockerfile
  tag:
    description: Tag of the image; empty for a unique one.
    type: str
    default: ""
  template:
    description: Template of the service stack.
    type: path
    required: true
  parameters:
    description: Parameters of the template that the user sets.
    type: dict
    default: {}
  builds:
    description: Whether an image may have to be built. A rollback builds none.
    type: bool
    default: true
  keep_image:
    description: Whether a service that is deployed keeps its image; one that is not is built as usual.
    type: bool
    default: false
  promote:
    description:
      - Path of the C(release.json) of a good release, whose image is deployed instead of building one. It must be in
        O(repository) under the same tag and digest. Empty for none.
    type: str
    default: ""
  look:
    description:
      - Whether AWS is asked for more than who this is and what the stack is, at the price of up to ten calls.
      - In a run of several services this is left out where only the image changes, the last release was good and the
        service is no O(canary).
    type: bool
    default: true
  alone:
    description:
      - Whether the release changes nothing but the image. What it finds amiss in the present task definition is an
        error then; otherwise it is a warning, for the new template may put it right.
    type: bool
    default: false
  canary:
    description:
      - Whether the service is one of those that go first in a run of several. It is looked at as one that is released
        by itself, so that what the services have in common is found missing before any of them is touched.
    type: bool
    default: true
  table:
    description: Name of the ledger's table, to see whether another release runs. Empty where there is none.
    type: str
    default: ""
  keep:
    description: Number of records that the ledger keeps; fewer than 2 are refused.
    type: int
    default: 100
  busy:
    description: What the release does about another one; with V(fail) it is an error here.
    type: str
    choices: [wait, supersede, fail]
    default: wait
  account:
    description: Number of the AWS account that the credentials must be of; empty for any.
    type: str
    default: ""
author: The slipway developers
extends_documentation_fragment:
  - slipway_aws
"""

EXAMPLES = r"""
- name: Check the release of the shop
  ecs_preflight:
    app_name: shop
    stack_name: shop-service
    repository: team/shop
    source: /srv/shop
    template: files/cloudformation/service.yml
    parameters:
      DesiredCount: 2
"""

RETURN = r"""
account:
  description: The AWS account that the release goes to.
  returned: success
  type: str
  sample: "123456789012"
arn:
  description: Who runs the release.
  returned: success
  type: str
  sample: arn:aws:sts::123456789012:assumed-role/release/i-0abc
region:
  description: The region that the release goes to.
  returned: success
  type: str
  sample: eu-west-1
stack:
  description: The service stack as it is.
  returned: success
  type: dict
  contains:
    status:
      description: CloudFormation's status; empty where there is no stack.
      type: str
    deployed:
      description: Whether a service came up from it once.
      type: bool
    tag:
      description: The tag that it asks for.
      type: str
    digest:
      description: The digest that it asks for; empty where the tag alone names the image.
      type: str
    cluster:
      description: Name of its cluster; empty where there is none.
      type: str
    service:
      description: Name of its service; empty where there is none.
      type: str
findings:
  description:
    - What was found amiss; of a successful run what is no error. On failure with every fault that AWS showed.
  returned: success
  type: list
  elements: dict
  contains:
    subject:
      description: What it is about (stack, role, secret, log_group, percents, capacity, lock, repository).
      type: str
    message:
      description: What is the matter.
      type: str
    remedy:
      description: What to do; empty where nothing has to be done.
      type: str
    fatal:
      description: Whether the release could only fail.
      type: bool
pace:
  description:
    - The shortest possible rollout by the settings of the service, and the settings that alone cost more than a minute,
      which are warnings too. Null where the stack has other settings than C(service.yml).
  returned: success
  type: dict
  contains:
    shortest:
      description: Seconds that a rollout takes at least.
      type: float
    waves:
      description: How often new tasks are started.
      type: int
    parts:
      description: Those seconds by what they are spent on.
      type: dict
    stopping:
      description: Seconds more where containers use all of their stop timeout.
      type: float
    advice:
      description: Settings to change, with setting, message and remedy.
      type: list
      elements: dict
image:
  description: The promoted image with tag, digest, commit and image_uri; null where none is promoted.
  returned: success
  type: dict
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.slipway import door
from ansible.module_utils.slipway.aws.session import AWS_ARGUMENTS
from ansible.module_utils.slipway.progress import Progress
from ansible.module_utils.slipway.readiness.look import look


def main() -> None:
    module = AnsibleModule(argument_spec={
        "app_name": {"type": "str", "required": True},
        "stack_name": {"type": "str", "required": True},
        "repository": {"type": "str", "required": True},
        "source": {"type": "str", "default": ""},
        "dockerfile": {"type": "str", "default": "Dockerfile"},
        "tag": {"type": "str", "default": ""},
        "template": {"type": "path", "required": True},
        "parameters": {"type": "dict", "default": {}},
        "builds": {"type": "bool", "default": True},
        "keep_image": {"type": "bool", "default": False},
        "promote": {"type": "str", "default": ""},
        "look": {"type": "bool", "default": True},
        "alone": {"type": "bool", "default": False},
        "canary": {"type": "bool", "default": True},
        "table": {"type": "str", "default": ""},
        "keep": {"type": "int", "default": 100},
        "busy": {"type": "str", "choices": ["wait", "supersede", "fail"], "default": "wait"},
        "account": {"type": "str", "default": ""},
        **AWS_ARGUMENTS,
    }, supports_check_mode=True)

    def work(module: Any, _progress: Progress) -> dict[str, Any]:
        return look(module.params, module.check_mode)

    door.run(module, work)


if __name__ == "__main__":
    main()
