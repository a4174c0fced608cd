"""Runs the module of the task's name, in a fork of ansible's worker (forked.py) where that is possible.

Modules have a link to this file under their own name, or to live.py, which also shows what they say while they work.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

display = Display()


def _beside(file: str) -> ModuleType:
    """The file of that name beside this one: ansible loads a plugin by its path, and no package around it."""
    name = f"slipway_action_{file}"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, Path(__file__).resolve().with_name(f"{file}.py"))
        assert spec and spec.loader
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
    return sys.modules[name]


def _forked() -> ModuleType:
    return _beside("forked")


# Ansible loads a task's plugin, by its module's name, before it forks the task's workers.
_warm = _beside("warm")


def prepare(plugin: str) -> None:
    """plugin: what ansible has named the plugin's file."""
    _forked().prepare(plugin.rpartition(".")[2])


prepare(__name__)


class ActionModule(ActionBase):
    """As ansible's own _execute_module in all but how the module is made and started."""

    _supports_check_mode = True
    _supports_diff = True
    _forks = False
    _payload: bytes | None = None

    def run(self, tmp: Any = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        return self._execute(dict(self._task.args), task_vars)

    def _execute(self, arguments: dict[str, Any], task_vars: dict[str, Any] | None) -> dict[str, Any]:
        self._environment: dict[str, Any] = {}
        self._payload = None
        self._forks = self._can_fork(task_vars or {})
        with nullcontext() if self._forks else self._while_it_runs():
            result: dict[str, Any] = self._execute_module(module_args=arguments, task_vars=task_vars)
        return result

    def _while_it_runs(self) -> AbstractContextManager[None]:
        """What surrounds the module's run. It begins after a fork, which must not happen beside a thread."""
        return nullcontext()

    def _can_fork(self, task_vars: dict[str, Any]) -> bool:
        try:
            self._compute_environment_string(self._environment)
            if shared := _warm.shared(task_vars.get("ansible_play_hosts_all") or (),
                                      task_vars.get("ansible_play_batch") or ()):
                self._environment["SLIPWAY_SHARED"] = shared
            reason = _forked().why_not(self, task_vars, self._environment)
        except Exception as error:
            # Whatever it is, the usual way meets it too, and tells of it as usual.
            reason = f"{type(error).__name__}: {error}"
        if reason:
            display.vvv(f"{self._task.action} runs as a program of its own: {reason}")
        return not reason

    def _is_pipelining_enabled(self, module_style: str, wrap_async: bool = False) -> bool:
        """Whether no file is needed for the module; that is what a fork has in common with a pipe."""
        return self._forks or bool(super()._is_pipelining_enabled(module_style, wrap_async))

    def _configure_module(self, module_name: str, module_args: dict[str, Any],
                          task_vars: dict[str, Any]) -> tuple[Any, str]:
        if not self._forks:
            found: tuple[Any, str] = super()._configure_module(module_name, module_args, task_vars)
            return found
        context = self._shared_loader_obj.module_loader.find_plugin_with_context(
            module_name, ".py", collection_list=self._task.collections)
        self._path = str(context.plugin_resolved_path)
        self._payload = _forked().payload(module_args)
        return SimpleNamespace(b_module_data=self._payload, module_style="new", shebang=f"#!{sys.executable}",
                               serialization_profile=_forked().PROFILE), self._path

    def _low_level_execute_command(self, cmd: str, sudoable: bool = True, in_data: bytes | None = None,
                                   *others: Any, **more: Any) -> dict[str, Any]:
        if self._payload is None or in_data is not self._payload:
            result: dict[str, Any] = super()._low_level_execute_command(cmd, sudoable, in_data, *others, **more)
            return result
        display.vvv(f"Running it in a fork of the worker {os.getpid()}.")
        fork = _forked().Fork(self._path, self._payload, self._environment)
        with self._while_it_runs():
            return dict(fork.result())
