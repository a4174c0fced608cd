"""What the modules of one run share: answers fetched together, one rate, and nothing lost where a module is killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from slipway.aws import shared
from slipway.aws.shared import BURST, RATE, Shared, spend, throttled

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def files() -> Iterator[dict[str, str]]:
    handles = {name: os.memfd_create(name) for name in (shared.ANSWERS, shared.FETCH, shared.PACE)}
    yield {name: f"/proc/{os.getpid()}/fd/{handle}" for name, handle in handles.items()}
    for handle in handles.values():
        os.close(handle)


@pytest.fixture
def run(files: dict[str, str]) -> Shared:
    found = Shared.of({shared.VARIABLE: json.dumps(files)})
    assert found is not None
    return found


class Source:
    """Counts what is fetched."""

    def __init__(self) -> None:
        self.calls: list[list[str]] = []

    def __call__(self, keys: list[str]) -> dict[str, Any]:
        self.calls.append(sorted(keys))
        return {key: {"name": key, "at": datetime(2026, 11, 23, tzinfo=UTC)} for key in keys if key != "missing"}


def test_an_answer_is_fetched_once_and_its_times_stay_times(run: Shared) -> None:
    source = Source()
    for _ in range(3):
        assert run.gather("g", "a", source, 60) == {"name": "a", "at": datetime(2026, 11, 23, tzinfo=UTC)}
    assert source.calls == [["a"]]


def test_an_old_answer_is_fetched_anew(run: Shared) -> None:
    source = Source()
    run.gather("g", "a", source, 60)
    run.gather("g", "a", source, 0)
    assert len(source.calls) == 2


def test_what_others_want_comes_along_ten_at_once(run: Shared, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr(shared, "time", SimpleNamespace(monotonic=lambda: now, sleep=lambda _: None))
    source = Source()
    for number in range(25):
        run.gather("g", f"s{number:02d}", source, 0.5)
    source.calls.clear()
    now += 1
    for number in range(25):
        run.gather("g", f"s{number:02d}", source, 0.5)
    assert all(len(keys) <= 10 for keys in source.calls)
    assert len(source.calls) == 3
    assert sorted(sum(source.calls, [])) == [f"s{number:02d}" for number in range(25)]


def test_who_asks_first_waits_a_moment_for_others(run: Shared, monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []

    def others_come(seconds: float) -> None:
        waits.append(seconds)
        for other in ("b", "c"):
            run._ask("g", other, 60)

    monkeypatch.setattr(shared, "time", SimpleNamespace(monotonic=time.monotonic, sleep=others_come))
    source = Source()
    for name in ("a", "b", "c"):
        assert run.gather("g", name, source, 60) is not None
    assert source.calls == [["a", "b", "c"]]
    # In the first wait some came, in the second nobody more. What was asked before waits for nobody.
    run.gather("g", "a", source, 0)
    assert len(waits) == 2


def test_who_knows_that_all_have_come_waits_for_nobody(files: dict[str, str], run: Shared,
                                                       monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody(_seconds: float) -> None:
        raise AssertionError("it waits")

    monkeypatch.setattr(shared, "time", SimpleNamespace(monotonic=time.monotonic, sleep=nobody))
    two = Shared.of({shared.VARIABLE: json.dumps({**files, shared.HOSTS: 2})})
    assert two is not None
    two._ask("g", "b", 60)
    source = Source()
    assert two.gather("g", "a", source, 60) and two.gather("g", "b", source, 60)
    assert source.calls == [["a", "b"]]


def test_what_was_expected_waits_for_nobody(run: Shared, monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody(_seconds: float) -> None:
        raise AssertionError("it waits")

    monkeypatch.setattr(shared, "time", SimpleNamespace(monotonic=time.monotonic, sleep=nobody))
    source = Source()
    for name in ("a", "b"):
        run.expect("g", name)
    assert run.gather("g", "b", source, 60)
    assert source.calls == [["a", "b"]]


def test_what_is_expected_comes_along_until_it_is_forgotten(run: Shared, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr(shared, "time", SimpleNamespace(monotonic=lambda: now, sleep=lambda _: None))
    source = Source()
    for name in ("a", "b", "c"):
        run.expect("g", name)
    now += 30
    run.gather("g", "a", source, 5, memory=60)
    run.forget("g", "b")
    now += 10
    run.gather("g", "a", source, 5, memory=60)
    now += 60
    run.gather("g", "a", source, 5, memory=60)
    assert source.calls == [["a", "b", "c"], ["a", "c"], ["a"]]


def test_groups_are_apart(run: Shared) -> None:
    source = Source()
    run.gather("one", "a", source, 60)
    run.gather("two", "a", source, 60)
    assert source.calls == [["a"], ["a"]]


def test_what_is_missing_is_an_answer_too(run: Shared) -> None:
    source = Source()
    assert run.gather("g", "missing", source, 60) is None
    assert run.gather("g", "missing", source, 60) is None
    assert len(source.calls) == 1


def test_one_that_may_not_be_asked_for_does_not_harm_the_others(run: Shared) -> None:
    def fetch(keys: list[str]) -> dict[str, str]:
        if "forbidden" in keys:
            raise ValueError("denied")
        return dict.fromkeys(keys, "fine")

    with pytest.raises(ValueError, match="denied"):
        run.gather("g", "forbidden", fetch, 60)
    assert run.gather("g", "a", fetch, 60) == "fine"
    with pytest.raises(ValueError, match="denied"):
        run.gather("g", "forbidden", fetch, 0)


def test_many_at_once_ask_once_or_few_times(run: Shared) -> None:
    source, lock = Source(), threading.Lock()

    def fetch(keys: list[str]) -> dict[str, Any]:
        time.sleep(0.05)
        with lock:
            return source(keys)

    threads = [threading.Thread(target=run.gather, args=("g", f"s{n}", fetch, 5.0)) for n in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    # The first one knows of itself alone; the second brings along what came meanwhile.
    assert len(source.calls) <= 3


def test_what_a_killed_module_held_is_free_again(files: dict[str, str], run: Shared) -> None:
    code = ("import sys, time; sys.path.insert(0, 'module_utils')\n"
            "from slipway.aws.shared import Shared\n"
            "import os\n"
            "run = Shared.of(os.environ)\n"
            "def hang(keys): print('fetching', flush=True); time.sleep(600)\n"
            "run.gather('g', 'a', hang, 0)\n")
    process = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True,
                               env={**os.environ, shared.VARIABLE: json.dumps(files)})
    assert process.stdout is not None and process.stdout.readline() == "fetching\n"
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    source = Source()
    assert run.gather("g", "a", source, 0)["name"] == "a"
    assert source.calls == [["a"]]


def test_while_one_hangs_the_others_ask_alone(run: Shared, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared, "_PATIENCE", 0.1)
    begun, end = threading.Event(), threading.Event()

    def hang(_: list[str]) -> dict[str, Any]:
        begun.set()
        end.wait(60)
        return {}

    thread = threading.Thread(target=run.gather, args=("g", "a", hang, 0))
    thread.start()
    begun.wait(60)
    source = Source()
    assert run.gather("g", "b", source, 0)["name"] == "b"
    assert source.calls == [["b"]]
    end.set()
    thread.join()


@pytest.mark.parametrize("given", ["", "no json", "[]", "{}", '{"answers": "/nowhere", "fetch": "/x", "pace": "/y"}'])
def test_without_files_there_is_nothing_to_share(given: str) -> None:
    assert Shared.of({shared.VARIABLE: given} if given else {}) is None


def test_when_the_files_are_gone_everything_goes_on(run: Shared, files: dict[str, str]) -> None:
    files.clear()
    gone = Shared(dict.fromkeys((shared.ANSWERS, shared.FETCH, shared.PACE), "/nonexistent/file"))
    source = Source()
    assert gone.gather("g", "a", source, 60)["name"] == "a"
    gone.take_turn("ecs")
    gone.slow_down("ecs")


def test_content_that_cannot_be_read_counts_as_none(run: Shared, files: dict[str, str]) -> None:
    Path(files[shared.ANSWERS]).write_text('{"g": {"a": {"wan')
    source = Source()
    assert run.gather("g", "a", source, 60)["name"] == "a"


def test_a_run_calls_no_faster_than_its_rate() -> None:
    state: dict[str, float] = {}
    waits = []
    for _ in range(int(BURST) + 30):
        state, wait = spend(state, 100.0)
        waits.append(wait)
    assert waits[:int(BURST)] == [0.0] * int(BURST)
    assert waits[-1] == pytest.approx(30 / RATE)


def test_a_pause_fills_it_again() -> None:
    state: dict[str, float] = {}
    for _ in range(int(BURST)):
        state, _ = spend(state, 0.0)
    assert spend(state, 0.0)[1] > 0
    assert spend(state, 10.0)[1] == 0.0


def test_after_throttling_it_is_slower_for_a_while() -> None:
    state = throttled({}, 0.0)
    assert state["rate"] == RATE / 2
    for _ in range(20):
        state = throttled(state, 0.0)
    assert state["rate"] == 1.0
    assert spend(state, 0.0)[1] == pytest.approx(1.0)
    assert spend(state, 120.0)[0]["rate"] == RATE


def test_the_rate_holds_for_all_modules_together(run: Shared, files: dict[str, str]) -> None:
    waited: list[float] = []
    others = [Shared(files) for _ in range(4)]
    for number in range(int(BURST) + 8):
        others[number % 4].take_turn("ecs", waited.append)
    assert len(waited) >= 7
    assert max(waited) <= 8 / RATE
    run.slow_down("ecs")
    run.take_turn("ecs", waited.append)
    assert waited[-1] > 8 / RATE
    run.take_turn("another service", waited.append)
    assert waited[-1] > 8 / RATE
