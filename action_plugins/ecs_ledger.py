"""Runs module ecs_ledger with its live lines, and starts the keeper of a lock that was taken.

The keeper (module_utils/slipway/ledger/keeper.py) outlives this worker, so the module, which ends at once, cannot be
the one to start it: it is a process of the controller's, beside the playbook.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from ansible.plugins.loader import action_loader

Live: Any = action_loader.get("live", class_only=True)
_CODE = Path(__file__).resolve().parents[1] / "module_utils"
_AWS = ("region", "profile", "access_key", "secret_key", "session_token", "endpoint_url", "aws_ca_bundle",
        "validate_certs")


class ActionModule(Live):  # type: ignore[misc]
    def run(self, tmp: Any = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        opening = self._task.args.get("state") == "open"
        if opening:
            self._task.args["pid"] = os.getppid()
        result: dict[str, Any] = super().run(tmp, task_vars)
        if result.get("failed"):
            return result
        if opening and result.get("token"):
            self._keep(result, str(self._notes(task_vars, fresh=True) or ""))
        elif token := (self._task.args.get("opened") or {}).get("token"):
            # The keeper need not ask AWS whether its work is done.
            self._note(task_vars, {"closed": token})
        return result

    def _keep(self, opened: dict[str, Any], notes: str) -> None:
        given = {"aws": {name: self._task.args.get(name) for name in _AWS}, "table": self._task.args["table"],
                 "entry": opened["entry"], "token": opened["token"], "pid": os.getppid(), "notes": notes,
                 "report_dir": self._task.args.get("report_dir") or "",
                 "notify": self._task.args.get("notify") or {}}
        keeper = subprocess.Popen(
            [sys.executable, "-m", "slipway.ledger.keeper"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, start_new_session=True, cwd="/", env=self._keepers_environment())
        assert keeper.stdin is not None
        keeper.stdin.write(json.dumps(given).encode())
        keeper.stdin.close()

    def _keepers_environment(self) -> dict[str, str]:
        environment = dict(os.environ)
        for part in self._task.environment or []:
            if part:
                environment.update({name: str(value) for name, value in self._templar.template(part).items()})
        # Jenkins ends what carries its build's cookie when the build ends; the keeper has a moment's work left then.
        environment.pop("JENKINS_NODE_COOKIE", None)
        environment["PYTHONPATH"] = str(_CODE)
        if "SLIPWAY_SHARED" in self._environment:
            environment["SLIPWAY_SHARED"] = self._environment["SLIPWAY_SHARED"]
        return environment
