"""A Jenkins under systemd: whether it must be restarted, a restart that harms no build, and the proof that it is up.

The reason to restart is read from what is there (files newer than the process, another version, a token that is not
accepted) and not from what a run has just changed: so a run that was killed before its restart is made up for.
"""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import SlipwayError
from .client import Answer, Jenkins, JenkinsError

Say = Callable[[str], None]
JOURNAL_LINES = 15
#: Seconds within which a Jenkins that says it is up must answer.
ANSWER_TIMEOUT = 30.0
BUILDS = "/computer/api/json?tree=busyExecutors,computer[executors[currentExecutable[url]]]"


class ServiceError(SlipwayError):
    """The unit did not do what was asked of it."""


@dataclass(frozen=True)
class Unit:
    """What systemd says of a unit. started: seconds since 1970, 0 when it does not run."""

    exists: bool
    active: bool
    enabled: bool
    started: float


class Systemd:
    """The calls to systemctl and journalctl, for one unit."""

    def __init__(self, unit: str) -> None:
        self.name = unit

    def show(self) -> Unit:
        said = self._run("show", "--property",
                         "LoadState,ActiveState,UnitFileState,ExecMainStartTimestampMonotonic", self.name).stdout
        facts = dict(line.partition("=")[::2] for line in said.splitlines())
        active = facts.get("ActiveState") == "active"
        monotonic = int(facts.get("ExecMainStartTimestampMonotonic") or 0) / 1e6
        started = time.time() - time.clock_gettime(time.CLOCK_MONOTONIC) + monotonic
        return Unit(facts.get("LoadState") == "loaded", active, facts.get("UnitFileState") == "enabled",
                    started if active else 0.0)

    def restart(self, timeout: float) -> None:
        self._run("daemon-reload")
        # Starts that failed before are counted by systemd, which refuses when there were too many.
        self._run("reset-failed", self.name)
        began = time.time()
        try:
            done = self._run("restart", self.name, timeout=timeout)
        except subprocess.TimeoutExpired as error:
            self._run("stop", self.name)
            raise ServiceError(self._failed(f"did not start within {timeout:.0f} s and was stopped", began),
                               f"See journalctl -u {self.name}") from error
        if done.returncode:
            raise ServiceError(self._failed("does not come up", began), f"See journalctl -u {self.name}")

    def enable(self) -> None:
        done = self._run("enable", self.name)
        if done.returncode:
            raise ServiceError(f"{self.name} cannot be enabled: {done.stderr.strip()}.",
                               f"See systemctl cat {self.name}")

    def stop(self) -> None:
        self._run("stop", self.name)

    def journal(self, since: float, lines: int = JOURNAL_LINES) -> list[str]:
        said = subprocess.run(["journalctl", "--unit", self.name, "--since", f"@{int(since)}", "--no-pager", "--output",
                               "cat", "--lines", str(lines)], capture_output=True, text=True, errors="replace",
                              check=False)
        return said.stdout.splitlines()

    def _failed(self, what: str, since: float) -> str:
        lines = "\n".join(f"  {line}" for line in self.journal(since) or ["none"])
        return f"Jenkins ({self.name}) {what}. The end of its journal:\n{lines}\n"

    def _run(self, *arguments: str, timeout: float | None = None) -> subprocess.CompletedProcess[str]:
        return subprocess.run(["systemctl", *arguments], capture_output=True, text=True, errors="replace", check=False,
                              timeout=timeout)


@dataclass
class Service:
    """One Jenkins. mark: the file that says that it was this project who asked for quiet."""

    jenkins: Jenkins
    anonymous: Jenkins
    systemd: Systemd
    start_timeout: float
    drain_timeout: float
    say: Say = lambda _: None
    mark: Path = Path("/run/slipway-jenkins-quiet")
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic
    warnings: list[str] = field(default_factory=list)

    def reasons(self, unit: Unit, files: list[str], version: str) -> list[str]:
        """Why this Jenkins must be started or restarted; empty when it need not."""
        if not unit.active:
            return ["it does not run"]
        newer = [file for file in files if _changed(file) > unit.started]
        if newer:
            return [f"{file} is newer than its start" for file in newer]
        try:
            running = self.jenkins.wait_ready(ANSWER_TIMEOUT, self.say)
        except JenkinsError as error:
            return [error.message]
        return [f"it runs {running} and {version} is installed"] if version and running != version else []

    def ready(self, files: list[str], version: str, check_mode: bool) -> dict[str, Any]:
        """Bring it to run with what is configured, and prove it."""
        unit = self.systemd.show()
        reasons = self.reasons(unit, files, version) if unit.exists else ["it is not installed yet"]
        changed = bool(reasons) or not unit.enabled
        if check_mode:
            return {"changed": changed, "reasons": reasons, "diff": _diff(reasons)}
        if not unit.exists:
            raise ServiceError(f"There is no unit {self.systemd.name} on this host.", "Install Jenkins first.")
        if not unit.enabled:
            self.systemd.enable()
        if reasons:
            if unit.active:
                self.drain()
            self.restart()
        try:
            running = self._prove(version)
        finally:
            self.unquiet()
        return {"changed": changed, "reasons": reasons, "version": running, "diff": _diff(reasons),
                "warnings": self.warnings}

    def drained(self, check_mode: bool) -> dict[str, Any]:
        """Bring it to rest, for a package manager that will restart it without asking."""
        if self.systemd.show().active and not check_mode:
            self.drain()
        return {"changed": False, "reasons": [], "warnings": self.warnings}

    def restart(self) -> None:
        self.say("restarting Jenkins")
        self.systemd.restart(self.start_timeout)
        # Quiet does not outlive the process that was asked for it.
        self.mark.unlink(missing_ok=True)

    def drain(self) -> None:
        """Ask Jenkins to start nothing new, and wait for the builds that run: a restart would end them."""
        try:
            self.jenkins.post("/quietDown")
        except JenkinsError as error:
            # It has to be restarted all the same; a Jenkins that cannot be asked is one that is not in order.
            self.warnings.append(f"Jenkins could not be asked whether builds run, and is restarted anyway: {error}")
            return
        self.mark.touch()
        limit = self.clock() + self.drain_timeout
        while True:
            builds = self._builds()
            if not builds:
                return
            if self.clock() >= limit:
                self.unquiet()
                raise ServiceError(f"Jenkins must be restarted, but {', '.join(builds)} still runs after "
                                   f"{self.drain_timeout:.0f} s.", "Wait for it or abort it, and run this again.")
            self.say(f"waiting for {', '.join(builds)}")
            self.sleep(2.0)

    def unquiet(self) -> None:
        """Take back a quiet that was asked for here, if by a run that was killed; never one that a person asked for."""
        if self.mark.exists():
            try:
                self.jenkins.post("/cancelQuietDown")
            except JenkinsError:
                return
            self.mark.unlink(missing_ok=True)

    def _builds(self) -> list[str]:
        answer = self.jenkins.get(BUILDS)
        assert answer is not None
        computers = json.loads(answer.body)
        running = [executor["currentExecutable"]["url"] for computer in computers.get("computer", [])
                   for executor in computer.get("executors", []) if executor.get("currentExecutable")]
        return running or ["a build"] * bool(computers.get("busyExecutors"))

    def _prove(self, version: str) -> str:
        began = time.time()
        try:
            running = self.jenkins.wait_ready(self.start_timeout, self.say)
        except JenkinsError as error:
            if error.status:
                raise
            lines = "\n".join(f"  {line}" for line in self.systemd.journal(began - self.start_timeout)) or "  none"
            raise ServiceError(f"{error.message} The end of its journal:\n{lines}\n", error.remedy) from error
        if version and running != version:
            raise ServiceError(f"Jenkins {version} is installed, but {running} answers at {self.jenkins.url}.",
                               "Check what listens there (ss -ltnp).")
        status = _status(self.anonymous, "/api/json")
        if status != 403:
            # An open Jenkins runs what anybody asks it to.
            self.systemd.stop()
            raise ServiceError(f"Jenkins answered an anonymous caller with {status} instead of 403, and was stopped.",
                               "Look for another script in its init.groovy.d, and run this again.")
        status = _status(self.anonymous, "/login")
        if status != 200:
            raise ServiceError(f"{self.jenkins.url}/login answers with {status} instead of 200.",
                               f"See journalctl -u {self.systemd.name}")
        return running


def _diff(reasons: list[str]) -> dict[str, str]:
    """What --diff shows."""
    return {"prepared": "".join(f"restart of Jenkins: {reason}\n" for reason in reasons)}


def _status(jenkins: Jenkins, path: str) -> int:
    try:
        answer = jenkins.get(path)
    except JenkinsError as error:
        if not error.status:
            raise
        return error.status
    return answer.status if isinstance(answer, Answer) else 0


def _changed(file: str) -> float:
    """When a file got what is in it: also for one whose package brought an old date with it."""
    try:
        return Path(file).stat().st_ctime
    except FileNotFoundError:
        return 0.0

