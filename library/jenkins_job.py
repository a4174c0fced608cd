#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Door to slipway.jenkins.job: documentation, arguments, one call."""

from __future__ import annotations

DOCUMENTATION = r"""
module: jenkins_job
short_description: Create, update or remove the Jenkins job that releases
description:
  - Checks the configuration against all that Jenkins and the plugin C(aws-codepipeline) need of it, and posts it when
    it differs from what was posted last, when the job is gone, or when Jenkins has lost a part of it.
  - Jenkins gives a configuration back in its own words, so what was posted last is kept in a file.
  - Refuses to post where the plugin is not active, because Jenkins would drop what belongs to it and report success.
  - Runs on the host of Jenkins, as root.
options:
  name:
    description: Name of the job, 1 to 20 letters, digits, C(_) and C(-).
    type: str
    required: true
  state:
    description: V(absent) removes the job with its builds. A job with a running build is not removed.
    type: str
    choices: [present, absent]
    default: present
  config:
    description: The job's C(config.xml). Needed for O(state=present).
    type: str
  url:
    description: URL of Jenkins, as its host reaches it.
    type: str
    default: http://127.0.0.1:8080
  credentials_file:
    description: File with C(user:token) of an administrator.
    type: path
    default: /etc/slipway/jenkins/credentials
  record_directory:
    description: Directory for what was posted last, one file a job. Only root can read it.
    type: path
    default: /etc/slipway/jenkins/jobs
attributes:
  check_mode:
    description: Says what would be done, also where no Jenkins is yet.
    support: full
  diff_mode:
    description: The configuration before and after, without values of variables whose names speak of secrets.
    support: full
author: The slipway developers
"""

EXAMPLES = r"""
- name: Create or update the job
  jenkins_job:
    name: shop
    config: "{{ lookup('ansible.builtin.template', 'config.xml.j2') }}"

- name: Remove the job
  jenkins_job:
    name: shop
    state: absent
"""

RETURN = r"""
action:
  description: What was done, or would be. One of V(create), V(update), V(delete), V(none).
  returned: success
  type: str
  sample: update
name:
  description: Name of the job.
  returned: success
  type: str
  sample: shop
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.slipway import door
from ansible.module_utils.slipway.jenkins.job import ensure, request_of
from ansible.module_utils.slipway.progress import Progress


def work(module: Any, _progress: Progress) -> dict[str, Any]:
    return ensure(request_of(module.params), module.check_mode)


def main() -> None:
    module = AnsibleModule(argument_spec={
        "name": {"type": "str", "required": True},
        "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
        "config": {"type": "str"},
        "url": {"type": "str", "default": "http://127.0.0.1:8080"},
        "credentials_file": {"type": "path", "default": "/etc/slipway/jenkins/credentials"},
        "record_directory": {"type": "path", "default": "/etc/slipway/jenkins/jobs"},
    }, supports_check_mode=True, required_if=[("state", "present", ["config"])])
    door.run(module, work)


if __name__ == "__main__":
    main()
