#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Ansible module jenkins_host_info."""

from __future__ import annotations

DOCUMENTATION = r"""
module: jenkins_host_info
short_description: What a host has that matters to Jenkins
description:
  - Reads, in one call, everything that the role C(jenkins) checks before it touches a host. Changes nothing.
options:
  manager:
    description: The host's package manager.
    type: str
    choices: [apt, dnf]
    required: true
  packages:
    description: The packages to look up.
    type: list
    elements: str
    required: true
  port:
    description: The port that Jenkins is to listen on.
    type: int
    required: true
  unit:
    description: The systemd unit whose own processes may hold the port.
    type: str
    default: jenkins.service
  spaces:
    description: Directories whose free space is asked for.
    type: list
    elements: path
    default: []
author: The slipway developers
"""

EXAMPLES = r"""
- name: Look at the host
  jenkins_host_info:
    manager: apt
    packages: [jenkins, fontconfig]
    port: 8080
    spaces: [/var/lib]
  register: host
"""

RETURN = r"""
root:
  description: Whether the module ran as root.
  returned: success
  type: bool
time:
  description: The host's time, in seconds since 1970.
  returned: success
  type: int
packages:
  description: The version of each package that is installed.
  returned: success
  type: dict
  sample: {"jenkins": "2.568.1"}
interrupted:
  description: Whether dpkg was interrupted and has packages to finish.
  returned: success
  type: bool
holder:
  description: The process outside the unit that listens on the port; empty when there is none.
  returned: success
  type: dict
  sample: {"pid": 812, "name": "nginx", "command": "nginx -g daemon off;"}
free_mb:
  description: Free megabytes by directory.
  returned: success
  type: dict
"""

from typing import Any  # noqa: E402

from ansible.module_utils.basic import AnsibleModule  # noqa: E402
from ansible.module_utils.slipway import door  # noqa: E402
from ansible.module_utils.slipway.jenkins import host  # noqa: E402
from ansible.module_utils.slipway.progress import Progress  # noqa: E402


def work(module: Any, progress: Progress) -> dict[str, Any]:
    given = module.params
    return host.facts(given["manager"], given["packages"], given["port"], given["unit"], given["spaces"])


def main() -> None:
    module = AnsibleModule(argument_spec={
        "manager": {"type": "str", "choices": ["apt", "dnf"], "required": True},
        "packages": {"type": "list", "elements": "str", "required": True},
        "port": {"type": "int", "required": True},
        "unit": {"type": "str", "default": "jenkins.service"},
        "spaces": {"type": "list", "elements": "path", "default": []},
    }, supports_check_mode=True)
    door.run(module, work)


if __name__ == "__main__":
    main()
