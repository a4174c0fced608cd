"""Whether a process still runs."""

from __future__ import annotations

from pathlib import Path


def alive(pid: int) -> bool:
    """False also for one that ended and waits for its parent to notice, which a container's first process may not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
