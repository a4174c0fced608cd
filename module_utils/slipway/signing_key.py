"""The key by which a host believes a package repository: fetched once, and only the one that was expected."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from . import download, openpgp
from .errors import InvalidInput


def present(url: str, dest: str, expected: list[str], check_mode: bool) -> dict[str, Any]:
    """See to it that `dest` holds a key of these fingerprints and of no other; no call when it does."""
    destination = Path(dest)
    wanted = sorted(openpgp.normal(fingerprint) for fingerprint in expected)
    if not wanted:
        raise InvalidInput(f"No fingerprint is expected of {url}.", "Name at least one: any key would do otherwise.")
    if destination.is_file() and _held(destination.read_bytes()) == wanted:
        changed = destination.stat().st_mode & 0o777 != 0o644
        if changed and not check_mode:
            destination.chmod(0o644)
        return {"changed": changed, "fingerprints": wanted}
    if check_mode:
        return {"changed": True, "fingerprints": wanted}
    with tempfile.TemporaryDirectory(dir=destination.parent, prefix=".slipway-") as folder:
        fetched = Path(folder) / "key"
        download.fetch(url, fetched)
        try:
            held = sorted(set(openpgp.fingerprints(fetched.read_bytes())))
        except InvalidInput as error:
            raise InvalidInput(f"{url}: {error.message}", "Check the URL.") from error
        if held != wanted:
            raise InvalidInput(f"The key at {url} has the fingerprint {', '.join(held)}, expected is "
                               f"{', '.join(wanted)}. Nothing was changed.",
                               "If the vendor has announced a new key, give its fingerprint; else do not trust it.")
        fetched.chmod(0o644)
        fetched.replace(destination)
    return {"changed": True, "fingerprints": wanted}


def _held(key: bytes) -> list[str]:
    try:
        return sorted(set(openpgp.fingerprints(key)))
    except InvalidInput:
        return []
