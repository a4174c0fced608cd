#!/usr/bin/python
# GPL-3.0-or-later (see LICENSE)
"""Door to slipway.pipeline.seed."""

from __future__ import annotations

DOCUMENTATION = r"""
module: codecommit_seed
short_description: A CodeCommit repository with a folder as its first commit
description:
  - Makes the repository where there is none, and commits a folder's files to it as git would take them, with their
    modes and without what a C(.gitignore) names.
  - A branch whose newest commit was made by this module gets another one where the folder differs. A branch to which
    anybody else committed is left alone, and RV(msg) says so.
  - More files than AWS takes in one commit go to a branch of their own first, so that nobody sees a half of them.
    Interrupted at any time, the next run finishes.
options:
  repository:
    description: Name of the repository.
    type: str
    required: true
  state:
    description:
      - V(present) makes and seeds it. V(absent) deletes it with all commits, but only where none is of anybody else's.
    type: str
    choices: [present, absent]
    default: present
  path:
    description: Folder with the files. Without it the repository is made and nothing is committed.
    type: path
  branch:
    description: Name of the branch.
    type: str
    default: main
  description:
    description: Description of a repository that is made.
    type: str
    default: ""
  force:
    description: With O(state=absent), delete it also when it holds somebody's work.
    type: bool
    default: false
requirements: [git]
attributes:
  check_mode:
    description: Says what would be committed.
    support: full
  diff_mode:
    description: Shows the files that are put and deleted.
    support: full
author: slipway
extends_documentation_fragment:
  - slipway_aws
  - slipway_live
"""

EXAMPLES = r"""
- name: The first commit
  codecommit_seed:
    repository: shop
    path: files/app
  register: seed
"""

RETURN = r"""
repository:
  description: Name of the repository.
  returned: success
  type: str
branch:
  description: Name of the branch.
  returned: with O(state=present)
  type: str
commit:
  description: The branch's newest commit; null where it has none.
  returned: success
  type: str
foreign:
  description: Whether the repository holds somebody's work and was left alone for that.
  returned: success
  type: bool
author:
  description: Whose work that is; null for nobody's.
  returned: success
  type: str
msg:
  description: What came of it, in a sentence.
  returned: success
  type: str
clone_url_http:
  description: Where to clone it from over HTTPS.
  returned: with O(state=present)
  type: str
clone_url_ssh:
  description: Where to clone it from over SSH.
  returned: with O(state=present)
  type: str
api_calls:
  description: AWS calls by operation.
  returned: success
  type: dict
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.slipway.aws.session import AWS_ARGUMENTS, Aws
from ansible.module_utils.slipway.door import PROGRESS_ARGUMENTS, run
from ansible.module_utils.slipway.pipeline import seed
from ansible.module_utils.slipway.progress import Progress

ARGUMENTS: dict[str, dict[str, Any]] = {
    "repository": {"type": "str", "required": True},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "path": {"type": "path"},
    "branch": {"type": "str", "default": "main"},
    "description": {"type": "str", "default": ""},
    "force": {"type": "bool", "default": False},
    **PROGRESS_ARGUMENTS,
    **AWS_ARGUMENTS,
}


def work(module: AnsibleModule, progress: Progress) -> dict[str, Any]:
    given = module.params
    aws = Aws(given)
    if given["state"] == "absent":
        return seed.remove(aws, given["repository"], given["force"], module.check_mode)
    return seed.seed(aws, given["repository"], given["branch"], given["path"] or "", given["description"], progress,
                     module.check_mode)


def main() -> None:
    run(AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True), work)


if __name__ == "__main__":
    main()
