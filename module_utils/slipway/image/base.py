"""Which image a name like debian:12 means right now."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..docker.engine import Engine
from ..docker.pull import pull
from ..progress import Progress

#: Stands for a base image that check mode cannot identify without pulling it.
UNRESOLVED = "unresolved"


def identity(engine: Engine, reference: str, authorize: Callable[[], dict[str, str] | None], progress: Progress,
             refresh: bool = False, check_mode: bool = False) -> str:
    """Its registry digest, else the id the engine gave it. refresh: as the registry has it now, not the local copy.

    An image that is neither here nor described by its registry is pulled, in check mode not. authorize() gives
    credentials for the reference's registry, None for the engine's own way.
    """
    if "@" in reference:
        return reference.partition("@")[2]
    local = None if refresh else engine.image(reference)
    if local is None:
        digest = engine.registry_digest(reference, authorize())
        if digest:
            return digest
        if check_mode:
            return UNRESOLVED
        local = engine.image(reference)
        if local is None:
            pull(engine, reference, authorize(), progress)
            local = engine.image(reference)
    return known_as(reference, local or {})


def known_as(reference: str, image: dict[str, Any]) -> str:
    """The digest under which the registry of `reference` knows this image (as inspected), else its id; pure."""
    name = familiar(reference)
    digests = sorted(d.partition("@")[2] for d in image.get("RepoDigests") or [] if d.partition("@")[0] == name)
    return digests[0] if digests else str(image.get("Id", ""))


def familiar(reference: str) -> str:
    """The repository of a reference as the engine writes it: docker.io/library/debian:12 is debian; pure."""
    name = reference.partition("@")[0]
    head, slash, tail = name.rpartition("/")
    name = head + slash + tail.partition(":")[0]
    for prefix in ("docker.io/library/", "index.docker.io/library/", "docker.io/", "index.docker.io/"):
        if name.startswith(prefix):
            return name[len(prefix):]
    return name
