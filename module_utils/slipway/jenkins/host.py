"""What a host has that matters to Jenkins: packages, who holds the port, space, and the time."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

LISTEN = "0A"
#: How the two package managers are asked; both answer with lines "status name version".
QUERIES = {
    "apt": ["dpkg-query", "--show", "--showformat", "${db:Status-Status} ${Package} ${Version}\\n"],
    "dnf": ["rpm", "--query", "--queryformat", "installed %{NAME} %{VERSION}\\n"],
}
Runner = Callable[[list[str]], str]


@dataclass(frozen=True)
class Listener:
    """A socket that listens: its address in the kernel's own hex, and its inode."""

    address: str
    port: int
    inode: str


def run(command: list[str]) -> str:
    """The standard output, whatever the exit status; empty where there is no such command."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False,
                              env={**os.environ, "LC_ALL": "C"})
    except OSError:
        return ""
    return done.stdout


def facts(manager: str, packages: list[str], port: int, unit: str, spaces: list[str], proc: Path = Path("/proc"),
          runner: Runner = run) -> dict[str, Any]:
    """Everything that the role's preflight decides from, in one look."""
    return {
        "root": os.geteuid() == 0,
        "time": int(time.time()),
        "packages": installed(runner([*QUERIES[manager], *packages])),
        "interrupted": bool(runner(["dpkg", "--audit"]).strip()) if manager == "apt" else False,
        "holder": holder(port, unit, proc),
        "free_mb": free(spaces),
    }


def installed(answer: str) -> dict[str, str]:
    """Package to version, of those that are installed whole."""
    lines = (line.split() for line in answer.splitlines())
    return {line[1]: line[2] for line in lines if len(line) == 3 and line[0] == "installed"}


def free(spaces: Iterable[str]) -> dict[str, int]:
    """Directory to free megabytes; for one that is not there yet those of the nearest that is."""
    found = {}
    for space in spaces:
        place = Path(space)
        while not place.exists():
            place = place.parent
        found[space] = shutil.disk_usage(place).free // (1 << 20)
    return found


def holder(port: int, unit: str, proc: Path) -> dict[str, Any]:
    """The process outside `unit` that listens on `port` at any address; empty when there is none."""
    inodes = {listener.inode for table in ("tcp", "tcp6") for listener in listeners(_read(proc / "net" / table))
              if listener.port == port}
    if not inodes:
        return {}
    for process in proc.glob("[0-9]*"):
        if not inodes & set(_sockets(process)):
            continue
        if unit in _read(process / "cgroup"):
            return {}
        return {"pid": int(process.name), "name": _read(process / "comm").strip(),
                "command": _read(process / "cmdline").replace("\0", " ").strip()[:200]}
    # Of another namespace (a container's proxy, a socket unit of systemd) or hidden from us.
    return {"pid": 0, "name": "a process that cannot be seen", "command": ""}


def listeners(table: str) -> list[Listener]:
    """The listening sockets of /proc/net/tcp or tcp6."""
    found = []
    for line in table.splitlines()[1:]:
        fields = line.split()
        if len(fields) > 9 and fields[3] == LISTEN:
            address, _, port = fields[1].partition(":")
            found.append(Listener(address, int(port, 16), fields[9]))
    return found


def _sockets(process: Path) -> list[str]:
    """Inodes of a process's sockets; of what ends or is closed while we look, none."""
    found = []
    with suppress(OSError):
        for handle in (process / "fd").iterdir():
            with suppress(OSError):
                match = re.fullmatch(r"socket:\[(\d+)\]", str(handle.readlink()))
                if match:
                    found.append(match[1])
    return found


def _read(file: Path) -> str:
    try:
        return file.read_text(errors="replace")
    except OSError:
        return ""
