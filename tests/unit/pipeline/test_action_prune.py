"""Old versions go, but none that a pipeline names."""

from __future__ import annotations

from slipway.pipeline.action_prune import unused


def uses(version: str, provider: str = "Jenkins", owner: str = "Custom", category: str = "Build") -> dict[str, str]:
    return {"owner": owner, "category": category, "provider": provider, "version": version}


def test_versions_that_nobody_names_go_but_the_present_one() -> None:
    assert unused(["1", "2", "3"], "3", "Jenkins", [uses("3")]) == ["1", "2"]
    assert unused(["3"], "3", "Jenkins", []) == []


def test_a_version_that_any_pipeline_names_stays() -> None:
    assert unused(["1", "2", "3"], "3", "Jenkins", [uses("3"), uses("1")]) == ["2"]


def test_other_actions_with_the_same_version_do_not_count() -> None:
    others = [uses("1", provider="Other"), uses("1", owner="AWS"), uses("1", category="Test")]
    assert unused(["1"], "", "Jenkins", others) == ["1"]
