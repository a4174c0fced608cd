"""The shortest possible rollout, predicted from the service's settings.

A lower bound: containers are taken to start at once, and to end at once when they are told to. The load balancer's
first check of a new target may come right away, so n good checks in a row take n-1 intervals at least. Every new task
has to pass them, wave by wave; while the next wave starts, the old tasks of the last one drain. Only the last draining
is waited for.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

#: A setting that alone costs more seconds is worth a word.
WORTH_A_WORD = 60.0


@dataclass(frozen=True)
class Settings:
    """Of a service behind a load balancer. Times in seconds, percents as ECS has them, counts of tasks.

    start: until the first result of the container's own health check, 0 where it has none.
    bake: seconds for which a blue/green deployment keeps both versions; with blue_green the percents mean nothing.
    """

    interval: float = 30
    threshold: int = 5
    deregistration: float = 300
    stop_timeout: float = 30
    minimum: int = 100
    maximum: int = 200
    desired: int = 1
    start: float = 0
    blue_green: bool = False
    bake: float = 0


@dataclass(frozen=True)
class Forecast:
    """waves: how often new tasks are started; 0 where no step is allowed. parts: seconds by what they are spent on.

    stopping: seconds more where the containers use all of their stop timeout.
    """

    waves: int
    parts: dict[str, float]
    stopping: float

    @property
    def shortest(self) -> float:
        return sum(self.parts.values())

    def __str__(self) -> str:
        parts = ", ".join(f"{name} {seconds:g} s" for name, seconds in self.parts.items() if seconds)
        waves = f" in {self.waves} waves" if self.waves > 1 else ""
        slow = "where containers are slow to stop"
        stopping = f", and up to {self.stopping:g} s more {slow}" if self.stopping > 0 else ""
        return f"A rollout takes {self.shortest:g} s at least{waves}{f' ({parts})' if parts else ''}{stopping}."


@dataclass(frozen=True)
class Advice:
    """setting: the parameter of the service stack to change. message: what it costs; remedy: what to set."""

    setting: str
    message: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.message} {self.remedy}"


def forecast(of: Settings) -> Forecast:
    """of: the settings."""
    waves = len(_waves(of))
    check = (of.threshold - 1) * of.interval
    parts = {"starting": waves * of.start, "health checks": waves * check}
    if of.blue_green:
        parts["baking"] = of.bake
    parts["draining"] = of.deregistration if waves else 0.0
    return Forecast(waves, parts, of.stop_timeout if waves else 0.0)


def stuck(of: Settings) -> str:
    """Why no rollout could ever start; '' where one can."""
    if of.blue_green or of.desired < 1 or _waves(of):
        return ""
    most = math.floor(of.desired * of.maximum / 100)
    return (f"With {of.desired} task{'s' if of.desired > 1 else ''}, MinimumHealthyPercent {of.minimum} and "
            f"MaximumPercent {of.maximum}, ECS may neither start a new task ({of.maximum} % of {of.desired}, rounded "
            f"down, is {most}) nor stop an old one, so no rollout could ever start.")


def advice(of: Settings) -> Iterator[Advice]:
    """Every setting that alone costs more than a minute."""
    found = forecast(of)
    check = of.interval * of.threshold
    if found.waves and check > WORTH_A_WORD:
        setting = "HealthCheckIntervalSeconds" if of.interval > 10 else "HealthyThresholdCount"
        yield Advice(setting,
                     f"A new task gets requests only after {of.threshold} good health checks, {of.interval:g} s apart: "
                     f"up to {check:g} s.",
                     "Set HealthCheckIntervalSeconds to 5 and HealthyThresholdCount to 2, which is 10 s.")
    spread = (found.waves - 1) * ((of.threshold - 1) * of.interval + of.start)
    if not of.blue_green and spread > WORTH_A_WORD:
        yield Advice("MaximumPercent",
                     f"With MinimumHealthyPercent {of.minimum} and MaximumPercent {of.maximum} the {of.desired} tasks "
                     f"are replaced in {found.waves} waves, which costs {spread:g} s more than one.",
                     "Set MaximumPercent to 200, so that all new tasks start at once.")
    if found.waves and of.deregistration > WORTH_A_WORD:
        yield Advice("DeregistrationDelaySeconds",
                     f"Old tasks stay for up to {of.deregistration:g} s, for the sake of requests that are open.",
                     "Set DeregistrationDelaySeconds to a little more than the longest request takes, which is 5 to 30 "
                     "as a rule.")
    if found.waves and of.stop_timeout > WORTH_A_WORD:
        yield Advice("StopTimeoutSeconds",
                     f"A container that does not heed its stop signal is killed only after {of.stop_timeout:g} s.",
                     "Let the application end on SIGTERM, and set StopTimeoutSeconds to what it needs for that.")
    if found.waves and of.start > WORTH_A_WORD:
        yield Advice("healthCheck", f"A container's own health check has its first result after {of.start:g} s.",
                     "Lower the interval of that healthCheck in the task definition.")
    if of.blue_green and of.bake > WORTH_A_WORD:
        yield Advice("BakeTimeMinutes",
                     f"Both versions are kept for {of.bake / 60:g} minutes before the rollout counts as completed.",
                     "Lower BakeTimeMinutes if a quicker verdict is worth more.")


def of_stack(parameters: Mapping[str, str], start: float = 0) -> Settings | None:
    """The settings of a service stack with these parameters (files/cloudformation/service.yml); None where they are not
    its own. With service autoscaling the fewest tasks count."""
    try:
        return Settings(
            interval=float(parameters["HealthCheckIntervalSeconds"]),
            threshold=int(parameters["HealthyThresholdCount"]),
            deregistration=float(parameters["DeregistrationDelaySeconds"]),
            stop_timeout=float(parameters["StopTimeoutSeconds"]), minimum=int(parameters["MinimumHealthyPercent"]),
            maximum=int(parameters["MaximumPercent"]), desired=int(parameters["DesiredCount"]), start=start,
            blue_green=parameters.get("DeploymentStrategy") == "BLUE_GREEN",
            bake=60 * float(parameters.get("BakeTimeMinutes") or 0))
    except (KeyError, ValueError):
        return None


def _waves(of: Settings) -> list[int]:
    """How many new tasks each wave starts; [] where nothing is to run, or no step is allowed."""
    if of.blue_green:
        return [of.desired] if of.desired > 0 else []
    most, fewest = math.floor(of.desired * of.maximum / 100), math.ceil(of.desired * of.minimum / 100)
    old, new, waves = of.desired, 0, []
    while new < of.desired:
        started = min(most - old - new, of.desired - new)
        if started > 0:
            new += started
            waves.append(started)
            # What is new is healthy by now, and takes the place of old ones.
            old = min(old, max(0, fewest - new))
        elif old > (left := max(0, fewest - new)):
            old = left
        else:
            return []
    return waves
