"""The peak resident memory of the processes below a play's workers, which are the modules."""

from __future__ import annotations

import contextlib
import threading
from pathlib import Path
from types import TracebackType

_EVERY = 0.02


class Peak:
    """Within the block, watches what runs below process `pid` (ansible-playbook); `megabytes` is the greatest peak.

    Children are ansible's workers; what they start, by a shell or a fork of their own, is the module. The kernel keeps
    each process's peak, so nothing is missed but what a process takes in its last hundredths of a second.
    """

    def __init__(self, pid: int) -> None:
        self._root = pid
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self.megabytes = 0.0

    def __enter__(self) -> Peak:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self._done.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._done.wait(_EVERY):
            parents = _parents()
            for pid in parents:
                # Neither ansible-playbook nor a worker, but below them.
                above = parents.get(parents[pid], 0)
                while above not in (0, self._root):
                    above = parents.get(above, 0)
                if above == self._root:
                    self.megabytes = max(self.megabytes, _peak(pid))


def _parents() -> dict[int, int]:
    found = {}
    for path in Path("/proc").iterdir():
        if path.name.isdigit():
            with contextlib.suppress(OSError, ValueError, IndexError):
                # The name before the parenthesis may hold anything.
                found[int(path.name)] = int((path / "stat").read_text().rpartition(")")[2].split()[1])
    return found


def _peak(pid: int) -> float:
    with contextlib.suppress(OSError, ValueError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024 / 1e6
    return 0.0
