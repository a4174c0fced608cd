"""Pushes one tag: live, repeated when the connection breaks, and with the digest the registry gave."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from ..errors import EngineError, SlipwayError
from ..polling import delays
from ..progress import Progress
from .engine import Engine, plain_errors, refusal

#: Attempts before giving up; layers that arrived are not sent again. Together they outlast a restart of the engine.
ATTEMPTS = 8
#: The same while no layer was spoken of yet: a registry that is not there is worth fewer.
FIRST_ATTEMPTS = 3

_TRANSIENT = re.compile(
    r"EOF|connection reset|connection refused|broken pipe|i/o timeout|timeout|temporary failure|use of closed|"
    r"connection closed|stream error|http2:|\b(429|500|502|503|504)\b|toomanyrequests|server misbehaving|"
    r"does not answer|is not running|blob upload unknown|unexpected", re.IGNORECASE)
_EXPIRED = re.compile(r"token has expired|no basic auth credentials|unauthorized|authentication required|\b401\b",
                      re.IGNORECASE)
_IMMUTABLE = re.compile(r"immutable", re.IGNORECASE)
_DIGEST = re.compile(r"\S+: digest: (sha256:[0-9a-f]{64}) size: \d+")
_GONE = re.compile(r"tag does not exist|does not exist locally|no such image", re.IGNORECASE)


class TagIsImmutable(EngineError):
    """The registry keeps the tag for another image."""


class TagIsGone(EngineError):
    """The engine has no image by this name any more."""


@dataclass
class Layers:
    """Layers by their id or digest. present: the registry had them; sent: uploaded by us; bytes: (done, total)."""

    present: set[str] = field(default_factory=set)
    sent: set[str] = field(default_factory=set)
    seen: set[str] = field(default_factory=set)
    bytes: dict[str, tuple[int, int]] = field(default_factory=dict)
    digest: str = ""

    def read(self, record: dict[str, Any]) -> None:
        """Take one record of the engine's stream."""
        digest = (record.get("aux") or {}).get("Digest")
        if digest:
            self.digest = digest
        layer, status = record.get("id"), record.get("status", "")
        # An engine with the containerd image store says it in words alone.
        if not layer and (said := _DIGEST.fullmatch(status)):
            self.digest = said[1]
        # Records about the tag itself carry its name where layers have their id.
        if not layer or not re.fullmatch(r"[0-9a-f]{12}", layer):
            return
        self.seen.add(layer)
        if status == "Pushed":
            self.sent.add(layer)
            _, total = self.bytes.get(layer, (0, 0))
            self.bytes[layer] = (total, total)
        elif status == "Layer already exists" or status.startswith("Mounted from"):
            if layer not in self.sent:
                self.present.add(layer)
        elif status == "Pushing":
            detail = record.get("progressDetail") or {}
            done = int(detail.get("current") or 0)
            self.bytes[layer] = (done, max(done, int(detail.get("total") or 0)))

    @property
    def done(self) -> int:
        return len(self.sent | self.present)

    @property
    def bytes_done(self) -> int:
        return sum(done for done, _ in self.bytes.values())


def push(engine: Engine, repository_uri: str, tag: str, authorize: Callable[[], dict[str, str]],
         progress: Progress) -> Layers:
    """Push repository_uri:tag. authorize() returns fresh credentials; it is called again when they expired meanwhile.

    Raises TagIsImmutable, TagIsGone, or EngineError when the registry refuses or the connection broke ATTEMPTS times.
    """
    layers = Layers()
    auth = authorize()
    waits = delays(first=0.5, limit=10)
    renewed = 0
    for attempt in range(1, ATTEMPTS + 1):
        try:
            _once(engine, repository_uri, tag, auth, layers, progress)
            return layers
        except EngineError as error:
            text = str(error)
            if says_immutable(text):
                raise TagIsImmutable(error.message, error.remedy) from error
            if _GONE.search(text):
                raise TagIsGone(error.message, "Run this again.") from error
            if _EXPIRED.search(text) and renewed < 2:
                renewed += 1
                progress.say("push: the registry's token is no longer valid, getting a new one", "warn")
                auth = authorize()
                continue
            limit = ATTEMPTS if layers.seen else FIRST_ATTEMPTS
            if attempt >= limit or not _TRANSIENT.search(text):
                raise
            delay = next(waits)
            progress.say(f"push: {error.message} Trying again in {delay:.0f} s "
                         f"({attempt} of {limit - 1}).", "warn")
            time.sleep(delay)
    raise SlipwayError("push: not reached")


def _once(engine: Engine, repository_uri: str, tag: str, auth: dict[str, str], layers: Layers,
          progress: Progress) -> None:
    layers.digest = ""
    with plain_errors(engine.address, f"push to {repository_uri}"):
        records = engine.api.push(repository_uri, tag=tag, auth_config=auth, stream=True, decode=True)
        _follow(records, layers, progress, repository_uri)
    if not layers.digest:
        raise EngineError(f"push to {repository_uri}: the engine's connection closed early (EOF).")


def _follow(records: Iterable[dict[str, Any]], layers: Layers, progress: Progress, repository_uri: str) -> None:
    told = Told(layers, progress)
    for record in records:
        if "error" in record:
            raise refusal(str((record.get("errorDetail") or {}).get("message") or record["error"]),
                          f"push to {repository_uri}")
        layers.read(record)
        told()


class Told:
    """Says how far a push is, when it is time to."""

    def __init__(self, layers: Layers, progress: Progress) -> None:
        self._layers, self._progress = layers, progress
        self._started = self._last = time.monotonic()

    def __call__(self) -> None:
        now = time.monotonic()
        # Often at first, less often when it takes long: a push of minutes is not to fill the screen.
        if now - self._last >= min(5.0, 1 + (now - self._started) / 15):
            self._last = now
            self._progress.say(_line(self._layers, now - self._started))


def says_immutable(text: str) -> bool:
    """Whether a refusal says that the tag must stay on its image."""
    return bool(_IMMUTABLE.search(text))


def _line(layers: Layers, seconds: float) -> str:
    done = layers.bytes_done
    total = sum(total for _, total in layers.bytes.values())
    text = f"push: {layers.done} of {len(layers.seen)} layers"
    if total:
        text += f", {done / 1e6:.1f} of {total / 1e6:.1f} MB, {done / 1e6 / seconds:.1f} MB/s"
    return text
