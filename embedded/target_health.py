"""The health of one target, as an Application Load Balancer judges it. Pure: results in, state out.

States and reason codes are those of DescribeTargetHealth (elasticloadbalancingv2 service model).
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class HealthCheck:
    """A target group's settings. interval, timeout: seconds. matcher: '200', '200,204' or '200-299'."""

    path: str
    interval: float
    timeout: float
    healthy_threshold: int
    unhealthy_threshold: int
    matcher: str

    def accepts(self, code: int) -> bool:
        for part in self.matcher.split(","):
            low, _, high = part.strip().partition("-")
            if int(low) <= code <= int(high or low):
                return True
        return False


@dataclass
class TargetHealth:
    """State of one target: initial, healthy, unhealthy or draining."""

    state: str = "initial"
    reason: str = "Elb.RegistrationInProgress"
    description: str = "Target registration is in progress"
    successes: int = 0
    failures: int = 0

    def record(self, check: HealthCheck, code: int | None, error: str = "") -> None:
        """Take in one check's result. code: the HTTP status, None where none came; error: 'timeout' or 'refused'."""
        if self.state == "draining":
            return
        if code is not None and check.accepts(code):
            self.successes += 1
            self.failures = 0
            if self.state == "healthy" or self.successes >= check.healthy_threshold:
                self._become("healthy", "", "")
            elif self.state == "initial":
                self._become("initial", "Elb.InitialHealthChecking", "Initial health checks in progress")
            return
        self.failures += 1
        self.successes = 0
        reason, description = _failure(code, error)
        if self.state == "unhealthy" or self.failures >= check.unhealthy_threshold:
            self._become("unhealthy", reason, description)
        elif self.state == "initial":
            self._become("initial", "Elb.InitialHealthChecking", "Initial health checks in progress")

    def drain(self) -> None:
        self._become("draining", "Target.DeregistrationInProgress", "Target deregistration is in progress")

    def _become(self, state: str, reason: str, description: str) -> None:
        self.state, self.reason, self.description = state, reason, description


def _failure(code: int | None, error: str) -> tuple[str, str]:
    if code is not None:
        return "Target.ResponseCodeMismatch", f"Health checks failed with these codes: [{code}]"
    if error == "timeout":
        return "Target.Timeout", "Request timed out"
    return "Target.FailedHealthChecks", "Health checks failed"
