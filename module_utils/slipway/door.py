"""The frame of every module in library/: arguments in, one call, result or a plain error out."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from .errors import SlipwayError
from .progress import Progress

#: Set by the action plugin of the same name; a user sets `live: false` instead.
PROGRESS_ARGUMENTS: dict[str, dict[str, Any]] = {
    "live": {"type": "bool", "default": True},
    "progress_file": {"type": "path"},
}


def run(module: Any, work: Callable[[Any, Progress], dict[str, Any]]) -> None:
    """Call work(module, progress) and leave with its dict; a SlipwayError becomes `msg`, `remedy` and its details."""
    progress = Progress(module.params.get("progress_file") if module.params.get("live") else None)
    try:
        result = work(module, progress)
    except SlipwayError as error:
        module.fail_json(msg=str(error), remedy=error.remedy, **error.details)
    except ImportError as error:
        module.fail_json(msg=f"The Python of this host, {sys.executable}, cannot import {error.name}: {error}.",
                         remedy="Install it for that Python, or set ansible_python_interpreter to one that has it.")
    except OSError as error:
        # A file of this machine that nobody foresaw: its name and the reason say more than a traceback.
        module.fail_json(msg=f"{error.filename}: {error.strerror}." if error.filename else str(error))
    else:
        for warning in result.pop("warnings", []):
            module.warn(warning)
        module.exit_json(**result)
