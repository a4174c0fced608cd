"""The secrets of a Jenkins on the host it runs on: made there once, kept there, and read by root alone."""

from __future__ import annotations

import os
import re
import secrets
from pathlib import Path
from typing import Any

#: The form that Jenkins demands of a token: the version of its hash, then 128 bits.
TOKEN = re.compile(r"11[0-9a-f]{32}")
PASSWORD_FILE, TOKEN_FILE, CREDENTIALS_FILE = "admin-password", "api-token", "credentials"


def keep(directory: str, user: str, password: str | None, check_mode: bool) -> dict[str, Any]:
    """See to it that the three files are there; a given password replaces the kept one. No secret is returned."""
    home = Path(directory)
    kept = {name: _read(home / name) for name in (PASSWORD_FILE, TOKEN_FILE, CREDENTIALS_FILE)}
    token = kept[TOKEN_FILE] if TOKEN.fullmatch(kept[TOKEN_FILE]) else "11" + secrets.token_hex(16)
    wanted = {
        PASSWORD_FILE: password or kept[PASSWORD_FILE] or secrets.token_urlsafe(24),
        TOKEN_FILE: token,
        CREDENTIALS_FILE: f"{user}:{token}",
    }
    written = [name for name, text in wanted.items() if kept[name] != text]
    closed = _close(home, check_mode)
    if not check_mode:
        for name in written:
            _write(home / name, wanted[name])
    generated = [name for name in written if name == TOKEN_FILE or (name == PASSWORD_FILE and not password)]
    return {"changed": bool(written) or closed, "written": written, "generated": generated}


def _close(home: Path, check_mode: bool) -> bool:
    """Give the directory and what is in it to root alone; whether that was needed."""
    needed = False
    if not home.is_dir():
        needed = True
        if not check_mode:
            home.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
            home.mkdir(mode=0o700, exist_ok=True)
    files = [home / name for name in (PASSWORD_FILE, TOKEN_FILE, CREDENTIALS_FILE)]
    for path, mode in [(home, 0o700), *((file, 0o600) for file in files)]:
        if not path.exists():
            continue
        now = path.stat()
        if (now.st_mode & 0o7777, now.st_uid, now.st_gid) != (mode, os.geteuid(), os.getegid()):
            needed = True
            if not check_mode:
                os.chown(path, os.geteuid(), os.getegid())
                path.chmod(mode)
    return needed


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8").strip()
    except (FileNotFoundError, UnicodeDecodeError):
        return ""


def _write(file: Path, text: str) -> None:
    """Whole or not at all, and never readable by others, not even for a moment."""
    beside = file.with_name(f".{file.name}.new")
    beside.unlink(missing_ok=True)
    with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as handle:
        handle.write(text + "\n")
        handle.flush()
        os.fsync(handle.fileno())
    beside.replace(file)
