"""The base images of the embedded AWS: made once, kept until `make down`.

An image comes from its registry where one answers, otherwise from the distribution's packages: mmdebstrap makes the
packages' tree, and the recipe's Dockerfile makes of it what its official model is. Nothing is tagged before it is
complete, so a run that is killed leaves no half image.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import hashlib
import os
import re
import shlex
import shutil
import signal
import subprocess
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

from .engine import Progress
from .process import EmbeddedError, Say

PREFIX = "slipway-embedded/"
RECIPES = Path(__file__).resolve().parent / "images"
PROBE_SECONDS = 3
DEBIAN_KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")


@dataclass(frozen=True)
class Recipe:
    """An image as data: its Dockerfile is in embedded/images/<name>/, or in a folder that it shares."""

    name: str
    official: str | None
    """The image of a registry that this one stands for."""
    suite: str
    packages: tuple[str, ...]
    megabytes: int
    """Disk space that making it needs."""
    folder: str | None = None

    @property
    def directory(self) -> Path:
        return RECIPES / (self.folder or self.name)

    @property
    def repository(self) -> str:
        return PREFIX + self.name

    @property
    def tree(self) -> str:
        """Reference of the packages' tree, named by what goes into it."""
        return f"{self.repository}-packages:{_digest([self.suite, *self.packages, *DPKG_OPTIONS])}"

    @property
    def reference(self) -> str:
        """Reference of the image, named by the recipe's content: a changed recipe makes a new image."""
        return f"{self.repository}:{recipe_version(self)}"

    @property
    def latest(self) -> str:
        return f"{self.repository}:latest"


PHP_APACHE = Recipe(
    name="php-apache",
    official="php:8.4-apache-bookworm",
    suite="bookworm",
    packages=("apache2", "ca-certificates", "libapache2-mod-php"),
    megabytes=1000,
)
BASE_IMAGES: tuple[Recipe, ...] = (PHP_APACHE,)

# What every cloud image of Debian has. Without python3-apt, as the smallest of them are.
HOST_PACKAGES = ("ca-certificates", "dbus", "iproute2", "iputils-ping", "kmod", "less", "libpam-systemd", "netbase",
                 "openssh-server", "procps", "python3", "sudo", "systemd", "systemd-sysv", "tzdata")
#: Images of hosts by the system that they run. Only a host that needs one makes it.
HOST_IMAGES: dict[str, Recipe] = {
    name: Recipe(name=name, official=None, suite=suite, packages=HOST_PACKAGES, megabytes=1000, folder="host")
    for name, suite in (("debian-12", "bookworm"), ("debian-13", "trixie"))
}

# Documentation and translations serve nobody in a container. Licences stay.
DPKG_OPTIONS = (
    "path-exclude=/usr/share/doc/*",
    "path-include=/usr/share/doc/*/copyright",
    "path-exclude=/usr/share/man/*",
    "path-exclude=/usr/share/info/*",
    "path-exclude=/usr/share/locale/*",
    "path-include=/usr/share/locale/locale.alias",
    "path-exclude=/usr/share/lintian/*",
    "path-exclude=/usr/share/bug/*",
    # Nobody keeps a tree that a power cut interrupted, so it needs no waiting for the disk.
    "force-unsafe-io",
)


ISOLATION = ("unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc")


# -- pure parts ------------------------------------------------------------------------------------------------------

def _digest(parts: Iterable[str | bytes]) -> str:
    digest = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        digest.update(len(data).to_bytes(8, "big") + data)
    return digest.hexdigest()[:12]


def recipe_version(recipe: Recipe) -> str:
    """Hash over everything that decides what the image is."""
    files = sorted(p for p in recipe.directory.rglob("*") if p.is_file())
    return _digest([recipe.official or "", recipe.tree,
                    *(part for p in files for part in (str(p.relative_to(recipe.directory)), p.read_bytes()))])


@dataclass(frozen=True)
class Source:
    """One line of `apt-get indextargets`: a repository that this machine's apt uses."""

    uri: str
    codename: str
    origin: str


INDEX_FORMAT = "$(CREATED_BY)|$(REPO_URI)|$(CODENAME)|$(ORIGIN)"


def parse_sources(text: str) -> list[Source]:
    fields = (line.split("|") for line in text.splitlines())
    return [Source(uri=f[1], codename=f[2], origin=f[3]) for f in fields if len(f) == 4 and f[0] == "Packages"]


def source_lines(sources: Iterable[Source], suite: str, keyring: str | None) -> list[str]:
    """sources.list for the suite, from the mirrors that this machine uses for Debian; empty where it uses none."""
    signed = f"[signed-by={keyring}] " if keyring else ""
    lines: list[str] = []
    for source in sources:
        if source.origin != "Debian":
            continue
        # A machine with another release has the same mirrors: only the part of the name after the release counts.
        part = re.sub(r"^[a-z]+", "", source.codename)
        if part not in ("", "-updates", "-security"):
            continue
        line = f"deb {signed}{source.uri.rstrip('/')} {suite}{part} main"
        if line not in lines:
            lines.append(line)
    return lines if any(line.endswith(f" {suite} main") for line in lines) else []


def acquire_settings(dump: str) -> tuple[list[str], dict[str, str]]:
    """What `apt-config dump Acquire` says about reaching the mirrors: options for apt, and proxies for the environment.

    The options stay in the image, where apt needs them too. Proxies do not: they may hold a password.
    """
    options: list[str] = []
    proxies: dict[str, str] = {}
    for name, value in re.findall(r'^(\S+) "(.*)";$', dump, re.MULTILINE):
        if name in ("Acquire::http::Proxy", "Acquire::https::Proxy") and value:
            proxies[f"{name.split('::')[1]}_proxy"] = value
        elif name in ("Acquire::Check-Valid-Until", "Acquire::Check-Date"):
            options.append(f'{name} "{value}";')
    return options, proxies


def bootstrap_command(recipe: Recipe, lines: list[str], options: list[str], as_root: bool) -> list[str]:
    """The command that writes the packages' tree as a tar to its output.

    As root in namespaces of its own: mmdebstrap mounts /dev, /sys and /proc in the tree, and one that is killed would
    leave them behind on this machine. Like this the kernel ends its processes and its mounts with it.
    """
    return [
        *(ISOLATION if as_root else ()),
        "mmdebstrap", "--variant=minbase", "--format=tar", f"--include={','.join(recipe.packages)}",
        *(f"--dpkgopt={option}" for option in DPKG_OPTIONS), *(f"--aptopt={option}" for option in options),
        recipe.suite, "-", *lines,
    ]


def stage_of(line: str) -> str | None:
    """What mmdebstrap is doing, from a line of its chatter; None where the line says nothing of the kind."""
    found = re.match(r"I: ((?:running apt-get update|downloading packages|extracting archives|installing|cleaning|"
                     r"creating tarball)[^.(]*)", line)
    return found[1].strip() if found else None


def is_disk_full(text: str) -> bool:
    lowered = text.lower()
    return "no space left on device" in lowered or "enospc" in lowered or "enough free space" in lowered


# -- what the rest of embedded/ calls --------------------------------------------------------------------------------

def ensure_base_images(engine: Any, state_dir: Path, say: Say) -> dict[str, str]:
    """Return name -> reference of every base image, each made only where it is missing.

    engine is a docker.DockerClient. Raises EmbeddedError with what to do where an image cannot be made.
    """
    return {recipe.name: ensure_image(engine, recipe, state_dir, say) for recipe in BASE_IMAGES}


def ensure_image(engine: Any, recipe: Recipe, state_dir: Path, say: Say) -> str:
    """Return the reference of the recipe's image, made where it is missing."""
    if not _has(engine, recipe.reference):
        state_dir.mkdir(parents=True, exist_ok=True)
        with alone(state_dir / "images.lock", say) as lock:
            if not _has(engine, recipe.reference):  # another run may just have made it
                _make(engine, recipe, state_dir, say, lock)
    if not _same(engine, recipe.reference, recipe.latest):
        engine.api.tag(recipe.reference, recipe.repository, "latest")
        _remove_old(engine, recipe)
    return recipe.reference


def remove_base_images(engine: Any) -> int:
    """Remove every base image, whichever recipe made it; returns how many references went."""
    return remove_images(engine, PREFIX)


def remove_images(engine: Any, prefix: str) -> int:
    """Remove the references that begin with prefix; an image that something still uses stays."""
    return _remove(engine, lambda reference: reference.startswith(prefix))


# -- one image -------------------------------------------------------------------------------------------------------

def _make(engine: Any, recipe: Recipe, state_dir: Path, say: Say, lock: int) -> None:
    started = time.monotonic()
    say(f"Base image {recipe.name} is missing: making it, once.")
    with Progress(f"Base image {recipe.name}", say) as progress:
        how = "pulled" if _pull(engine, recipe, progress) else "made of packages"
        if how != "pulled":
            if not _has(engine, recipe.tree):
                _bootstrap(engine, recipe, state_dir, progress, lock)
            _build(engine, recipe, progress)
    size = engine.images.get(recipe.reference).attrs["Size"] / 1e6
    say(f"Base image {recipe.name}: {how}, {size:.0f} MB, {time.monotonic() - started:.0f} s. It is kept.")


def _pull(engine: Any, recipe: Recipe, progress: Progress) -> bool:
    """Take the official image where its registry answers. What goes wrong here is no error: packages remain."""
    import docker

    if recipe.official is None or not registry_answers(engine):
        return False
    name, tag = recipe.official.rsplit(":", 1)
    was_there = _has(engine, recipe.official)
    progress.stage = f"pulling {recipe.official}"
    try:
        for event in engine.api.pull(name, tag=tag, stream=True, decode=True):
            if "error" in event:
                raise docker.errors.APIError(event["error"])
        repository, version = recipe.reference.rsplit(":", 1)
        engine.api.tag(recipe.official, repository, version)
        if not was_there:
            engine.api.remove_image(recipe.official)
    except (docker.errors.APIError, OSError) as error:
        if is_disk_full(str(error)):
            raise _disk_full(_engine_root(engine)) from error
        progress.say(f"pulling failed ({str(error).strip().splitlines()[0][:160]}), so it is made of packages")
        return False
    return True


def registry_answers(engine: Any) -> bool:
    """Whether the engine's registry, or a mirror of it, answers within seconds; any HTTP status is an answer."""
    info = engine.info()
    addresses = [*(info.get("RegistryConfig", {}).get("Mirrors") or []), info.get("IndexServerAddress", "")]
    for address in addresses:
        parts = urlsplit(address)
        if not parts.netloc:
            continue
        try:
            urllib.request.urlopen(f"{parts.scheme}://{parts.netloc}/v2/", timeout=PROBE_SECONDS).close()
        except urllib.error.HTTPError:
            return True
        except (OSError, ValueError):
            continue
        return True
    return False


def _bootstrap(engine: Any, recipe: Recipe, state_dir: Path, progress: Progress, lock: int) -> None:
    """Stream the packages' tree from mmdebstrap into the engine."""
    import docker

    _ensure_mmdebstrap(progress)
    _ensure_keys(recipe.suite, progress)
    # mmdebstrap works as root of its own where it is not root, and that one may not enter a private directory.
    private = Path(tempfile.gettempdir()) / f"slipway-embedded-{os.getuid()}"
    work = state_dir / "mmdebstrap" if os.geteuid() == 0 else private
    _empty(work)
    _check_space(work, _engine_root(engine), recipe.megabytes)
    options, proxies = acquire_settings(output(["apt-config", "dump", "Acquire"]))
    lines = source_lines(parse_sources(output(["apt-get", "indextargets", "--format", INDEX_FORMAT])), recipe.suite,
                         str(DEBIAN_KEYRING) if DEBIAN_KEYRING.exists() else None)
    command = bootstrap_command(recipe, lines, options, as_root=os.geteuid() == 0)
    chatter: list[str] = []
    process = subprocess.Popen(
        command, env={**os.environ, **proxies, "TMPDIR": str(work)}, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, pass_fds=[lock], preexec_fn=_die_with_parent)
    assert process.stdout is not None and process.stderr is not None
    listener = threading.Thread(target=_listen, args=(process.stderr, chatter, progress), daemon=True)
    listener.start()
    try:
        # Not before the tar begins, half a minute from here: until then the engine need not hold a request open.
        first = process.stdout.read(1 << 16)
        if not first:
            process.wait()
            raise _BootstrapFailed
        repository, version = recipe.tree.rsplit(":", 1)
        answer = engine.api.import_image_from_stream(_whole(first, process), repository=repository, tag=version)
        if '"error"' in str(answer):
            raise docker.errors.APIError(str(answer))
    except (_BootstrapFailed, docker.errors.APIError, OSError) as error:
        _end(process)
        listener.join(5)
        said = "\n".join(chatter[-15:])
        if is_disk_full(f"{error}\n{said}") or getattr(error, "errno", None) == errno.ENOSPC:
            raise _disk_full(work, _engine_root(engine)) from error
        if isinstance(error, docker.errors.APIError):
            raise EmbeddedError(f"The Docker engine refused the image {recipe.tree}: {error}") from error
        raise EmbeddedError(f"Making the base image {recipe.name} of packages failed. mmdebstrap said last:\n{said}\n"
                            f"The command: {shlex.join(command)}") from error
    finally:
        _end(process)
        _empty(work, make=False)


class _BootstrapFailed(Exception):
    pass


def _whole(first: bytes, process: subprocess.Popen[bytes]) -> Iterator[bytes]:
    """The tar in pieces. Where its maker fails, this raises before the end is sent, and the engine throws all away."""
    assert process.stdout is not None
    yield first
    while piece := process.stdout.read(1 << 20):
        yield piece
    if process.wait() != 0:
        raise _BootstrapFailed


def _build(engine: Any, recipe: Recipe, progress: Progress) -> None:
    import docker

    progress.stage = "setting up"
    said: list[str] = []
    try:
        for event in engine.api.build(path=str(recipe.directory), tag=recipe.reference, network_mode="none",
                                      buildargs={"PACKAGES": recipe.tree}, rm=True, forcerm=True, decode=True):
            said.append(event.get("stream", "").rstrip() or event.get("error", ""))
            if "error" in event:
                raise docker.errors.APIError(event["error"])
    except docker.errors.APIError as error:
        text = "\n".join(line for line in said[-15:] if line)
        if is_disk_full(f"{error}\n{text}"):
            raise _disk_full(_engine_root(engine)) from error
        raise EmbeddedError(f"Building the base image {recipe.name} failed ({error}). The end of the build:\n"
                            f"{text}") from error


def _ensure_mmdebstrap(progress: Progress) -> None:
    if shutil.which("mmdebstrap"):
        return
    if not shutil.which("apt-get"):
        raise EmbeddedError("No image registry answers, and this system has no mmdebstrap to make images of packages: "
                            "let the Docker engine reach its registry, or use Debian or Ubuntu.")
    if os.geteuid() != 0:
        raise EmbeddedError("No image registry answers, and mmdebstrap, which makes images of packages, is missing: "
                            "run `sudo apt-get install mmdebstrap`, or run this as root.")
    progress.stage = "installing mmdebstrap"
    install("mmdebstrap")


def _ensure_keys(suite: str, progress: Progress) -> None:
    """A release may be newer than the keys of this machine."""
    keys = DEBIAN_KEYRING.parent
    if not DEBIAN_KEYRING.exists() or any(keys.glob(f"debian-archive-{suite}-*")):
        return
    if os.geteuid() != 0:
        raise EmbeddedError(f"This machine has no keys of Debian's {suite}: run `sudo apt-get update && sudo apt-get "
                            "install debian-archive-keyring`, or run this as root.")
    progress.stage = f"fetching the keys of {suite}"
    install("debian-archive-keyring", fresh=True)


def ensure_command(command: str, package: str, purpose: str) -> None:
    """See to it that `command` is there, from `package` of this system. purpose: what it is for, in a few words."""
    if shutil.which(command):
        return
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        raise EmbeddedError(f"{command} is missing, which {purpose}: install the package {package}.")
    install(package)


def install(package: str, fresh: bool = False) -> None:
    """Install a package with apt, as root. fresh: from lists fetched now, not from those that are there."""
    wait = ["-o", "DPkg::Lock::Timeout=300"]
    if fresh or not any(Path("/var/lib/apt/lists").glob("*_Packages*")):
        _apt(["apt-get", "-qq", *wait, "update"])
    _apt(["apt-get", "-qq", "-y", "--no-install-recommends", *wait, "install", package])


def _apt(command: list[str]) -> None:
    done = subprocess.run(command, env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"}, stdin=subprocess.DEVNULL,
                          capture_output=True, text=True)
    if done.returncode != 0:
        if is_disk_full(done.stderr):
            raise _disk_full(Path("/var"))
        raise EmbeddedError(f"`{shlex.join(command)}` failed:\n{(done.stderr or done.stdout).strip()[-1500:]}")


# -- helpers ---------------------------------------------------------------------------------------------------------

@contextlib.contextmanager
def alone(path: Path, say: Say | None = None) -> Iterator[int]:
    """One maker at a time. mmdebstrap inherits the lock, so it is held until also a child of a killed run has ended."""
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            if say:
                say("Another run is making the base images: waiting for it.")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield file.fileno()


def _die_with_parent() -> None:
    """In the child: end when our process does, however it does."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is not None:
        return
    # With namespaces of its own everything ends with it; without them mmdebstrap has to clean up itself.
    if os.geteuid() == 0:
        process.kill()
    else:
        process.terminate()
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _listen(stream: IO[bytes], chatter: list[str], progress: Progress) -> None:
    for raw in stream:
        line = raw.decode(errors="replace").rstrip()
        chatter.append(line)
        progress.stage = stage_of(line) or progress.stage


def _empty(directory: Path, make: bool = True) -> None:
    """Without what a killed run left there; where something of it is still mounted, it is left alone."""
    if directory.exists():
        mounted = any(f" {directory}/" in line for line in Path("/proc/self/mountinfo").read_text().splitlines())
        if not mounted:
            shutil.rmtree(directory, ignore_errors=True)
    if make:
        directory.mkdir(mode=0o755, parents=True, exist_ok=True)


def output(command: list[str]) -> str:
    """What the command says; nothing where it fails or is missing, as on a system without apt."""
    try:
        return subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL).stdout
    except OSError:
        return ""


def _engine_root(engine: Any) -> Path:
    return Path(engine.info().get("DockerRootDir") or "/var/lib/docker")


def _free(path: Path) -> int | None:
    """Free megabytes on the file system of the path; None where it is not on this machine."""
    while not path.exists() and path != path.parent:
        path = path.parent
    try:
        return shutil.disk_usage(path).free // 1_000_000
    except OSError:
        return None


def _check_space(work: Path, root: Path, needed: int) -> None:
    for path in (work, root):
        free = _free(path)
        if free is not None and free < needed:
            raise EmbeddedError(f"Only {free} MB are free under {path}, and making a base image needs {needed} MB: "
                                "free some space, then run this again.")


def _disk_full(*paths: Path) -> EmbeddedError:
    free = ", ".join(f"{_free(path)} MB under {path}" for path in paths)
    return EmbeddedError(f"The disk ran full (now free: {free}): make room, then run this again.")


def _has(engine: Any, reference: str) -> bool:
    return _id(engine, reference) is not None


def _same(engine: Any, one: str, other: str) -> bool:
    return _id(engine, one) == _id(engine, other)


def _id(engine: Any, reference: str) -> str | None:
    import docker

    try:
        return str(engine.api.inspect_image(reference)["Id"])
    except docker.errors.ImageNotFound:
        return None


def _remove_old(engine: Any, recipe: Recipe) -> None:
    """References of this image that an earlier recipe made."""
    kept = {recipe.reference, recipe.latest, recipe.tree}
    names = (f"{recipe.repository}:", f"{recipe.repository}-packages:")
    _remove(engine, lambda reference: reference.startswith(names) and reference not in kept)


def _remove(engine: Any, chosen: Any) -> int:
    import docker

    removed = 0
    references = [reference for image in engine.api.images()
                  for reference in [*(image.get("RepoTags") or []), *(image.get("RepoDigests") or [])]]
    for reference in references:
        if not chosen(reference):
            continue
        # In use, or a digest that went with its tag.
        with contextlib.suppress(docker.errors.APIError):
            engine.api.remove_image(reference)
            removed += 1
    return removed
