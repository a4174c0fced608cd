"""The directory that hosts install from: apt repository, update centre, plugin manager.

    current -> builds/<hash of all that goes into it>/
    debian-stable -> current/debian-stable      deb [signed-by=...] file:/<directory>/debian-stable binary/
    plugins -> current/plugins                  the update centre
    jenkins-plugin-manager-<version>.jar, and its .sha256 -> current/...

A build is made beside the others and appears by one rename of `current`, so whoever reads, a running host's mount
too, sees one build or the next and nothing between them.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import shutil
import tempfile
from pathlib import Path

from . import apt_index, package, plugin_manager, update_centre
from .catalog import JENKINS_VERSIONS
from .tools import BuildError, Say, ensure

HERE = Path(__file__).resolve().parent
KEY_FILE = "jenkins.io-2026.key"
SECRET_KEY = ".signing-key.asc"
ENTRIES = ("debian-stable", "plugins", plugin_manager.JAR, plugin_manager.CHECKSUM)


def content_hash() -> str:
    """Over every file that decides what the build is."""
    digest = hashlib.sha256()
    for path in sorted(HERE.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts and path.suffix != ".md":
            data = path.read_bytes()
            digest.update(f"{path.relative_to(HERE)}\0{len(data)}\0".encode() + data)
    return digest.hexdigest()[:16]


def build(directory: Path, say: Say) -> Path:
    """Make the directory up to date; does nothing where it is."""
    directory = directory.resolve()
    name = content_hash()
    if _is_current(directory, name):
        return directory
    builds = directory / "builds"
    try:
        builds.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BuildError(f"{directory} cannot be made ({error.strerror}): name another directory.") from error
    with (directory / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if _is_current(directory, name):  # another run may just have made it
            return directory
        say(f"Building the stand-in Jenkins' packages in {directory}.")
        for left in builds.glob(".*"):  # of runs that were killed
            shutil.rmtree(left, ignore_errors=True)
        previous = str((directory / "current").readlink()) if (directory / "current").is_symlink() else ""
        work = Path(tempfile.mkdtemp(prefix=".making-", dir=builds))
        try:
            _make(work, directory / SECRET_KEY, say)
            if (builds / name).exists():
                shutil.rmtree(builds / name)
            work.rename(builds / name)
        finally:
            shutil.rmtree(work, ignore_errors=True)
        _link(directory / "current", f"builds/{name}")
        for entry in ENTRIES:
            _link(directory / entry, f"current/{entry}")
        # The one before may still be read; older ones are not.
        for old in builds.iterdir():
            if f"builds/{old.name}" not in (f"builds/{name}", previous):
                shutil.rmtree(old, ignore_errors=True)
    return directory


def _is_current(directory: Path, name: str) -> bool:
    with contextlib.suppress(OSError):
        return (str((directory / "current").readlink()) == f"builds/{name}"
                and all(str((directory / entry).readlink()) == f"current/{entry}" for entry in ENTRIES)
                and (directory / "current" / plugin_manager.JAR).exists())
    return False


def _make(target: Path, secret_key: Path, say: Say) -> None:
    if not shutil.which("dpkg-deb"):
        raise BuildError("dpkg-deb is missing: the stand-in's packages are built on Debian or Ubuntu.")
    ensure("gpg", ["gpg", "gpg-agent", "gpgconf"], say)
    binary = target / "debian-stable" / "binary"
    binary.mkdir(parents=True)
    (target / "plugins").mkdir()
    with tempfile.TemporaryDirectory() as work:
        for version in JENKINS_VERSIONS:
            package.build(binary, version, Path(work))
    apt_index.write(target / "debian-stable", "binary", KEY_FILE, secret_key)
    update_centre.build(target / "plugins")
    plugin_manager.build(target / plugin_manager.JAR, say)
    # Read by other users: apt's own, and Jenkins.
    target.chmod(0o755)
    for path in target.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)


def _link(link: Path, target: str) -> None:
    fresh = link.with_name(f".{link.name}.new")
    fresh.unlink(missing_ok=True)
    fresh.symlink_to(target)
    fresh.replace(link)
