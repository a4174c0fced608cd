"""Artifacts: unpacked without their modes and links, packed as they came."""

from __future__ import annotations

import shutil
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

SUFFIXES = ((".zip", "Zip"), (".tar.gz", "TarGz"), (".tar", "Tar"))
CONTENT_TYPES = {"application/zip": "Zip", "application/gzip": "TarGz", "application/x-gzip": "TarGz",
                 "application/tar": "Tar", "application/x-tar": "Tar"}
UPLOADED = {"Tar": "application/tar", "TarGz": "application/gzip"}


def kind_of(key: str, content_type: str) -> str:
    for suffix, kind in SUFFIXES:
        if key.lower().endswith(suffix):
            return kind
    return CONTENT_TYPES.get(content_type.lower(), "None")


def extract(archive: Path, directory: Path, kind: str, limit: Path) -> None:
    """Files and folders, nothing else. The plugin does not look where a name leads; here it has to stay below limit."""
    try:
        if kind in ("Tar", "TarGz"):
            with tarfile.open(archive, "r:gz" if kind == "TarGz" else "r:") as tar:
                _write(_tar_entries(tar), directory, limit)
        else:
            with zipfile.ZipFile(archive) as pack:
                _write(_zip_entries(pack), directory, limit)
    except (zipfile.BadZipFile, tarfile.TarError, EOFError, RuntimeError, NotImplementedError) as error:
        raise OSError(str(error)) from error


def _zip_entries(pack: zipfile.ZipFile) -> Iterator[tuple[str, IO[bytes] | None]]:
    for entry in pack.infolist():
        # A link is a file whose content is its target, and becomes just that.
        yield entry.filename, None if entry.is_dir() else pack.open(entry)


def _tar_entries(tar: tarfile.TarFile) -> Iterator[tuple[str, IO[bytes] | None]]:
    import io

    for entry in tar:
        # In a tar a link has no content, and becomes an empty file.
        content = tar.extractfile(entry) if entry.isreg() else io.BytesIO()
        yield entry.name, None if entry.isdir() else content


def _write(entries: Iterator[tuple[str, IO[bytes] | None]], directory: Path, limit: Path) -> None:
    for name, content in entries:
        # An absolute name counts from the directory, as in Java.
        path = directory / name.lstrip("/")
        if not path.resolve().is_relative_to(limit.resolve()):
            raise OSError(f"{path} (Permission denied)")
        if content is None:
            path.mkdir(parents=True, exist_ok=True)
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        with content, path.open("wb") as file:
            shutil.copyfileobj(content, file)


def compress(directory: Path, target: Path, kind: str) -> None:
    """Every file below the directory by its relative name; a file alone has the empty name, as in the plugin."""
    if not directory.exists():
        raise OSError(f"java.nio.file.NoSuchFileException: {directory}")
    found = sorted(path for path in directory.rglob("*") if path.is_file()) if directory.is_dir() else [directory]
    names = [(path, str(path.relative_to(directory)) if path != directory else "") for path in found]
    if kind in ("Tar", "TarGz"):
        with tarfile.open(target, "w:gz" if kind == "TarGz" else "w") as tar:
            for path, name in names:
                tar.add(path, name, recursive=False)
    else:
        with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as pack:
            for path, name in names:
                pack.write(path, name)
