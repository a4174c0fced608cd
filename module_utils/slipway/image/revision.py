"""Which source a build context comes from, as git knows it."""

from __future__ import annotations

import os
import re
import subprocess
from dataclasses import dataclass


@dataclass(frozen=True)
class Revision:
    """commit: 40 hex digits, '' outside git; dirty: files of the context differ from it; source: the origin's URL,
    without user or password, '' when there is none."""

    commit: str = ""
    dirty: bool = False
    source: str = ""


def read_revision(path: str) -> Revision:
    """The revision of the directory `path`; an empty one when it is not in git, or git is missing or refuses."""
    commit = _git(path, "rev-parse", "--verify", "--quiet", "HEAD")
    if not commit:
        return Revision()
    # Only the context counts: a change elsewhere in the repository is not in the image.
    status = _git(path, "status", "--porcelain", "--", ".")
    return Revision(commit, bool(status), without_credentials(_git(path, "config", "--get", "remote.origin.url") or ""))


def without_credentials(url: str) -> str:
    """A repository URL that may be shown: https://user:token@host/x becomes https://host/x."""
    return re.sub(r"^([a-z+]+://)[^/@]*@", r"\1", url)


def _git(path: str, *arguments: str) -> str | None:
    # GIT_OPTIONAL_LOCKS=0: looking at a checkout must not get into the way of somebody who works in it.
    environment = {**os.environ, "GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C"}
    try:
        done = subprocess.run(["git", "-C", path, *arguments], capture_output=True, text=True, timeout=60, check=False,
                              env=environment)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
