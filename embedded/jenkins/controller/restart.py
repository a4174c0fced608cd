"""Pages that end, restart or quiet Jenkins."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import log
from .web import Answer, Request, page

if TYPE_CHECKING:
    from .controller import Controller
RESTART = 5
"""What Jenkins ends with so that whoever supervises it starts it again."""


def _home(controller: Controller) -> Answer:
    return Answer(302, headers={"Location": f"{controller.settings.prefix}/"})


def safe_restart(controller: Controller, request: Request) -> Answer:
    log.info("jenkins.model.Jenkins#doSafeRestart", f"Safe restart asked for by {request.caller.name}")
    controller.end_when_idle(RESTART)
    return _home(controller)


def restart(controller: Controller, request: Request) -> Answer:
    log.info("jenkins.model.Jenkins#doRestart", f"Restart asked for by {request.caller.name}")
    controller.ready.clear()
    controller.end(RESTART)
    return _home(controller)


def safe_exit(controller: Controller, request: Request) -> Answer:
    controller.end_when_idle(0)
    return page(200, "Shutting down", "Jenkins will go to shutdown as soon as all jobs are finished")


def leave(controller: Controller, request: Request) -> Answer:
    controller.end(0)
    return page(200, "Shutting down")


def quiet(controller: Controller, request: Request) -> Answer:
    controller.quiet_down(True)
    return _home(controller)


def cancel_quiet(controller: Controller, request: Request) -> Answer:
    controller.quiet_down(False)
    return _home(controller)
