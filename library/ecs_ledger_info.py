#!/usr/bin/python
# GPL-3.0-or-later (see LICENSE)
"""Door to slipway.ledger: what was released, and what runs now."""

from __future__ import annotations

DOCUMENTATION = r"""
module: ecs_ledger_info
short_description: The recorded releases of a service, newest first
description:
  - Returns the records of module M(ecs_ledger), and that of the release that runs now.
options:
  table:
    description: Name of the table (stack C(ledger.yml)).
    type: str
    required: true
  service:
    description: Name under which releases are recorded.
    type: str
    required: true
  limit:
    description: How many records to return.
    type: int
    default: 10
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
- name: The last ten releases
  ecs_ledger_info:
    table: shop-ledger
    service: shop-web
  register: ledger
"""

RETURN = r"""
releases:
  description: The records, newest first; module_utils/slipway/ledger/record.py has their keys.
  type: list
  elements: dict
  returned: success
running:
  description: The record of the release that runs now; null when none does.
  type: dict
  returned: success
api_calls:
  description: AWS calls by operation.
  type: dict
  returned: success
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.slipway.aws.session import AWS_ARGUMENTS, Aws
from ansible.module_utils.slipway.door import run
from ansible.module_utils.slipway.ledger import book, lock
from ansible.module_utils.slipway.progress import Progress

ARGUMENTS: dict[str, dict[str, Any]] = {
    "table": {"type": "str", "required": True},
    "service": {"type": "str", "required": True},
    "limit": {"type": "int", "default": 10},
    **AWS_ARGUMENTS,
}


def work(module: AnsibleModule, _progress: Progress) -> dict[str, Any]:
    aws = Aws(module.params)
    table, service = module.params["table"], module.params["service"]
    return {"changed": False, "releases": book.read(aws, table, service, module.params["limit"]),
            "running": lock.holder(aws, table, service), "api_calls": aws.api_calls()}


def main() -> None:
    run(AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True), work)


if __name__ == "__main__":
    main()
