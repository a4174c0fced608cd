#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Ansible module jenkins_service."""

from __future__ import annotations

DOCUMENTATION = r"""
module: jenkins_service
short_description: A Jenkins that runs with what is configured, and is proven to be up and closed
description:
  - Starts or restarts the unit when it does not run, when a file of its configuration is newer than its process, when
    another version runs than is installed, or when it does not accept the token.
  - Before a restart no new build is started, and running ones are waited for.
  - Then proves that C(/login) answers, that the token is accepted, that the version is the expected one, and that an
    anonymous caller is refused. A Jenkins that is open to anonymous callers is stopped.
  - When it does not come up, the error shows the end of its journal.
options:
  url:
    description: Where Jenkins answers on this host.
    type: str
    required: true
  credentials_file:
    description: A file with C(user:token) in one line.
    type: path
    required: true
  state:
    description: V(ready) is as described above; V(drained) waits for the running builds and keeps new ones waiting.
    type: str
    choices: [ready, drained]
    default: ready
  version:
    description: The version that must answer; empty for any.
    type: str
    default: ""
  files:
    description: The files that are read when Jenkins starts.
    type: list
    elements: path
    default: []
  unit:
    description: The systemd unit.
    type: str
    default: jenkins.service
  start_timeout:
    description: Seconds that a start may take.
    type: int
    default: 300
  drain_timeout:
    description: Seconds to wait for running builds; after that the module fails and Jenkins goes on as before.
    type: int
    default: 3600
author: The slipway developers
"""

EXAMPLES = r"""
- name: Run Jenkins
  jenkins_service:
    url: http://127.0.0.1:8080
    credentials_file: /etc/slipway/jenkins/credentials
    version: 2.568.1
    files: [/etc/systemd/system/jenkins.service.d/slipway.conf]
"""

RETURN = r"""
reasons:
  description: Why it was, or in check mode would be, started or restarted.
  returned: success
  type: list
  elements: str
version:
  description: The version that answers.
  returned: with O(state=ready), not in check mode
  type: str
"""

from typing import Any  # noqa: E402

from ansible.module_utils.basic import AnsibleModule  # noqa: E402
from ansible.module_utils.slipway import door  # noqa: E402
from ansible.module_utils.slipway.jenkins.client import Jenkins  # noqa: E402
from ansible.module_utils.slipway.jenkins.service import Service, Systemd  # noqa: E402
from ansible.module_utils.slipway.progress import Progress  # noqa: E402

#: A Jenkins that is to be restarted anyway is not waited for when it does not answer.
PATIENCE = 15.0


def work(module: Any, progress: Progress) -> dict[str, Any]:
    given = module.params
    service = Service(Jenkins(given["url"], given["credentials_file"], PATIENCE), Jenkins(given["url"], "", PATIENCE),
                      Systemd(given["unit"]), given["start_timeout"], given["drain_timeout"], progress.say)
    if given["state"] == "drained":
        return service.drained(module.check_mode)
    return service.ready(given["files"], given["version"], module.check_mode)


def main() -> None:
    module = AnsibleModule(argument_spec={
        "url": {"type": "str", "required": True},
        "credentials_file": {"type": "path", "required": True},
        "state": {"type": "str", "choices": ["ready", "drained"], "default": "ready"},
        "version": {"type": "str", "default": ""},
        "files": {"type": "list", "elements": "path", "default": []},
        "unit": {"type": "str", "default": "jenkins.service"},
        "start_timeout": {"type": "int", "default": 300},
        "drain_timeout": {"type": "int", "default": 3600},
    }, supports_check_mode=True)
    door.run(module, work)


if __name__ == "__main__":
    main()
