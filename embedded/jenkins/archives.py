"""Zip archives that are the same bytes for the same content: wars, jars and plugins."""

from __future__ import annotations

import zipfile
from pathlib import Path

WHEN = (2026, 1, 1, 0, 0, 0)


def manifest(fields: dict[str, str]) -> bytes:
    """META-INF/MANIFEST.MF: at most 72 bytes a line, continued by a space."""
    lines: list[bytes] = []
    for name, value in fields.items():
        rest = f"{name}: {value}".encode()
        lines.append(rest[:70])
        rest = rest[70:]
        while rest:
            lines.append(b" " + rest[:69])
            rest = rest[69:]
    return b"\r\n".join(lines) + b"\r\n\r\n"


def write(path: Path, files: dict[str, bytes]) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            entry = zipfile.ZipInfo(name, WHEN)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, data)
