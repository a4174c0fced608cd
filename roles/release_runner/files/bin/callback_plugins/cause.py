"""Writes down which tasks ended a run and why, for the command that started it."""

from __future__ import annotations

import json
import os
from pathlib import Path

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = r"""
name: cause
type: aggregate
short_description: Leaves the tasks that ended a run in a file
description:
  - Writes a JSON list of objects with C(task), C(action), C(message) and C(remedy), one for each task that ended the
    run on its host, to the file that the environment variable C(SLIPWAY_CAUSE) names. A run that went well writes none.
requirements:
  - enabled by callbacks_enabled, and SLIPWAY_CAUSE in the environment
"""


class CallbackModule(CallbackBase):
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "cause"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self._failed = {}

    def v2_runner_on_failed(self, result, ignore_errors=False):
        if not ignore_errors:
            self._note(result)

    def v2_runner_on_unreachable(self, result):
        self._note(result)

    def _note(self, result):
        data = result.result
        hidden = data.get("_ansible_no_log") or data.get("censored")
        items = [item for item in data.get("results") or [] if isinstance(item, dict) and item.get("failed")]
        source = items[0] if items and not hidden else data
        # The first failure is the cause; what the tasks after it have to say of it is not.
        self._failed.setdefault(result.host.name, {
            "task": result.task.get_name().strip(), "action": str(result.task.action),
            "message": "Its result is hidden (no_log)." if hidden else str(source.get("msg") or "no message"),
            "remedy": "" if hidden else str(source.get("remedy") or "")})

    def v2_playbook_on_stats(self, stats):
        # A failure that a rescue section took care of is none.
        lost = [cause for host, cause in self._failed.items() if stats.failures.get(host) or stats.dark.get(host)]
        if lost and os.environ.get("SLIPWAY_CAUSE"):
            Path(os.environ["SLIPWAY_CAUSE"]).write_text(json.dumps(lost), encoding="utf-8")
