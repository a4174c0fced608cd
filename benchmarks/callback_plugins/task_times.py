"""Writes one JSON object a line for each task that ended: its name, when it began and ended, and its result."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ansible.plugins.callback import CallbackBase

if TYPE_CHECKING:
    from ansible.executor.task_result import CallbackTaskResult
    from ansible.playbook.task import Task

DOCUMENTATION = r"""
name: task_times
type: notification
short_description: Writes when each task began and ended
description:
  - For plays of one host. Times are seconds since the epoch, taken when ansible hands the task out and when it has the
    task's result, so they hold what ansible does around the module and not ansible's own start.
requirements:
  - enabled by ANSIBLE_CALLBACKS_ENABLED
  - the environment variable SLIPWAY_BENCH_TIMES names the file
"""

#: What the benchmarks read of a result.
_KEPT = ("changed", "msg", "action", "built", "pushed", "phases", "api_calls")


class CallbackModule(CallbackBase):
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "notification"
    CALLBACK_NAME = "task_times"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self) -> None:
        super().__init__()
        self._file = Path(os.environ["SLIPWAY_BENCH_TIMES"])
        self._started = 0.0

    def v2_playbook_on_task_start(self, task: Task, is_conditional: bool) -> None:
        self._started = time.time()

    def v2_runner_on_ok(self, result: CallbackTaskResult) -> None:
        self._write(result, failed=False)

    def v2_runner_on_failed(self, result: CallbackTaskResult, ignore_errors: bool = False) -> None:
        self._write(result, failed=True)

    def _write(self, result: CallbackTaskResult, failed: bool) -> None:
        ended = time.time()
        kept: dict[str, Any] = {key: result.result[key] for key in _KEPT if key in result.result}
        record = {"task": result.task.get_name(), "started": self._started, "ended": ended, "failed": failed,
                  "result": kept}
        with self._file.open("a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")
