"""A commit's way from `git push` to the new page through the pipeline of `make demo`, and ten pushes in ten seconds.

Measured on an embedded AWS with a host of Jenkins (the stand-in, which asks for jobs every 5 s): push to new colour in
its parts, and what becomes of each of ten commits.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import os
import re
import statistics
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks import common
from benchmarks.common import Report, spread

PUSHES = 10
_PATIENCE = 600.0
_DONE = {"Succeeded", "Failed", "Superseded", "Stopped", "Cancelled"}


@dataclass(frozen=True)
class Way:
    """One commit, in seconds. All but `after` add up to the time from the push to the new page."""

    push: float  #: git push, with the event and the start of the execution
    source: float  #: the pipeline's source action, until the job waits for a worker
    polling: float  #: until Jenkins asked for jobs
    before: float  #: the build's start until the service is updated, without the image build
    image: float  #: docker build
    container: float  #: CloudFormation updates the service: the new container starts, and passes its checks
    after: float  #: from the new page until the pipeline says Succeeded: draining, verdict, record, report

    @property
    def total(self) -> float:
        return sum(getattr(self, field.name) for field in fields(self) if field.name != "after")

    @property
    def own(self) -> float:
        """All but polling, image build and container start."""
        return self.push + self.source + self.before


class Demo:
    """What `make demo` makes, on the port and state of the embedded AWS that runs already."""

    def __init__(self, folder: Path) -> None:
        from embedded import commit

        self._clone = folder / "clone"
        self._commit = commit
        env = {**os.environ, "SLIPWAY_WITH_JENKINS": "yes"}
        for command in ([str(common.ROOT / ".venv/bin/python"), "-m", "embedded", "up", "--for-demo"],
                        [str(common.ROOT / ".venv/bin/ansible-playbook"), "-i", "inventories/embedded", "site.yml"]):
            subprocess.run(command, cwd=common.ROOT, env=env, check=True, stdin=subprocess.DEVNULL)
        self.pipeline = commit.choose("")
        self._api, self._cfn = commit.client("codepipeline"), commit.client("cloudformation")
        self._git("clone", "--quiet", self.pipeline.clone, str(self._clone), where=folder)

    def push(self, colour: str) -> tuple[str, float, float]:
        """The commit's id, and when the push began and ended."""
        page = self._clone / "index.php"
        page.write_text(re.sub(r"(?m)^\$color = '.*';$", f"$color = '{colour}';", page.read_text()))
        self._git("-c", "user.name=bench", "-c", "user.email=bench@example.com", "commit", "--quiet", "--all",
                  "--message", f"change color to {colour}")
        commit = self._git("rev-parse", "HEAD")
        began = time.time()
        self._git("push", "--quiet", "origin", "HEAD")
        return commit, began, time.time()

    def one(self, colour: str) -> Way:
        """Push, and follow the commit until the pipeline is through with it."""
        commit, began, _ = self.push(colour)
        page = self._until(lambda: time.time() if self._commit.colour_of(self.pipeline.page) == colour else 0.0)
        execution = self._until(lambda: self._ended(commit))
        if execution["status"] != "Succeeded":
            raise RuntimeError(f"The pipeline ended with {execution['status']}.")
        ended = time.time()
        actions = self.actions(execution)
        asked = actions["Build/Release"]["startTime"].timestamp()
        build = self._build_started(actions["Build/Release"]["output"]["executionResult"]["externalExecutionId"])
        updated = self._service_update()
        record = self.releases()[-1]
        image = float(record["phases"]["image.build"])
        source = actions["Source/Source"]["startTime"].timestamp()
        return Way(source - began, asked - source, build - asked, updated - build - image, image, page - updated,
                   ended - page)

    def statuses(self, commits: list[str]) -> list[str]:
        """How the execution with each commit ended, once that of the last one has."""
        self._until(lambda: self._ended(commits[-1]))
        return [self._until(partial(self._ended, commit))["status"] for commit in commits]

    def colour(self) -> str:
        return self._commit.colour_of(self.pipeline.page)

    def actions(self, execution: dict[str, Any]) -> dict[str, dict[str, Any]]:
        found = self._api.list_action_executions(pipelineName=self.pipeline.name, filter={
            "pipelineExecutionId": execution["pipelineExecutionId"]})["actionExecutionDetails"]
        return {f"{item['stageName']}/{item['actionName']}": item for item in found}

    def releases(self) -> list[dict[str, Any]]:
        """The ledger's records, oldest first."""
        return self._commit.releases(self.pipeline.stack)

    def _ended(self, commit: str) -> dict[str, Any] | None:
        found = self._api.list_pipeline_executions(pipelineName=self.pipeline.name)["pipelineExecutionSummaries"]
        return next((item for item in found if item["status"] in _DONE and any(
            source.get("revisionId") == commit for source in item.get("sourceRevisions", []))), None)

    def _build_started(self, number: str) -> float:
        from embedded import engine, hosts, settings

        (host,) = [item for item in hosts.known() if item["name"].startswith(f"{settings.PORT}-")]
        path = f"/var/lib/jenkins/jobs/{self.pipeline.stack.removesuffix('-service')}/builds/{number}/build.xml"
        code, text = engine.client().containers.get(hosts.container_name(host["name"])).exec_run(["cat", path])
        found = re.search(r"<timestamp>(\d+)</timestamp>", text.decode())
        if code or not found:
            raise RuntimeError(f"Jenkins has no build {number}: {text.decode()}")
        return int(found[1]) / 1000

    def _service_update(self) -> float:
        events = self._cfn.describe_stack_events(StackName=self.pipeline.stack)["StackEvents"]
        return float(next(event["Timestamp"].timestamp() for event in events if event["LogicalResourceId"] == "Service"
                          and event["ResourceStatus"] == "UPDATE_IN_PROGRESS"))

    def _git(self, *arguments: str, where: Path | None = None) -> str:
        return subprocess.run(["git", *arguments], cwd=where or self._clone, check=True, text=True,
                              stdout=subprocess.PIPE).stdout.strip()

    @staticmethod
    def _until(done: Callable[[], Any]) -> Any:
        deadline = time.monotonic() + _PATIENCE
        while time.monotonic() < deadline:
            if result := done():
                return result
            time.sleep(0.05)
        raise RuntimeError(f"not within {_PATIENCE:.0f} s")


def single(demo: Demo, runs: int, report: Report) -> None:
    """One commit at a time; the first warms up."""
    # Each another one: a page that was there before is released without a build.
    colours = (f"grey{number}" for number in itertools.count(1))
    ways = [demo.one(next(colours)) for _ in range(runs + 1)][1:]

    def row(text: str, value: Callable[[Way], float], target: float = 0.0) -> list[str]:
        values = [value(way) for way in ways]
        judged = report.judge(text, statistics.median(values), target, " s") if target else ""
        return [text, spread(values), f"<= {target:g}" if target else "", judged]

    report.table(
        "Push to new colour", ["", "s: median (least to greatest)", "Target", ""],
        [row("git push, event, start of the execution", lambda way: way.push),
         row("source action, artifact, job", lambda way: way.source),
         row("waiting for Jenkins to ask (every 5 s, up to 1 s more)", lambda way: way.polling),
         row("Jenkins and the release until the service is updated, without the image build", lambda way: way.before),
         row("image build", lambda way: way.image),
         row("container start, health checks", lambda way: way.container),
         row("push to new colour", lambda way: way.total, 20),
         row("the product's own part (without polling, image build, container start)", lambda way: way.own, 6),
         row("then, until the pipeline says Succeeded: draining, verdict, record, report", lambda way: way.after)],
        f"{runs} commits after a warm-up, each followed to the end before the next.")


def ten(demo: Demo, report: Report) -> None:
    """Ten pushes in ten seconds."""
    before, commits = len(demo.releases()), []
    for number in range(PUSHES):
        began = time.monotonic()
        commits.append(demo.push(f"lime{number}" if number < PUSHES - 1 else "navy")[0])
        time.sleep(max(0.0, 1.0 - (time.monotonic() - began)))
    counts = Counter(demo.statuses(commits))
    released = demo.releases()[before:]
    overlaps = sum(one["ended"] > other["started"] for one, other in itertools.pairwise(released))
    live = demo.colour() == "navy"
    lost = PUSHES - counts["Succeeded"] - counts["Superseded"]
    report.table(
        "Ten pushes in ten seconds", ["", "", "Target", ""],
        [["the last commit is live", "yes" if live else "no", "yes",
          report.judge("last commit live", float(not live), 0, digits=0)],
         ["released", str(counts["Succeeded"]), "", ""],
         ["with a Superseded record", str(counts["Superseded"]), "", ""],
         ["neither", str(lost), "0", report.judge("commits that are lost", lost, 0, digits=0)],
         ["releases of the service that overlapped (ledger)", str(overlaps), "0",
          report.judge("overlapping releases", overlaps, 0, digits=0)]],
        f"{PUSHES} commits, one a second.")


def work(wanted: argparse.Namespace, env: dict[str, str], folder: Path, report: Report) -> None:
    from embedded import hosts

    try:
        demo = Demo(folder)
        report.facts.append(f"Load when the demo was there: {common.wait_for_quiet(wanted.now)}")
        single(demo, wanted.runs, report)
        ten(demo, report)
    finally:
        with contextlib.suppress(Exception):
            hosts.remove_ours()


if __name__ == "__main__":
    common.measure(__doc__, "pipeline", "From a push to the new page", work)
