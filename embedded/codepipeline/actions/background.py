"""Work of actions on threads of its own."""

from __future__ import annotations

import logging
from collections.abc import Callable

from .. import engine, ministack
from ..errors import ActionFailed
from ..store import store

log = logging.getLogger("slipway")


def in_background(work: Callable[[str], None], action_id: str) -> None:
    """Do an action's work on a thread; what it raises fails the action."""
    ministack.background(_guarded, work, action_id)


def _guarded(work: Callable[[str], None], action_id: str) -> None:
    try:
        work(action_id)
    except ActionFailed as error:
        with store.changing():
            engine.fail(action_id, error.code, error.message)
    except Exception as error:
        log.exception("an action of CodePipeline")
        with store.changing():
            engine.fail(action_id, "InternalError", f"{type(error).__name__}: {error}")
