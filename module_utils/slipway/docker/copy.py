"""Copies one image, of one or several platforms, from a repository to another. Its digest stays what it is."""

from __future__ import annotations

import time

from ..errors import SlipwayError
from ..progress import Progress
from .registry import Place, Registry, blobs_of, children_of


def copy_image(source: Place, target: Place, digest: str, tag: str, progress: Progress) -> tuple[int, int]:
    """Copy `digest` and call it `tag` there. Returns the number of blobs sent and of those that were there.

    The manifest goes last: a copy that was cut off is no image, and the next one goes on where it stopped.
    """
    one, two = Registry(source), Registry(target)
    done = _Told(progress)
    text, media_type = one.manifest(digest)
    for child in children_of(text):
        inner, inner_type = one.manifest(child)
        _blobs(one, two, inner, done)
        two.put_manifest(child, inner, inner_type)
    _blobs(one, two, text, done)
    stored = two.put_manifest(tag, text, media_type)
    if stored and stored != digest:
        raise SlipwayError(f"{target.uri}:{tag} came out as {stored}, not as {digest}.",
                           "Something between changed the manifest; check proxies and pull-through rules.")
    return done.sent, done.present


class _Told:
    """Counts, and says so about once a second."""

    def __init__(self, progress: Progress) -> None:
        self.sent = self.present = self.bytes = 0
        self._progress = progress
        self._started = self._last = time.monotonic()

    def part(self, size: int) -> None:
        self.bytes += size
        now = time.monotonic()
        if now - self._last >= 1:
            self._last = now
            rate = self.bytes / 1e6 / (now - self._started)
            self._progress.say(f"copy: {self.sent + self.present} layers, {self.bytes / 1e6:.1f} MB, {rate:.1f} MB/s")


def _blobs(source: Registry, target: Registry, manifest: bytes, done: _Told) -> None:
    for digest, size in blobs_of(manifest):
        if target.has_blob(digest) or (source.host == target.host and target.mount(digest, source.name)):
            done.present += 1
            continue
        target.copy_blob(digest, size, source, done.part)
        done.sent += 1
