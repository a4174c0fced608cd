"""playbooks/rollback.yml on the embedded AWS: where it goes, what it waits for, and what its record says."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from tests.shop import Shop
from tests.small_image import small_image

from .conftest import EmbeddedAws

NAME = "back"
BACK = "playbooks/rollback.yml"


class History:
    """A service whose folder is in git."""

    def __init__(self, shop: Shop) -> None:
        self.shop = shop
        self.git("init", "--quiet")

    def git(self, *arguments: str) -> str:
        done = subprocess.run(["git", "-c", "user.name=ann", "-c", "user.email=ann@example.com", *arguments],
                              cwd=self.shop.folder, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    def commit(self, page: str, command: str = "") -> str:
        self.shop.write(NAME, page, command)
        self.git("add", NAME)
        self.git("commit", "--quiet", "--message", page)
        return self.git("rev-parse", "HEAD")

    def release(self, **extra: Any) -> dict[str, Any]:
        """A good one; its record."""
        run = self.shop.release(NAME, "-e", json.dumps(extra))
        assert run.returncode == 0, run.stdout
        return self.shop.records(NAME)[-1]

    def back(self, to: str = "", *more: str) -> str:
        run = self.shop.play(BACK, NAME, "-e", f"ecs_release_rollback_to={to}", *more)
        assert run.returncode == 0, run.stdout
        return " ".join(run.stdout.split())

    def refused(self, to: str) -> str:
        run = self.shop.play(BACK, NAME, "-e", f"ecs_release_rollback_to={to}")
        assert run.returncode != 0
        return " ".join(run.stdout.split())


@pytest.fixture(scope="module")
def history(aws: EmbeddedAws, tmp_path_factory: pytest.TempPathFactory) -> Iterator[History]:
    with small_image("slipway-rollback-test:latest") as base:
        shop = Shop(tmp_path_factory.mktemp("shop"), aws.env, base, NAME, "other")
        made = History(shop)
        made.commit("one")
        shop.set_up()
        yield made


@pytest.fixture(scope="module")
def commits(history: History) -> dict[str, str]:
    """Two is released; three is, while a rollback waits for it."""
    two = history.commit("two")
    history.release()
    three = history.commit("three")
    shop = history.shop
    release = shop.start(shop.command("playbooks/release.yml", NAME, "-e", json.dumps(
        {"ecs_release_task": {"command": ["/bin/sh", "-c", "echo at work; sleep 30"]}})))
    until_said(release, "at work")
    back = shop.start(shop.command(BACK, NAME))
    until_said(back, "waiting for it")
    said = [process.communicate(timeout=300)[0] for process in (release, back)]
    assert (release.returncode, back.returncode) == (0, 0), "\n".join(said)
    return {"two": two, "three": three}


def until_said(process: subprocess.Popen[str], words: str) -> None:
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line)
        if words in line:
            return
    raise AssertionError("".join(lines))


def test_one_that_waits_goes_back_from_what_it_waited_for(history: History, commits: dict[str, str]) -> None:
    assert history.shop.page(NAME) == "two"
    released, back = history.shop.records(NAME)[-2:]
    assert (released["commit"], back["commit"]) == (commits["three"], commits["two"])
    assert (back["kind"], back["verdict"]) == ("rollback", "completed")
    assert back["from"] == {"tag": released["tag"], "digest": released["digest"]}
    assert released["ended"] <= back["started"] and back["waited"] > 0


def test_the_commit_that_was_gone_back_from_names_its_own_image(history: History, commits: dict[str, str]) -> None:
    """HEAD was that commit at the rollback, too."""
    planned = history.back(commits["three"][:9], "--check")
    assert "Would take back-service from" in planned and history.shop.page(NAME) == "two"
    history.back(commits["three"][:9])
    assert history.shop.page(NAME) == "three"


def test_an_image_whose_tag_was_moved_is_found_by_its_digest(history: History, commits: dict[str, str]) -> None:
    shop = history.shop
    two, three = (next(one for one in shop.records(NAME) if one["commit"] == commits[page])
                  for page in ("two", "three"))
    ecr = shop.client("ecr")
    ecr.put_image_tag_mutability(repositoryName=NAME, imageTagMutability="MUTABLE")
    (image,) = ecr.batch_get_image(repositoryName=NAME, imageIds=[{"imageDigest": three["digest"]}])["images"]
    ecr.put_image(repositoryName=NAME, imageManifest=image["imageManifest"], imageTag=two["tag"],
                  imageManifestMediaType=image["imageManifestMediaType"])
    (moved,) = ecr.describe_images(repositoryName=NAME, imageIds=[{"imageTag": two["tag"]}])["imageDetails"]
    assert moved["imageDigest"] == three["digest"]
    history.back(two["digest"][:25])
    assert (shop.page(NAME), shop.tag(NAME)) == ("two", two["tag"])


def test_a_dirty_tree_is_recorded_as_one(history: History, commits: dict[str, str]) -> None:
    history.shop.write(NAME, "three and a bit")
    assert history.release()["commit"] == f"{commits['three']}-dirty"


def test_a_kept_image_is_not_of_the_commit_that_lies_there(history: History, commits: dict[str, str]) -> None:
    known = len(history.shop.records(NAME))
    history.commit("four")
    run = history.shop.play("site.yml", NAME, "-e", json.dumps({
        "ecs_release_keep_image": True, "ecs_release_service_parameters": {
            "DeregistrationDelaySeconds": 2, "StopTimeoutSeconds": 2, "HealthCheckGracePeriodSeconds": 5,
            "Memory": 128}}))
    assert run.returncode == 0, run.stdout
    (record,) = history.shop.records(NAME)[known:]
    assert (record["verdict"], record["commit"]) == ("completed", "")


def test_where_there_is_no_way_it_is_refused_and_recorded_so(history: History, commits: dict[str, str]) -> None:
    shop = history.shop
    broken = history.commit("broken")
    (shop.folder / NAME / "Dockerfile").write_text("FROM scratch\nCOPY nothing /\n")
    assert shop.release(NAME, "-e", f"ecs_release_revision={broken}").returncode != 0
    assert f"Commit {broken[:7]} was never released well (image failed on 20" in history.refused(broken)
    assert "has no image nowhere" in history.refused("nowhere")
    failed, *refused = shop.records(NAME)[-3:]
    assert failed["verdict"] == "image_failed"
    assert [(one["kind"], one["verdict"]) for one in refused] == [("rollback", "refused")] * 2
    assert "lock" not in shop.items(NAME)


def test_a_ledger_without_a_way_back_is_refused_first(history: History) -> None:
    known = len(history.shop.records(NAME))
    run = history.shop.release(NAME, "-e", "ecs_release_ledger_keep=1")
    said = " ".join(run.stdout.split())
    assert run.returncode != 0 and "Set ecs_release_ledger_keep to 2 or more." in said
    assert not re.search(r"changed=[1-9]", said) and len(history.shop.records(NAME)) == known


def test_each_of_several_services_has_its_own_report(history: History) -> None:
    shop = history.shop
    history.commit("five")
    folder = shop.folder / "reports"
    run = shop.release("", "-e", f"ecs_release_report_dir={folder}", "-e", '{"release_waves": ["100%"]}')
    assert run.returncode == 0, run.stdout
    assert sorted(str(file.relative_to(folder)) for file in folder.rglob("*.json")) == [
        "back-service/release.json", "other-service/release.json"]
    alone = shop.folder / "alone"
    assert shop.release(NAME, "-e", f"ecs_release_report_dir={alone}").returncode == 0
    assert json.loads((alone / "release.json").read_text())["service"] == "back-service"
