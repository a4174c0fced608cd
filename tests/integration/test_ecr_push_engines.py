"""ecr_push on engines that stop in mid-push, run out of disk, or have buildx and the containerd image store."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.registry_proxy import Proxy, running
from tests.integration.second_engine import SecondEngine, newer_programs, second_engine
from tests.integration.test_ecr_push import DOCKERFILE, Push, _without_docker, until

PLATFORMS = ["linux/amd64", "linux/arm64"]


@pytest.fixture
def push(aws: Any, tmp_path: Path) -> Push:
    """As in the other tests; what it makes goes with the engine."""
    context = tmp_path / "app"
    context.mkdir()
    (context / "Dockerfile").write_text(DOCKERFILE)
    (context / ".dockerignore").write_text("Dockerfile\n.dockerignore\n")
    one = Push(aws, context)
    one.change()
    return one


@pytest.fixture
def proxy(push: Push) -> Iterator[Proxy]:
    with running(push.environment["AWS_ENDPOINT_URL"]) as one:
        push.environment["AWS_ENDPOINT_URL"] = one.url
        yield one


@pytest.fixture
def engine(push: Push) -> Iterator[SecondEngine]:
    """Of this machine's version."""
    with second_engine() as one:
        push.environment["DOCKER_HOST"] = one.address
        yield one


@pytest.fixture(scope="module")
def newer(pytestconfig: pytest.Config) -> Iterator[SecondEngine]:
    """Debian 13's, with the containerd image store."""
    folder = pytestconfig.cache.mkdir("debian-13-engine")
    programs = newer_programs(folder)
    with second_engine(programs=f"{programs}/sbin:{programs}/bin", features={"containerd-snapshotter": True}) as one:
        yield one


@pytest.fixture
def buildx(push: Push, tmp_path: Path, pytestconfig: pytest.Config) -> Path:
    """Debian 13's CLI with its plugin in PATH; returns the folder of its configuration."""
    programs = newer_programs(pytestconfig.cache.mkdir("debian-13-engine"))
    config = tmp_path / "docker"
    (config / "cli-plugins").mkdir(parents=True)
    (config / "cli-plugins" / "docker-buildx").symlink_to(programs / "libexec/docker/cli-plugins/docker-buildx")
    push.environment |= {"PATH": f"{programs}/bin:{os.environ['PATH']}", "DOCKER_CONFIG": str(config)}
    return config


# -- the engine goes away ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_an_engine_restarted_in_mid_push(push: Push, proxy: Proxy, engine: SecondEngine, tmp_path: Path,
                                         number: signal.Signals) -> None:
    (push.context / "big").write_bytes(os.urandom(3_000_000))
    told = tmp_path / "told"
    told.touch()
    held, ended = threading.Event(), threading.Event()

    def rule(method: str, path: str, operation: str) -> str | None:
        if method == "PATCH" and not held.is_set():
            # The layer is on its way, and its answer never comes.
            held.set()
            ended.wait(60)
            return "cut"
        return None

    proxy.rule = rule
    process = push.start(tag="v1", progress_file=str(told))
    assert held.wait(60)
    engine.end(number)
    ended.set()
    until(lambda: "Trying again" in told.read_text())
    engine.start()
    result = push.finish(process)
    assert not result.get("failed"), result["msg"]
    assert (result["built"], result["pushed"], result["layers_pushed"]) == (True, True, 1)
    assert push.tags_in_ecr() == {"v1": result["digest"]}
    assert not push.good(tag="v1")["changed"]


def test_an_engine_that_stays_away(push: Push, proxy: Proxy, engine: SecondEngine) -> None:
    """The message says so, and the next run goes on from the image that was built."""
    gone = threading.Event()

    def rule(method: str, path: str, operation: str) -> None:
        if operation == "GetAuthorizationToken" and not gone.is_set():
            gone.set()
            engine.end(signal.SIGTERM)

    proxy.rule = rule
    result = push()
    assert "not running" in result["msg"]
    assert "role 'docker'" in result["remedy"]
    engine.start()
    after = push.good()
    assert (after["built"], after["pushed"]) == (False, True)


@pytest.mark.parametrize("builder", ["BuildKit", "classic"])
def test_a_full_disk(push: Push, proxy: Proxy, tmp_path: Path, builder: str) -> None:
    if builder == "classic":
        push.environment["PATH"] = _without_docker(tmp_path)
    (push.context / "big").write_bytes(os.urandom(30_000_000))
    with second_engine(memory="40m") as engine:
        push.environment["DOCKER_HOST"] = engine.address
        result = push()
        assert result["failed"]
        assert re.match(r"The build failed at \[\d/\d\] COPY \. /:\n", result["msg"])
        assert "no space left on device" in result["msg"]
        assert "docker system df" in result["remedy"]
        assert "Traceback" not in json.dumps(result)
        assert not [name for image in engine.client().images.list() for name in image.tags]
        assert not push.aws.client("ecr").describe_images(repositoryName=push.repository)["imageDetails"]
        assert not list(Path(tempfile.gettempdir()).glob("slipway-docker-*"))
        subprocess.run(["mount", "-o", "remount,size=400m", str(engine.data)], check=True)
        # And full again once the image is built: what is pushed needs no room, or is told as what it is.
        rest = engine.data / "rest"

        def fill(method: str, path: str, operation: str) -> None:
            if operation == "GetAuthorizationToken" and not rest.exists():
                free = os.statvfs(engine.data)
                with rest.open("wb") as file:
                    os.posix_fallocate(file.fileno(), 0, (free.f_bfree - 1) * free.f_frsize)

        proxy.rule = fill
        second = push(tag="v1")
        assert rest.exists()
        assert not second.get("failed") or "disk is full" in second["msg"]
        rest.unlink()
        rest.touch()
        third = push.good(tag="v1")
        assert (third["built"], third["tags"]) == (False, ["v1"])
        assert push.tags_in_ecr() == {"v1": third["digest"]}


# -- buildx ------------------------------------------------------------------------------------------------------------


def test_buildx_is_chosen_wherever_it_is_in_the_path(push: Push, buildx: Path, tmp_path: Path) -> None:
    """A CLI without the plugin, or with BuildKit of its own, comes first in PATH and is passed over for it."""
    from slipway.docker import build

    class Engine:
        api_version, platform = "1.41", "linux/amd64"

    def chosen(path: str) -> tuple[str, str]:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("PATH", path)
            patch.setenv("DOCKER_CONFIG", str(buildx))
            found = build.find_builder(Engine())  # type: ignore[arg-type]
            return found.kind, found.cli

    real = shutil.which("docker", path=push.environment["PATH"])
    assert real
    for name, says in (("old", "Docker version 20.10.24, build x"), ("bare", "Docker version 28.2.2, build x")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "docker").write_text(f"#!/bin/sh\n[ $1 = --version ] && echo '{says}' || exit 1\n")
        (tmp_path / name / "docker").chmod(0o755)
    old, bare, last = tmp_path / "old", tmp_path / "bare", Path(real).parent
    assert chosen(f"{bare}:{old}:{last}") == ("buildx", real)
    assert chosen(f"{bare}:{old}") == ("buildkit", f"{old}/docker")
    assert chosen(f"{old}:{bare}:/nowhere") == ("buildkit", f"{old}/docker")
    assert chosen(str(bare)) == ("classic", "")
    Engine.api_version = "1.38"
    assert chosen(f"{bare}:{last}") == ("classic", "")


def test_buildx_on_this_machines_engine(push: Push, buildx: Path, engine: SecondEngine) -> None:
    """One platform, loaded into the engine; the secret is read; several platforms and a cache are told as they are."""
    secret = uuid.uuid4().hex
    result = push.good(build_secrets={"key": secret}, labels={"team": "a"}, cache=f"{push.repository}:cache-main")
    assert secret not in json.dumps(result)
    assert (result["built"], result["pushed"], result["layers_pushed"]) == (True, True, 1)
    assert "cannot export" in json.dumps(result["warnings"])
    image = engine.client().images.get(result["image_uri"])
    assert image.labels["team"] == "a"
    assert secret not in json.dumps(image.history())
    several = push(platforms=PLATFORMS)
    assert "several platforms" in several["msg"]
    assert "containerd-snapshotter" in several["remedy"]


def test_the_containerd_image_store(push: Push, buildx: Path, newer: SecondEngine) -> None:
    push.environment["DOCKER_HOST"] = newer.address
    first = push.good()
    assert (first["pushed"], first["layers_pushed"]) == (True, 1)
    assert push.tags_in_ecr() == {first["tag"]: first["digest"]}
    assert not push.good()["changed"]
    push.change()
    other = push.good(platforms=["linux/arm64"])
    config = newer.client().api.inspect_image(other["image_uri"])
    assert (config["Os"], config["Architecture"]) == ("linux", "arm64")


def test_an_image_for_several_platforms(push: Push, buildx: Path, newer: SecondEngine, proxy: Proxy) -> None:
    push.environment["DOCKER_HOST"] = newer.address
    (push.context / "Dockerfile").write_text("FROM scratch\nARG TARGETARCH\nLABEL arch=$TARGETARCH\nCOPY . /\n")
    (push.context / "big").write_bytes(os.urandom(3_000_000))
    # A layer's upload and the tag are cut off once, and the token expires once.
    wrong: dict[str, Any] = {
        "PATCH": "cut", "PUT content-": "cut",
        "PUT sha256": (403, {}, b'{"errors": [{"code": "DENIED", "message": "Your token has expired."}]}')}

    def rule(method: str, path: str, operation: str) -> Any:
        last = path.rpartition("/")[2]
        for start in [key for key in wrong if key.split()[0] == method and "/v2/" in path]:
            if start == method or ("/manifests/" in path and last.startswith(start.split()[1])):
                return wrong.pop(start)
        return None

    proxy.rule = rule
    first = push.good(platforms=PLATFORMS, tag="v1", extra_tags=["stable"])
    assert not wrong
    assert first["api_calls"]["ecr.GetAuthorizationToken"] >= 3
    assert (first["built"], first["pushed"], first["layers_pushed"], first["layers_existing"]) == (True, True, 1, 0)
    assert first["size_bytes"] > 3_000_000
    ecr = push.aws.client("ecr")
    [held] = ecr.batch_get_image(repositoryName=push.repository, imageIds=[{"imageTag": "v1"}])["images"]
    assert held["imageId"]["imageDigest"] == first["digest"]
    listed = json.loads(held["imageManifest"])["manifests"]
    assert [f"{part['platform']['os']}/{part['platform']['architecture']}" for part in listed] == PLATFORMS
    assert len({part["digest"] for part in listed}) == 2
    second = push.good(platforms=PLATFORMS[::-1])
    assert (second["changed"], second["digest"], second["size_bytes"]) == (False, first["digest"], first["size_bytes"])
    assert second["tags"] == ["stable", "v1"]
    # Pulled by each of its parts, it is whole.
    for part in listed:
        newer.client().images.pull(f"{first['repository_uri']}@{part['digest']}")
    (push.context / "new").write_text("new")
    third = push.good(platforms=PLATFORMS, force=True)
    assert third["digest"] != first["digest"]
    assert not list(Path(tempfile.gettempdir()).glob("slipway-image-*"))


def test_two_pushes_for_several_platforms_at_once(push: Push, buildx: Path, newer: SecondEngine) -> None:
    push.environment["DOCKER_HOST"] = newer.address
    results = [push.finish(p) for p in [push.start(platforms=PLATFORMS), push.start(platforms=PLATFORMS)]]
    for result in results:
        assert not result.get("failed"), result["msg"]
    assert set(push.tags_in_ecr().values()) == {result["digest"] for result in results}
    assert len(set(push.tags_in_ecr().values())) == 1


def test_a_cache_in_the_registry(push: Push, buildx: Path, newer: SecondEngine) -> None:
    """Written by one build, moved on by the next, and read where the engine has nothing of its own."""
    push.environment["DOCKER_HOST"] = newer.address
    cache = f"{push.repository}:cache-main"
    (push.context / "base").write_text("base")
    (push.context / "Dockerfile").write_text("FROM scratch AS one\nCOPY base /\nFROM one\nCOPY . /\n")
    push.good(cache=cache)
    push.change()
    second = push.good(cache=cache)
    kinds = {tag: detail["imageManifestMediaType"]
             for detail in push.aws.client("ecr").describe_images(repositoryName=push.repository)["imageDetails"]
             for tag in detail.get("imageTags", [])}
    assert "cache-main" in kinds
    newer.client().api.prune_builds()
    for image in newer.client().images.list(push.repository.partition("/")[0]):
        newer.client().images.remove(image.id, force=True)
    push.change()
    third = push.good(cache=cache)
    assert third["layers_existing"] >= 1
    assert third["digest"] != second["digest"]
    refused = push(cache=f"{push.repository}:main", force=True)
    assert "'main'" in refused["msg"]
    assert "cache-" in refused["remedy"]
