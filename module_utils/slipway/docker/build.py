"""Builds an image with the best builder this machine offers."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tarfile
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Literal

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
    fresh: without the engine's cache. An image for several platforms goes to its registry, any other to the engine."""

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


@dataclass(frozen=True)
class Builder:
    """kind: buildx, buildkit (a CLI before 23 that speaks it itself) or classic; cli: path of that CLI."""

    kind: Literal["buildx", "buildkit", "classic"]
    cli: str = ""


def find_builder(engine: Engine) -> Builder:
    """The best of what is in PATH and the engine."""
    if _numbers(engine.api_version) < _BUILDKIT_API or not engine.platform.startswith("linux/"):
        return Builder("classic")
    with ThreadPoolExecutor() as pool:
        # Each question starts a process; asked together they cost as much as one.
        probes = [(cli, pool.submit(_output, [cli, "buildx", "version"]), pool.submit(_output, [cli, "--version"]))
                  for cli in _clis()]
    for cli, buildx, _ in probes:
        if buildx.result() is not None:
            return Builder("buildx", cli)
    for cli, _, version in probes:
        major = re.search(r"version (\d+)\.", version.result() or "")
        if major and 18 <= int(major[1]) < 23:
            return Builder("buildkit", cli)
    return Builder("classic")


def build(engine: Engine, builder: Builder, wanted: Build, progress: Progress) -> str:
    """Build it. Returns the registry digest when the image went there directly (several platforms), else ''.

    Raises EngineError that leads with the failing instruction, or says what the builder cannot do.
    """
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
        return ""
    return _by_cli(engine, builder, wanted, progress)


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


def _by_cli(engine: Engine, builder: Builder, wanted: Build, progress: Progress) -> str:
    several = len(wanted.platforms) > 1
    # Several platforms cannot be loaded into the engine, and a cache is exported by the user's own builder only.
    own_builder = several or bool(wanted.cache)
    with ExitStack() as stack:
        environment = {**os.environ, "DOCKER_BUILDKIT": "1", "BUILDX_NO_DEFAULT_ATTESTATIONS": "1"}
        # The CLI may have a context of its own; it must not build on another engine than the one we push from.
        if not own_builder:
            environment["DOCKER_HOST"] = engine.address
        if wanted.auths:
            environment["DOCKER_CONFIG"] = stack.enter_context(docker_config(wanted.auths))
        result = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="slipway-build-"))) / "result.json"
        command = [builder.cli, "buildx", "build"] if builder.kind == "buildx" else [builder.cli, "build"]
        command += ["--progress=plain", "--file", wanted.dockerfile, "--tag", wanted.name]
        if builder.kind == "buildx":
            command += ["--metadata-file", str(result), "--push" if several else "--load"]
            command += [] if own_builder else ["--builder", "default"]
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
            command += ["--cache-from", f"type=registry,ref={wanted.cache}", "--cache-to",
                        f"type=registry,ref={wanted.cache},mode=max,image-manifest=true,oci-mediatypes=true"]
        elif wanted.cache:
            # This builder cannot export a cache; an image that holds one it can use.
            command += ["--cache-from", wanted.cache]
        _run([*command, wanted.context], environment, progress)
        return _pushed_digest(result) if several else ""


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


def _pushed_digest(path: Path) -> str:
    metadata: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return str(metadata["containerimage.digest"])


def _clis() -> list[str]:
    """Every docker in PATH, first found first, each once."""
    found: dict[str, str] = {}
    for directory in os.environ.get("PATH", os.defpath).split(os.pathsep):
        # which() passes over a directory that is not ours to read.
        if path := shutil.which("docker", path=directory or os.curdir):
            found.setdefault(os.path.realpath(path), path)
    return list(found.values())


def _output(command: list[str]) -> str | None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version)[:2])
