"""Brings an image that a builder wrote as files to its registry: live, and repeated when the connection breaks.

For images of several platforms. An engine that keeps such images (26, with the containerd image store) pushes each part
under the tag before the whole, which a registry of immutable tags refuses.
"""

from __future__ import annotations

import json
from pathlib import Path

from ..errors import EngineError, SlipwayError
from ..progress import Progress
from .push import Layers, TagIsImmutable, Told, says_immutable
from .registry import Place, Registry, RegistryError, blobs_of, children_of, layers_of, repeated


class Layout:
    """A directory as the OCI lays images out: index.json, and each blob in a file named by its digest."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        listed = json.loads((directory / "index.json").read_text(encoding="utf-8"))["manifests"]
        if len(listed) != 1:
            raise EngineError(f"The builder wrote {len(listed)} images instead of one.", "Update docker-buildx.")
        self.digest: str = listed[0]["digest"]
        self.media_type: str = listed[0]["mediaType"]

    def path(self, digest: str) -> Path:
        return self._directory.joinpath("blobs", *digest.split(":"))

    def manifest(self, digest: str) -> bytes:
        return self.path(digest).read_bytes()


def upload(directory: Path, target: Place, tag: str, progress: Progress) -> Layers:
    """Bring the image in `directory` to `target` and call it `tag`, which goes last: what was cut off is no image.

    Raises TagIsImmutable, or SlipwayError when the registry refuses or the connection broke too often.
    """
    layout, layers = Layout(directory), Layers()
    told = Told(layers, progress)
    try:
        repeated(lambda: _once(layout, Registry(target), tag, layers, told), lambda: layers.done > 0, "push", progress)
    except RegistryError as error:
        if says_immutable(error.message):
            raise TagIsImmutable(error.message, error.remedy) from error
        raise
    return layers


def _once(layout: Layout, registry: Registry, tag: str, layers: Layers, told: Told) -> None:
    whole = layout.manifest(layout.digest)
    kinds = {part["digest"]: part["mediaType"] for part in json.loads(whole).get("manifests") or []}
    for digest in [*children_of(whole), layout.digest]:
        manifest = layout.manifest(digest)
        of_it = layers_of(manifest)
        layers.seen |= of_it
        for blob, size in blobs_of(manifest):
            if blob in layers.sent | layers.present:
                continue
            there = registry.has_blob(blob)
            if not there:
                _send(layout, registry, blob, size, layers if blob in of_it else Layers(), told)
            if blob in of_it:
                (layers.present if there else layers.sent).add(blob)
        if digest != layout.digest:
            registry.put_manifest(digest, manifest, kinds[digest])
    stored = registry.put_manifest(tag, whole, layout.media_type)
    if stored and stored != layout.digest:
        raise SlipwayError(f"{tag} came out as {stored}, not as {layout.digest}.",
                           "Something between changed the manifest; check proxies and pull-through rules.")
    layers.digest = layout.digest


def _send(layout: Layout, registry: Registry, digest: str, size: int, layers: Layers, told: Told) -> None:
    done = 0

    def tell(part: int) -> None:
        nonlocal done
        done += part
        layers.bytes[digest] = (done, size)
        told()

    with layout.path(digest).open("rb") as file:
        registry.send_blob(digest, size, file.read, tell)
