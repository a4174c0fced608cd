"""The verb of ecs_ledger: take a service's turn, or give it back with what was done in it."""

from __future__ import annotations

import os
from typing import Any

from ..aws.session import Aws
from ..errors import AwsError
from ..progress import Progress
from . import lock, report
from .entry import Opening, close_entry, open_entry
from .record import Record


def turn(params: dict[str, Any], check_mode: bool, progress: Progress) -> dict[str, Any]:
    """Do what the module's arguments say and return its result."""
    aws = Aws(params)
    result = _open(aws, params, check_mode, progress) if params["state"] == "open" else _close(aws, params, check_mode)
    return {**result, "api_calls": aws.api_calls()}


def _open(aws: Aws, params: dict[str, Any], check_mode: bool, progress: Progress) -> dict[str, Any]:
    service = params["service"]
    if check_mode:
        running = _holder(aws, params["table"], service)
        words = f"{lock.describe(running)}." if running else f"No release of {service} runs."
        return {"changed": False, "entry": running, "token": "", "inherited": None, "waited": 0.0, "msg": words}
    opening = Opening(params["table"], service, params["stack_name"], params["kind"], params["busy"],
                      params["lock_timeout"], params["pid"] or os.getppid(), params["who"] or "",
                      params["source"] or "", params["revision"] or "")
    return {"changed": False, "msg": f"Opened the record of a {params['kind']} of {service}.",
            **open_entry(aws, opening, progress)}


def _holder(aws: Aws, table: str, service: str) -> Record | None:
    """In a preview of the very first run there is no table yet, and nobody who holds its lock."""
    try:
        return lock.holder(aws, table, service)
    except AwsError as error:
        if error.code != "ResourceNotFoundException":
            raise
        return None


def _close(aws: Aws, params: dict[str, Any], check_mode: bool) -> dict[str, Any]:
    opened = params["opened"]
    if check_mode or not opened.get("token"):
        return {"changed": False, "record": None, "report": None, "msg": "Nothing was opened."}
    record = close_entry(aws, params["table"], opened["entry"], opened["token"], params["image"], params["stack"],
                         params["rollout"], params["keep"])
    words = f"Recorded: {record['verdict'].replace('_', ' ')}." if record else "Nothing was released."
    page = report.write(record, params["report_dir"]) if record and params["report_dir"] else None
    return {"changed": record is not None, "record": record, "report": page, "msg": words}
