"""Secrets for the docker CLI: in this process's memory, readable as files while it lives, never on a disk.

A memfd has a path, /proc/PID/fd/N, that a child of the same user can open. When the process ends, however it ends,
the memory is gone; what may stay behind after kill -9 is a directory with a dangling link.
"""

from __future__ import annotations

import base64
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .private import private_directory


@contextmanager
def memory_file(text: str, directory: str | None = None) -> Iterator[str]:
    """A path from which `text` can be read within the block. directory: where to put a private file on systems that
    have no memfd."""
    data = text.encode("utf-8", errors="surrogateescape")
    if hasattr(os, "memfd_create") and Path(f"/proc/{os.getpid()}/fd").is_dir():
        handle = os.memfd_create("slipway")
        try:
            os.write(handle, data)
            yield f"/proc/{os.getpid()}/fd/{handle}"
        finally:
            os.close(handle)
        return
    handle, path = tempfile.mkstemp(prefix="slipway-", dir=directory)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        yield path
    finally:
        Path(path).unlink()


@contextmanager
def docker_config(auths: dict[str, dict[str, str]]) -> Iterator[str]:
    """A directory for DOCKER_CONFIG: the user's own configuration, with these credentials by registry.

    The user's plugins and contexts are linked into it; nothing of it is written back.
    """
    own = Path(os.environ.get("DOCKER_CONFIG") or Path("~/.docker").expanduser())
    text = json.dumps(with_credentials(_read(own / "config.json"), auths))
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    with private_directory("slipway-docker-", runtime if runtime and Path(runtime).is_dir() else None) as directory:
        for name in ("cli-plugins", "contexts", "buildx", "tls"):
            if (own / name).is_dir():
                (directory / name).symlink_to(own / name)
        with memory_file(text, str(directory)) as path:
            (directory / "config.json").symlink_to(path)
            yield str(directory)


def with_credentials(config: dict[str, Any], auths: dict[str, dict[str, str]]) -> dict[str, Any]:
    """A docker configuration with these credentials (registry to username and password) that keeps everything else.
    A helper such as amazon-ecr-credential-helper would win over them, so it is taken out for these registries."""
    new = dict(config)
    helpers = {host: helper for host, helper in (config.get("credHelpers") or {}).items() if host not in auths}
    store = new.pop("credsStore", None)
    if store:
        # A store is asked for every registry without a helper of its own; name it for those that it serves now.
        helpers.update({host: store for host in config.get("auths") or {}
                        if host not in auths and host not in helpers})
    if helpers:
        new["credHelpers"] = helpers
    else:
        new.pop("credHelpers", None)
    new["auths"] = {**(config.get("auths") or {}), **{host: {"auth": _token(auth)} for host, auth in auths.items()}}
    return new


def _token(auth: dict[str, str]) -> str:
    return base64.b64encode(f"{auth['username']}:{auth['password']}".encode()).decode()


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
