"""Every fault of a release's values is named, all at once, before anything is made."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from slipway import preflight
from slipway.errors import InvalidInput

TEMPLATE = str(Path(__file__).parents[2] / "files/cloudformation/service.yml")


@pytest.fixture
def good(tmp_path: Path) -> dict[str, Any]:
    (tmp_path / "Dockerfile").write_text("FROM scratch\n")
    return {"app_name": "shop", "stack_name": "shop-service", "repository": "team/shop", "source": str(tmp_path),
            "dockerfile": "Dockerfile", "tag": "", "template": TEMPLATE, "parameters": {}}


def test_good_values_pass(good: dict[str, Any]) -> None:
    preflight.check(**{**good, "tag": "v1", "parameters": {"DesiredCount": 2, "LaunchType": "FARGATE"}})


@pytest.mark.parametrize(("change", "words"), [
    ({"app_name": ""}, "ecs_release_app_name is not set"),
    ({"app_name": "9shop"}, "Application name '9shop' is refused"),
    ({"app_name": "a;rm"}, "Application name 'a;rm' is refused"),
    ({"stack_name": "my_shop"}, "Stack name 'my_shop' is refused at character 3"),
    ({"repository": ""}, "ecs_release_repository is not set"),
    ({"repository": "Team/Shop"}, "Repository name 'Team/Shop' is refused at character 1"),
    ({"tag": "a b"}, "Image tag 'a b' is refused at character 2"),
    ({"source": ""}, "ecs_release_source is not set"),
    ({"source": "/nowhere/at/all"}, "The application's folder /nowhere/at/all is missing"),
    ({"dockerfile": "Dockerfile.prod"}, "Dockerfile.prod is missing"),
    ({"template": "/nowhere/service.yml"}, "Template /nowhere/service.yml cannot be read"),
    ({"parameters": {"DesiredCont": 2}}, "Parameter DesiredCont is not in service.yml"),
    ({"parameters": {"DesiredCount": "two"}}, "DesiredCount is 'two'"),
    ({"parameters": {"LaunchType": "LAMBDA"}}, "LaunchType is 'LAMBDA'"),
    ({"parameters": {"ImageTag": "x"}}, "Parameter ImageTag is set by the release itself"),
    ({"parameters": {"ImageDigest": ""}}, "Parameter ImageDigest is set by the release itself"),
    ({"parameters": {"HealthCheckTimeoutSeconds": 5}}, "HealthCheckTimeoutSeconds (5) must be below"),
    ({"parameters": {"DesiredCapacity": 3, "MaxSize": 2}}, "DesiredCapacity (3) must be at most MaxSize (2)"),
    ({"parameters": {"DesiredCount": 3, "MaxCount": 2}}, "MaxCount (2) must be 0 or at least DesiredCount (3)"),
    ({"keep": 1}, "to keep 1 records, which leaves no release to go back to. Set ecs_release_ledger_keep to 2"),
    ({"keep": -5}, "to keep -5 records"),
])
def test_fault_is_named(good: dict[str, Any], change: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        preflight.check(**{**good, **change})
    assert words in str(refused.value)


def test_all_faults_at_once(good: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput) as refused:
        preflight.check(**{**good, "app_name": "", "repository": "X", "source": "/nowhere", "tag": "-"})
    text = str(refused.value)
    assert text.startswith("4 values are at fault:")
    assert text.count("\n- ") == 4


def test_a_promotion_needs_its_file_and_no_source(good: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="nowhere.json, cannot be read"):
        preflight.check(**{**good, "source": "", "promote": str(tmp_path / "nowhere.json")})
    (tmp_path / "release.json").write_text(
        '{"verdict": "completed", "tag": "v1", "digest": "sha256:' + "a" * 64 + '"}')
    preflight.check(**{**good, "source": "", "promote": str(tmp_path / "release.json")})


def test_a_way_back_needs_neither_source_nor_template(good: dict[str, Any]) -> None:
    back = {**good, "source": "", "template": "/nowhere.yml", "parameters": {"Wrong": 1}}
    preflight.check(**back, builds=False, deploys=False)
    with pytest.raises(InvalidInput, match="Repository name"):
        preflight.check(**{**back, "repository": "X"}, builds=False, deploys=False)


def test_a_template_that_is_not_yaml(good: dict[str, Any], tmp_path: Path) -> None:
    broken = tmp_path / "broken.yml"
    broken.write_text("Resources:\n  A: [\n")
    with pytest.raises(InvalidInput) as refused:
        preflight.check(**{**good, "template": str(broken)})
    assert "line" in str(refused.value)
