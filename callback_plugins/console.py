"""Ansible's own screen output, but a failure of our modules is text for a person and not a page of data."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any

from ansible import constants as C
from ansible.plugins.callback.default import CallbackModule as Default

if TYPE_CHECKING:
    from ansible.executor.task_result import CallbackTaskResult
    from ansible.playbook.task import Task

DOCUMENTATION = r"""
name: console
type: stdout
short_description: Ansible's default output, readable where a release fails
description:
  - As the default output, with two differences. A failed task of this project's modules shows its message and what was
    found out, line by line; the whole result is shown from C(-vv) on. Checks of a role's arguments show only when they
    fail.
extends_documentation_fragment:
  - default_callback
  - result_format_callback
requirements:
  - set as stdout_callback in ansible.cfg
"""

OURS = frozenset({"cfn_stack", "cfn_stack_info", "ecr_push", "ecr_promote", "ecs_preflight", "ecs_rollout",
                  "ecs_task_definitions", "ecs_ledger", "ecs_ledger_info", "ecs_rollback_target",
                  "jenkins_job", "runner_install", "codecommit_seed", "pipeline_execution", "pipeline_action_version",
                  "pipeline_action_prune", "release_status"})
_WIDTH = 118


def readable(result: dict[str, Any]) -> str:
    """A failed result of one of our modules as indented lines: message, then the evidence."""
    lines = []
    for paragraph in str(result.get("msg", "")).splitlines():
        lines += textwrap.wrap(paragraph, _WIDTH - 4, break_long_words=False, break_on_hyphens=False) or [""]
    evidence = result.get("evidence") or (result.get("diagnosis") or {}).get("evidence") or []
    return "\n".join([*(f"  {line}" for line in lines), *(f"    - {item}" for item in map(_on_one_level, evidence))])


def _on_one_level(item: Any) -> str:
    return str(item).rstrip().replace("\n", "\n      ")


class CallbackModule(Default):
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "stdout"
    CALLBACK_NAME = "console"

    def _task_start(self, task: Task, prefix: str | None = None) -> None:
        super()._task_start(task, prefix=prefix)
        # Live lines belong below their task's name, so it cannot wait for the task's end; it waits only for tasks that
        # may have nothing to say.
        if not (_checks_arguments(task) or task.when) and self._last_task_banner != task._uuid:
            self._print_task_banner(task)

    def v2_runner_on_ok(self, result: CallbackTaskResult) -> None:
        if _checks_arguments(result.task) and not self._display.verbosity:
            return
        super().v2_runner_on_ok(result)

    def v2_runner_on_failed(self, result: CallbackTaskResult, ignore_errors: bool = False) -> None:
        if result.task.action not in OURS or self._display.verbosity > 1 or "results" in result.result:
            super().v2_runner_on_failed(result, ignore_errors)
            return
        if self._last_task_banner != result.task._uuid:
            self._print_task_banner(result.task)
        self._handle_warnings(result.result)
        use_stderr = self.get_option("display_failed_stderr")
        self._display.display(f"fatal: [{self.host_label(result)}]: FAILED!\n{readable(result.result)}",
                              color=C.COLOR_ERROR, stderr=use_stderr)
        if ignore_errors:
            self._display.display("...ignoring", color=C.COLOR_SKIP)


def _checks_arguments(task: Task) -> bool:
    return str(task.action).rpartition(".")[2] == "validate_argument_spec"
