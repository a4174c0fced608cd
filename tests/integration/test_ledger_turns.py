"""Turns of the ledger, taken and given back in this process: what they cost, and what happens when AWS refuses."""

from __future__ import annotations

import json
import os
import subprocess
import threading
import uuid
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from slipway.aws import dynamodb, shared
from slipway.aws.session import Aws
from slipway.errors import AwsError, InvalidInput
from slipway.ledger import book, lock, owner
from slipway.ledger.turn import turn
from slipway.progress import Progress
from tests.fault import proxy

from .conftest import EmbeddedAws

IMAGE = {"tag": "v1", "digest": "sha256:1"}
NEW, SAME = {"changed": True}, {"changed": False}
GOOD = {"verdict": "completed", "msg": "web:1 is rolled out."}
SILENT = {"failed": True, "verdict": "no_answer", "msg": "It does not answer."}
Params = dict[str, Any]


class Turns:
    """Of a service of its own."""

    def __init__(self, table: str) -> None:
        self.service = f"shop-{uuid.uuid4().hex[:8]}"
        self.params: Params = {
            "table": table, "service": self.service, "stack_name": self.service, "kind": "release", "busy": "wait",
            "lock_timeout": 60.0, "source": "", "revision": "1a2b3c4", "who": "", "pid": os.getpid(), "opened": {},
            "preflight": {}, "image": {}, "target": {}, "task": {}, "notify": {}, "stack": {}, "rollout": {},
            "report_dir": None, "keep": 100}

    def open(self, **given: Any) -> Params:
        return turn({**self.params, "state": "open", **given}, False, Progress())

    def close(self, opened: Params, **given: Any) -> Params:
        return turn({**self.params, "state": "closed", "opened": opened, **given}, False, Progress())

    def release(self, **given: Any) -> Params:
        return self.close(self.open(), **given)

    def verdicts(self) -> list[str]:
        """Newest first."""
        return [record["verdict"] for record in book.read(Aws({}), self.params["table"], self.service, 50)]


@pytest.fixture
def turns(aws: EmbeddedAws, table: str, monkeypatch: pytest.MonkeyPatch) -> Turns:
    for name, value in aws.env.items():
        monkeypatch.setenv(name, value)
    return Turns(table)


def test_what_only_a_second_run_finds_good_is_recorded_as_good(turns: Turns) -> None:
    turns.release(image=IMAGE, stack=NEW, rollout=SILENT)
    again = turns.release(image=IMAGE, stack=SAME, rollout=SILENT)
    assert again["record"]["verdict"] == "no_answer"
    proved = turns.release(image=IMAGE, stack=SAME, rollout=GOOD)
    assert proved["changed"] and proved["record"]["tag"] == "v1"
    assert turns.release(image=IMAGE, stack=SAME, rollout=GOOD)["record"] is None
    assert turns.verdicts() == ["completed", "no_answer", "no_answer"]


def test_of_an_image_that_was_left_behind_nothing_is_proved(turns: Turns) -> None:
    turns.release(image=IMAGE, stack=NEW, rollout=SILENT)
    other = {"tag": "v2", "digest": "sha256:2"}
    assert turns.release(image=other, stack=SAME, rollout=GOOD)["record"] is None
    turns.release(image=other, stack=NEW, rollout=GOOD)
    assert turns.release(image=IMAGE, stack=SAME, rollout=GOOD)["record"] is None
    assert turns.verdicts() == ["completed", "no_answer"]
    assert lock.holder(Aws({}), turns.params["table"], turns.service) is None


def test_the_kept_image_that_is_proved_has_its_commit(turns: Turns) -> None:
    turns.release(image=IMAGE, stack=NEW, rollout=SILENT)
    kept = turns.close(turns.open(revision=""), image=IMAGE, stack=SAME, rollout=GOOD)
    assert kept["record"]["commit"] == "1a2b3c4"


def test_a_turn_of_nothing_costs_as_few_calls_as_ever(turns: Turns) -> None:
    opened = turns.open()
    assert opened["api_calls"] == {"cloudformation.DescribeStacks": 1, "dynamodb.PutItem": 1}
    closed = turns.close(opened, image=IMAGE, stack=SAME, rollout=GOOD)
    assert sum(closed["api_calls"].values()) == 1
    assert (opened["waited"], opened["entry"]["waited"]) == (0.0, 0.0)


def test_a_rollback_has_the_commit_of_its_image_and_its_refusal_is_no_failed_build(turns: Turns) -> None:
    found = {**IMAGE, "release": {"commit": "99ffee0"}}
    record = turns.release(kind="rollback", target=found, stack=NEW, rollout=GOOD)["record"]
    assert (record["tag"], record["digest"], record["commit"]) == ("v1", "sha256:1", "99ffee0")
    unknown = turns.release(kind="rollback", target={**IMAGE, "release": None}, stack=NEW, rollout=GOOD)["record"]
    assert unknown["commit"] == ""
    refused = turns.release(kind="rollback", target={"failed": True, "msg": "No good release."})["record"]
    assert (refused["verdict"], refused["cause"]) == ("refused", "No good release.")


@pytest.mark.parametrize("keep", [1, 0, -3])
def test_a_ledger_without_a_way_back_is_refused_before_anything_is_touched(turns: Turns, keep: int) -> None:
    with pytest.raises(InvalidInput, match=f"keep {keep} records.*ecs_release_ledger_keep to 2"):
        turns.open(keep=keep)
    assert lock.holder(Aws({}), turns.params["table"], turns.service) is None
    for _ in range(3):
        turns.release(image=IMAGE, stack=NEW, rollout=GOOD, keep=keep)
    assert len(turns.verdicts()) == 2


def test_who_takes_over_knows_by_whom_the_dead_one_was_superseded(turns: Turns) -> None:
    ended = subprocess.Popen(["true"])
    name = owner.name(ended.pid)
    ended.wait()
    aws, table = Aws({}), turns.params["table"]
    theirs = {**turns.open()["entry"], "process": name}
    token = next(iter(lock_item(aws, table, turns.service)["token"].values()))
    lock.restate(aws, table, theirs, token)
    lock._supersede(aws, table, {"service": turns.service, "token": token}, "ann on build-2")
    mine = {**theirs, "id": "release#9", "process": owner.name(os.getpid())}
    held = lock.acquire(aws, table, mine, "mine", "wait", 60.0, Progress())
    assert held.inherited and held.inherited["superseded_by"] == "ann on build-2"
    # Until it has looked, nobody may take what it says of the stack for true.
    assert (lock.holder(aws, table, turns.service) or {})["provisional"] is True
    lock.restate(aws, table, mine, "mine")
    assert lock.holder(aws, table, turns.service) == mine


def test_one_call_shows_that_all_releases_of_a_run_live(turns: Turns, monkeypatch: pytest.MonkeyPatch) -> None:
    aws, table = Aws({}), turns.params["table"]
    files = {name: os.memfd_create(name) for name in (shared.ANSWERS, shared.FETCH, shared.PACE)}
    run = shared.Shared.of({shared.VARIABLE: json.dumps({name: f"/proc/{os.getpid()}/fd/{handle}"
                                                         for name, handle in files.items()})})
    opened = []
    for name in ("oak", "ash", "elm"):
        turns.params |= {"service": f"{name}-{uuid.uuid4().hex[:8]}"}
        opened.append(turns.open())
    services = [one["entry"]["service"] for one in opened]
    asked: list[str] = []

    def session() -> Aws:
        asked.append("")
        return aws

    companies = [lock.Company(run, "me", session, table, one["entry"]["service"], one["token"]) for one in opened]
    before = aws.api_calls().get("dynamodb.TransactWriteItems", 0)
    assert [company.beat() for company in companies] == ["", "", ""]
    assert (aws.api_calls()["dynamodb.TransactWriteItems"] - before, len(asked)) == (1, 1)
    assert [lock_item(aws, table, service)["beat"]["N"] for service in services] == ["1", "1", "1"]

    lock._supersede(aws, table, {"service": services[0], "token": opened[0]["token"]}, "ann on build-2")
    lock.release(aws, table, services[1], opened[1]["token"])
    monkeypatch.setattr(lock, "BEAT", 0.0)
    assert companies[0].beat() == "ann on build-2"
    with pytest.raises(dynamodb.Conflict):
        companies[1].beat()
    assert companies[2].beat() == ""
    assert int(lock_item(aws, table, services[0])["beat"]["N"]) >= 2
    companies[1].leave()
    for handle in files.values():
        os.close(handle)


def lock_item(aws: Aws, table: str, service: str) -> dict[str, Any]:
    item: dict[str, Any] = aws.call("dynamodb", "get_item", TableName=table,
                                    Key={"service": {"S": service}, "id": {"S": "lock"}})["Item"]
    return item


class Denied(proxy.BadDay):
    """Refuses these operations."""

    def __init__(self, upstream: str, *operations: str) -> None:
        super().__init__(upstream, 0.0, 1)
        self.operations = operations

    def fate(self, operation: str) -> str:
        return "denied" if operation in self.operations else ""


@pytest.fixture
def denying(aws: EmbeddedAws, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Denied]:
    monkeypatch.setitem(proxy._ANSWERS, "denied", (400, "AccessDenied", "AccessDeniedException", "Not authorized."))
    return lambda *operations: Denied(aws.env["AWS_ENDPOINT_URL"], *operations)


@pytest.fixture
def told() -> Iterator[tuple[str, list[str]]]:
    """A webhook's address, and what it was told."""
    heard: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            heard.append(json.loads(self.rfile.read(int(self.headers["Content-Length"])))["text"])
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/hook", heard
    server.shutdown()
    server.server_close()


def test_old_records_that_cannot_be_removed_are_a_warning(
        turns: Turns, denying: Callable[..., Denied], told: tuple[str, list[str]]) -> None:
    address, heard = told
    opened = turns.open()
    with denying("Query") as day:
        closed = turns.close(opened, image=IMAGE, stack=NEW, rollout=GOOD, keep=2, notify={"webhook": address},
                             endpoint_url=day.url)
    assert closed["record"]["verdict"] == "completed" and turns.verdicts() == ["completed"]
    (warning,) = closed["warnings"]
    assert "Old records of" in warning and "Not authorized" in warning
    assert [one.startswith(f"{turns.service}: v1 is released") for one in heard] == [True]


def test_a_release_that_cannot_be_recorded_is_told_all_the_same(
        turns: Turns, denying: Callable[..., Denied], told: tuple[str, list[str]]) -> None:
    address, heard = told
    opened = turns.open()
    with denying("TransactWriteItems") as day, pytest.raises(AwsError, match="Not authorized"):
        turns.close(opened, image=IMAGE, stack=NEW, rollout=GOOD, notify={"webhook": address}, endpoint_url=day.url)
    assert [one.startswith(f"{turns.service}: v1 is released") for one in heard] == [True]
