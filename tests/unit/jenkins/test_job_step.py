"""The shell step of the job, run for real, with a `release` of the test's own in place of the runner's."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.unit.jenkins.rendered import render, step_of

RELEASE = """#!/bin/bash
printf '%s\\0' "$@" > {home}/arguments
cat > {home}/variables
find "$2" -mindepth 1 -printf '%P\\0' > {home}/source
"""
HOSTILE = ["$(touch executed)", "`touch executed`", "'; touch executed; '", '"; touch executed; "',
           "a\ntouch executed\n", "\ntouch executed", "]]>", "&amp;", "<command>", "\x00\x01\x1b[31m\x7f",
           "\u2028touch executed", "a" * 10_000,
           "EOF\ntouch executed", "$((1+1))", "${HOME}", "\\", "'", "!!", "{{ lookup('pipe', 'id') }}"]


class Job:
    """A workspace, and a step that finds its `release` in the test's own directory."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.workspace = home / "a workspace"
        self.workspace.mkdir()
        self.release = home / "release"
        self.answer_with(RELEASE)

    def answer_with(self, script: str) -> None:
        self.release.write_text(script.format(home=shlex.quote(str(self.home))))
        self.release.chmod(0o755)

    def unpack(self, **files: str) -> None:
        """What the plugin does: empty the workspace, and put an artifact into it."""
        subprocess.run(["find", self.workspace, "-mindepth", "1", "-delete"], check=True)
        for name, text in {"Dockerfile": "FROM scratch\n", **files}.items():
            (self.workspace / name).write_text(text)

    def in_jenkins(self, said: str) -> tuple[dict[str, str], Path]:
        """The environment of a build whose log begins with `said`, and the log."""
        log = self.home / "jobs" / "shop" / "builds" / "7" / "log"
        log.parent.mkdir(parents=True)
        log.write_text(said)
        return {"JENKINS_HOME": str(self.home), "JOB_NAME": "shop", "BUILD_NUMBER": "7"}, log

    def command(self, **values: Any) -> list[str]:
        script = self.home / "step.sh"
        script.write_text(step_of(render(jenkins_job_release_command=str(self.release), **values)))
        return [str(script)]

    def start(self, environment: dict[str, str] | None = None, **values: Any) -> subprocess.Popen[str]:
        # As Jenkins does it: with a #! line the script itself is executed, which is what names the shell.
        command = self.command(**values)
        Path(command[0]).chmod(0o755)
        given = {"PATH": os.environ["PATH"], "WORKSPACE": str(self.workspace), **(environment or {})}
        return subprocess.Popen(command, cwd=self.workspace, env=given, text=True, stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

    def run(self, environment: dict[str, str] | None = None, **values: Any) -> tuple[int, str]:
        process = self.start(environment, **values)
        said, _ = process.communicate(timeout=120)
        return process.returncode, said

    def arguments(self) -> list[str]:
        return (self.home / "arguments").read_text().split("\0")[:-1]

    def source(self) -> set[str]:
        return set((self.home / "source").read_bytes().decode().split("\0")[:-1])


@pytest.fixture
def job(tmp_path: Path) -> Job:
    return Job(tmp_path)


def test_the_artifact_is_released_with_the_variables(job: Job) -> None:
    job.unpack(**{"-n": "", "a\nb": "", "$(touch executed)": "", ".hidden": "", "ä ö": ""})
    code, said = job.run(_jenkins_job_variables={"ecs_release_app_name": "shop"})
    assert (code, said) == (0, "")
    place = job.workspace / ".slipway"
    assert job.arguments() == ["--source", str(place / "source"), "--artifact", "--report", str(place / "report"),
                               "--limit", "3000", "--variables", "-"]
    assert json.loads((job.home / "variables").read_text()) == {"ecs_release_app_name": "shop"}
    assert job.source() == {"Dockerfile", "-n", "a\nb", "$(touch executed)", ".hidden", "ä ö"}


def test_a_promotion_gets_the_artifact_as_what_was_released_before(job: Job) -> None:
    job.unpack(**{"release.json": "{}"})
    assert job.run(jenkins_job_promote=True) == (0, "")
    place = job.workspace / ".slipway"
    assert job.arguments() == ["--promote", str(place / "source"), "--report", str(place / "report"), "--limit", "3000",
                               "--variables", "-"]


def test_the_release_gets_the_builds_log_where_there_is_one(job: Job) -> None:
    job.unpack()
    environment, log = job.in_jenkins("Started by an SCM change\n")
    assert job.run(environment) == (0, "")
    assert job.arguments()[7:9] == ["--job-log", str(log)]
    job.unpack()
    log.unlink()
    assert job.run(environment) == (0, "")
    assert "--job-log" not in job.arguments()


def test_an_empty_artifact_is_the_releases_business(job: Job) -> None:
    """The pipeline waits for an answer, and the release knows how to give one."""
    environment, log = job.in_jenkins("[AWS CodePipeline Plugin] Acknowledged job with ID: 0a-1b\n")
    assert job.run(environment) == (0, "")
    assert job.source() == set()
    assert job.arguments()[7:9] == ["--job-log", str(log)]


def test_without_an_artifact_nothing_is_released(job: Job) -> None:
    code, said = job.run()
    assert code == 3
    assert "There is no artifact" in said
    assert "first poll of a new job" in said
    assert not (job.home / "arguments").exists()


def test_an_artifact_is_released_once(job: Job) -> None:
    job.unpack()
    assert job.run()[0] == 0
    (job.home / "arguments").unlink()
    # Somebody chooses "Build now": the plugin leaves the workspace as it is.
    code, said = job.run()
    assert code == 3
    assert "There is no artifact" in said
    assert not (job.home / "arguments").exists()
    job.unpack(second="")
    assert job.run()[0] == 0
    assert job.source() == {"Dockerfile", "second"}


def test_an_artifact_that_a_killed_build_was_given_is_not_released_by_the_next(job: Job) -> None:
    job.unpack()
    job.answer_with("#!/bin/bash\nkill -KILL $$\n")
    assert job.run()[0] == -signal.SIGKILL
    assert job.run()[0] == 3


@pytest.mark.parametrize("kind", ["link", "folder", "file"])
def test_an_artifact_cannot_have_the_place_that_it_is_moved_to(job: Job, kind: str) -> None:
    outside = job.home / "outside"
    outside.mkdir()
    (outside / "precious").touch()
    job.unpack()
    place = job.workspace / ".slipway"
    if kind == "link":
        place.symlink_to(outside)
    elif kind == "folder":
        place.mkdir()
    else:
        place.touch()
    assert job.run()[0] == 0
    assert job.source() == {"Dockerfile"}
    assert list(outside.iterdir()) == [outside / "precious"]


@pytest.mark.parametrize("environment", [{"SLIPWAY_REVISION": "abc"}, {"GIT_COMMIT": "abc"},
                                         {"SLIPWAY_REVISION": "abc", "GIT_COMMIT": "def"}])
def test_the_revision_is_passed_on_where_it_is_known(job: Job, environment: dict[str, str]) -> None:
    job.unpack()
    assert job.run(environment)[0] == 0
    assert job.arguments()[7:9] == ["--revision", "abc"]


def test_a_hostile_revision_is_one_argument(job: Job) -> None:
    job.unpack()
    assert job.run({"GIT_COMMIT": "a b; $(touch executed) *"})[0] == 0
    assert job.arguments()[8] == "a b; $(touch executed) *"
    assert not list(job.home.rglob("executed"))


def test_the_exit_code_is_that_of_the_release(job: Job) -> None:
    job.unpack()
    job.answer_with("#!/bin/bash\nexit 42\n")
    assert job.run()[0] == 42


def test_a_release_that_hangs_is_ended_and_it_is_said(job: Job) -> None:
    job.unpack()
    job.answer_with("#!/bin/bash\nexec sleep infinity\n")
    code, said = job.run(jenkins_job_timeout=1)
    assert code == 124
    assert "sending signal TERM" in said


def test_an_abort_reaches_the_release_which_ends_in_its_own_way(job: Job) -> None:
    job.unpack()
    job.answer_with("#!/bin/bash\ntrap 'echo put away; exit 7' TERM\necho begun\nwhile :; do sleep 0.1; done\n")
    process = job.start()
    assert process.stdout is not None
    assert process.stdout.readline() == "begun\n"
    process.terminate()
    said, _ = process.communicate(timeout=120)
    # timeout passes the signal on, and then has the release's own word for its end.
    assert (process.returncode, said.splitlines()[-1]) == (7, "put away")


@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: repr(text[:20]))
def test_hostile_text_in_a_variable_is_data(job: Job, text: str) -> None:
    job.unpack()
    variables = {"ecs_release_build_args": {text: text}}
    assert job.run(_jenkins_job_variables=variables) == (0, "")
    assert json.loads((job.home / "variables").read_text()) == variables
    assert not list(job.home.rglob("executed"))


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text())
def test_any_text_in_a_variable_is_data(job: Job, text: str) -> None:
    job.unpack()
    assert job.run(_jenkins_job_variables={"a": text}) == (0, "")
    assert json.loads((job.home / "variables").read_text()) == {"a": text}


@settings(max_examples=40, deadline=None)
@given(text=st.text(), command=st.text(st.characters(exclude_categories=["C"])))
def test_bash_reads_the_step_to_its_end(text: str, command: str) -> None:
    step = step_of(render(_jenkins_job_variables={"a": text}, jenkins_job_release_command=command))
    read = subprocess.run(["bash", "-n"], input=step, text=True, capture_output=True, check=False)
    assert (read.returncode, read.stderr) == (0, "")
