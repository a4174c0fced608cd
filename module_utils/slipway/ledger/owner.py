"""The process a release belongs to, told apart from every other on any machine."""

from __future__ import annotations

from pathlib import Path


def place() -> str:
    """This boot of this machine and its process numbers' namespace; '' where the system does not say (then a process
    of another place is never taken for dead)."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot}/{Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return ""


def name(pid: int) -> str:
    """What identifies process `pid` of this machine, also when its number is given to another one later."""
    return f"{place()} {pid} {_started(pid)}"


def is_dead(owner: str) -> bool:
    """Whether the process of that name() has certainly ended: it was one of this place and is no more."""
    where, _, rest = owner.partition(" ")
    pid, _, started = rest.partition(" ")
    if not where or where != place() or not pid.isdigit():
        return False
    return not started or _started(int(pid)) != started


def _started(pid: int) -> str:
    """Start of the process in ticks since boot, '' when there is none; a zombie has ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] in "ZX" else fields[19]
