#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Door to slipway.runner.install: documentation, arguments, one call."""

from __future__ import annotations

DOCUMENTATION = r"""
module: runner_install
short_description: Install what a host needs to release a service
description:
  - Packs the parts of this checkout that a release needs into one archive, installs it on the host under a version made
    of its content, gives it a virtual environment with the pinned requirements, lets it check itself, and makes it the
    current version in one step.
  - Versions that need the same requirements share one environment, so an update of the collection alone takes seconds.
  - The version that was current before is kept, and can be made current again with O(version).
  - A version that a release runs with at that moment is not removed.
options:
  home:
    description: Folder of the runner on the host.
    type: path
    default: /opt/slipway
  version:
    description: An installed version to make current again. Without it, this checkout is installed.
    type: str
    default: ""
  python:
    description: The interpreter on the host that environments are made with. Ansible needs 3.11 or newer.
    type: str
    default: python3
  keep:
    description: How many versions to keep, the current one included.
    type: int
    default: 2
  root:
    description: The checkout on the machine that runs the playbook.
    type: path
    required: true
  archive:
    description: Set by the action plugin - the packed checkout on the host.
    type: path
  archive_version:
    description: Set by the action plugin - the version that the content makes.
    type: str
attributes:
  check_mode:
    description: Says what would be installed, switched and removed.
    support: full
  diff_mode:
    description: The versions before and after.
    support: full
author: The slipway developers
"""

EXAMPLES = r"""
- name: Install this checkout as the current version
  runner_install:
    root: "{{ role_path }}/../.."

- name: Go back to the version before
  runner_install:
    root: "{{ role_path }}/../.."
    version: 3f1c8a5e9b02
"""

RETURN = r"""
version:
  description: The version that is current now.
  returned: success
  type: str
  sample: 3f1c8a5e9b02
previous:
  description: The version that was current before; empty when there was none.
  returned: success
  type: str
  sample: 9b02e17c4d5a
path:
  description: The link to the current version.
  returned: success
  type: str
  sample: /opt/slipway/current
removed:
  description: Versions that were removed.
  returned: success
  type: list
  elements: str
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.slipway import door
from ansible.module_utils.slipway.progress import Progress
from ansible.module_utils.slipway.runner.install import install, request_of


def work(module: Any, progress: Progress) -> dict[str, Any]:
    return install(request_of(module.params), module.check_mode, progress.say)


def main() -> None:
    module = AnsibleModule(argument_spec={
        "home": {"type": "path", "default": "/opt/slipway"},
        "version": {"type": "str", "default": ""},
        "python": {"type": "str", "default": "python3"},
        "keep": {"type": "int", "default": 2},
        "root": {"type": "path", "required": True},
        "archive": {"type": "path"},
        "archive_version": {"type": "str"},
    }, supports_check_mode=True)
    door.run(module, work)


if __name__ == "__main__":
    main()
