#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Ansible module jenkins_secrets."""

from __future__ import annotations

DOCUMENTATION = r"""
module: jenkins_secrets
short_description: The secrets of a Jenkins, kept on its host
description:
  - Keeps C(admin-password), C(api-token) and C(credentials) (C(user:token)) in a directory that only root can read.
  - What is not given is generated once, on the host, and never leaves it; the result names files, not what is in them.
options:
  directory:
    description: The directory of the files.
    type: path
    default: /etc/slipway/jenkins
  user:
    description: The administrator's name in Jenkins.
    type: str
    default: admin
  password:
    description: The administrator's password. Without it the one that is there is kept, or one is generated.
    type: str
author: The slipway developers
"""

EXAMPLES = r"""
- name: Keep the secrets
  jenkins_secrets:
    password: "{{ vault_jenkins_password }}"
  no_log: true
"""

RETURN = r"""
written:
  description: The files that were, or in check mode would be, written.
  returned: success
  type: list
  elements: str
  sample: ["admin-password", "api-token", "credentials"]
generated:
  description: Those of them whose secret was generated.
  returned: success
  type: list
  elements: str
"""

from typing import Any  # noqa: E402

from ansible.module_utils.basic import AnsibleModule  # noqa: E402
from ansible.module_utils.slipway import door  # noqa: E402
from ansible.module_utils.slipway.jenkins import secrets  # noqa: E402
from ansible.module_utils.slipway.progress import Progress  # noqa: E402


def work(module: Any, progress: Progress) -> dict[str, Any]:
    given = module.params
    return secrets.keep(given["directory"], given["user"], given["password"], module.check_mode)


def main() -> None:
    module = AnsibleModule(argument_spec={
        "directory": {"type": "path", "default": "/etc/slipway/jenkins"},
        "user": {"type": "str", "default": "admin"},
        "password": {"type": "str", "no_log": True},
    }, supports_check_mode=True)
    door.run(module, work)


if __name__ == "__main__":
    main()
