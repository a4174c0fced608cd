"""Copies one image, of one or several platforms, from a repository to another. Its digest stays what it is."""

from __future__ import annotations

import time

from ..errors import SlipwayError
from ..progress import Progress
from .registry import Place, Registry, blobs_of, children_of, repeated


def copy_image(source: Place, target: Place, digest: str, tag: str, progress: Progress) -> tuple[int, int]:
    """Copy `digest` and call it `tag` there. Returns the number of blobs sent and of those that were there.

    The manifest goes last: a copy that was cut off is no image, and goes on where it stopped.
    """
    done = _Done(progress)
    repeated(lambda: _once(Registry(source), Registry(target), digest, tag, done), lambda: bool(done.sent), "copy",
             progress)
    return len(done.sent), len(done.present)


class _Done:
    """Blobs by digest, and what is said of them about once a second."""

    def __init__(self, progress: Progress) -> None:
        self.sent: set[str] = set()
        self.present: set[str] = set()
        self.bytes = 0
        self._progress = progress
        self._started = self._last = time.monotonic()

    def part(self, size: int) -> None:
        self.bytes += size
        now = time.monotonic()
        if now - self._last >= 1:
            self._last = now
            rate = self.bytes / 1e6 / (now - self._started)
            self._progress.say(f"copy: {len(self.sent | self.present)} layers, {self.bytes / 1e6:.1f} MB, "
                               f"{rate:.1f} MB/s")


def _once(source: Registry, target: Registry, digest: str, tag: str, done: _Done) -> None:
    text, media_type = source.manifest(digest)
    for child in children_of(text):
        inner, inner_type = source.manifest(child)
        _blobs(source, target, inner, done)
        target.put_manifest(child, inner, inner_type)
    _blobs(source, target, text, done)
    stored = target.put_manifest(tag, text, media_type)
    if stored and stored != digest:
        raise SlipwayError(f"{target.host}/{target.name}:{tag} came out as {stored}, not as {digest}.",
                           "Something between changed the manifest; check proxies and pull-through rules.")


def _blobs(source: Registry, target: Registry, manifest: bytes, done: _Done) -> None:
    for digest, size in blobs_of(manifest):
        if digest in done.sent | done.present:
            continue
        if target.has_blob(digest) or (source.host == target.host and target.mount(digest, source.name)):
            done.present.add(digest)
            continue
        target.copy_blob(digest, size, source, done.part)
        done.sent.add(digest)
