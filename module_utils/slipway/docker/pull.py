"""Pulls one image."""

from __future__ import annotations

from ..errors import EngineError
from ..progress import Progress
from .engine import Engine, plain_errors, refusal


def pull(engine: Engine, reference: str, auth: dict[str, str] | None, progress: Progress) -> None:
    """Pull `reference`; auth None uses what the user is logged in with. Raises EngineError naming the image."""
    doing = f"base image {reference}"
    progress.say(f"pull: {reference}")
    with plain_errors(engine.address, doing):
        for record in engine.api.pull(_tagged(reference), auth_config=auth, stream=True, decode=True):
            if "error" in record:
                raise _failure(str(record["error"]), doing)
            progress.heartbeat(f"pull: {reference} {record.get('status', '')} {record.get('progress', '')}")


def _failure(text: str, doing: str) -> EngineError:
    failure = refusal(text, doing)
    if not failure.remedy:
        failure.remedy = "Check the FROM line, or make the image available to the engine ('docker pull' must work)."
    return failure


def _tagged(reference: str) -> str:
    # Without a tag the engine would pull them all.
    return reference if ":" in reference.rpartition("/")[2] or "@" in reference else f"{reference}:latest"
