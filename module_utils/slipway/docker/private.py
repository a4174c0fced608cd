"""What is gone with the process: directories - at once when it ends, by the next run when it was killed - and locks."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

#: Seconds that a run may need between making a directory and locking it.
_YOUNG = 60


@contextmanager
def private_directory(prefix: str, parent: str | None = None) -> Iterator[Path]:
    """A directory for this user alone, named `prefix`..., in `parent` (None: where temporary files go).

    Locked while the block runs; those of the same prefix that nobody holds any more are removed.
    """
    where = Path(parent or tempfile.gettempdir())
    _sweep(where, prefix)
    directory = Path(tempfile.mkdtemp(prefix=prefix, dir=where))
    handle = os.open(directory, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)
        os.close(handle)


@contextmanager
def alone(what: str, waiting: Callable[[float], None]) -> Iterator[bool]:
    """One at a time of this user's runs that do `what`; tells whether another one was waited for. waiting(seconds) is
    called at once and about every second while it is. Where nothing can be locked, nobody waits."""
    folder = Path(tempfile.gettempdir()) / f"slipway-locks-{os.getuid()}"
    # A fixed number of files, which stay. Two subjects of the same file wait for each other without need, seldom.
    name = hashlib.sha256(what.encode()).hexdigest()[:2]
    handle = -1
    with suppress(OSError):
        folder.mkdir(mode=0o700, exist_ok=True)
        handle = os.open(folder / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        yield handle >= 0 and _locked(handle, waiting)
    finally:
        if handle >= 0:
            os.close(handle)


def _locked(handle: int, waiting: Callable[[float], None]) -> bool:
    started = time.monotonic()
    asked = 0
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if asked % 10 == 0:
                waiting(time.monotonic() - started)
            asked += 1
            time.sleep(0.1)
        else:
            return asked > 0


def _sweep(where: Path, prefix: str) -> None:
    for directory in where.glob(f"{prefix}*"):
        # Somebody else may be at the same.
        with suppress(OSError):
            info = directory.lstat()
            if info.st_uid != os.getuid() or time.time() - info.st_ctime < _YOUNG:
                continue
            handle = os.open(directory, os.O_RDONLY | os.O_CLOEXEC | os.O_DIRECTORY | os.O_NOFOLLOW)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(directory)
            finally:
                os.close(handle)
