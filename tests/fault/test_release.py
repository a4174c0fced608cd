"""Whole releases while a part of all API calls is throttled, fails, or is cut off."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.fault.proxy import BadDay
from tests.integration.conftest import embedded_aws
from tests.shop import ROOT, Shop
from tests.small_image import small_image

PORT = int(os.environ.get("SLIPWAY_FAULT_PORT", "4606"))


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    with (embedded_aws(tmp_path_factory.mktemp("aws"), PORT) as aws,
          small_image(f"slipway-fault-{PORT}/base:1") as base):
        made = Shop(tmp_path_factory.mktemp("shop"), aws.env, base, "calm")
        made.set_up()
        yield made


@pytest.fixture
def release(tmp_path: Path) -> Path:
    """playbooks/release.yml, then what its modules returned as JSON in the file `results`."""
    shown = "'image': ecs_release_image, 'stack': ecs_release_stack, 'rollout': ecs_release_verdict"
    (tmp_path / "release.yml").write_text(yaml.safe_dump([
        {"name": "Release", "ansible.builtin.import_playbook": str(ROOT / "playbooks" / "release.yml")},
        {"name": "Tell", "hosts": "services", "gather_facts": False, "tasks": [{
            "name": "Results", "ansible.builtin.copy": {
                "dest": str(tmp_path / "results"), "mode": "0600", "content": f"{{{{ {{{shown}}} | to_json }}}}"}}]}]))
    return tmp_path / "release.yml"


@pytest.mark.parametrize("rate", [0.1, 0.3])
def test_a_release_comes_through_and_counts_what_it_repeated(shop: Shop, release: Path, rate: float) -> None:
    page = f"at {rate:.0%}"
    shop.write("calm", page)
    with BadDay(shop.env["AWS_ENDPOINT_URL"], rate, seed=7) as day:
        run = shop.play(str(release), "calm", AWS_ENDPOINT_URL=day.url)
        print(f"{page}: {sum(day.passed.values())} calls passed, {len(day.spoiled)} spoiled: {day.spoiled}")
    assert run.returncode == 0, run.stdout
    assert day.spoiled
    assert shop.page("calm") == page
    record = shop.records("calm")[-1]
    assert (record["verdict"], record["tag"]) == ("completed", shop.tag("calm"))
    assert "lock" not in shop.items("calm")
    results: dict[str, Any] = json.loads((release.parent / "results").read_text())
    repeated = {name: result["retries"] for name, result in results.items()}
    assert 0 < sum(repeated.values()) <= len(day.spoiled), repeated
    assert shop.stack("calm")["StackStatus"] == "UPDATE_COMPLETE"


def test_the_same_again_is_no_change_even_then(shop: Shop) -> None:
    """A call whose answer was lost and that was repeated has not released anything twice."""
    before = shop.records("calm")
    with BadDay(shop.env["AWS_ENDPOINT_URL"], 0.3, seed=11) as day:
        run = shop.release("calm", AWS_ENDPOINT_URL=day.url)
    assert run.returncode == 0, run.stdout
    assert "Nothing changed." in run.stdout
    assert shop.records("calm") == before
