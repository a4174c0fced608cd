"""What decides how the embedded AWS gets its engine and its base images, apart from getting them."""

from __future__ import annotations

import dataclasses
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from embedded import engine, images
from embedded.engine import Answer

DEBIAN_12 = """\
Packages|http://mirror.example/debian/|bookworm|Debian
Packages|http://mirror.example/debian/|bookworm-updates|Debian
Packages|http://mirror.example/debian-security/|bookworm-security|Debian
Translations|http://mirror.example/debian/|bookworm|Debian
Packages|https://packages.example/node|nodistro|Node
"""
DEBIAN_13 = DEBIAN_12.replace("bookworm", "trixie") + "Packages|http://mirror.example/debian/|trixie-backports|Debian\n"
UBUNTU = "Packages|http://mirror.example/ubuntu/|noble|Ubuntu\n"
NO_LISTS = "Packages|http://mirror.example/debian/||\n"


def test_sources_are_the_packages_indexes_only() -> None:
    assert len(images.parse_sources(DEBIAN_12)) == 4
    assert images.parse_sources("") == images.parse_sources("E: something went wrong\n") == []


@pytest.mark.parametrize("text", [DEBIAN_12, DEBIAN_13], ids=["same release", "another release"])
def test_mirrors_are_those_of_the_machine(text: str) -> None:
    assert images.source_lines(images.parse_sources(text), "bookworm", "/k.gpg") == [
        "deb [signed-by=/k.gpg] http://mirror.example/debian bookworm main",
        "deb [signed-by=/k.gpg] http://mirror.example/debian bookworm-updates main",
        "deb [signed-by=/k.gpg] http://mirror.example/debian-security bookworm-security main",
    ]


def test_without_a_keyring_the_source_names_none() -> None:
    assert images.source_lines(images.parse_sources(DEBIAN_12), "bookworm", None)[0] == (
        "deb http://mirror.example/debian bookworm main")


@pytest.mark.parametrize("text", [UBUNTU, NO_LISTS, "Packages|http://s.example/debian-security/|bookworm-security|Debian\n"],
                         ids=["not Debian", "lists never fetched", "security alone"])
def test_a_machine_without_debians_main_archive_leaves_the_choice_to_mmdebstrap(text: str) -> None:
    assert images.source_lines(images.parse_sources(text), "bookworm", None) == []


def test_only_date_checks_stay_in_the_image_and_proxies_do_not() -> None:
    options, proxies = images.acquire_settings(
        'Acquire "";\nAcquire::Check-Valid-Until "false";\nAcquire::http "";\n'
        'Acquire::http::Proxy "http://user:secret@proxy:3128";\nAcquire::https::Proxy "";\n')
    assert options == ['Acquire::Check-Valid-Until "false";']
    assert proxies == {"http_proxy": "http://user:secret@proxy:3128"}


def test_the_tree_goes_to_the_output_and_root_mounts_nothing_on_the_machine() -> None:
    line = "deb http://mirror.example/debian bookworm main"
    command = images.bootstrap_command(images.PHP_APACHE, [line], ["A"], as_root=True)
    assert command[:len(images.ISOLATION)] == list(images.ISOLATION)
    assert command[-3:] == ["bookworm", "-", line]
    assert "--aptopt=A" in command
    other = images.bootstrap_command(images.PHP_APACHE, [], [], as_root=False)
    assert other[0] == "mmdebstrap"
    assert other[-1] == "-"


@pytest.mark.parametrize("change", [
    {"official": "php:8.5-apache-bookworm"}, {"suite": "trixie"}, {"packages": ("apache2",)}], ids=str)
def test_a_changed_recipe_is_another_image(change: dict[str, Any]) -> None:
    assert dataclasses.replace(images.PHP_APACHE, **change).reference != images.PHP_APACHE.reference


@pytest.mark.parametrize("change", ["edited", "added", "renamed"])
def test_a_changed_file_is_another_image_of_the_same_packages(
        change: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "RECIPES", tmp_path)
    folder = tmp_path / images.PHP_APACHE.name
    folder.mkdir()
    (folder / "Dockerfile").write_text("FROM a")
    before, tree = images.PHP_APACHE.reference, images.PHP_APACHE.tree
    assert images.PHP_APACHE.reference == before
    if change == "edited":
        (folder / "Dockerfile").write_text("FROM b")
    elif change == "added":
        (folder / "more").write_text("")
    else:
        (folder / "Dockerfile").rename(folder / "Containerfile")
    assert images.PHP_APACHE.reference != before
    assert images.PHP_APACHE.tree == tree


@pytest.mark.parametrize("recipe", images.BASE_IMAGES, ids=lambda recipe: recipe.name)
def test_every_recipe_has_its_dockerfile(recipe: images.Recipe) -> None:
    text = (recipe.directory / "Dockerfile").read_text()
    assert "ARG PACKAGES\nFROM ${PACKAGES}\n" in text
    assert recipe.reference.startswith(images.PREFIX) and recipe.tree.startswith(images.PREFIX)


@pytest.mark.parametrize(("line", "stage"), [
    ("I: running apt-get update...", "running apt-get update"),
    ("I: downloading packages with apt...", "downloading packages with apt"),
    ("I: installing remaining packages inside the chroot...", "installing remaining packages inside the chroot"),
    ("I: creating tarball...", "creating tarball"),
    ("I: automatically chosen mode: root", None),
    ("W: installing is hard", None),
    ("Setting up apache2 (2.4) ...", None),
])
def test_the_stage_is_read_from_the_chatter(line: str, stage: str | None) -> None:
    assert images.stage_of(line) == stage


@pytest.mark.parametrize(("text", "full"), [
    ("dpkg: error: write: No space left on device", True),
    ("write /var/lib/docker/x: no space left on device", True),
    ("E: You don't have enough free space in /x", True),
    ("E: Unable to locate package x", False),
])
def test_a_full_disk_is_recognised(text: str, full: bool) -> None:
    assert images.is_disk_full(text) is full


class _Engine:
    def __init__(self, index: str, mirrors: list[str]) -> None:
        self._info = {"IndexServerAddress": index, "RegistryConfig": {"Mirrors": mirrors}}

    def info(self) -> dict[str, Any]:
        return self._info


@pytest.fixture
def refusing_registry() -> Iterator[str]:
    """A registry that wants a token, as public ones do."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_error(401 if self.path == "/v2/" else 404)

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/v1/"
    server.shutdown()
    server.server_close()


NOBODY = "http://127.0.0.1:9/v1/"


def test_any_status_is_an_answer_of_the_registry_or_of_a_mirror(refusing_registry: str) -> None:
    assert images.registry_answers(_Engine(refusing_registry, []))
    assert images.registry_answers(_Engine(NOBODY, [refusing_registry]))


@pytest.mark.parametrize("index", [NOBODY, "", "http://host.invalid/v1/", "not a url"])
def test_no_connection_is_no_answer(index: str) -> None:
    assert not images.registry_answers(_Engine(index, []))


@pytest.mark.parametrize(("answer", "where", "installed", "manager", "expected"), [
    (Answer.DENIED, engine.DEFAULT_HOST, True, "apt-get", "sudo usermod -aG docker joe"),
    (Answer.SILENT, "tcp://10.0.0.1:2375", True, "apt-get", "DOCKER_HOST=tcp://10.0.0.1:2375"),
    (Answer.SILENT, engine.DEFAULT_HOST, True, "apt-get", "sudo service docker start"),
    (Answer.SILENT, engine.DEFAULT_HOST, False, "apt-get", "sudo apt-get install docker.io"),
    (Answer.SILENT, engine.DEFAULT_HOST, False, "dnf", "sudo dnf install docker "),
])
def test_a_missing_engine_is_one_line_that_says_what_to_type(
        answer: Answer, where: str, installed: bool, manager: str, expected: str) -> None:
    text = engine.refusal(answer, where, "joe", installed, manager)
    assert expected in text
    assert "\n" not in text
