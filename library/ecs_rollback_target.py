#!/usr/bin/python
# GPL-3.0-or-later (see LICENSE)
"""Door to slipway.ledger.target: which release a rollback goes to."""

from __future__ import annotations

DOCUMENTATION = r"""
module: ecs_rollback_target
short_description: Find the release that a rollback goes to, and check its image
description:
  - Without O(to) it is the last release before the present one that was deployed well, and that nobody went back from
    since. Releases that failed, were rolled back by ECS or were never judged do not count.
  - The image must still be in ECR, and be the very one that was recorded. It is looked for by its digest, whatever its
    tag names by now, where the stack has the parameter C(ImageDigest).
  - It only reads.
options:
  table:
    description: Name of the ledger's table (stack C(ledger.yml)). Empty where there is none; O(to) is required then.
    type: str
    default: ""
  service:
    description: Name under which releases are recorded.
    type: str
    required: true
  stack_name:
    description: The service's stack.
    type: str
    required: true
  repository:
    description: Name of the ECR repository.
    type: str
    required: true
  to:
    description:
      - Tag, digest or commit of the release; beginnings of digest and commit will do.
      - A release of a commit with changes beside it counts for C(COMMIT-dirty) only.
    type: str
    default: ""
  limit:
    description: How many records are looked through.
    type: int
    default: 200
attributes:
  check_mode:
    description: Changes nothing in any mode.
    support: full
  diff_mode:
    description: Changes nothing.
    support: none
author:
  - the slipway maintainers
extends_documentation_fragment:
  - slipway_aws
"""

EXAMPLES = r"""
- name: The last good release
  ecs_rollback_target:
    table: shop-ledger
    service: shop-web
    stack_name: shop-web-service
    repository: shop/web
  register: target
"""

RETURN = r"""
tag:
  description: Tag of the image to go back to.
  type: str
  returned: success
digest:
  description: Its digest.
  type: str
  returned: success
current_tag:
  description: Tag that the stack has now.
  type: str
  returned: success
current_digest:
  description: Digest that the stack has now; empty where the tag alone names the image.
  type: str
  returned: success
current_status:
  description: Status of the stack now.
  type: str
  returned: success
release:
  description: The record of that release; null for an image that the ledger does not know.
  type: dict
  returned: success
msg:
  description: The plan in a sentence.
  type: str
  returned: always
api_calls:
  description: AWS calls by operation.
  type: dict
  returned: success
remedy:
  description: What to do about a failure.
  type: str
  returned: on failure
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.slipway.aws.session import AWS_ARGUMENTS, Aws
from ansible.module_utils.slipway.door import run
from ansible.module_utils.slipway.errors import InvalidInput
from ansible.module_utils.slipway.ledger import target
from ansible.module_utils.slipway.progress import Progress

ARGUMENTS: dict[str, dict[str, Any]] = {
    "table": {"type": "str", "default": ""},
    "service": {"type": "str", "required": True},
    "stack_name": {"type": "str", "required": True},
    "repository": {"type": "str", "required": True},
    "to": {"type": "str", "default": ""},
    "limit": {"type": "int", "default": 200},
    **AWS_ARGUMENTS,
}


def work(module: AnsibleModule, _progress: Progress) -> dict[str, Any]:
    given = module.params
    if not given["table"] and not given["to"]:
        raise InvalidInput("Without a ledger nobody knows which release was good.",
                           "Name one: -e ecs_release_rollback_to=TAG, a digest or a commit.")
    aws = Aws(given)
    found = target.find(aws, given["table"], given["service"], given["stack_name"], given["repository"], given["to"],
                        given["limit"])
    return {"changed": False, **found, "msg": target.sentence(found, given["service"], module.check_mode),
            "api_calls": aws.api_calls()}


def main() -> None:
    run(AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True), work)


if __name__ == "__main__":
    main()
