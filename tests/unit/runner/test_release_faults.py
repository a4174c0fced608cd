"""Faults of the command `release` itself: whatever breaks on the host, the pipeline's job hears it."""

from __future__ import annotations

import json
import resource
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.integration.worker_aws import REGION, WorkerAws
from tests.unit.runner.test_release_command import Runner

STARTED = "#!/bin/bash\ntouch \"$HOME/started\"\n"


@pytest.fixture
def aws() -> Iterator[WorkerAws]:
    server = WorkerAws()
    yield server
    server.close()
    assert server.problems == []


@pytest.fixture
def runner(tmp_path: Path) -> Runner:
    one = Runner(tmp_path)
    one.ansible(STARTED)
    return one


def build(runner: Runner, aws: WorkerAws, *arguments: str,
          limit: Callable[[], None] | None = None) -> subprocess.CompletedProcess[str]:
    """A build of Jenkins that works for a job of the pipeline. limit: called in the process before it begins."""
    log = runner.home / "log"
    log.write_text(f"[AWS CodePipeline Plugin] Acknowledged job with ID: {aws.offer('shop', None)}\n")
    return subprocess.run(
        [runner.command, "--source", runner.source, "--variables", "-", "--job-log", log, *arguments],
        input=json.dumps({"aws_environment": {"AWS_REGION": REGION}}), text=True, capture_output=True, check=False,
        env=runner.environment(**aws.environment(), BUILD_NUMBER="7", BUILD_URL="http://jenkins/job/shop/7/"),
        preexec_fn=limit, timeout=120)


def full_disk() -> None:
    """Nothing can be written to files, as when there is no room; pipes and empty files are no matter of it."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))


def lost(name: str) -> Callable[[Runner], None]:
    return lambda runner: (runner.root / name).unlink()


@pytest.mark.parametrize(("spoil", "limit", "cause"), [
    (lambda runner: None, full_disk, "File too large"),
    (lost(".in-use"), None, ".in-use: No such file or directory."),
    (lost("bin/detached.py"), None, "CalledProcessError: "),
], ids=["full disk", "a file of the runner is lost", "a program of the runner is lost"])
@pytest.mark.parametrize("arguments", [(), ("--revision", "3f2c9a1")], ids=["asked", "given"])
def test_the_pipeline_hears_that_a_release_could_not_be_started(
        runner: Runner, aws: WorkerAws, spoil: Callable[[Runner], None], limit: Callable[[], None] | None, cause: str,
        arguments: tuple[str, ...]) -> None:
    spoil(runner)
    done = build(runner, aws, *arguments, limit=limit)
    assert done.returncode == 1, done.stdout + done.stderr
    (told,) = aws.called("PutJobFailureResult")
    message = told["failureDetails"]["message"]
    assert told["failureDetails"]["type"] == "JobFailed"
    assert message.startswith("The release could not be started: ")
    assert cause in message
    assert "Retry" in message
    assert message.endswith("\nThe build: http://jenkins/job/shop/7/console")
    assert "The release could not be started: " in done.stdout
    assert not (runner.private / "started").exists()


def test_modes_that_cannot_be_restored_are_told_too(runner: Runner, aws: WorkerAws) -> None:
    # The kernel lets nobody change modes there.
    runner.source = Path("/proc/self/attr")
    done = build(runner, aws, "--artifact")
    assert done.returncode == 1, done.stdout + done.stderr
    (told,) = aws.called("PutJobFailureResult")
    assert told["failureDetails"]["message"].startswith(
        "The release could not be started: /proc/self/attr: Operation not permitted.\n")


def test_without_a_pipeline_the_console_has_it(runner: Runner) -> None:
    (runner.root / ".in-use").unlink()
    done = runner.release()
    assert (done.returncode, done.stderr) == (1, "")
    assert done.stdout.startswith("The release could not be started: ")
    assert ".in-use: No such file or directory" in done.stdout


def test_what_cannot_be_tidied_up_does_not_spoil_a_good_release(runner: Runner, aws: WorkerAws) -> None:
    # By the end of the release the folder of its temporary files is something else.
    runner.ansible(f"{STARTED}rm -rf \"$TMPDIR\"\ntouch \"$TMPDIR\"\n")
    done = build(runner, aws, "--revision", "3f2c9a1")
    assert done.returncode == 0, done.stdout + done.stderr
    assert aws.called("PutJobFailureResult") == []
