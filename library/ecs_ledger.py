#!/usr/bin/python
# GPL-3.0-or-later (see LICENSE)
"""Door to slipway.ledger: who releases a service now, and what was released."""

from __future__ import annotations

DOCUMENTATION = r"""
module: ecs_ledger
short_description: Open and close the record of a release, one at a time for each service
description:
  - With O(state=open) it takes the service's lock in a DynamoDB table; another release that holds it is waited for,
    asked to stop, or an error. A release whose process died is found out, recorded and taken over from.
  - With O(state=closed) it writes what the release came to, and gives the lock back. A run that changed nothing leaves
    no record, but its report is written too, as is that of a run that was refused before it took its turn.
  - Between the two, a process beside the playbook shows that the release lives. When the playbook is killed or
    interrupted it waits for the stack to come to rest, writes the record and gives the lock back.
  - The lock needs no clocks that agree. A holder is dead when it did not stir for 45 seconds of the waiter's own, or
    at once when it was a process of the same machine.
options:
  state:
    description: V(open) before a release, V(closed) at its end, good or bad.
    type: str
    choices: [open, closed]
    required: true
  table:
    description:
      - Name of the table (stack C(ledger.yml)). Without one there is no lock and no record; with O(state=closed) the
        report can be written all the same.
    type: str
    default: ""
  service:
    description:
      - Name under which the service is locked and its releases are recorded. With O(state=closed) it is for a report of
        a run that did not take its turn.
    type: str
  stack_name:
    description: The service's stack, whose ImageTag tells what runs before.
    type: str
  kind:
    description: What is about to happen.
    type: str
    choices: [release, rollback]
    default: release
  busy:
    description:
      - What to do while another release of the service runs - V(wait) for it, V(supersede) it (it gets a SIGTERM,
        leaves the old version serving, and is recorded as superseded by this one), or V(fail).
      - Waiting is no queue. Of several that wait, any one may be the next.
    type: str
    choices: [wait, supersede, fail]
    default: wait
  lock_timeout:
    description: Seconds to wait for another release.
    type: float
    default: 3600
  source:
    description:
      - Folder of the application, from which the commit is read when it is in git. C(-dirty) is put behind it where
        files of the folder differ from it.
      - Leave it out where the image is not made from it.
    type: str
  revision:
    description: The commit, where it is known.
    type: str
  who:
    description: ARN of the identity that releases.
    type: str
  pid:
    description: Set by the action plugin of the module; not for users.
    type: int
  opened:
    description: What this module returned with O(state=open), empty where it did not run. With O(state=closed).
    type: dict
    default: {}
  preflight:
    description: What M(ecs_preflight) returned; a failed one is why the run was refused. With O(state=closed).
    type: dict
    default: {}
  image:
    description: What M(ecr_push) returned; empty where it did not run.
    type: dict
    default: {}
  target:
    description:
      - What M(ecs_rollback_target) returned, for a rollback; its image and its commit are recorded. A failed one is why
        the rollback was refused.
    type: dict
    default: {}
  task:
    description: What M(ecs_task) returned; empty where it did not run.
    type: dict
    default: {}
  notify:
    description:
      - Whom to tell what became of the release. What cannot be told is a warning.
      - With O(state=open) it is for a release that ends before it can tell itself.
    type: dict
    default: {}
    suboptions:
      topic:
        description: ARN of an SNS topic.
        type: str
      webhook:
        description: Address of a webhook that takes Slack's format. Whoever knows it can post there, so it is a secret.
        type: str
      "on":
        description: What to tell of; all four where it is left out.
        type: list
        elements: str
        choices: [success, failure, rollback, abort]
  stack:
    description: What M(cfn_stack) returned; empty where it did not run.
    type: dict
    default: {}
  rollout:
    description: What M(ecs_rollout) returned; empty where it did not run.
    type: dict
    default: {}
  report_dir:
    description:
      - Folder for the record as C(release.json) and as a page, C(release.html), on the host that runs the module. It is
        made when missing. With O(state=open) it is for a release that ends before it can write them itself.
    type: path
  keep:
    description: Number of records that are kept of the service, 2 or more. The newest good one always is.
    type: int
    default: 100
attributes:
  check_mode:
    description: Takes no lock and writes nothing; says who holds the lock.
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
- name: One release at a time
  ecs_ledger:
    state: open
    table: shop-ledger
    service: shop-web
    stack_name: shop-web-service
    source: app
  register: entry

- name: What became of it
  ecs_ledger:
    state: closed
    table: shop-ledger
    opened: "{{ entry }}"
    image: "{{ image }}"
    stack: "{{ stack }}"
    rollout: "{{ rollout }}"
"""

RETURN = r"""
entry:
  description:
    - The record as it was opened, when this release had its turn; in check mode that of the release that runs now, or
      null.
  returned: with O(state=open)
  type: dict
token:
  description: What the lock is known by; empty in check mode.
  returned: with O(state=open)
  type: str
inherited:
  description: The record of a release that died with the lock in its hand, as it was found out; null as a rule.
  returned: with O(state=open)
  type: dict
waited:
  description: Seconds spent waiting for another release, before the record's C(started).
  returned: with O(state=open)
  type: float
record:
  description:
    - The record that was written; null for a run that released nothing. One that found good what an earlier release
      deployed without being sure of it writes that.
  returned: with O(state=closed)
  type: dict
report:
  description: Path of the page; null where none was written.
  returned: with O(state=closed)
  type: str
msg:
  description: What was done, in a sentence.
  returned: always
  type: str
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
from ansible.module_utils.slipway.aws.session import AWS_ARGUMENTS
from ansible.module_utils.slipway.door import PROGRESS_ARGUMENTS, run
from ansible.module_utils.slipway.ledger.turn import turn
from ansible.module_utils.slipway.progress import Progress

ARGUMENTS: dict[str, dict[str, Any]] = {
    "state": {"type": "str", "choices": ["open", "closed"], "required": True},
    "table": {"type": "str", "default": ""},
    "service": {"type": "str"},
    "stack_name": {"type": "str"},
    "kind": {"type": "str", "choices": ["release", "rollback"], "default": "release"},
    "busy": {"type": "str", "choices": ["wait", "supersede", "fail"], "default": "wait"},
    "lock_timeout": {"type": "float", "default": 3600},
    "source": {"type": "str"},
    "revision": {"type": "str"},
    "who": {"type": "str"},
    "pid": {"type": "int"},
    "opened": {"type": "dict", "default": {}},
    "preflight": {"type": "dict", "default": {}},
    "image": {"type": "dict", "default": {}},
    "target": {"type": "dict", "default": {}},
    "task": {"type": "dict", "default": {}},
    "notify": {"type": "dict", "default": {}, "options": {
        "topic": {"type": "str"},
        "webhook": {"type": "str", "no_log": True},
        "on": {"type": "list", "elements": "str", "choices": ["success", "failure", "rollback", "abort"]},
    }},
    "stack": {"type": "dict", "default": {}},
    "rollout": {"type": "dict", "default": {}},
    "report_dir": {"type": "path"},
    "keep": {"type": "int", "default": 100},
    **AWS_ARGUMENTS,
    **PROGRESS_ARGUMENTS,
}


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True, required_if=[
        ("state", "open", ["service", "stack_name"])])

    def work(module: AnsibleModule, progress: Progress) -> dict[str, Any]:
        return turn(module.params, module.check_mode, progress)

    run(module, work)


if __name__ == "__main__":
    main()
