"""A controller whose clock is an hour off: nothing that a release decides, waits for or writes down rests on it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.test_aborts import keepers
from tests.shop import Shop
from tests.small_image import small_image

AHEAD, BEHIND = "+3600", "-3600"


@pytest.fixture(scope="session")
def other_clock(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """libfaketime, unpacked and not installed."""
    if not shutil.which("apt-get"):
        pytest.skip("libfaketime comes from Debian's packages")
    folder = tmp_path_factory.mktemp("faketime")
    subprocess.run(["apt-get", "download", "-qq", "libfaketime"], cwd=folder, check=True)
    (package,) = folder.glob("libfaketime_*.deb")
    subprocess.run(["dpkg", "-x", str(package), str(folder)], check=True)
    # The library cannot do with a sleep until a time of the monotonic clock, which is Python's.
    (folder / "sitecustomize.py").write_text(
        "import select, time\ntime.sleep = lambda seconds: select.select([], [], [], seconds) and None\n")
    return next(folder.rglob("libfaketime.so.1"))


def shifted(library: Path, seconds: str) -> dict[str, str]:
    """Variables of a process whose wall clock is so many seconds off; time that has passed is told right."""
    return {"LD_PRELOAD": str(library), "FAKETIME": seconds, "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "PYTHONPATH": str(next(parent for parent in library.parents if (parent / "sitecustomize.py").exists()))}


@pytest.fixture(scope="module")
def shop(aws: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    with small_image("slipway-clock/base:1") as base:
        made = Shop(tmp_path_factory.mktemp("shop"), aws.env, base, "clock")
        made.set_up()
        yield made
        gone = made.play("playbooks/teardown.yml", "", "-e", "teardown_confirm=yes")
        assert gone.returncode == 0, gone.stdout


def test_the_library_does_shift_the_clock(other_clock: Path) -> None:
    told = subprocess.run(["date", "+%s"], env={**os.environ, **shifted(other_clock, AHEAD)}, capture_output=True,
                          text=True, check=True)
    assert abs(int(told.stdout) - time.time() - 3600) < 30


@pytest.mark.parametrize("seconds", [AHEAD, BEHIND])
def test_a_release_is_judged_and_recorded_by_the_time_of_aws(shop: Shop, other_clock: Path, seconds: str) -> None:
    shop.write("clock", f"at {seconds}")
    started = time.time()
    run = shop.release("clock", **shifted(other_clock, seconds))
    assert run.returncode == 0, run.stdout
    assert shop.page("clock") == f"at {seconds}"
    record = shop.records("clock")[-1]
    assert (record["verdict"], record["tag"]) == ("completed", shop.tag("clock"))
    assert_between(record, started)
    assert [event for event in record["events"] if event["status"] == "UPDATE_COMPLETE"]
    assert all(started - 5 < datetime.fromisoformat(event["time"]).timestamp() < time.time() + 5
               for event in record["events"]), record["events"]


def test_a_failure_is_still_explained(shop: Shop, other_clock: Path) -> None:
    """Events and stopped tasks are those of this rollout: chosen by AWS's times, not by this clock, for which all of
    them are an hour old."""
    before = shop.page("clock")
    shop.write("clock", "never", '["sh", "-c", "echo no database; exit 3"]')
    run = shop.release("clock", **shifted(other_clock, AHEAD))
    assert run.returncode != 0
    said = " ".join(run.stdout.split())
    assert "Container clock crashes on start: exit code 3. Its log says: 'no database'." in said
    assert "deployment circuit breaker was triggered" in said
    assert shop.page("clock") == before


def test_a_lock_left_by_another_clock_is_taken_over(shop: Shop, other_clock: Path) -> None:
    """Left two hours in the future of the one who finds it."""
    shop.write("clock", "taken over")
    started, known = time.time(), len(shop.records("clock"))
    first = shop.start(shop.command("playbooks/release.yml", "clock"), ABORT_TEST="clock",
                       **shifted(other_clock, AHEAD))
    try:
        while "lock" not in shop.items("clock") or not keepers("clock"):
            assert time.time() < started + 120, "the release took no lock"
            time.sleep(0.1)
    finally:
        for keeper in keepers("clock"):
            with suppress(ProcessLookupError):
                os.kill(keeper, signal.SIGKILL)
        os.killpg(first.pid, signal.SIGKILL)
        first.communicate()
    run = shop.release("clock", **shifted(other_clock, BEHIND))
    assert run.returncode == 0, run.stdout
    assert "taking over" in run.stdout
    assert shop.page("clock") == "taken over"
    dead, mine = shop.records("clock")[known:]
    assert dead["verdict"] in ("aborted", "completed")
    assert mine["verdict"] == "completed"
    for record in (dead, mine):
        assert_between(record, started)
    assert "lock" not in shop.items("clock")


def assert_between(record: dict[str, Any], started: float) -> None:
    """The record's times are of the real clock, to the second, and in order."""
    begun, ended = (datetime.fromisoformat(record[name]) for name in ("started", "ended"))
    assert started - 5 < begun.timestamp() <= ended.timestamp() < datetime.now(UTC).timestamp() + 5, record
    assert record["seconds"] < 600


def test_where_aws_checks_it_the_wrong_clock_is_named(other_clock: Path, tmp_path: Path) -> None:
    """Signatures are held against the time of AWS; MiniStack does so where it enforces IAM."""
    from tests.integration.conftest import embedded_aws

    keys = {"AWS_ACCESS_KEY_ID": "embedded", "AWS_SECRET_ACCESS_KEY": "embedded"}
    with embedded_aws(tmp_path / "aws", 4626, AUTH="true", **keys) as strict:
        # The account's own keys are taken without a look at the signature; those of a user are not.
        iam = strict.client("iam")
        iam.create_user(UserName="late")
        iam.put_user_policy(UserName="late", PolicyName="all", PolicyDocument=json.dumps(
            {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}))
        key = iam.create_access_key(UserName="late")["AccessKey"]
        shop = Shop(tmp_path, {**strict.env, "AWS_ACCESS_KEY_ID": key["AccessKeyId"],
                               "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"]}, "none:1", "late")
        for seconds, words in ((AHEAD, "60 minutes ahead of AWS's"), (BEHIND, "60 minutes behind AWS's")):
            run = shop.play("site.yml", "", **shifted(other_clock, seconds))
            said = " ".join(run.stdout.split())
            assert run.returncode != 0
            assert words in said, run.stdout
            assert "timedatectl set-ntp true" in said
            assert "changed: [" not in run.stdout
