"""The verb of ecs_ledger: take a service's turn, or give it back with what was done in it."""

from __future__ import annotations

import os
from typing import Any

from ..aws.session import Aws
from ..errors import AwsError, InvalidInput
from ..notify.send import Settings, send
from ..progress import Progress
from . import book, lock, report
from .entry import Opening, close_entry, now_of, open_entry, unopened
from .record import COMPLETED, Record, closed, is_release


def turn(params: dict[str, Any], check_mode: bool, progress: Progress) -> dict[str, Any]:
    """Do what the module's arguments say and return its result."""
    if params["state"] == "closed" and not params["opened"].get("token"):
        # Without a turn to give back nothing is asked of AWS: what was refused for want of credentials is told too.
        return {**_close(None, params, check_mode), "api_calls": {}}
    if not params["table"]:
        raise InvalidInput("No table of the ledger is named.", "Give 'table'.")
    aws = Aws(params)
    result = _open(aws, params, check_mode, progress) if params["state"] == "open" else _close(aws, params, check_mode)
    return {**result, "api_calls": aws.api_calls()}


def _open(aws: Aws, params: dict[str, Any], check_mode: bool, progress: Progress) -> dict[str, Any]:
    service = params["service"]
    book.check_keep(params["keep"])
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


def _close(aws: Aws | None, params: dict[str, Any], check_mode: bool) -> dict[str, Any]:
    entry, token = params["opened"].get("entry"), params["opened"].get("token") or ""
    notify = Settings.of(params["notify"])
    if check_mode or not (token or params["report_dir"] or notify.any):
        return {"changed": False, "record": None, "report": None, "msg": "Nothing was opened."}
    if not token or not entry:
        entry = unopened(params["service"] or "", params["stack_name"] or params["service"] or "", params["kind"],
                         params["revision"] or "", params["who"] or "")
    target, stack = params["target"], params["stack"]
    if target:
        # The commit of the image, not of what lies in the source folder today.
        entry = {**entry, "commit": (target.get("release") or {}).get("commit") or ""}
    image = params["image"] or target
    refusal = next((one for one in (params["preflight"], params["opened"], target) if one.get("failed")), None)
    record = closed(entry, image, stack, params["rollout"], now_of(entry), refusal, params["task"])
    worth = is_release(image, stack, params["rollout"], params["task"])
    unproved = bool(stack.get("changed")) and not stack.get("failed") and record["verdict"] != COMPLETED
    # First what needs nobody else: AWS may be out of reach by now.
    page = report.write(record, params["report_dir"]) if params["report_dir"] else None
    warnings: list[str] = []
    kept, told = False, worth or bool(refusal)
    try:
        if token and aws:
            kept, warnings = close_entry(aws, params["table"], record, token, params["keep"], worth, unproved)
            told = told or kept
    finally:
        # Also of a release that could not be recorded.
        if told:
            warnings += send(notify, record, lambda: aws or Aws(params))
    words = f"Recorded: {record['verdict'].replace('_', ' ')}." if kept else "Nothing was released."
    return {"changed": kept, "record": record if kept else None, "report": page, "msg": words, "warnings": warnings}
