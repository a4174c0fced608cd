"""Builds an image with the best builder this machine offers."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tarfile
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Literal

from ..errors import EngineError
from ..progress import Progress
from .credentials import docker_config, memory_file
from .engine import Engine, plain_errors
from .transcript import Transcript

#: BuildKit came with engine 18.09. (The Builder-Version header only tells which builder the engine prefers.)
_BUILDKIT_API = (1, 39)


@dataclass(frozen=True)
class Build:
    """What to build. context, dockerfile: absolute paths; files: the paths in the context that are not ignored, parents
    first; name: the reference the image gets; secrets: id to value; auths: username and password by registry;
    fresh: without the engine's cache; layout: the directory that an image for several platforms goes to, as the OCI
    lays it out. Any other image goes to the engine."""

    context: str
    dockerfile: str
    files: Callable[[], Iterable[str]]
    name: str
    target: str | None = None
    arguments: dict[str, str] = field(default_factory=dict)
    secrets: dict[str, str] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)
    platforms: tuple[str, ...] = ()
    cache: str | None = None
    pull: bool = False
    fresh: bool = False
    auths: dict[str, dict[str, str]] = field(default_factory=dict)
    layout: Path | None = None


@dataclass(frozen=True)
class Builder:
    """kind: buildx, buildkit (a CLI before 23 that speaks it itself) or classic; cli: path of that CLI."""

    kind: Literal["buildx", "buildkit", "classic"]
    cli: str = ""


class Clis:
    """Every docker in PATH, first found first, asked what it is.

    Each question is a process; all run from the beginning on, and their answers are read when they are needed.
    """

    def __init__(self) -> None:
        self._asked = [(cli, _ask([cli, "buildx", "version"]), _ask([cli, "--version"])) for cli in _clis()]

    def best(self) -> Builder:
        answers = [(cli, _answer(buildx), _answer(version)) for cli, buildx, version in self._asked]
        for cli, buildx, _ in answers:
            if buildx is not None:
                return Builder("buildx", cli)
        for cli, _, version in answers:
            major = re.search(r"version (\d+)\.", version or "")
            if major and 18 <= int(major[1]) < 23:
                return Builder("buildkit", cli)
        return Builder("classic")


def find_builder(engine: Engine, clis: Clis | None = None) -> Builder:
    """The best of what is in PATH and the engine."""
    if _numbers(engine.api_version) < _BUILDKIT_API or not engine.platform.startswith("linux/"):
        return Builder("classic")
    return (clis or Clis()).best()


def build(engine: Engine, builder: Builder, wanted: Build, progress: Progress, warn: Callable[[str], None]) -> None:
    """Build it. warn(text) tells what is left out: a cache that cannot be written.

    Raises EngineError that leads with the failing instruction, or says what the builder cannot do.
    """
    if wanted.cache and builder.kind != "buildx":
        warn("cache: this machine has no buildx, so nothing is written to the cache.")
    if builder.kind == "classic":
        if wanted.secrets:
            raise EngineError("build_secrets need BuildKit, and this machine has none for its engine.",
                              "Install docker-buildx-plugin (the role 'docker' does).")
        if wanted.platforms and wanted.platforms != (engine.platform,):
            raise EngineError(f"Building for {', '.join(wanted.platforms)} on {engine.platform} needs BuildKit.",
                              "Install docker-buildx-plugin (the role 'docker' does).")
    if len(wanted.platforms) > 1 and builder.kind != "buildx":
        raise EngineError("An image for several platforms needs buildx, and this machine has none.",
                          "Install docker-buildx-plugin (the role 'docker' does), or give one platform.")
    if builder.kind == "classic":
        _classic(engine, wanted, progress)
    else:
        _by_cli(engine, builder, wanted, progress, warn)


def _classic(engine: Engine, wanted: Build, progress: Progress) -> None:
    transcript = Transcript(progress.say, progress.heartbeat)
    name = os.path.relpath(wanted.dockerfile, wanted.context)
    outside = name.startswith("..")
    if outside:
        name = f".dockerfile.{os.getpid()}"
    with plain_errors(engine.address, "build"), _context_stream(wanted, name if outside else "") as stream:
        records = engine.api.build(
            fileobj=stream, custom_context=True, dockerfile=name, tag=wanted.name, target=wanted.target,
            buildargs=wanted.arguments, labels=wanted.labels, pull=wanted.pull, nocache=wanted.fresh, rm=True,
            forcerm=True, decode=True, platform=wanted.platforms[0] if wanted.platforms else None)
        for record in records:
            if "error" in record:
                raise transcript.failure(str(record["error"]))
            if "stream" in record:
                transcript.classic(record["stream"])
            elif "status" in record:
                progress.heartbeat(f"build: {record['status']} {record.get('id', '')} {record.get('progress', '')}")


@contextmanager
def _context_stream(wanted: Build, extra: str) -> Iterator[IO[bytes]]:
    """The context as a tar that is written while the engine reads it: no copy on a disk, no copy in memory."""
    reader, writer = os.pipe()
    failed: list[BaseException] = []

    def write() -> None:
        try:
            with os.fdopen(writer, "wb") as out, tarfile.open(fileobj=out, mode="w|", format=tarfile.PAX_FORMAT) as tar:
                inside = extra or os.path.relpath(wanted.dockerfile, wanted.context)
                there = False
                for path in wanted.files():
                    _add(tar, wanted.context, path)
                    there = there or path == inside
                if not there:
                    # Ignored, or outside the context: the builder needs it all the same.
                    tar.add(wanted.dockerfile, arcname=inside, filter=_anonymous)
        except BrokenPipeError:
            pass  # The engine refused the context; its answer says why.
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=write, daemon=True)
    with os.fdopen(reader, "rb") as stream:
        thread.start()
        try:
            yield stream
        finally:
            stream.close()
            thread.join(timeout=10)
            if failed:
                raise failed[0]


def _add(tar: tarfile.TarFile, root: str, name: str) -> None:
    path = Path(root) / name
    info = _anonymous(tar.gettarinfo(path, arcname=name))
    if info.isfile():
        with path.open("rb") as file:
            tar.addfile(info, file)
    else:
        tar.addfile(info)


def _anonymous(info: tarfile.TarInfo) -> tarfile.TarInfo:
    """Files arrive as root's, whoever owns them here; a hard link arrives as a file."""
    info.uid = info.gid = 0
    info.uname = info.gname = ""
    info.mtime = int(info.mtime)
    if info.islnk():
        info.type, info.linkname = tarfile.REGTYPE, ""
    return info


def _by_cli(engine: Engine, builder: Builder, wanted: Build, progress: Progress, warn: Callable[[str], None]) -> None:
    several = len(wanted.platforms) > 1
    with ExitStack() as stack:
        environment = {**os.environ, "DOCKER_BUILDKIT": "1", "BUILDX_NO_DEFAULT_ATTESTATIONS": "1"}
        own, exports = _exporter(engine, builder, environment) if several or wanted.cache else (False, False)
        # The CLI may have a context of its own; it must not build on another engine than the one we push from.
        if not own:
            environment["DOCKER_HOST"] = engine.address
        if wanted.auths:
            environment["DOCKER_CONFIG"] = stack.enter_context(docker_config(wanted.auths))
        command = [builder.cli, "buildx", "build"] if builder.kind == "buildx" else [builder.cli, "build"]
        command += ["--progress=plain", "--file", wanted.dockerfile, "--tag", wanted.name]
        if several and not exports:
            raise EngineError("An image for several platforms needs another builder than this engine's own.",
                              "Give the engine the containerd image store (\"features\": {\"containerd-snapshotter\": "
                              "true} in daemon.json, engine 24 or later), or make a builder: "
                              "docker buildx create --use.")
        if wanted.cache and builder.kind == "buildx" and not exports:
            warn("cache: this engine's own builder cannot export one, so nothing is written to the cache. An engine "
                 "with the containerd image store can, or a builder made by 'docker buildx create --use'.")
        if builder.kind == "buildx":
            command += ["--output", f"type=oci,dest={wanted.layout},tar=false"] if several else ["--load"]
            command += [] if own else ["--builder", "default"]
        command += ["--target", wanted.target] if wanted.target else []
        command += ["--platform", ",".join(wanted.platforms)] if wanted.platforms else []
        command += ["--pull"] if wanted.pull else []
        command += ["--no-cache"] if wanted.fresh else []
        for key, value in wanted.arguments.items():
            command += ["--build-arg", f"{key}={value}"]
        for key, value in wanted.labels.items():
            command += ["--label", f"{key}={value}"]
        for key, value in wanted.secrets.items():
            command += ["--secret", f"id={key},src={stack.enter_context(memory_file(value))}"]
        if wanted.cache and builder.kind == "buildx":
            command += ["--cache-from", f"type=registry,ref={wanted.cache}"]
            if exports:
                where = f"type=registry,ref={wanted.cache}"
                command += ["--cache-to", f"{where},mode=max,image-manifest=true,oci-mediatypes=true"]
        elif wanted.cache:
            # This builder cannot export a cache; an image that holds one it can use.
            command += ["--cache-from", wanted.cache]
        _run([*command, wanted.context], environment, progress)


def _exporter(engine: Engine, builder: Builder, environment: dict[str, str]) -> tuple[bool, bool]:
    """For what an engine's own builder cannot always do - several platforms, writing a cache: whether to take the
    builder that the user chose instead, and whether the one that is taken can do it."""
    if builder.kind != "buildx":
        return False, False
    if engine.containerd_store:
        return False, True
    shown = _answer(_ask([builder.cli, "buildx", "inspect"], environment)) or ""
    driver = re.search(r"^Driver: +(\S+)", shown, re.MULTILINE)
    own = driver is not None and driver[1] != "docker"
    return own, own


def _run(command: list[str], environment: dict[str, str], progress: Progress) -> None:
    transcript = Transcript(progress.say, progress.heartbeat)
    process = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT, text=True, errors="replace")
    try:
        assert process.stdout is not None
        for line in process.stdout:
            transcript.buildkit(line.rstrip("\n"))
        code = process.wait()
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait()
    if code:
        raise transcript.failure()


def _clis() -> list[str]:
    """Every docker in PATH, first found first, each once."""
    found: dict[str, str] = {}
    for directory in os.environ.get("PATH", os.defpath).split(os.pathsep):
        # which() passes over a directory that is not ours to read.
        if path := shutil.which("docker", path=directory or os.curdir):
            found.setdefault(os.path.realpath(path), path)
    return list(found.values())


def _ask(command: list[str], environment: dict[str, str] | None = None) -> subprocess.Popen[str] | None:
    try:
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                                text=True, errors="replace", env=environment)
    except OSError:
        return None


def _answer(process: subprocess.Popen[str] | None) -> str | None:
    """What it printed; None when it failed, or says nothing for long."""
    if process is None:
        return None
    try:
        output, _ = process.communicate(timeout=20)
    except subprocess.TimeoutExpired:
        process.kill()
        return None
    return output if process.returncode == 0 else None


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version)[:2])
