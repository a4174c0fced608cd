"""ecr_promote against the embedded AWS: tags within a repository, copies between repositories and regions."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from email.message import Message
from pathlib import Path
from typing import Any

import docker
import pytest

from tests.integration import documented
from tests.integration.conftest import PORT, embedded_aws
from tests.integration.registry_proxy import Proxy, running
from tests.integration.test_ecr_push import remove_images

ROOT = Path(__file__).resolve().parents[2]
RUN = ("import runpy, sys, ansible.module_utils as m; m.__path__.append(sys.argv[2] + '/module_utils');"
       "program, root, sys.argv = sys.argv[1], sys.argv[2], [sys.argv[1]];"
       "runpy.run_path(root + '/library/' + program + '.py', run_name='__main__')")


class Shop:
    """A repository with one image, and the module."""

    def __init__(self, aws: Any, context: Path) -> None:
        self.aws, self.context = aws, context
        self.endpoint_url: str | None = None
        self.name = f"promote-test/{uuid.uuid4().hex[:10]}"
        context.mkdir()
        (context / "Dockerfile").write_text("FROM scratch\nCOPY . /\n")
        (context / "index.html").write_bytes(os.urandom(100_000))
        self.image = self.run("ecr_push", repository=self.name, path=str(context), tag="v1")
        assert not self.image.get("failed"), self.image["msg"]

    def run(self, module: str, check: bool = False, **arguments: Any) -> dict[str, Any]:
        if self.endpoint_url:
            arguments["endpoint_url"] = self.endpoint_url
        done = subprocess.run([sys.executable, "-c", RUN, module, str(ROOT)], env={**os.environ, **self.aws.env},
                              input=json.dumps({"ANSIBLE_MODULE_ARGS": {**arguments, "_ansible_check_mode": check}}),
                              capture_output=True, text=True, timeout=300, check=False)
        result: dict[str, Any] = json.loads(done.stdout or json.dumps({"failed": True, "msg": done.stderr}))
        documented.check(module, result)
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


# -- the registry of another account, or of another region -------------------------------------------------------------

ELSEWHERE = "222222222222"


class Regions:
    """Two embedded AWS behind one endpoint: the account ELSEWHERE and every region but ours is the other one.

    Each registry has a password of its own, which only its own token holds.
    """

    def __init__(self, here: Proxy, there: Proxy, front: Proxy) -> None:
        self.here, self.there, self.front = here, there, front
        here.password, there.password = uuid.uuid4().hex, uuid.uuid4().hex
        front.route = lambda headers, body: (there if self._elsewhere(headers, body) else here).url

    @staticmethod
    def _elsewhere(headers: Message, body: bytes) -> bool:
        region = str(headers["Authorization"]).split("/")[2]
        asked = json.loads(body)
        return region != "us-east-1" or ELSEWHERE in (asked.get("registryId"), *asked.get("registryIds", []))


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with embedded_aws(tmp_path_factory.mktemp("elsewhere"), PORT + 3, MINISTACK_ACCOUNT_ID=ELSEWHERE) as one:
        yield one
        remove_images("promote-test/")


@pytest.fixture
def regions(shop: Shop, elsewhere: Any) -> Iterator[Regions]:
    with (running(shop.aws.env["AWS_ENDPOINT_URL"]) as here, running(elsewhere.env["AWS_ENDPOINT_URL"]) as there,
          running(here.url) as front):
        shop.endpoint_url = front.url
        yield Regions(here, there, front)


def _held(aws: Any, repository: str, region: str) -> dict[str, str]:
    client = aws.client("ecr", region)
    return {tag: detail["imageDigest"] for detail in client.describe_images(repositoryName=repository)["imageDetails"]
            for tag in detail.get("imageTags", [])}


def test_another_region(shop: Shop, regions: Regions, elsewhere: Any) -> None:
    missing = shop.promote(tag="v1", to_region="eu-central-1")
    assert "does not exist in eu-central-1" in missing["msg"]
    # The upload of the large layer is cut off once.
    cut = iter([True])
    regions.there.rule = lambda method, path, operation: "cut" if method == "PATCH" and next(cut, False) else None
    result = shop.promote(tag="v1", to_region="eu-central-1", create=True)
    assert not result.get("failed"), result["msg"]
    assert (result["changed"], result["digest"]) == (True, shop.image["digest"])
    assert (result["layers_pushed"], result["layers_existing"]) == (2, 0)
    assert result["repository_uri"].startswith(regions.there.url.removeprefix("http://"))
    assert _held(elsewhere, shop.name, "eu-central-1") == {"v1": shop.image["digest"]}
    pulled = docker.from_env().api.pull(result["image_uri_by_digest"], auth_config={
        "username": "AWS", "password": regions.there.password})
    assert "error" not in pulled
    assert not shop.promote(tag="v1", to_region="eu-central-1")["changed"]
    # Each registry was asked with its own token: the other one's is refused.
    assert {"GetAuthorizationToken"} <= {operation for _, _, operation in regions.here.seen}
    regions.there.password = regions.here.password + "x"
    regions.front.route = lambda headers, body: (
        regions.here if b"registryIds" in body or headers["X-Amz-Target"].endswith("GetAuthorizationToken")
        or "/us-east-1/" in headers["Authorization"] else regions.there).url
    wrong = shop.promote(tag="v1", to_repository=f"{shop.name}-b", to_region="eu-central-1", create=True)
    assert "401" in wrong["msg"]


def test_another_account(shop: Shop, regions: Regions, elsewhere: Any) -> None:
    result = shop.promote(tag="v1", to_registry_id=ELSEWHERE, create=True)
    assert not result.get("failed"), result["msg"]
    assert _held(elsewhere, shop.name, "us-east-1") == {"v1": shop.image["digest"]}
    [repository] = elsewhere.client("ecr").describe_repositories(repositoryNames=[shop.name])["repositories"]
    assert repository["registryId"] == ELSEWHERE
    assert repository["imageTagMutability"] == "IMMUTABLE_WITH_EXCLUSION"
    assert not shop.promote(tag="v1", to_registry_id=ELSEWHERE)["changed"]
    # And back again from there, under another name.
    back = shop.promote(tag="v1", registry_id=ELSEWHERE, to_registry_id="000000000000",
                        to_repository=f"{shop.name}-back", create=True)
    assert not back.get("failed"), back["msg"]
    assert _held(shop.aws, f"{shop.name}-back", "us-east-1") == {"v1": shop.image["digest"]}


def test_push_to_another_account(shop: Shop, regions: Regions, elsewhere: Any) -> None:
    (shop.context / "index.html").write_text("for the other account")
    result = shop.run("ecr_push", repository=shop.name, path=str(shop.context), tag="v2", registry_id=ELSEWHERE)
    assert not result.get("failed"), result["msg"]
    assert _held(elsewhere, shop.name, "us-east-1")["v2"] == result["digest"]
    assert "v2" not in _held(shop.aws, shop.name, "us-east-1")
    again = shop.run("ecr_push", repository=shop.name, path=str(shop.context), registry_id=ELSEWHERE)
    assert (again["changed"], again["tag"]) == (False, "v2")
    assert regions.here.password not in json.dumps(result)


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
