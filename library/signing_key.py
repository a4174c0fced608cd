#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Ansible module signing_key."""

from __future__ import annotations

DOCUMENTATION = r"""
module: signing_key
short_description: A package repository's key, trusted by its fingerprint
description:
  - Fetches an OpenPGP public key and writes it where a package manager reads it, when it is the expected one.
  - The fingerprint is computed from the key itself; neither gpg nor another program is needed on the host.
  - Does not touch the network when the file already holds the expected key.
options:
  url:
    description: Where the key is; V(https), V(http) or V(file).
    type: str
    required: true
  dest:
    description: The file to write. Its directory must exist.
    type: path
    required: true
  fingerprints:
    description: The fingerprints of the primary keys that the file must hold, of all of them and of no other.
    type: list
    elements: str
    required: true
author: The slipway developers
"""

EXAMPLES = r"""
- name: Trust Jenkins' repository
  signing_key:
    url: https://pkg.jenkins.io/debian-stable/jenkins.io-2026.key
    dest: /etc/apt/keyrings/jenkins.asc
    fingerprints: [5E386EADB55F01504CAE8BCF7198F4B714ABFC68]
"""

RETURN = r"""
fingerprints:
  description: The fingerprints of the keys in the file.
  returned: success
  type: list
  elements: str
"""

from typing import Any  # noqa: E402

from ansible.module_utils.basic import AnsibleModule  # noqa: E402
from ansible.module_utils.slipway import door, signing_key  # noqa: E402
from ansible.module_utils.slipway.progress import Progress  # noqa: E402


def work(module: Any, progress: Progress) -> dict[str, Any]:
    given = module.params
    return signing_key.present(given["url"], given["dest"], given["fingerprints"], module.check_mode)


def main() -> None:
    module = AnsibleModule(argument_spec={
        "url": {"type": "str", "required": True},
        "dest": {"type": "path", "required": True},
        "fingerprints": {"type": "list", "elements": "str", "required": True},
    }, supports_check_mode=True)
    door.run(module, work)


if __name__ == "__main__":
    main()
