"""What modules that speak while they work document the same (module_utils/slipway/door.py, PROGRESS_ARGUMENTS)."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  live:
    description: Whether progress is shown while the task runs. On a remote host there is none.
    type: bool
    default: true
  progress_file:
    description: Set by the action plugin of the module; not for users.
    type: path
"""
