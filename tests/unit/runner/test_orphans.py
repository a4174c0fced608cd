"""Builds that ended with their Jenkins: which ones, and what is told of them."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from slipway.runner import orphans
from slipway.runner.build_log import BuildLog, read

RECEIVED = "Started by an SCM change\n[AWS CodePipeline Plugin] Job '0a-1b' received\n"
TAKEN = RECEIVED + "[AWS CodePipeline Plugin] Acknowledged job with ID: 0a-1b\n"
STEP = TAKEN + "[shop] $ /bin/bash /tmp/jenkins1.sh\nPLAY [Release]\n"
OLD = "[AWS CodePipeline Plugin] Build Succeeded. PutJobSuccessResult\n"
NEW = "[AWS CodePipeline Plugin] Build failed, calling PutJobFailureResult for job with ID: 0a-1b\n"
SKIPPED = ("ERROR: Job with ID 0a-1b was already acknowledged\n"
           "[AWS CodePipeline Plugin] Skipping PutJobFailureResult call for the job with ID 0a-1b\n")
RUNNING = "<?xml version='1.1' encoding='UTF-8'?>\n<build><queueId>1</queueId></build>"
ENDED = "<?xml version='1.1' encoding='UTF-8'?>\n<build><result>ABORTED</result></build>"


def build(home: Path, log: str, xml: str = "", name: str = "shop", number: int = 1) -> Path:
    folder = home / "jobs" / name / "builds" / str(number)
    folder.mkdir(parents=True)
    (folder / "log").write_text(log)
    if xml:
        (folder / "build.xml").write_text(xml)
    (home / "jobs" / name / "config.xml").write_text(
        "<?xml version='1.1' encoding='UTF-8'?>\n<project><scm><region>eu-central-1</region></scm></project>")
    return folder


@pytest.mark.parametrize(("said", "found"), [
    ("", BuildLog()), ("Started by user admin\n[shop] $ /bin/bash x\n", BuildLog()),
    (RECEIVED, BuildLog("0a-1b")), (TAKEN, BuildLog("0a-1b", True)), (STEP + OLD, BuildLog("0a-1b", True, True)),
    (STEP + NEW, BuildLog("0a-1b", True, True)), (RECEIVED + SKIPPED, BuildLog("0a-1b")),
    # What a build prints is no word of the plugin's: it comes later, or is not a line of its own.
    (STEP + TAKEN.replace("0a-1b", "ffff"), BuildLog("0a-1b", True)),
    ("echo [AWS CodePipeline Plugin] Acknowledged job with ID: x\n", BuildLog()),
])
def test_what_a_log_tells(tmp_path: Path, said: str, found: BuildLog) -> None:
    (tmp_path / "log").write_text(said)
    assert read(tmp_path / "log") == found


def test_a_log_may_be_large_binary_or_missing(tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(STEP.encode() + b"\xff\x00\n" * 1_000_000 + NEW.encode())
    assert read(tmp_path / "log") == BuildLog("0a-1b", True, True)
    assert read(tmp_path / "none") == BuildLog()


@pytest.mark.parametrize(("log", "xml", "orphan"), [
    (STEP, RUNNING, True), (STEP, "", True), (STEP, "<not xml", True), (RECEIVED, RUNNING, True),
    # Stopped and not killed, Jenkins writes a result down and tells nobody.
    (STEP, ENDED, True),
    # Killed right after the publisher's word: AWS knows whether the call arrived.
    (STEP + NEW, RUNNING, True),
    (STEP + NEW, ENDED, False), (STEP + OLD, ENDED, False), (RECEIVED + SKIPPED, ENDED, False),
    ("Started by user admin\n", RUNNING, False),
])
def test_which_builds_are_orphans(tmp_path: Path, log: str, xml: str, orphan: bool) -> None:
    folder = build(tmp_path, log, xml)
    found = orphans.find(tmp_path)
    assert [(one.directory, one.job, one.region, one.name) for one in found] == (
        [(folder, "0a-1b", "eu-central-1", "shop #1")] if orphan else [])
    orphans.mark(folder / "log", "0a-1b")
    assert orphans.find(tmp_path) == []


def test_old_builds_and_other_folders_are_passed_over(tmp_path: Path) -> None:
    old = build(tmp_path, STEP, RUNNING, number=8)
    os.utime(old / "log", (time.time() - 8 * 86_400,) * 2)
    for number in range(2, 8):
        build(tmp_path, STEP, RUNNING, "web", number)
    (tmp_path / "jobs" / "web" / "builds" / "permalinks").touch()
    (tmp_path / "jobs" / "web" / "builds" / "lastFailedBuild").symlink_to("7")
    assert [one.name for one in orphans.find(tmp_path)] == ["web #7", "web #6", "web #5", "web #4", "web #3"]
    assert orphans.find(tmp_path / "nowhere") == []
