"""The programs that building needs: run with a clear message where they fail, installed from Debian where missing."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

Say = Callable[[str], None]
INSTALL_SECONDS = 600


class BuildError(Exception):
    """The message says what to do next."""


def run(command: Sequence[str | Path], environment: dict[str, str] | None = None, **options: object) -> str:
    """Standard output of the command."""
    words = [str(word) for word in command]
    done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          env={**os.environ, **(environment or {})}, **options)  # type: ignore[call-overload]
    if done.returncode != 0:
        last = "\n".join((done.stderr or done.stdout).strip().splitlines()[-5:])
        raise BuildError(f"{words[0]} failed ({done.returncode}): {last or 'it says nothing'}")
    return str(done.stdout)


def ensure(program: str, packages: Sequence[str], say: Say) -> None:
    """Install the packages from this machine's Debian mirror where the program is missing."""
    if shutil.which(program):
        return
    wanted = " ".join(packages)
    if not shutil.which("apt-get") or os.geteuid() != 0:
        raise BuildError(f"{program} is needed to build the stand-in's packages, and is missing: install it "
                         f"(Debian: apt-get install --no-install-recommends {wanted}), then run this again.")
    say(f"{program} is missing: installing {wanted} from Debian.")
    quiet = {"DEBIAN_FRONTEND": "noninteractive"}
    install = ["apt-get", "-q", "-y", "-o", "DPkg::Lock::Timeout=300", "install", "--no-install-recommends", *packages]
    try:
        run(install, quiet, timeout=INSTALL_SECONDS)
    except (BuildError, subprocess.TimeoutExpired):
        # The lists may be missing or old.
        run(["apt-get", "-q", "-o", "DPkg::Lock::Timeout=300", "update"], quiet, timeout=INSTALL_SECONDS)
        run(install, quiet, timeout=INSTALL_SECONDS)
    if not shutil.which(program):
        raise BuildError(f"{wanted} brought no {program}: install it by hand, then run this again.")
