"""What library/cfn_stack.py and library/cfn_stack_info.py call."""

from __future__ import annotations

from typing import Any

from ..aws.session import Aws
from ..interrupt import interruptible
from ..progress import Progress
from . import info, parameters
from .delete import absent
from .lifecycle import Present
from .options import from_params
from .template import Template, scalar

#: Shorter values would blank out half of every output, and are shown nowhere as values anyway.
_LONG_ENOUGH = 4


def work(module: Any, progress: Progress) -> dict[str, Any]:
    """cfn_stack. module: the QuietModule of library/cfn_stack.py; it shows no parameter but those in its `harmless`."""
    params = dict(module.params)
    options = from_params(params)

    def hide(template: Template) -> None:
        secrets = parameters.secrets(options.given(template), template)
        module.no_log_values.update(s for s in secrets if len(s) >= _LONG_ENOUGH)
        kept = {n for n, v in (*options.parameters.items(), *options.optional_parameters.items())
                if scalar(v) in secrets} | set(params.get("secret_parameters") or {})
        module.harmless = frozenset(d.name for d in template.parameters.values() if not d.no_echo) - kept

    with interruptible():
        aws = Aws(params)
        if params["state"] == "absent":
            return absent(aws, options, progress, module.check_mode)
        return Present(aws, options, progress, module.check_mode, hide).run()


def look(module: Any, progress: Progress) -> dict[str, Any]:
    """cfn_stack_info."""
    return info.read(Aws(module.params), module.params, progress)
