"""How the embedded load balancer judges one target."""

from __future__ import annotations

import pytest

from embedded.target_health import HealthCheck, TargetHealth

CHECK = HealthCheck("/", interval=5, timeout=2, healthy_threshold=2, unhealthy_threshold=3, matcher="200,204,300-302")


@pytest.mark.parametrize(("code", "accepted"), [(200, True), (204, True), (201, False), (299, False), (300, True),
                                                (302, True), (303, False), (500, False)])
def test_matcher(code: int, accepted: bool) -> None:
    assert CHECK.accepts(code) is accepted


@pytest.mark.parametrize(("codes", "states"), [
    ([200, 200, 200], ["initial", "healthy", "healthy"]),
    ([None, 200, 200], ["initial", "initial", "healthy"]),
    ([200, None, 200, 200], ["initial", "initial", "initial", "healthy"]),
    ([500, 500, 500], ["initial", "initial", "unhealthy"]),
    ([200, 200, 500, 500, 200, 500, 500, 500], ["initial"] + ["healthy"] * 6 + ["unhealthy"]),
    ([500, 500, 500, 200, 200], ["initial", "initial", "unhealthy", "unhealthy", "healthy"]),
])
def test_thresholds(codes: list[int | None], states: list[str]) -> None:
    health = TargetHealth()
    seen = []
    for code in codes:
        health.record(CHECK, code, "" if code else "refused")
        seen.append(health.state)
    assert seen == states


@pytest.mark.parametrize(("code", "error", "reason", "words"), [
    (404, "", "Target.ResponseCodeMismatch", "Health checks failed with these codes: [404]"),
    (None, "timeout", "Target.Timeout", "Request timed out"),
    (None, "refused", "Target.FailedHealthChecks", "Health checks failed"),
])
def test_reasons_are_those_of_aws(code: int | None, error: str, reason: str, words: str) -> None:
    health = TargetHealth()
    for _ in range(CHECK.unhealthy_threshold):
        health.record(CHECK, code, error)
    assert (health.state, health.reason, health.description) == ("unhealthy", reason, words)


def test_a_draining_target_stays_draining() -> None:
    health = TargetHealth()
    health.drain()
    for _ in range(5):
        health.record(CHECK, 200)
    assert health.state == "draining"
