"""The shortest possible rollout by the settings, and the settings that are worth a word."""

from __future__ import annotations

from typing import Any

import pytest

from slipway.advice.rollout import Settings, advice, forecast, of_stack, stuck

#: What files/cloudformation/service.yml has by default, and what AWS has where nobody chose.
OURS = {"HealthCheckIntervalSeconds": "5", "HealthyThresholdCount": "2", "DeregistrationDelaySeconds": "5",
        "StopTimeoutSeconds": "10", "MinimumHealthyPercent": "100", "MaximumPercent": "200", "DesiredCount": "1"}
AWS = Settings()
QUICK = Settings(interval=5, threshold=2, deregistration=5, stop_timeout=10)


def changed(of: Settings, **values: Any) -> Settings:
    return Settings(**{**vars(of), **values})


@pytest.mark.parametrize(("settings", "waves", "shortest"), [
    pytest.param(QUICK, 1, 10, id="ours"),
    pytest.param(AWS, 1, 4 * 30 + 300, id="of AWS by default"),
    pytest.param(changed(QUICK, desired=4), 1, 10, id="twice the tasks at once"),
    pytest.param(changed(QUICK, desired=4, maximum=150), 2, 2 * 5 + 5, id="half at a time"),
    pytest.param(changed(QUICK, desired=10, maximum=110), 10, 10 * 5 + 5, id="one at a time"),
    pytest.param(changed(QUICK, desired=4, minimum=50, maximum=100), 2, 2 * 5 + 5, id="old ones stop first"),
    pytest.param(changed(QUICK, minimum=0, maximum=100), 1, 10, id="with downtime"),
    pytest.param(changed(QUICK, desired=3, minimum=50, maximum=150), 2, 2 * 5 + 5, id="odd counts"),
    pytest.param(changed(QUICK, start=20), 1, 30, id="a start period"),
    pytest.param(changed(QUICK, desired=2, blue_green=True, bake=120, maximum=100), 1, 130, id="blue/green"),
    pytest.param(changed(QUICK, desired=0), 0, 0, id="nothing is to run"),
    pytest.param(changed(QUICK, maximum=150), 0, 0, id="no step is allowed"),
])
def test_forecast(settings: Settings, waves: int, shortest: float) -> None:
    found = forecast(settings)
    assert (found.waves, found.shortest) == (waves, shortest)


def test_the_forecast_says_what_it_is_made_of() -> None:
    assert str(forecast(changed(AWS, desired=4, maximum=150))) == (
        "A rollout takes 540 s at least in 2 waves (health checks 240 s, draining 300 s), and up to 30 s more where "
        "containers are slow to stop.")


@pytest.mark.parametrize(("settings", "settings_named"), [
    pytest.param(QUICK, [], id="ours"),
    pytest.param(AWS, ["HealthCheckIntervalSeconds", "DeregistrationDelaySeconds"], id="of AWS by default"),
    pytest.param(changed(QUICK, interval=10, threshold=10), ["HealthyThresholdCount"], id="many checks"),
    pytest.param(changed(QUICK, stop_timeout=120), ["StopTimeoutSeconds"], id="slow to stop"),
    pytest.param(changed(QUICK, deregistration=61), ["DeregistrationDelaySeconds"], id="just above a minute"),
    pytest.param(changed(QUICK, deregistration=60), [], id="a minute"),
    pytest.param(changed(QUICK, desired=20, maximum=105), ["MaximumPercent"], id="twenty waves"),
    pytest.param(changed(QUICK, start=90), ["healthCheck"], id="a long start"),
    pytest.param(changed(QUICK, blue_green=True, bake=600), ["BakeTimeMinutes"], id="long baking"),
    pytest.param(changed(AWS, desired=0), [], id="nothing is to run"),
])
def test_advice_names_the_setting_and_what_to_set(settings: Settings, settings_named: list[str]) -> None:
    found = list(advice(settings))
    assert [one.setting for one in found] == settings_named
    assert all(one.setting in one.remedy for one in found)


@pytest.mark.parametrize(("settings", "words"), [
    (changed(QUICK, maximum=150), "With 1 task, MinimumHealthyPercent 100 and MaximumPercent 150, ECS may neither"),
    (changed(QUICK, desired=3, maximum=130), "(130 % of 3, rounded down, is 3)"),
    (changed(QUICK, maximum=150, blue_green=True), ""), (QUICK, ""), (changed(QUICK, desired=0, maximum=100), ""),
])
def test_a_rollout_that_could_never_start(settings: Settings, words: str) -> None:
    assert words in stuck(settings) and bool(stuck(settings)) == bool(words)


def test_the_settings_of_a_service_stack() -> None:
    assert of_stack(OURS) == QUICK
    assert of_stack({**OURS, "DeploymentStrategy": "BLUE_GREEN", "BakeTimeMinutes": "2"}) == changed(
        QUICK, blue_green=True, bake=120)
    assert of_stack({**OURS, "DeploymentStrategy": "ROLLING", "BakeTimeMinutes": "2"}) == changed(QUICK, bake=120)
    assert of_stack({"ImageTag": "1"}) is None
    assert of_stack({**OURS, "DesiredCount": "many"}) is None
