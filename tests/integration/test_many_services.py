"""Several services in one run: waves, a canary that fails, the table at the end, two runs at once, and few calls."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from benchmarks.proxy import Proxy
from tests.shop import Shop
from tests.small_image import small_image

ROOT = Path(__file__).resolve().parents[2]
NAMES = ("ash", "beech", "cedar", "elm", "fir", "hazel")
#: Calls of a preflight that looks at what the tasks of a service need.
CLOSELY = ("DescribeTaskDefinition", "GetRole", "DescribeLogGroups", "ListContainerInstances",
           "DescribeContainerInstances")
RELEASE, ROLLBACK = "playbooks/release.yml", "playbooks/rollback.yml"


class Forest:
    """Six services behind a proxy that counts the calls."""

    def __init__(self, aws: Any, shop: Shop, proxy: Proxy) -> None:
        self.aws, self.shop, self.proxy = aws, shop, proxy

    def release(self, *more: str) -> tuple[int, list[str]]:
        """Exit code, and the lines below the recap."""
        done = self.shop.play(RELEASE, "", *more)
        lines = done.stdout.splitlines()
        recap = next(number for number, line in enumerate(lines) if line.startswith("PLAY RECAP"))
        below = lines.index("", recap) + 1
        return done.returncode, [line for line in lines[below:] if not line.startswith("[")]

    def stacks(self) -> dict[str, tuple[Any, str]]:
        """When each service's stack was updated last, and with which tag."""
        found = self.aws.client("cloudformation").describe_stacks()["Stacks"]
        return {name: (stack.get("LastUpdatedTime"), {p["ParameterKey"]: p["ParameterValue"]
                                                      for p in stack["Parameters"]}["ImageTag"])
                for stack in found for name in NAMES if stack["StackName"] == f"{name}-service"}

    def records(self, name: str) -> list[dict[str, Any]]:
        """Of the service's releases, oldest first."""
        items = self.aws.client("dynamodb").query(
            TableName=f"{self.shop.network}-ledger", KeyConditionExpression="service = :s",
            ExpressionAttributeValues={":s": {"S": f"{name}-service"}})["Items"]
        assert "lock" not in {item["id"]["S"] for item in items}
        return [json.loads(item["entry"]["S"]) for item in sorted(items, key=lambda item: item["id"]["S"])]


@pytest.fixture(scope="module")
def forest(aws: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Forest]:
    with small_image("slipway-many/base:1") as base, Proxy(aws.env["AWS_ENDPOINT_URL"]) as proxy:
        shop = Shop(tmp_path_factory.mktemp("forest"), {**aws.env, "AWS_ENDPOINT_URL": proxy.url}, base, *NAMES)
        made = shop.play("playbooks/provision.yml", "", RELEASE, "-e", '{"release_waves": ["100%"]}')
        assert made.returncode == 0, made.stdout
        yield Forest(aws, shop, proxy)


def verdicts(lines: list[str]) -> dict[str, str]:
    """The second column of the table, by the first."""
    start = next(number for number, line in enumerate(lines) if line.startswith("service "))
    rows = [re.split(r"\s{2,}", line) for line in lines[start + 1:] if line.split(" ")[0] in NAMES]
    return {row[0]: row[1] for row in rows}


def test_a_failing_canary_leaves_the_rest_untouched(forest: Forest) -> None:
    before = forest.stacks()
    for name in NAMES:
        forest.shop.write(name, f"{name} two")
    forest.shop.write("ash", "ash two", '["sh", "-c", "echo no settings; exit 3"]')
    code, lines = forest.release()
    assert code != 0
    assert verdicts(lines) == {"ash": "rolled back", **dict.fromkeys(NAMES[1:], "untouched")}
    text = " ".join(" ".join(lines).split())
    assert "Container ash crashes on start: exit code 3." in text
    assert f"Untouched, as a release before theirs failed: {', '.join(NAMES[1:])}." in text
    assert max(map(len, lines)) <= 80
    after = forest.stacks()
    assert {name: after[name] for name in NAMES[1:]} == {name: before[name] for name in NAMES[1:]}
    assert after["ash"][1] == before["ash"][1]
    assert [(record["verdict"], record["cause_kind"]) for record in forest.records("ash")] == [
        ("completed", ""), ("rolled_back", "crash")]
    assert len(forest.records("beech")) == 1


def test_a_failure_in_a_later_wave_spares_those_behind_it_only(forest: Forest) -> None:
    forest.shop.write("ash", "ash two")
    forest.shop.write("beech", "beech two", '["sh", "-c", "exit 4"]')
    before = forest.stacks()
    code, lines = forest.release("-e", '{"release_waves": [1, 2, 3]}')
    assert code != 0
    assert verdicts(lines) == {"ash": "completed", "beech": "rolled back", "cedar": "completed",
                               **dict.fromkeys(NAMES[3:], "untouched")}
    assert "2 completed, 1 rolled back, 3 untouched of 6 services." in lines
    after = forest.stacks()
    assert [name for name in NAMES if after[name][1] != before[name][1]] == ["ash", "cedar"]


def test_all_good_in_few_calls_and_two_runs_at_once(forest: Forest) -> None:
    """The second run finds everything released, or waits for its turn; neither harms the other."""
    for name in NAMES:
        forest.shop.write(name, f"{name} three")
    count = len(forest.records("fir"))
    forest.proxy.calls.clear()
    started = time.monotonic()
    code, lines = forest.release("-e", '{"release_waves": [1, "100%"]}')
    seconds = time.monotonic() - started
    assert code == 0, lines
    assert verdicts(lines) == dict.fromkeys(NAMES, "completed")
    calls = Counter(call.operation for call in forest.proxy.calls)
    # Once for the run, not once for each service.
    assert (calls["GetCallerIdentity"], calls["GetAuthorizationToken"]) == (1, 1)
    # What grows with time is asked for all services together: their stacks, and that they live.
    stacks = calls.pop("DescribeStacks")
    assert stacks <= 10 + seconds, (stacks, seconds)
    assert calls["TransactWriteItems"] <= len(NAMES) + seconds / 8, calls
    # Once for each wave: their repositories. Not at all: the templates, of which no parameter has to be known.
    assert (calls["DescribeRepositories"], calls["GetTemplate"]) == (2, 0), calls
    # What their tasks need is looked at for the first, and for the one whose last release failed.
    looked = {name: calls.pop(name, 0) for name in CLOSELY}
    assert looked["DescribeLogGroups"] == 2 and sum(looked.values()) <= 5 * 2, looked
    assert calls.total() <= 12 * len(NAMES), calls

    for name in NAMES:
        forest.shop.write(name, f"{name} four")
    command = forest.shop.command(RELEASE, "", "-e", '{"release_waves": ["100%"]}')
    both = [forest.shop.start(command) for _ in range(2)]
    outs = [process.communicate(timeout=600)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0], "\n".join(outs)
    for name in NAMES:
        assert f"{name} four" in forest.shop.page(name)
        spans = [(one["started"], one["ended"]) for one in forest.records(name)]
        assert all(ended <= started for (_, ended), (started, _) in zip(spans, spans[1:], strict=False))
    assert len(forest.records("fir")) - count in (2, 3)


def test_turns_are_taken_in_one_order(forest: Forest) -> None:
    """Of two runs that had some each, both would wait for the other."""
    table, key = forest.aws.client("dynamodb"), {"service": {"S": "fir-service"}, "id": {"S": "lock"}}
    name = f"{forest.shop.network}-ledger"
    entry = {"service": "fir-service", "kind": "release", "started": "2026-11-23T08:24:33+00:00", "user": "ann",
             "host": "build-1", "build_url": ""}
    table.put_item(TableName=name, Item={**key, "token": {"S": "other"}, "beat": {"N": "1"},
                                         "entry": {"S": json.dumps(entry)}})
    run = forest.shop.start(forest.shop.command(RELEASE, "", "-e", '{"release_waves": ["100%"]}'))
    try:
        deadline = time.monotonic() + 60
        while "lock" not in forest.shop.items("elm"):
            assert time.monotonic() < deadline, "elm's turn was not taken"
            time.sleep(0.1)
        time.sleep(3)
        assert [one for one in NAMES if "lock" in forest.shop.items(one)] == [*NAMES[:NAMES.index("fir")], "fir"]
    finally:
        table.delete_item(TableName=name, Key=key)
        output, _ = run.communicate(timeout=300)
    assert run.returncode == 0, output
    assert "lock" not in forest.shop.items("hazel")


def test_nothing_changed_is_said_for_each(forest: Forest) -> None:
    code, lines = forest.release()
    assert code == 0
    assert verdicts(lines) == dict.fromkeys(NAMES, "unchanged")
    assert "6 unchanged of 6 services." in lines


def test_what_is_missing_is_found_before_the_first_of_them_is_touched(forest: Forest) -> None:
    """The last release of each was good, so only the one that goes first is looked at closely."""
    logs, group = forest.aws.client("logs"), "/ecs/ash-service"
    for name in NAMES:
        forest.shop.write(name, f"{name} five")
    before = forest.stacks()
    logs.delete_log_group(logGroupName=group)
    try:
        code, lines = forest.release()
    finally:
        logs.create_log_group(logGroupName=group)
    assert code != 0
    assert verdicts(lines) == {"ash": "refused", **dict.fromkeys(NAMES[1:], "untouched")}
    assert f"The log group {group} of the task definition does not exist" in " ".join(" ".join(lines).split())
    assert forest.stacks() == before


def test_all_go_back_only_where_it_is_meant(forest: Forest) -> None:
    before = forest.stacks()
    refused = forest.shop.play(ROLLBACK)
    said = " ".join(refused.stdout.split())
    assert refused.returncode != 0
    assert f"This takes 6 services back: {', '.join(NAMES)}." in said and "-e rollback_confirm=yes" in said
    assert forest.stacks() == before
    plan = forest.shop.play(ROLLBACK, "", "--check")
    assert plan.returncode == 0, plan.stdout
    for name in NAMES:
        tags = [one["tag"] for one in forest.records(name) if one["verdict"] == "completed"]
        last = next(tag for tag in reversed(tags) if tag != before[name][1])
        assert f"back to {last}" in " ".join(plan.stdout.split())
    assert forest.stacks() == before


def test_a_rollback_in_waves_stops_after_a_failure(forest: Forest) -> None:
    """The second wave has an image to go back to that is no longer there."""
    before = forest.stacks()
    tags = [one["tag"] for one in forest.records("beech") if one["verdict"] == "completed"]
    last = next(tag for tag in reversed(tags) if tag != before["beech"][1])
    forest.aws.client("ecr").batch_delete_image(repositoryName="beech", imageIds=[{"imageTag": last}])
    done = forest.shop.play(ROLLBACK, "", "-e", '{"release_waves": [1, 2, 3], "rollback_confirm": "yes"}')
    assert done.returncode != 0
    after = forest.stacks()
    assert [name for name in NAMES if after[name][1] != before[name][1]] == ["ash", "cedar"], done.stdout
    lines = done.stdout.splitlines()
    assert verdicts(lines) == {"ash": "completed", "beech": "refused", "cedar": "completed",
                               **dict.fromkeys(NAMES[3:], "untouched")}


def test_services_of_one_cluster_are_asked_for_together(aws: Any, tmp_path: Path) -> None:
    """Twelve services without tasks: each is at rest, and all verdicts cost far fewer than twelve calls."""
    ecs, cluster = aws.client("ecs"), f"grove-{uuid.uuid4().hex[:8]}"
    ecs.create_cluster(clusterName=cluster)
    ecs.register_task_definition(family=cluster, containerDefinitions=[
        {"name": "web", "image": "none", "memory": 64, "essential": True}])
    names = [f"tree{number:02d}" for number in range(12)]
    for name in names:
        ecs.create_service(cluster=cluster, serviceName=name, taskDefinition=cluster, desiredCount=0)
    with Proxy(aws.env["AWS_ENDPOINT_URL"]) as proxy:
        play = tmp_path / "play.yml"
        play.write_text(yaml.safe_dump([{
            "hosts": "all", "gather_facts": False, "connection": "local",
            "vars": {"ansible_python_interpreter": sys.executable},
            "tasks": [{"name": "judge", "ecs_rollout": {"cluster": cluster, "service": "{{ inventory_hostname }}",
                                                        "wait_timeout": 60}, "register": "found"},
                      {"name": "look", "ansible.builtin.assert": {"that": "found.verdict == 'completed'"}}]}]))
        done = subprocess.run(
            [Path(sys.executable).with_name("ansible-playbook"), "-i", f"{','.join(names)},", play], cwd=ROOT,
            env={**os.environ, **aws.env, "AWS_ENDPOINT_URL": proxy.url, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg")},
            text=True, stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=300)
        assert done.returncode == 0, done.stdout
        asked = [call.at for call in proxy.calls if call.operation == "DescribeServices"]
    for name in names:
        ecs.delete_service(cluster=cluster, service=name, force=True)
    ecs.delete_cluster(cluster=cluster)
    # Ten fit into a call, and an answer serves for half a second: of those who come later, where the machine is slow,
    # two more for each half a second.
    assert len(asked) <= 4 + 2 * (asked[-1] - asked[0]) / 0.5, asked
