"""Packs the checkout and takes it to the host, where the module of the same name installs it."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

from ansible.plugins.action import ActionBase

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "module_utils"))
from slipway.errors import SlipwayError  # noqa: E402
from slipway.runner.archive import pack  # noqa: E402


class ActionModule(ActionBase):
    """One archive in one transfer, instead of a task for each file."""

    _supports_check_mode = True
    _supports_diff = True

    def run(self, tmp: Any = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        arguments = dict(self._task.args)
        if arguments.get("version"):
            return self._execute(arguments, task_vars)
        try:
            archive = pack(str(arguments.get("root", "")))
        except SlipwayError as error:
            return {"failed": True, "msg": str(error), "remedy": error.remedy}
        try:
            self._make_tmp_path()
            there = self._connection._shell.join_path(self._connection._shell.tmpdir, "runner.tar.gz")
            with tempfile.NamedTemporaryFile(prefix="slipway-runner-") as here:
                here.write(archive.data)
                here.flush()
                self._transfer_file(here.name, there)
            self._fixup_perms2((self._connection._shell.tmpdir, there))
            return self._execute({**arguments, "archive": there, "archive_version": archive.version}, task_vars)
        finally:
            self._remove_tmp_path(self._connection._shell.tmpdir)

    def _execute(self, arguments: dict[str, Any], task_vars: dict[str, Any] | None) -> dict[str, Any]:
        result: dict[str, Any] = self._execute_module(module_args=arguments, task_vars=task_vars)
        return result
