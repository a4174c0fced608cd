"""Versions of the release runner on a host: built beside the one in use, switched in one step, the one before kept.

    <home>/releases/<version>/      files of the collection, bin/release, venv -> ../../environments/<key>
    <home>/environments/<key>/      virtual environment, named by the pins and the Python, so that versions share it
    <home>/current                  -> releases/<version>

Standard library only: it runs with the host's own Python.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import io
import os
import shutil
import stat
import subprocess
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..changes import Changes
from ..errors import InvalidInput, SlipwayError

Say = Callable[[str], None]

#: In a virtual environment that was completed.
COMPLETE = ".complete"
#: Held (shared) by every run of a version.
IN_USE = ".in-use"


@dataclass(frozen=True)
class Request:
    """version: to be made current; data: its archive, None where it must be installed already; python: the interpreter
    that environments are made with; keep: versions to keep, the current one included."""

    home: Path
    version: str
    data: bytes | None
    python: str
    keep: int = 2
    timeout: float = 900.0


@dataclass
class Present:
    """What is on the host. installed: versions, the one that was current last first."""

    current: str = ""
    installed: list[str] = field(default_factory=list)


def request_of(params: dict[str, Any]) -> Request:
    """The module's arguments, with the archive's content."""
    if params["keep"] < 2:
        raise InvalidInput(f"keep is {params['keep']}.", "Keep 2 versions at least: the current one and the way back.")
    home = Path(params["home"])
    _check_safe(home)
    archive = None if params["version"] else Path(params["archive"]).read_bytes()
    return Request(home, params["version"] or params["archive_version"], archive, params["python"],
                   params["keep"])


def _check_safe(home: Path) -> None:
    """Refuse a folder that somebody else than root could put another runner into."""
    if not home.is_absolute() or ".." in home.parts:
        raise InvalidInput(f"{home} is no absolute path of a folder.",
                           "Set release_runner_home to one, such as /opt/slipway.")
    for folder in (home, *home.parents):
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            found = folder.lstat()
            if not stat.S_ISDIR(found.st_mode):
                raise InvalidInput(f"{folder} is not a folder.", "Remove it, or choose another release_runner_home.")
            if found.st_uid != 0 or found.st_mode & 0o022:
                raise InvalidInput(f"{folder} can be written by others than root, who could replace the runner.",
                                   f"Run `chown root {folder} && chmod go-w {folder}`, "
                                   "or set release_runner_home to another folder.")


def look(home: Path) -> Present:
    releases = home / "releases"
    found: list[tuple[float, str]] = []
    with contextlib.suppress(FileNotFoundError):
        found = [(path.stat().st_mtime, path.name) for path in releases.iterdir() if not path.name.startswith(".")]
    current = ""
    with contextlib.suppress(OSError):
        current = (home / "current").readlink().name
    return Present(current, [name for _, name in sorted(found, reverse=True)])


def install(request: Request, check_mode: bool = False, say: Say = lambda _: None) -> dict[str, Any]:
    """Make request.version the current one; the module's result."""
    present = look(request.home)
    if request.data is None and request.version not in present.installed:
        there = ", ".join(present.installed) or "none"
        raise InvalidInput(f"Version {request.version} of the release runner is not installed in {request.home}.",
                           f"Installed are: {there}. Leave release_runner_version empty to install this checkout.")
    changes = Changes(str(request.home))
    changes.add("current", present.current or None, request.version)
    if request.version not in present.installed:
        changes.add(f"releases/{request.version}", None, "installed")
    complete = request.version in present.installed and _environment_works(request)
    if request.version in present.installed and not complete:
        changes.add(f"releases/{request.version}/venv", "of another Python, or incomplete", "made anew")
    doomed = _doomed(request, present)
    for version in doomed:
        changes.add(f"releases/{version}", "installed", None)

    if changes.changed and not check_mode:
        os.umask(0o022)
        _apply(request, present, complete, doomed, say)
    return {"changed": changes.changed, "diff": changes.diff(), "version": request.version, "previous": present.current,
            "path": str(request.home / "current"), "removed": doomed}


def _apply(request: Request, present: Present, complete: bool, doomed: list[str], say: Say) -> None:
    for name in ("releases", "environments"):
        (request.home / name).mkdir(parents=True, exist_ok=True)
    release = request.home / "releases" / request.version
    if request.version not in present.installed:
        assert request.data is not None
        say(f"unpacking version {request.version}")
        with _beside(release) as fresh:
            _unpack(request.data, fresh)
            _run([request.python, "-m", "compileall", "-q", str(fresh)], request, "Compiling the collection")
            _give_environment(request, fresh, say)
            _prove(fresh, request)
            os.utime(fresh)
            fresh.rename(release)
    elif not complete:
        _give_environment(request, release, say)
        _prove(release, request)
    if present.current != request.version:
        # Sorts it before those that were current earlier.
        os.utime(release)
        _link(request.home / "current", Path("releases", request.version))
    for version in doomed:
        shutil.rmtree(request.home / "releases" / version)
    _remove_unused_environments(request.home)


def _doomed(request: Request, present: Present) -> list[str]:
    """Versions beyond those to keep, but none that a release runs with at this moment."""
    ranked = [request.version, *(name for name in present.installed if name != request.version)]
    if present.current in ranked[1:]:
        # The way back is the version that is current now, whenever it was installed.
        ranked.remove(present.current)
        ranked.insert(1, present.current)
    return [name for name in ranked[request.keep:] if not _in_use(request.home / "releases" / name)]


def _in_use(release: Path) -> bool:
    try:
        with (release / IN_USE).open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


@contextlib.contextmanager
def _beside(target: Path) -> Iterator[Path]:
    """An empty folder next to `target`; whatever is left there, also by a run that was killed, is removed."""
    fresh = target.with_name(f".{target.name}.new")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir()
    try:
        yield fresh
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def _unpack(data: bytes, target: Path) -> None:
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:gz") as tar:
        if hasattr(tarfile, "data_filter"):
            tar.extractall(target, filter="data")
        else:
            tar.extractall(target)
    (target / IN_USE).touch()


def _give_environment(request: Request, release: Path, say: Say) -> None:
    """The link `venv` of `release`, to an environment that is there already or is made now."""
    key = _key(request, release)
    environment = request.home / "environments" / key
    if not (environment / COMPLETE).exists():
        say(f"making the virtual environment {key}")
        shutil.rmtree(environment, ignore_errors=True)
        _run([request.python, "-m", "venv", str(environment)], request, "Making the virtual environment")
        _run([str(environment / "bin" / "python"), "-m", "pip", "install", "--quiet", "--no-input", "--no-cache-dir",
              "--disable-pip-version-check", "--only-binary", ":all:", "--requirement",
              str(release / "requirements.txt"), "--constraint", str(release / "constraints.txt")],
             request, "Installing the requirements",
             "Check that this host reaches its package index (pip config list), or give it one in /etc/pip.conf.")
        (environment / COMPLETE).touch()
    _link(release / "venv", Path("..", "..", "environments", key))


def _environment_works(request: Request) -> bool:
    release = request.home / "releases" / request.version
    try:
        return ((release / "venv").readlink().name == _key(request, release)
                and (release / "venv" / COMPLETE).exists())
    except OSError:
        return False


def _key(request: Request, release: Path) -> str:
    python = _run([request.python, "-c", "import sys; print(sys.version, sys.implementation.cache_tag)"], request,
                  "Asking for the version of Python")
    digest = hashlib.sha256(python.encode())
    for name in ("requirements.txt", "constraints.txt"):
        digest.update((release / name).read_bytes())
    return digest.hexdigest()[:12]


def _prove(release: Path, request: Request) -> None:
    """Let the new version read its own playbook, before anything uses it."""
    with tempfile.TemporaryDirectory() as home:
        environment = {"HOME": home, "ANSIBLE_CONFIG": str(release / "ansible.cfg"), "ANSIBLE_LOCAL_TEMP": home,
                       "PYTHONDONTWRITEBYTECODE": "1"}
        _run([str(release / "venv" / "bin" / "ansible-playbook"), "--syntax-check", "-i",
              str(release / "inventories" / "runner"), str(release / "playbooks" / "release.yml")], request,
             "The new version's own check", "Nothing was switched.", environment)


def _link(path: Path, target: Path) -> None:
    """Let the link `path` point to `target`, in one step."""
    fresh = path.with_name(f".{path.name}.new")
    with contextlib.suppress(FileNotFoundError):
        fresh.unlink()
    fresh.symlink_to(target)
    fresh.replace(path)


def _remove_unused_environments(home: Path) -> None:
    used = set()
    for release in (home / "releases").iterdir():
        with contextlib.suppress(OSError):
            used.add((release / "venv").readlink().name)
    for environment in (home / "environments").iterdir():
        if environment.name not in used:
            shutil.rmtree(environment)


def _run(command: list[str], request: Request, what: str, remedy: str = "",
         environment: dict[str, str] | None = None) -> str:
    """The output of `command`; raises SlipwayError with the last lines of one that failed."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "ANSIBLE_"))}
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=request.timeout,
                              stdin=subprocess.DEVNULL, env={**inherited, "LC_ALL": "C.UTF-8", **(environment or {})})
    except subprocess.TimeoutExpired as error:
        raise SlipwayError(f"{what} took longer than {request.timeout:.0f} s.", remedy) from error
    except OSError as error:
        raise SlipwayError(f"{what} failed: {command[0]}: {error.strerror}.", remedy) from error
    if done.returncode != 0:
        said = "\n".join((done.stderr.strip() or done.stdout.strip()).splitlines()[-8:])
        raise SlipwayError(f"{what} failed with exit code {done.returncode}:\n{said}\n", remedy)
    return done.stdout
