"""Releases that are aborted at random moments, and many at once of one service, while a client keeps asking.

SLIPWAY_ABORTS: how many aborts in all (6, one of each kind). SLIPWAY_ABORTS_SEED: of the moments; printed, so that a
run can be had again. SLIPWAY_ABORTS_SERVICES: services side by side (3). SLIPWAY_AT_ONCE: releases of one service at
the same time (2). `make soak` runs 200 aborts, and 10 at once.
"""

from __future__ import annotations

import os
import random
import re
import shutil
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.integration.conftest import embedded_aws
from tests.polling_client import PollingClient
from tests.shop import Shop
from tests.small_image import small_image

PORT = int(os.environ.get("SLIPWAY_ABORTS_PORT", "4596"))
ABORTS = int(os.environ.get("SLIPWAY_ABORTS", "6"))
SEED = int(os.environ.get("SLIPWAY_ABORTS_SEED", "7"))
AT_ONCE = int(os.environ.get("SLIPWAY_AT_ONCE", "2"))
SERVICES = min(ABORTS, int(os.environ.get("SLIPWAY_ABORTS_SERVICES", "3")))


def group(number: signal.Signals) -> Callable[[subprocess.Popen[Any], str], None]:
    """The signal to all processes of the run, as a terminal and Jenkins send it."""
    return lambda run, _: os.killpg(run.pid, number)


def alone(number: signal.Signals) -> Callable[[subprocess.Popen[Any], str], None]:
    """The signal to ansible-playbook only."""
    return lambda run, _: os.kill(run.pid, number)


def machine(run: subprocess.Popen[Any], mark: str) -> None:
    """As when the machine loses its power: the keeper, which has a session of its own, is killed too."""
    for keeper in keepers(mark):
        with suppress(ProcessLookupError):
            os.kill(keeper, signal.SIGKILL)
    os.killpg(run.pid, signal.SIGKILL)
    for keeper in keepers(mark):
        with suppress(ProcessLookupError):
            os.kill(keeper, signal.SIGKILL)


KINDS: dict[str, Callable[[subprocess.Popen[Any], str], None]] = {
    "SIGINT": group(signal.SIGINT), "SIGTERM": group(signal.SIGTERM), "SIGKILL": group(signal.SIGKILL),
    "SIGTERM to the controller alone": alone(signal.SIGTERM), "SIGKILL of the controller alone": alone(signal.SIGKILL),
    "SIGKILL of the keeper too": machine,
}


@dataclass
class Outcome:
    """What the aborts of one service came to. wrong: one line for everything that must not be."""

    service: str
    aborts: Counter[str] = field(default_factory=Counter)
    #: How long the last release that nobody disturbed took, in seconds: an abort comes at a moment of such a time.
    whole: float = 0.0
    late: int = 0
    new_version: int = 0
    taken_over: int = 0
    answers: int = 0
    failed: dict[Any, int] = field(default_factory=dict)
    failed_at: list[str] = field(default_factory=list)
    ledger: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    with (embedded_aws(tmp_path_factory.mktemp("aws"), PORT) as aws,
          small_image(f"slipway-aborts-{PORT}/base:1") as base):
        made = Shop(tmp_path_factory.mktemp("shop"), aws.env, base, *(f"abort{n}" for n in range(SERVICES)))
        made.set_up()
        yield made


def test_aborted_at_any_moment_it_serves_on_and_the_ledger_is_true(shop: Shop) -> None:
    print(f"seed {SEED}: {ABORTS} aborts of {SERVICES} services")
    started = time.monotonic()
    kinds = list(KINDS) * (ABORTS // len(KINDS) + 1)
    chance = random.Random(SEED)
    plan = [(kind, chance.uniform(0.02, 1.0)) for kind in kinds[:ABORTS]]
    chance.shuffle(plan)
    with ThreadPoolExecutor(SERVICES) as pool:
        parts = [pool.submit(abort_in_turn, shop, name, plan[n::SERVICES]) for n, name in enumerate(shop.names)]
        outcomes = [part.result() for part in parts]
    print(report(outcomes, time.monotonic() - started))
    assert sum(sum(one.aborts.values()) for one in outcomes) == ABORTS
    assert [line for one in outcomes for line in one.wrong + one.ledger] == []
    assert [one.failed for one in outcomes if one.failed] == []


def test_of_releases_at_once_each_has_its_turn(shop: Shop) -> None:
    """Each of a folder of its own, so that each has something to release."""
    name, known = shop.names[0], len(shop.records(shop.names[0]))
    folders = []
    for number in range(AT_ONCE):
        shop.write(name, f"at once {number}")
        folders.append(shutil.copytree(shop.folder / name, shop.folder / f"at-once-{number}"))
    with PollingClient(shop.url(name), pace=0.05, limit=4 * 3600) as client, ThreadPoolExecutor(AT_ONCE) as pool:
        runs = list(pool.map(lambda folder: shop.release(name, "-e", f"ecs_release_source={folder}"), folders))
    assert [run.returncode for run in runs] == [0] * AT_ONCE, "\n".join(run.stdout for run in runs)
    assert sum("waiting for it" in run.stdout for run in runs) == AT_ONCE - 1
    assert client.failures == {}
    records = shop.records(name)[known:]
    assert [record["verdict"] for record in records] == ["completed"] * AT_ONCE
    last = max(records, key=lambda record: str(record["ended"]))
    assert last["tag"] == shop.tag(name)
    assert "lock" not in shop.items(name)


def report(outcomes: list[Outcome], seconds: float) -> str:
    """The figures, a line each."""
    kinds = sum((one.aborts for one in outcomes), Counter[str]())
    return "\n".join([
        *(f"{count} by {kind}" for kind, count in sorted(kinds.items())),
        f"{sum(one.late for one in outcomes)} came when the release had ended",
        f"{sum(one.new_version for one in outcomes)} found the new version deployed",
        f"{sum(one.taken_over for one in outcomes)} locks taken over by the next run",
        (f"{sum(one.answers for one in outcomes)} requests, failed: "
         f"{[one.failed for one in outcomes if one.failed] or 'none'}"),
        f"{sum(len(one.ledger) for one in outcomes)} records that were not true",
        f"{sum(len(one.wrong) for one in outcomes)} other faults, {seconds:.0f} s",
        *(line for one in outcomes for line in one.ledger + one.wrong + one.failed_at)])


def abort_in_turn(shop: Shop, name: str, plan: list[tuple[str, float]]) -> Outcome:
    outcome = Outcome(name)
    with PollingClient(shop.url(name), pace=0.05, limit=4 * 3600) as client:
        shop.write(name, "undisturbed")
        finish(shop, name, outcome)
        for number, (kind, part) in enumerate(plan):
            after = part * outcome.whole
            abort = f"{name} {number} ({kind} after {after:.1f} s of {outcome.whole:.1f} s)"
            try:
                abort_once(shop, name, number, kind, after, outcome)
            except AssertionError as fault:
                outcome.wrong.append(f"{abort}: {fault}")
            finally:
                outcome.aborts[kind] += 1
                print(f"{time.strftime('%H:%M:%S')} {abort}: {sum(client.failures.values())} requests failed so far",
                      flush=True)
    outcome.answers, outcome.failed = sum(client.answers.values()), client.failures
    outcome.failed_at = [f"{name} at {time.strftime('%H:%M:%S', time.gmtime(at))}: {how}"
                         for at, how in client.failed_at]
    return outcome


def abort_once(shop: Shop, name: str, number: int, kind: str, after: float, outcome: Outcome) -> None:
    old, old_tag, new = shop.page(name), shop.tag(name), f"{name} {number}"
    known = len(shop.records(name))
    shop.write(name, new)
    mark = f"{name}-{number}"
    log = shop.folder / f"{mark}.log"
    with log.open("w") as out:
        run = subprocess.Popen(shop.command("playbooks/release.yml", name), cwd=Path(__file__).parents[2],
                               env=shop.environment(ABORT_TEST=mark), stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                               start_new_session=True)
    with suppress(subprocess.TimeoutExpired):
        run.wait(after)
    if run.poll() is None:
        KINDS[kind](run, mark)
    else:
        outcome.late += 1
    try:
        run.wait(120)
    except subprocess.TimeoutExpired:
        os.killpg(run.pid, signal.SIGKILL)
        raise AssertionError(f"the run did not end; it said\n{log.read_text()[-2000:]}") from None
    if kind != "SIGKILL of the keeper too":
        until(lambda: "lock" not in shop.items(name), f"the lock was not given back; the run said\n{log.read_text()}")
        look_at_ledger(shop, name, known, old, old_tag, new, outcome)
    try:
        said = finish(shop, name, outcome)
    except AssertionError as fault:
        raise AssertionError(f"{fault}\nafter\n{log.read_text()}") from None
    outcome.taken_over += "taking over" in re.sub(r"\s+", " ", said)
    assert shop.page(name) == new, f"after the next run the page is {shop.page(name)!r}:\n{said}"
    assert "lock" not in shop.items(name), "the next run left the lock"
    records = shop.records(name)
    false = [r["id"] for r in records if r["verdict"] == "running"]
    deployed = [r for r in records if r["verdict"] == "completed"][-1]
    if false or deployed["tag"] != shop.tag(name):
        outcome.ledger.append(f"{name} {number}: {false} run, the last completed is {deployed['tag']}, deployed is "
                              f"{shop.tag(name)}")


def finish(shop: Shop, name: str, outcome: Outcome) -> str:
    """A release that nobody disturbs; what it printed."""
    started = time.monotonic()
    run = shop.release(name)
    assert run.returncode == 0, f"the next run failed:\n{run.stdout}"
    if "Nothing changed." not in run.stdout:
        outcome.whole = time.monotonic() - started
    return run.stdout


def look_at_ledger(shop: Shop, name: str, known: int, old: str, old_tag: str, new: str, outcome: Outcome) -> None:
    """The stack rests, and what it serves is what the newest record says."""
    status, tag, page = shop.stack(name)["StackStatus"], shop.tag(name), shop.page(name)
    records = shop.records(name)[known:]
    told = ", ".join(f"{r['verdict']} ({r['message']})" for r in records) or "no record"
    here = f"{name} {new}: {told}; the stack is {status} with {tag}, the page {page!r}"
    if not status.endswith("_COMPLETE") or len(records) > 1:
        outcome.ledger.append(here)
    elif records and records[0]["verdict"] == "completed":
        outcome.new_version += 1
        if page != new or tag != records[0]["tag"]:
            outcome.ledger.append(here)
    elif page != old or tag != old_tag:
        outcome.ledger.append(here)


def until(what: Callable[[], object], otherwise: str, seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not what():
        if time.monotonic() > end:
            raise AssertionError(otherwise)
        time.sleep(0.3)


def keepers(mark: str) -> list[int]:
    """Keepers of the run with this mark, and whatever else of it left its process group."""
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        with suppress(OSError):
            if (f"ABORT_TEST={mark}".encode() in path.read_bytes().split(b"\0")
                    and b"slipway.ledger.keeper" in (path.parent / "cmdline").read_bytes().split(b"\0")):
                found.append(int(path.parent.name))
    return found
