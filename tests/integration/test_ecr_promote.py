"""ecr_promote against the embedded AWS: tags within a repository, copies between repositories and regions."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker
import pytest

from tests.integration.test_ecr_push import remove_images

ROOT = Path(__file__).resolve().parents[2]
RUN = ("import runpy, sys, ansible.module_utils as m; m.__path__.append(sys.argv[2] + '/module_utils');"
       "program, root, sys.argv = sys.argv[1], sys.argv[2], [sys.argv[1]];"
       "runpy.run_path(root + '/library/' + program + '.py', run_name='__main__')")


class Shop:
    """A repository with one image, and the module."""

    def __init__(self, aws: Any, context: Path) -> None:
        self.aws = aws
        self.name = f"promote-test/{uuid.uuid4().hex[:10]}"
        context.mkdir()
        (context / "Dockerfile").write_text("FROM scratch\nCOPY . /\n")
        (context / "index.html").write_bytes(os.urandom(100_000))
        self.image = self.run("ecr_push", repository=self.name, path=str(context), tag="v1")
        assert not self.image.get("failed"), self.image["msg"]

    def run(self, module: str, check: bool = False, **arguments: Any) -> dict[str, Any]:
        done = subprocess.run([sys.executable, "-c", RUN, module, str(ROOT)], env={**os.environ, **self.aws.env},
                              input=json.dumps({"ANSIBLE_MODULE_ARGS": {**arguments, "_ansible_check_mode": check}}),
                              capture_output=True, text=True, timeout=120, check=False)
        result: dict[str, Any] = json.loads(done.stdout or json.dumps({"failed": True, "msg": done.stderr}))
        return result

    def promote(self, check: bool = False, **arguments: Any) -> dict[str, Any]:
        return self.run("ecr_promote", check, repository=self.name, **arguments)


@pytest.fixture
def shop(aws: Any, tmp_path: Path) -> Iterator[Shop]:
    one = Shop(aws, tmp_path / "app")
    yield one
    remove_images(one.name)


def test_another_tag(shop: Shop) -> None:
    result = shop.promote(tag="v1", to_tags=["stable", "v1"])
    assert (result["changed"], result["digest"]) == (True, shop.image["digest"])
    assert {"stable", "v1"} <= set(result["tags"])
    assert not shop.promote(digest=shop.image["digest"], to_tags=["stable"])["changed"]


def test_another_repository_has_the_same_digest_and_can_be_pulled(shop: Shop) -> None:
    target = shop.name + "-production"
    assert shop.promote(tag="v1", to_repository=target)["failed"]
    would = shop.promote(check=True, tag="v1", to_repository=target, create=True)
    assert (would["changed"], would["repository_uri"]) == (True, "(known after apply)")
    result = shop.promote(tag="v1", to_repository=target, create=True)
    assert not result.get("failed"), result.get("msg")
    assert result["digest"] == shop.image["digest"]
    assert result["layers_pushed"] + result["layers_existing"] == 2
    pulled = docker.from_env().images.pull(result["repository_uri"], tag="v1")
    assert result["image_uri_by_digest"] in pulled.attrs["RepoDigests"]
    assert not shop.promote(tag="v1", to_repository=target)["changed"]


def test_a_tag_of_another_image_is_refused(shop: Shop, tmp_path: Path) -> None:
    target = shop.name + "-production"
    other = Shop(shop.aws, tmp_path / "other")
    shop.promote(tag="v1", to_repository=target, create=True)
    result = other.promote(tag="v1", to_repository=target)
    remove_images(other.name)
    assert result["failed"]
    assert (result["existing_digest"], result["wanted_digest"]) == (shop.image["digest"], other.image["digest"])


@pytest.mark.parametrize(("arguments", "word"), [
    ({"tag": "nope"}, "no image nope"),
    ({"digest": "sha256:1", "to_tags": ["x"]}, "not complete"),
    ({"digest": "sha256:" + "0" * 64}, "to_tags"),
    ({"tag": "v1", "to_repository": "Bad"}, "'Bad'"),
])
def test_bad_input(shop: Shop, arguments: dict[str, Any], word: str) -> None:
    result = shop.promote(**arguments)
    assert result["failed"]
    assert word in result["msg"]
