"""ecr_push beside `docker build` and `docker push` by hand, on a real engine and the registry of an embedded AWS.

Measured: a release of changed content; one of unchanged content; how fast a build context is read.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks import common
from benchmarks.common import Play, Report, TaskRun, spread
from benchmarks.proxy import Proxy

OURS, BY_HAND = "ecr_push", "by hand"
APP = common.ROOT / "files" / "app"
BASE = "slipway-embedded/php-apache:latest"
#: The context that is only read: this many files of this many bytes are 1 GB.
MANY, SMALL, FEW, LARGE = 4_000, 125_000, 4, 125_000_000


class ByHand:
    """What a person types: the CLI with the same builder that ecr_push finds, logged in beforehand."""

    def __init__(self, env: Mapping[str, str], folder: Path, registry: str) -> None:
        self._build, environment, self.builder = common.docker_by_hand()
        self._env = {**os.environ, **env, **environment, "DOCKER_CONFIG": str(folder / "docker")}
        self._run(["docker", "login", "--username", "AWS", "--password-stdin", registry], "any")

    def release(self, context: Path, image: str) -> float:
        """Seconds that it took."""
        started = time.monotonic()
        self._run([*self._build, "--quiet", "--build-arg", f"BASE_IMAGE={BASE}", "--tag", image, str(context)])
        self._run(["docker", "push", "--quiet", image])
        return time.monotonic() - started

    def _run(self, command: list[str], text: str = "") -> None:
        done = subprocess.run(command, env=self._env, input=text, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")


def client(env: Mapping[str, str]) -> Any:
    import boto3

    return boto3.client("ecr", endpoint_url=env["AWS_ENDPOINT_URL"], region_name=env["AWS_REGION"],
                        aws_access_key_id=env["AWS_ACCESS_KEY_ID"],
                        aws_secret_access_key=env["AWS_SECRET_ACCESS_KEY"])


def change(context: Path, number: int) -> None:
    """A new last layer, as a commit to the application makes it."""
    page = (APP / "index.php").read_text()
    (context / "index.php").write_text(f"{page}<!-- {context.name} {number} -->\n")


def push(context: Path, **more: Any) -> dict[str, Any]:
    return {"repository": "bench-ours", "path": str(context), "build_args": {"BASE_IMAGE": BASE}, **more}


def released(env: Mapping[str, str], folder: Path, proxy: Proxy, runs: int, report: Report) -> None:
    """Changed content, A B A B; after each pair ours once more without a change."""
    contexts = {side: folder / side.replace(" ", "-") for side in (OURS, BY_HAND)}
    for context in contexts.values():
        shutil.copytree(APP, context)
    ecr = client(env)
    uris = {name: ecr.create_repository(repositoryName=name)["repository"]["repositoryUri"]
            for name in ("bench-ours", "bench-by-hand")}
    hand = ByHand(env, folder, uris["bench-by-hand"].partition("/")[0])
    changed: list[TaskRun] = []
    same: list[TaskRun] = []
    again: list[TaskRun] = []
    by_hand: list[float] = []
    for number in range(runs + 1):
        change(contexts[OURS], number)
        through = {**env, "AWS_ENDPOINT_URL": proxy.url}
        task = ("release", OURS, push(contexts[OURS]))
        changed += Play(folder, [task], through).end()
        change(contexts[BY_HAND], number)
        by_hand.append(hand.release(contexts[BY_HAND], f"{uris['bench-by-hand']}:{number}"))
        first, second = Play(folder, [task, task], through).end()
        same.append(first)
        again.append(second)
        if not (changed[-1].result["built"] and changed[-1].result["pushed"]) or first.result["changed"]:
            raise RuntimeError(f"not what was to be measured: {changed[-1].result}, {first.result}")
    # The first round puts the base image's layers into the registry and warms up.
    for measured in (changed, same, again, by_hand):
        del measured[0]
    _tell_changed(changed, by_hand, hand.builder, runs, report)
    _tell_same(same, again, [proxy.between(run.started, run.ended) for run in same + again], runs, report)


def _tell_changed(changed: list[TaskRun], by_hand: list[float], builder: str, runs: int, report: Report) -> None:
    ours = [run.seconds for run in changed]
    over = statistics.median(ours) - statistics.median(by_hand)
    report.table(
        "Changed content: build and push", ["", OURS, BY_HAND, "Target", ""],
        [["First in a play, s: median (least to greatest)", spread(ours), spread(by_hand), "", ""],
         ["Over by hand, s", f"{over:+.2f}", "", "<= 0.5", report.judge("changed content, over by hand", over, 0.5,
                                                                       " s")],
         ["of it in the module, s", _phases(changed), "", "", ""]],
        f"files/app with a changed page, {runs} runs each, alternating after a warm-up; builder: {builder}. ecr_push "
        "as a task, by hand `docker build` and `docker push` without the login.")


def _tell_same(same: list[TaskRun], again: list[TaskRun], calls: list[Counter[str]], runs: int, report: Report) -> None:
    seconds = [run.seconds for run in same]
    most = max(counted.total() for counted in calls)
    names = ", ".join(f"{number} {name}" for name, number in sorted(calls[-1].items()))
    report.table(
        "Unchanged content", ["", OURS, "Target", ""],
        [["Task, first in a play, s: median (least to greatest)", spread(seconds), "<= 1.2",
          report.judge("unchanged content (median)", statistics.median(seconds), 1.2, " s")],
         ["of it in the module, s", _phases(same), "", ""],
         ["Task, again in that play, s", spread([run.seconds for run in again]), "", ""],
         ["API calls, most of all runs", f"{most} ({names})", "<= 3",
          report.judge("unchanged content, API calls", most, 3, digits=0)]],
        f"The same content once more, {runs} plays.")


def _phases(tasks: list[TaskRun]) -> str:
    names = tasks[0].result["phases"]
    return ", ".join(f"{name} {statistics.median(task.result['phases'][name] for task in tasks):.2f}"
                     for name in names)


def read(env: Mapping[str, str], folder: Path, proxy: Proxy, report: Report) -> None:
    """Check mode: the context is read and nothing is built."""
    context = folder / "large"
    context.mkdir()
    piece = os.urandom(LARGE)
    for number in range(FEW):
        (context / f"large-{number}").write_bytes(piece)
    for number in range(MANY):
        where = context / f"{number % 40:02d}"
        where.mkdir(exist_ok=True)
        (where / f"small-{number}").write_bytes(piece[number:number + SMALL])
    (context / "Dockerfile").write_text(f"FROM {BASE}\nCOPY . /data\n")
    size = sum(path.stat().st_size for path in context.rglob("*") if path.is_file())
    tasks = [("read", "ecr_push", push(context)) for _ in range(4)]
    done = Play(folder, tasks, {**env, "AWS_ENDPOINT_URL": proxy.url}, check=True).end()[1:]
    rates = [size / 1e6 / run.result["phases"]["hash"] for run in done]
    started = time.monotonic()
    subprocess.run("find . -type f -print0 | xargs -0 sha256sum", shell=True, cwd=context, check=True,
                   stdout=subprocess.DEVNULL)
    plain = size / 1e6 / (time.monotonic() - started)
    shutil.rmtree(context)
    report.table(
        "Reading a build context", ["", OURS, "sha256sum", "Target", ""],
        [["MB/s: median (least to greatest)", spread(rates, 0), f"{plain:.0f}", ">= 200",
          report.judge("hashing", statistics.median(rates), 200, " MB/s", least=True, digits=0)]],
        f"{size / 1e9:.2f} GB: {FEW} files of {LARGE / 1e6:.0f} MB and {MANY} of {SMALL / 1e3:.0f} kB, in the page "
        "cache; 3 runs after a warm-up. sha256sum reads the same files.")


def work(wanted: argparse.Namespace, env: dict[str, str], folder: Path, report: Report) -> None:
    with Proxy(env["AWS_ENDPOINT_URL"]) as proxy:
        released(env, folder, proxy, wanted.runs, report)
        read(env, folder, proxy, report)


if __name__ == "__main__":
    common.measure(__doc__, "ecr_push", "ecr_push and building by hand", work)
