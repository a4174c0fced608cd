"""The heart of it: `make demo` ends with a pipeline; whoever clones, edits and pushes sees the page change."""

from __future__ import annotations

import http.client
import json
import os
import re
import shutil
import subprocess
import time
import urllib.parse
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from tests.polling_client import PollingClient

ROOT = Path(__file__).resolve().parents[2]
PORT = 4696
PIPELINE, STACK = "slipway-demo-pipeline", "slipway-demo-service"
DONE = {"Succeeded", "Failed", "Superseded", "Stopped", "Cancelled"}
SLOW = 600.0


class Demo:
    """The README's commands on a port and state of its own, with a copy of the application."""

    def __init__(self, folder: Path) -> None:
        self.app, self.state = folder / "app", folder / "state"
        self.work = folder / "work"
        self.work.mkdir()
        shutil.copytree(ROOT / "files" / "app", self.app)
        self.env = {**os.environ, "SLIPWAY_AWS_PORT": str(PORT), "SLIPWAY_AWS_STATE": str(self.state),
                    "SLIPWAY_APP": str(self.app), "SLIPWAY_WITH_JENKINS": "yes", "ANSIBLE_NOCOLOR": "1"}

    def make(self, target: str, *more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(["make", target, *more], cwd=ROOT, env=self.env, text=True, timeout=1500,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)

    def shell(self, script: str, where: Path | None = None) -> str:
        """What the lines print that a person types, who is known to git."""
        person = {f"GIT_{role}_{key}": value for role in ("AUTHOR", "COMMITTER")
                  for key, value in (("NAME", "Ada"), ("EMAIL", "ada@example.com"))}
        done = subprocess.run(["bash", "-ec", script], cwd=where or self.work, env={**os.environ, **person}, text=True,
                              timeout=120, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        assert done.returncode == 0, f"{script}\n{done.stdout}"
        return done.stdout.strip()

    def aws(self, service: str) -> Any:
        return boto3.client(service, endpoint_url=f"http://localhost:{PORT}", region_name="us-east-1",
                            aws_access_key_id="embedded", aws_secret_access_key="embedded")

    def releases(self) -> list[dict[str, Any]]:
        """The ledger's records, oldest first."""
        items = self.aws("dynamodb").query(
            TableName="slipway-demo-ledger", KeyConditionExpression="service = :s", ConsistentRead=True,
            ExpressionAttributeValues={":s": {"S": STACK}})["Items"]
        return [json.loads(item["entry"]["S"]) for item in items if item["id"]["S"] != "lock"]

    def executions(self) -> dict[str, dict[str, Any]]:
        """Every execution of the pipeline, by its commit."""
        found = self.aws("codepipeline").list_pipeline_executions(pipelineName=PIPELINE)["pipelineExecutionSummaries"]
        return {item["sourceRevisions"][0]["revisionId"]: item for item in found if item.get("sourceRevisions")}

    def ended(self, commit: str) -> str:
        """How the pipeline's execution with this commit ended, awaited."""
        return until(lambda: (status := self.executions().get(commit, {}).get("status", "")) in DONE and status)

    def actions(self, commit: str) -> dict[str, dict[str, Any]]:
        """By stage and action."""
        found = self.aws("codepipeline").list_action_executions(
            pipelineName=PIPELINE, filter={"pipelineExecutionId": self.executions()[commit]["pipelineExecutionId"]})
        return {f"{item['stageName']}/{item['actionName']}": item for item in found["actionExecutionDetails"]}


def until(done: Callable[[], Any], seconds: float = SLOW) -> Any:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if result := done():
            return result
        time.sleep(0.2)
    raise AssertionError(f"not within {seconds} s")


def colour_of(url: str) -> str:
    parts = urllib.parse.urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port or 80, timeout=10)
    connection.request("GET", "/")
    answer = connection.getresponse()
    found = re.search(r"background: (\w+);", answer.read().decode())
    assert answer.status == 200
    assert found
    return found.group(1)


def changed(output: str) -> int:
    counts = re.findall(r"changed=(\d+)", output)
    assert counts, output
    return sum(map(int, counts))


def docker(*arguments: str) -> list[str]:
    return subprocess.run(["docker", *arguments], text=True, stdout=subprocess.PIPE, check=True).stdout.split()


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    from embedded import engine

    # An engine that is there before the demo stays after it, so that what `make down` left can be looked at.
    state = tmp_path_factory.mktemp("engine")
    engine.ensure_engine(state, print)
    made = Demo(tmp_path_factory.mktemp("pipeline"))
    yield made
    made.make("down")
    engine.stop_started_engine(state, print)


@pytest.fixture(scope="module")
def first(demo: Demo) -> str:
    run = demo.make("demo")
    assert run.returncode == 0, run.stdout
    return run.stdout


@pytest.fixture(scope="module")
def url(first: str) -> str:
    found = re.search(r"^AppURL +(\S+)", first, re.M)
    assert found, first
    return found.group(1)


@pytest.fixture(scope="module")
def commands(first: str) -> list[str]:
    """The three commands to try, as the demo prints them."""
    found = re.search(r"^Try it:\n((?:  .*\n){3})", first, re.M)
    assert found, first
    return [line.strip() for line in found.group(1).splitlines()]


def test_the_demo_ends_with_a_pipeline_that_released(demo: Demo, url: str, commands: list[str]) -> None:
    (execution,) = demo.executions().values()
    assert execution["status"] == "Succeeded"
    assert colour_of(url) == "lightblue"
    assert [command.split()[:2] for command in commands][::2] == [["git", "clone"], ["git", "push"]]


def test_the_three_commands_turn_the_page_without_a_failed_request(demo: Demo, url: str, commands: list[str]) -> None:
    with PollingClient(url) as client:
        demo.shell("\n".join(commands))
        (clone,) = demo.work.iterdir()
        commit = demo.shell("git rev-parse HEAD", clone)
        assert demo.ended(commit) == "Succeeded"
    wanted = re.search(r"color = '(\w+)'", commands[1])
    assert wanted
    assert colour_of(url) == wanted.group(1) != "lightblue"
    assert client.answers[200] > 50
    assert client.failures == {}
    # What a person sees in the pipeline, and in the ledger: this commit, by its digest.
    release = demo.releases()[-1]
    assert (release["commit"], release["verdict"]) == (commit, "completed")
    report = demo.actions(commit)["Build/Report"]["output"]
    assert report["outputVariables"]["ImageDigest"] == release["digest"]
    assert report["outputVariables"]["Revision"] == commit
    assert commit[:7] in report["executionResult"]["externalExecutionSummary"]


def test_a_second_demo_changes_nothing_and_keeps_what_was_pushed(demo: Demo, url: str, commands: list[str]) -> None:
    before = colour_of(url)
    again = demo.make("demo")
    assert again.returncode == 0, again.stdout
    assert changed(again.stdout) == 0, again.stdout
    assert "Nothing changed." in again.stdout
    assert colour_of(url) == before


def test_demo_commit_shows_each_step_until_the_page_has_the_colour(demo: Demo, url: str) -> None:
    run = demo.make("demo-commit", "COLOUR=pink")
    assert run.returncode == 0, run.stdout
    assert colour_of(url) == "pink"
    steps = ("change color to pink", "pushed ", "started execution", "Source/Source is done", "Build/Release begins",
             "UPDATE_IN_PROGRESS", "the page is pink", "Build/Report is done: Released ", "s after the push")
    places = [run.stdout.find(step) for step in steps]
    assert -1 not in places, run.stdout
    assert places == sorted(places), run.stdout
    same = demo.make("demo-commit", "COLOUR=pink")
    assert same.returncode != 0
    assert "is pink already" in same.stdout


def test_the_status_screen_shows_the_commit_that_runs(demo: Demo, url: str) -> None:
    release = demo.releases()[-1]
    run = demo.make("status")
    assert run.returncode == 0, run.stdout
    assert changed(run.stdout) == 0, run.stdout
    lines = [line.strip() for line in run.stdout.splitlines()]

    def shown(pattern: str) -> str:
        """The one line that is as this."""
        found = [line for line in lines if re.fullmatch(pattern, line)]
        assert len(found) == 1, f"{pattern}\n{run.stdout}"
        return found[0]

    assert release["verdict"] == "completed"
    shown(rf"deployed  {re.escape(release['tag'])}  since [\d :-]+ \(.+\)")
    shown(rf"commit {release['commit'][:7]}  {release['digest'][:19]}  by jenkins on \S+")
    shown(re.escape(url))
    shown(r"service   steady: 1 of 1 tasks running, 1 of 1 targets healthy")
    shown(rf"pipeline  {PIPELINE}  {release['commit'][:7]} change color to pink")
    shown(r"ok    Source      succeeded   [\d :-]+ \(.+\)")
    shown(r"ok    Build       succeeded   [\d :-]+ \(.+\)")
    shown(r"Jenkins     healthy: version \S+ answers on \S+")


def test_of_ten_pushes_in_ten_seconds_the_last_is_live_and_none_is_lost(demo: Demo, url: str) -> None:
    (clone,) = demo.work.iterdir()
    demo.shell("git pull --quiet --rebase", clone)
    before, commits = len(demo.releases()), []
    with PollingClient(url) as client:
        for number in range(10):
            began = time.monotonic()
            colour = "navy" if number == 9 else f"lime{number}"
            demo.shell(f"sed -i \"s/^\\$color = .*/\\$color = '{colour}';/\" index.php\ngit commit -qam {colour}\n"
                       "git push -q", clone)
            commits.append(demo.shell("git rev-parse HEAD", clone))
            time.sleep(max(0.0, 1 - (time.monotonic() - began)))
        assert demo.ended(commits[-1]) == "Succeeded"
    assert colour_of(url) == "navy"
    assert client.failures == {}
    executions = demo.executions()
    ends = [executions[commit]["status"] for commit in commits]
    assert set(ends) <= {"Succeeded", "Superseded"}, ends
    # Each that was not superseded was released, one after the other.
    released = demo.releases()[before:]
    assert [entry["commit"] for entry in released] == [
        commit for commit, end in zip(commits, ends, strict=True) if end == "Succeeded"]
    for one, other in zip(released, released[1:], strict=False):
        assert one["ended"] <= other["started"]


def test_a_commit_that_crashes_is_not_served_and_its_cause_is_in_the_pipeline(demo: Demo, url: str) -> None:
    (clone,) = demo.work.iterdir()
    before = colour_of(url)
    with PollingClient(url) as client:
        demo.shell("echo 'CMD [\"false\"]' >> Dockerfile\ngit commit -qam 'crash on start'\ngit push -q", clone)
        commit = demo.shell("git rev-parse HEAD", clone)
        assert demo.ended(commit) == "Failed"
    assert colour_of(url) == before
    assert client.failures == {}
    stages = demo.aws("codepipeline").get_pipeline_state(name=PIPELINE)["stageStates"]
    (state,) = [action["latestExecution"] for stage in stages for action in stage["actionStates"]
                if action["actionName"] == "Release"]
    assert state["status"] == "Failed"
    assert "exit code 1" in state["errorDetails"]["message"]
    result = demo.actions(commit)["Build/Release"]["output"]["executionResult"]
    assert "exit code 1" in result["errorDetails"]["message"]
    assert "/job/slipway-demo/" in result["errorDetails"]["message"]
    # The next good commit goes through.
    demo.shell("git revert --no-edit HEAD\nsed -i \"s/^\\$color = .*/\\$color = 'gold';/\" index.php\n"
               "git commit -qam gold\ngit push -q", clone)
    assert demo.ended(demo.shell("git rev-parse HEAD", clone)) == "Succeeded"
    assert colour_of(url) == "gold"


def test_down_leaves_nothing(demo: Demo, first: str) -> None:
    hosts = docker("ps", "--all", "--quiet", "--filter", f"label=slipway.state={demo.state}")
    assert hosts != []
    run = demo.make("down")
    assert run.returncode == 0, run.stdout
    assert docker("ps", "--all", "--quiet", "--filter", f"label=slipway.state={demo.state}") == []
    assert docker("ps", "--all", "--quiet", "--filter", f"label=ministack.instance=slipway:{PORT}") == []
    assert docker("network", "ls", "--quiet", "--filter", f"name=slipway-aws-{PORT}") == []
    assert docker("images", "--quiet", f"localhost:{PORT}/*") == []
    assert not demo.state.exists()
