#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Ansible module jenkins_plugins."""

from __future__ import annotations

DOCUMENTATION = r"""
module: jenkins_plugins
short_description: A pinned set of plugins that runs in a Jenkins
description:
  - Resolves the set and what it needs with Jenkins' plugin manager, in a directory of its own and as Jenkins' user, and
    touches Jenkins only when all of it could be had and fits.
  - Records versions and checksums in a lock file. When set, core and files are those of the record, there is no call
    but one to Jenkins, whether the plugins are active.
  - Restarts Jenkins when a plugin of the record is not active, after waiting for running builds.
  - A plugin of the record that the set no longer needs is removed, unless one that stays depends on it. Plugins that
    somebody else installed are left alone.
options:
  plugins:
    description:
      - The set. Keys are C(name), C(version) and, optional, C(sha256) of the plugin's file and C(reason), for readers.
    type: list
    elements: dict
    required: true
  misfits:
    description:
      - What is known to fail though the plugin's own file does not say so. Keys are C(name), C(versions) (empty for
        all), C(since) and C(until) (releases of Jenkins, the latter excluded) and C(reason).
    type: list
    elements: dict
    default: []
  url:
    description: Where Jenkins answers on this host.
    type: str
    default: http://127.0.0.1:8080
  credentials_file:
    description: A file with C(user:token) in one line.
    type: path
    default: /etc/slipway/jenkins/credentials
  tool_url:
    description: Where the plugin manager is.
    type: str
    required: true
  tool_checksum:
    description: Its SHA-256, or the URL of a file that begins with it.
    type: str
    required: true
  tool_path:
    description: Where to keep it.
    type: path
    required: true
  java:
    description: The Java that runs it.
    type: str
    default: java
  update_center:
    description: The base URL of the update centre; empty for Jenkins' own.
    type: str
    default: ""
  home:
    description: The home directory of Jenkins.
    type: path
    default: /var/lib/jenkins
  war:
    description: The program of Jenkins, which says its version.
    type: path
    default: /usr/share/java/jenkins.war
  lock_file:
    description: The record of what was installed.
    type: path
    default: /etc/slipway/jenkins/plugins.lock.json
  user:
    description: The user that Jenkins runs as.
    type: str
    default: jenkins
  unit:
    description: The systemd unit of Jenkins.
    type: str
    default: jenkins.service
  start_timeout:
    description: Seconds that a start may take.
    type: int
    default: 300
  drain_timeout:
    description: Seconds that a restart waits for running builds.
    type: int
    default: 3600
author: The slipway developers
"""

EXAMPLES = r"""
- name: Run with the plugin of CodePipeline
  jenkins_plugins:
    plugins:
      - name: aws-codepipeline
        version: "0.47"
    tool_url: https://github.com/jenkinsci/plugin-installation-manager-tool/releases/download/2.14.0/jenkins-plugin-manager-2.14.0.jar
    tool_checksum: https://github.com/jenkinsci/plugin-installation-manager-tool/releases/download/2.14.0/jenkins-plugin-manager-2.14.0.jar.sha256
    tool_path: /usr/local/lib/slipway/jenkins-plugin-manager-2.14.0.jar
"""

RETURN = r"""
plan:
  description: What differed, or in check mode differs, in plain words.
  returned: success
  type: list
  elements: str
  sample: ["aws-codepipeline 0.47 is new"]
plugins:
  description: The version of each plugin that the set led to.
  returned: success
  type: dict
  sample: {"aws-codepipeline": "0.47"}
restarted:
  description: Whether Jenkins was restarted.
  returned: success
  type: bool
"""

from typing import Any  # noqa: E402

from ansible.module_utils.basic import AnsibleModule  # noqa: E402
from ansible.module_utils.slipway import door  # noqa: E402
from ansible.module_utils.slipway.jenkins import plugin_set, plugins  # noqa: E402
from ansible.module_utils.slipway.jenkins.client import Jenkins  # noqa: E402
from ansible.module_utils.slipway.jenkins.service import Service, Systemd  # noqa: E402
from ansible.module_utils.slipway.progress import Progress  # noqa: E402


def work(module: Any, progress: Progress) -> dict[str, Any]:
    given = module.params
    service = Service(Jenkins(given["url"], given["credentials_file"]), Jenkins(given["url"]), Systemd(given["unit"]),
                      given["start_timeout"], given["drain_timeout"], progress.say)
    tool, place = plugins.settings(given)
    return plugins.present(plugin_set.wanted(given["plugins"]), plugin_set.misfits(given["misfits"]), tool, place,
                           service, module.check_mode, progress.say)


def main() -> None:
    module = AnsibleModule(argument_spec={
        "plugins": {"type": "list", "elements": "dict", "required": True},
        "misfits": {"type": "list", "elements": "dict", "default": []},
        "url": {"type": "str", "default": "http://127.0.0.1:8080"},
        "credentials_file": {"type": "path", "default": "/etc/slipway/jenkins/credentials"},
        "tool_url": {"type": "str", "required": True},
        "tool_checksum": {"type": "str", "required": True},
        "tool_path": {"type": "path", "required": True},
        "java": {"type": "str", "default": "java"},
        "update_center": {"type": "str", "default": ""},
        "home": {"type": "path", "default": "/var/lib/jenkins"},
        "war": {"type": "path", "default": "/usr/share/java/jenkins.war"},
        "lock_file": {"type": "path", "default": "/etc/slipway/jenkins/plugins.lock.json"},
        "user": {"type": "str", "default": "jenkins"},
        "unit": {"type": "str", "default": "jenkins.service"},
        "start_timeout": {"type": "int", "default": 300},
        "drain_timeout": {"type": "int", "default": 3600},
    }, supports_check_mode=True)
    door.run(module, work)


if __name__ == "__main__":
    main()
