"""The ledger and its lock on the embedded AWS's DynamoDB, with real processes that live, die and are killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
PLAYBOOK = Path(sys.executable).with_name("ansible-playbook")


class Ledger:
    """Plays of the module against one service of its own."""

    def __init__(self, aws: Any, table: str, folder: Path) -> None:
        self.aws, self.table, self.folder = aws, table, folder
        self.service = f"shop-{uuid.uuid4().hex[:8]}"
        self.environment = {**os.environ, **aws.env, "LEDGER_TEST": self.service,
                            "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1"}

    def start(self, *tasks: dict[str, Any], check: bool = False, **open_arguments: Any) -> subprocess.Popen[str]:
        """A playbook that opens the entry and goes on with `tasks`, in a process group of its own."""
        opening = {"name": "open", "register": "entry", "ecs_ledger": {
            "state": "open", "table": self.table, "service": self.service, "stack_name": self.service,
            **open_arguments}}
        play = [{"hosts": "localhost", "gather_facts": False, "tasks": [opening, *tasks]}]
        file = self.folder / f"{uuid.uuid4().hex}.yml"
        file.write_text(yaml.safe_dump(play))
        return subprocess.Popen([PLAYBOOK, "-i", "localhost,", "-c", "local", "-e",
                                 f"ansible_python_interpreter={sys.executable}", str(file),
                                 *(["--check"] if check else [])], cwd=ROOT,
                                env=self.environment, text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                stderr=subprocess.STDOUT, start_new_session=True)

    def run(self, *tasks: dict[str, Any], check: bool = False, **open_arguments: Any) -> str:
        process = self.start(*tasks, check=check, **open_arguments)
        out, _ = process.communicate(timeout=120)
        assert process.returncode == 0, out
        return out

    def close(self, **results: Any) -> dict[str, Any]:
        return {"name": "close", "ecs_ledger": {"state": "closed", "table": self.table, "opened": "{{ entry }}",
                                                **results}}

    def touch(self, file: Path) -> dict[str, Any]:
        return {"name": "touch", "ansible.builtin.file": {"path": str(file), "state": "touch"}}

    def items(self) -> dict[str, dict[str, Any]]:
        """Id to record, the lock's under 'lock'."""
        found = self.aws.client("dynamodb").query(
            TableName=self.table, KeyConditionExpression="service = :s",
            ExpressionAttributeValues={":s": {"S": self.service}})["Items"]
        return {item["id"]["S"]: json.loads(item["entry"]["S"]) for item in found}

    def records(self) -> list[dict[str, Any]]:
        return [record for name, record in sorted(self.items().items()) if name.startswith("release#")]


GOOD = {"image": {"tag": "v1", "digest": "sha256:1"}, "stack": {"changed": True},
        "rollout": {"verdict": "completed", "msg": "web:1 is rolled out."}}
HANG = {"name": "hang", "ansible.builtin.command": "sleep 600", "changed_when": False}


@pytest.fixture
def ledger(aws: Any, table: str, tmp_path: Path) -> Ledger:
    return Ledger(aws, table, tmp_path)


def until(what: Any, seconds: float = 90) -> Any:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := what():
            return found
        time.sleep(0.2)
    raise AssertionError(f"not within {seconds} s")


def test_a_release_is_recorded_and_the_lock_given_back(ledger: Ledger) -> None:
    out = ledger.run(ledger.close(**GOOD), source=str(ROOT), who="arn:aws:iam::1:user/ann")
    assert "changed=1" in out
    (record,) = ledger.records()
    assert (record["verdict"], record["tag"], record["message"]) == ("completed", "v1", "web:1 is rolled out.")
    assert (record["who"], record["service"]) == ("arn:aws:iam::1:user/ann", ledger.service)
    head = subprocess.run(["git", "-C", str(ROOT), "rev-parse", "HEAD"], check=True, capture_output=True, text=True)
    assert record["commit"].partition("-")[0] == head.stdout.strip()
    assert "lock" not in ledger.items()


def test_a_run_that_released_nothing_leaves_no_record(ledger: Ledger) -> None:
    out = ledger.run(ledger.close(stack={"changed": False}, rollout={"verdict": "completed"}))
    assert "changed=0" in out
    assert ledger.items() == {}


def test_old_records_go_but_the_newest_good_one_stays(ledger: Ledger) -> None:
    ledger.run(ledger.close(**GOOD))
    for _ in range(3):
        ledger.run(ledger.close(stack={"failed": True, "msg": "no"}, keep=2))
    assert [record["verdict"] for record in ledger.records()] == ["completed", "stack_failed", "stack_failed"]


def test_a_second_release_waits_for_the_first_and_says_for_whom(ledger: Ledger) -> None:
    go = ledger.folder / "go"
    first = ledger.start({"name": "wait", "ansible.builtin.wait_for": {"path": str(go), "sleep": 1, "timeout": 300}},
                         ledger.close(**GOOD))
    until(lambda: "lock" in ledger.items())
    second = ledger.start(ledger.close(**GOOD))
    lines: list[str] = []
    assert second.stdout is not None
    for line in second.stdout:
        lines.append(line)
        if "waiting for it" in line:
            assert f"A release of {ledger.service} runs since" in line
            break
    assert second.poll() is None
    go.touch()
    first.communicate(timeout=120)
    second.communicate(timeout=120)
    assert (first.returncode, second.returncode) == (0, 0), lines
    one, two = ledger.records()
    assert one["ended"] <= two["ended"]
    assert "lock" not in ledger.items()


STACK = {"Parameters": {"ImageTag": {"Type": "String"}, "ImageDigest": {"Type": "String", "Default": ""}},
         "Resources": {"Topic": {"Type": "AWS::SNS::Topic", "Properties": {"DisplayName": {"Ref": "ImageTag"}}}}}


def deploy(ledger: Ledger, operation: str, tag: str) -> None:
    """The service's stack gets this image. operation: create or update."""
    cloudformation = ledger.aws.client("cloudformation")
    getattr(cloudformation, f"{operation}_stack")(
        StackName=ledger.service, TemplateBody=json.dumps(STACK), Parameters=[
            {"ParameterKey": "ImageTag", "ParameterValue": tag},
            {"ParameterKey": "ImageDigest", "ParameterValue": f"sha256:{tag}"}])
    cloudformation.get_waiter(f"stack_{operation}_complete").wait(StackName=ledger.service, WaiterConfig={"Delay": 1})


def test_what_a_release_waited_for_is_not_its_own(ledger: Ledger) -> None:
    """Killed after its wait it says neither that it deployed the other one's image, nor when, nor how long."""
    deploy(ledger, "create", "a")
    go, waited = ledger.folder / "go", ledger.folder / "waited"
    first = ledger.start({"name": "wait", "ansible.builtin.wait_for": {"path": str(go), "sleep": 1, "timeout": 300}},
                         ledger.close(**{**GOOD, "image": {"tag": "b", "digest": "sha256:b"}}))
    until(lambda: "lock" in ledger.items())
    second = ledger.start(ledger.touch(waited), HANG)
    assert second.stdout is not None
    assert any("waiting for it" in line for line in second.stdout)
    deploy(ledger, "update", "b")
    time.sleep(2)
    go.touch()
    first.communicate(timeout=120)
    until(waited.exists)
    held = ledger.items()["lock"]
    assert held["from"] == {"tag": "b", "digest": "sha256:b"} and "provisional" not in held
    os.killpg(second.pid, signal.SIGKILL)
    second.communicate(timeout=60)
    until(lambda: "lock" not in ledger.items())
    one, two = ledger.records()
    assert (one["verdict"], two["verdict"]) == ("completed", "aborted")
    assert "the stack is UPDATE_COMPLETE and b is deployed" in two["message"]
    assert one["ended"] <= two["started"]
    assert datetime.fromisoformat(two["id"].split("#")[1]).isoformat(timespec="seconds") == two["started"]
    assert two["waited"] > 2 and two["events"] == []
    assert one["waited"] == 0
    ledger.aws.client("cloudformation").delete_stack(StackName=ledger.service)


def test_of_ten_at_once_each_has_its_turn(ledger: Ledger) -> None:
    """The work of each is to find nobody else at work."""
    at_work = ledger.folder / "at-work"
    work = {"name": "work", "ansible.builtin.shell": f"mkdir {at_work} && sleep 0.3 && rmdir {at_work}"}
    processes = [ledger.start(work, ledger.close(**GOOD)) for _ in range(10)]
    outs = [process.communicate(timeout=300)[0] for process in processes]
    assert [process.returncode for process in processes] == [0] * 10, "\n".join(outs)
    assert len(ledger.records()) == 10


def test_busy_fail_names_the_holder(ledger: Ledger) -> None:
    first = ledger.start(HANG)
    try:
        until(lambda: "lock" in ledger.items())
        second = ledger.start(busy="fail")
        out, _ = second.communicate(timeout=60)
        assert second.returncode != 0
        assert f"A release of {ledger.service} runs since" in out
        assert "ecs_release_busy" in out
    finally:
        os.killpg(first.pid, signal.SIGKILL)
        first.communicate()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_release_that_is_killed_is_recorded_by_its_keeper(ledger: Ledger, number: signal.Signals) -> None:
    process = ledger.start(HANG)
    until(lambda: keepers(ledger.service))
    os.killpg(process.pid, number)
    process.communicate(timeout=60)
    (record,) = until(ledger.records)
    assert record["verdict"] == "aborted"
    assert "there is no stack" in record["message"]
    assert "lock" not in ledger.items()


def test_when_its_keeper_is_killed_too_the_next_release_finds_out_at_once(ledger: Ledger) -> None:
    process = ledger.start(HANG)
    token = until(lambda: ledger.aws.client("dynamodb").get_item(
        TableName=ledger.table, Key={"service": {"S": ledger.service}, "id": {"S": "lock"}}).get("Item"))["token"]["S"]
    for pid in until(lambda: keepers(ledger.service)):
        os.kill(pid, signal.SIGKILL)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate(timeout=60)
    started = time.monotonic()
    out = ledger.run(ledger.close(**GOOD))
    assert "its process is gone; taking over" in out
    assert time.monotonic() - started < 40  # far less than a silent lock is given
    assert [record["verdict"] for record in ledger.records()] == ["aborted", "completed"]
    assert token[:8] in ledger.records()[0]["id"]


def test_a_lock_of_another_machine_that_is_silent_is_taken_over(ledger: Ledger) -> None:
    entry = {"id": "release#2026-11-23T00:00:00+00:00#x", "service": ledger.service, "stack_name": ledger.service,
             "kind": "release", "verdict": "running", "started": "2026-11-23T00:00:00+00:00",
             "process": "another-boot/pid:[1] 1 1"}
    ledger.aws.client("dynamodb").put_item(TableName=ledger.table, Item={
        "service": {"S": ledger.service}, "id": {"S": "lock"}, "token": {"S": "theirs"}, "beat": {"N": "3"},
        "entry": {"S": json.dumps(entry)}})
    started = time.monotonic()
    out = ledger.run(ledger.close(**GOOD))
    assert time.monotonic() - started > 40
    assert "taking over" in out
    assert [record["verdict"] for record in ledger.records()] == ["aborted", "completed"]


def test_superseding_stops_the_other_release(ledger: Ledger) -> None:
    first = ledger.start(HANG)
    until(lambda: keepers(ledger.service))
    # Somebody has to read what it writes, or a full pipe would hold it.
    reader = threading.Thread(target=first.communicate, daemon=True)
    reader.start()
    ledger.environment["BUILD_URL"] = "https://ci/8"
    out = ledger.run(ledger.close(**GOOD), busy="supersede")
    reader.join(timeout=60)
    assert "asked it to stop" in out
    assert first.returncode not in (0, None)
    stopped, mine = ledger.records()
    assert (stopped["verdict"], mine["verdict"]) == ("superseded", "completed")
    by = f"{mine['user']} on {mine['host']}, https://ci/8"
    assert stopped["superseded_by"] == by and stopped["message"].startswith(f"Superseded by {by}; ")


def test_check_mode_takes_nothing_and_tells_who_has_it(ledger: Ledger) -> None:
    first = ledger.start(HANG)
    try:
        until(lambda: "lock" in ledger.items())
        before = ledger.items()
        out = ledger.run({"name": "show", "ansible.builtin.debug": {"var": "entry.msg"}}, check=True)
        assert f"A release of {ledger.service} runs since" in out
        assert ledger.items() == before
    finally:
        os.killpg(first.pid, signal.SIGKILL)
        first.communicate()


def test_a_missing_table_is_said_with_what_makes_it(ledger: Ledger) -> None:
    ledger.table = "no-such-table"
    process = ledger.start()
    out, _ = process.communicate(timeout=60)
    assert process.returncode != 0
    assert "The ledger's table no-such-table does not exist" in out
    assert "site.yml" in out


def keepers(service: str) -> list[int]:
    """Keepers of this service's releases, known by a variable of their environment."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().split(b"\0")
            environment = (path.parent / "environ").read_bytes()
        except OSError:
            continue
        if b"slipway.ledger.keeper" in words and f"LEDGER_TEST={service}".encode() in environment:
            found.append(int(path.parent.name))
    return found
