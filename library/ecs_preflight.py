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
  - Then asks AWS who it is talking to, so that missing or expired credentials and a missing region show here.
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
    description: Folder of the application.
    type: str
    required: true
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
"""

from typing import Any  # noqa: E402

from ansible.module_utils.basic import AnsibleModule  # noqa: E402
from ansible.module_utils.slipway import door, preflight  # noqa: E402
from ansible.module_utils.slipway.aws.session import AWS_ARGUMENTS, Aws  # noqa: E402
from ansible.module_utils.slipway.progress import Progress  # noqa: E402

_VALUES = ("app_name", "stack_name", "repository", "source", "dockerfile", "tag", "template", "parameters")


def work(module: Any, _progress: Progress) -> dict[str, Any]:
    preflight.check(**{name: module.params[name] for name in _VALUES})
    aws = Aws(module.params)
    who = aws.call("sts", "get_caller_identity")
    preflight.check_account(module.params["account"], who["Account"])
    return {"changed": False, "account": who["Account"], "arn": who["Arn"], "region": aws.region,
            "api_calls": aws.api_calls()}


def main() -> None:
    module = AnsibleModule(argument_spec={
        "app_name": {"type": "str", "required": True},
        "stack_name": {"type": "str", "required": True},
        "repository": {"type": "str", "required": True},
        "source": {"type": "str", "required": True},
        "dockerfile": {"type": "str", "default": "Dockerfile"},
        "tag": {"type": "str", "default": ""},
        "template": {"type": "path", "required": True},
        "parameters": {"type": "dict", "default": {}},
        "account": {"type": "str", "default": ""},
        **AWS_ARGUMENTS,
    }, supports_check_mode=True)
    door.run(module, work)


if __name__ == "__main__":
    main()
