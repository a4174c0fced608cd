"""When a Jenkins is restarted, and what a restart waits for: decisions, with a Jenkins and a systemd that are played.

The real ones (systemd, and a server that behaves as Jenkins does) are in tests/integration/test_role_jenkins.py.
"""

from __future__ import annotations

import json
import time
from email.message import Message
from pathlib import Path
from typing import Any

import pytest

from slipway.jenkins.client import Answer, Jenkins, JenkinsError
from slipway.jenkins.service import Service, ServiceError, Systemd, Unit


class Played(Jenkins):
    """A Jenkins that answers from a script: busy is what each question for running builds gets."""

    def __init__(self, version: str = "2.568.1", busy: tuple[int, ...] = (0,), status: int = 200) -> None:
        super().__init__("http://127.0.0.1:8080")
        self.version = version
        self.busy = list(busy)
        self.status = status
        self.posts: list[str] = []

    def wait_ready(self, timeout: float, say: Any = None) -> str:
        if self.status != 200:
            raise JenkinsError("Jenkins does not accept the token.", "", self.status)
        return self.version

    def post(self, path: str, body: bytes = b"", content_type: str = "") -> Answer:
        if self.status != 200:
            raise JenkinsError("refused", "", self.status)
        self.posts.append(path)
        return Answer(302, Message(), b"")

    def get(self, path: str, missing_ok: bool = False) -> Answer:
        if path.startswith("/computer"):
            number = self.busy.pop(0) if len(self.busy) > 1 else self.busy[0]
            running = [{"currentExecutable": {"url": f"http://x/job/a/{n}/"}} for n in range(number)]
            body = {"busyExecutors": number, "computer": [{"executors": [*running, {"currentExecutable": None}]}]}
            return Answer(200, Message(), json.dumps(body).encode())
        raise JenkinsError("anonymous", "", 403) if path == "/api/json" else AssertionError(path)


class Open(Played):
    """What an anonymous caller meets: 403, and the page to log in."""

    def get(self, path: str, missing_ok: bool = False) -> Answer:
        if path == "/login" or self.status == 200 and path == "/api/json" and self.version == "open":
            return Answer(200, Message(), b"")
        return super().get(path)


class Units(Systemd):
    def __init__(self, unit: Unit) -> None:
        super().__init__("jenkins.service")
        self.unit = unit
        self.did: list[str] = []

    def show(self) -> Unit:
        return self.unit

    def restart(self, timeout: float) -> None:
        self.did.append("restart")

    def enable(self) -> None:
        self.did.append("enable")

    def stop(self) -> None:
        self.did.append("stop")


RUNS = Unit(exists=True, active=True, enabled=True, started=time.time() + 3600)


def service(tmp_path: Path, unit: Unit = RUNS, jenkins: Played | None = None, anonymous: str = "") -> Service:
    now = [0.0]

    def sleep(seconds: float) -> None:
        now[0] += seconds

    return Service(jenkins or Played(), Open(anonymous), Units(unit), 300, 60, mark=tmp_path / "quiet", sleep=sleep,
                   clock=lambda: now[0])


def did(one: Service) -> list[str]:
    assert isinstance(one.systemd, Units)
    return one.systemd.did


def posts(one: Service) -> list[str]:
    assert isinstance(one.jenkins, Played)
    return one.jenkins.posts


@pytest.fixture
def file(tmp_path: Path) -> str:
    path = tmp_path / "settings"
    path.touch()
    return str(path)


@pytest.mark.parametrize(("unit", "jenkins", "version", "reason"), [
    (RUNS, Played(), "2.568.1", ""),
    (RUNS, Played(), "2.568.2", "it runs 2.568.1 and 2.568.2 is installed"),
    (RUNS, Played(status=401), "2.568.1", "Jenkins does not accept the token."),
    (RUNS, Played(status=0), "2.568.1", "Jenkins does not accept the token."),
    (Unit(True, False, True, 0.0), Played(), "2.568.1", "it does not run"),
    (Unit(True, True, True, 1.0), Played(), "2.568.1", "is newer than its start"),
])
def test_the_reason_to_restart_is_read_from_what_is_there(tmp_path: Path, file: str, unit: Unit, jenkins: Played,
                                                          version: str, reason: str) -> None:
    reasons = service(tmp_path, unit, jenkins).reasons(unit, [file, "/no/such/file"], version)
    assert len(reasons) == bool(reason)
    assert reason in "".join(reasons)


def test_nothing_is_done_where_nothing_differs(tmp_path: Path, file: str) -> None:
    one = service(tmp_path)
    assert one.ready([file], "2.568.1", False)["changed"] is False
    assert did(one) == [] and posts(one) == []


def test_check_mode_says_what_would_happen(tmp_path: Path, file: str) -> None:
    one = service(tmp_path, Unit(True, True, True, 1.0))
    result = one.ready([file], "2.568.1", True)
    assert result["changed"] and file in result["reasons"][0]
    assert did(one) == [] and posts(one) == []
    assert service(tmp_path, Unit(False, False, False, 0.0)).ready([], "", True)["changed"]


def test_a_restart_waits_for_builds(tmp_path: Path, file: str) -> None:
    one = service(tmp_path, Unit(True, True, True, 1.0), Played(busy=(2, 1, 0)))
    assert one.ready([file], "2.568.1", False)["changed"]
    assert posts(one) == ["/quietDown"]
    assert did(one) == ["restart"]
    assert not one.mark.exists()


def test_a_build_that_does_not_end_is_named_and_goes_on(tmp_path: Path, file: str) -> None:
    one = service(tmp_path, Unit(True, True, True, 1.0), Played(busy=(1,)))
    with pytest.raises(ServiceError, match="http://x/job/a/0/ still runs after 60 s"):
        one.ready([file], "2.568.1", False)
    assert posts(one) == ["/quietDown", "/cancelQuietDown"]
    assert did(one) == []
    assert not one.mark.exists()


def test_a_jenkins_that_cannot_be_asked_is_restarted_with_a_warning(tmp_path: Path) -> None:
    one = service(tmp_path, RUNS, Played(status=401))
    one.drain()
    assert len(one.warnings) == 1
    assert not one.mark.exists()


def test_the_quiet_of_a_run_that_was_killed_is_taken_back(tmp_path: Path) -> None:
    one = service(tmp_path)
    one.mark.touch()
    one.ready([], "2.568.1", False)
    assert posts(one) == ["/cancelQuietDown"]
    assert not one.mark.exists()


def test_an_open_jenkins_is_stopped(tmp_path: Path) -> None:
    one = service(tmp_path, anonymous="open")
    with pytest.raises(ServiceError, match="with 200 instead of 403, and was stopped"):
        one.ready([], "2.568.1", False)
    assert did(one) == ["stop"]


def test_a_unit_that_is_not_enabled_is_enabled(tmp_path: Path) -> None:
    one = service(tmp_path, Unit(True, True, False, RUNS.started))
    assert one.ready([], "2.568.1", False)["changed"]
    assert did(one) == ["enable"]


def test_no_jenkins_at_all(tmp_path: Path) -> None:
    with pytest.raises(ServiceError, match="no unit"):
        service(tmp_path, Unit(False, False, False, 0.0)).ready([], "", False)


def test_rest_before_an_upgrade(tmp_path: Path) -> None:
    one = service(tmp_path, RUNS, Played(busy=(1, 0)))
    assert one.drained(False)["changed"] is False
    assert posts(one) == ["/quietDown"] and one.mark.exists()
    stopped = service(tmp_path, Unit(True, False, True, 0.0))
    stopped.drained(False)
    assert posts(stopped) == []
