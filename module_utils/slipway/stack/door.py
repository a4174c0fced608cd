"""What library/cfn_stack.py and library/cfn_stack_info.py call."""

from __future__ import annotations

from typing import Any

from ..aws.session import Aws
from ..changes import HIDDEN
from ..interrupt import interruptible
from ..progress import Progress
from . import info
from .delete import absent
from .lifecycle import Present
from .options import from_params
from .template import scalar

#: Shorter values would blank out half of every output, and are shown nowhere as values anyway.
_LONG_ENOUGH = 4


def work(module: Any, progress: Progress) -> dict[str, Any]:
    """cfn_stack."""
    params = dict(module.params)
    given = params.get("parameters") or {}
    # Which of them are secrets only the template tells; until it is read none is shown.
    module.params["parameters"] = dict.fromkeys(given, HIDDEN)

    def hide(secrets: frozenset[str]) -> None:
        module.no_log_values.update(s for s in secrets if len(s) >= _LONG_ENOUGH)
        module.params["parameters"] = {k: HIDDEN if scalar(v) in secrets else v for k, v in given.items()}

    options = from_params(params)
    with interruptible():
        aws = Aws(params)
        if params["state"] == "absent":
            return absent(aws, options, progress, module.check_mode)
        return Present(aws, options, progress, module.check_mode, hide).run()


def look(module: Any, progress: Progress) -> dict[str, Any]:
    """cfn_stack_info."""
    return info.read(Aws(module.params), module.params, progress)
