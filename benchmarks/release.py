"""A whole release beside what a user would write instead, on an embedded AWS with a real engine and real containers.

Beside it: the original's steps as a bash script with the AWS CLI, which waits for nothing; and a playbook of
community.docker and amazon.aws modules, which waits for its stack. Measured with the sample application: a release of
changed content, its rollout subtracted; one of unchanged content; how soon the verdict comes. Measured with an image of
a few megabytes: many services in one run beside single runs.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import common
from benchmarks.common import Bar, Report, plot, say, spread
from benchmarks.proxy import Proxy
from tests.small_image import SERVER, small_image

OURS, SCRIPT, MODULES = "slipway", "bash script with the AWS CLI", "community.docker and amazon.aws"
#: A stack of its own for each side, all alike.
SIDES = {OURS: "ours", SCRIPT: "script", MODULES: "modules"}
#: The sample application, as `make demo` builds it.
SAMPLE, SAMPLE_BASE = common.ROOT / "files" / "app", "slipway-embedded/php-apache:latest"
#: A base of a few megabytes, so that fifty services are as many processes and not as many gigabytes.
BASE = "slipway-bench/base:1"
#: How the names of images begin that the script leaves on the engine; it never removes one.
LOCAL = "slipway-bench/by-hand-"
TEMPLATE = common.ROOT / "files" / "cloudformation" / "service.yml"
#: The quickest service that the template allows.
PARAMETERS = {"StopTimeoutSeconds": 2, "DeregistrationDelaySeconds": 0}
DOCKERFILE = """ARG BASE_IMAGE
FROM ${BASE_IMAGE}
COPY server.pl page /
CMD ["perl", "/server.pl"]
"""
#: Of the many services as many are released one by one, too. So many it takes to run a full benchmark in 15 minutes.
SINGLES = 5
_LIMIT = 300

RELEASE = """set -euo pipefail
aws ecr get-login-password | docker login --username AWS --password-stdin "$REGISTRY" >/dev/null 2>&1
$BUILD --quiet --build-arg "BASE_IMAGE=$BASE" --tag "$LOCAL" "$APP" >/dev/null
tag=$(date +%s%N)
docker tag "$LOCAL" "$REGISTRY/$REPOSITORY:$tag"
docker push --quiet "$REGISTRY/$REPOSITORY:$tag" >/dev/null
aws cloudformation update-stack --stack-name "$STACK" --use-previous-template --capabilities CAPABILITY_IAM \\
  --parameters $PREVIOUS "ParameterKey=ImageTag,ParameterValue=$tag" >/dev/null
"""


@dataclass(frozen=True)
class Done:
    """A release: seconds that it took in all, that its rollout took (0 where it was not waited for), and from the
    rollout's end to the verdict (None where there is none)."""

    wall: float
    rollout: float = 0.0
    late: float | None = None

    @property
    def own(self) -> float:
        return self.wall - self.rollout


class Stage:
    """Services with an inventory, on the AWS behind the proxy. sample: of the sample application, not the small one."""

    def __init__(self, folder: Path, env: Mapping[str, str], proxy: Proxy, names: Sequence[str], network: str,
                 sample: bool = False) -> None:
        folder.mkdir()
        self.folder, self.env, self.proxy, self.names = folder, dict(env), proxy, list(names)
        self.base = SAMPLE_BASE if sample else BASE
        self._sample, self._version = sample, 0
        self._times = folder / "times"
        self.inventory = folder / f"{network}.json"
        variables = {"ansible_connection": "local", "ansible_python_interpreter": "{{ ansible_playbook_python }}",
                     "aws_environment": {**env, "AWS_ENDPOINT_URL": proxy.url}, "stacks_network_name": network}
        service = {"ecs_release_app_name": "{{ inventory_hostname }}",
                   "ecs_release_repository": "{{ inventory_hostname }}",
                   "ecs_release_source": f"{folder}/{{{{ inventory_hostname }}}}",
                   "ecs_release_ledger_table": f"{network}-ledger", "ecs_release_build_args": {"BASE_IMAGE": self.base},
                   "ecs_release_service_parameters": {**PARAMETERS, "Memory": 256 if sample else 128}}
        self.inventory.write_text(json.dumps({"all": {"vars": variables, "children": {
            "account": {"hosts": {f"{network}-account": {}}}, "jenkins": {"hosts": {}},
            "services": {"hosts": dict.fromkeys(names, {}), "vars": service}}}}))
        for name in names:
            if sample:
                shutil.copytree(SAMPLE, folder / name)
                continue
            (folder / name).mkdir()
            (folder / name / "Dockerfile").write_text(DOCKERFILE)
            (folder / name / "server.pl").write_text(SERVER.format(port=8080, code=200))
        self.change(*names)

    def change(self, *names: str) -> None:
        """As a commit does that changes the page."""
        self._version += 1
        for name in names:
            if self._sample:
                page = self.folder / name / "index.php"
                page.write_text(re.sub(r"(?m)^\$color = .*$", f"$color = '#{self._version:06x}'; // {name}",
                                       page.read_text()))
            else:
                (self.folder / name / "page").write_text(f"{name} {self._version}\n")

    def play(self, *arguments: str, timeout: float = _LIMIT) -> float:
        """Seconds that our playbook took. Raises RuntimeError with what it printed where it failed."""
        self._times.unlink(missing_ok=True)
        environment = {**os.environ, "ANSIBLE_CONFIG": str(common.ROOT / "ansible.cfg"),
                       "ANSIBLE_CALLBACK_PLUGINS": f"{common.ROOT / 'callback_plugins'}:"
                                                   f"{common.HERE / 'callback_plugins'}",
                       "ANSIBLE_CALLBACKS_ENABLED": "summary,task_times", "SLIPWAY_BENCH_TIMES": str(self._times)}
        return run([str(Path(sys.executable).with_name("ansible-playbook")), "-i", str(self.inventory), *arguments],
                   environment, timeout)

    def release(self, *names: str) -> float:
        return self.play("playbooks/release.yml", "--limit", ",".join(names))

    def empty(self, runs: int) -> list[float]:
        """Seconds that a playbook takes whose one play has no tasks."""
        play = self.folder / "empty.json"
        play.write_text(json.dumps([{"hosts": "services", "gather_facts": False, "tasks": []}]))
        return [self.play(str(play)) for _ in range(runs)]

    def verdict_at(self) -> float:
        """When the last run's verdict was there, in seconds since the epoch."""
        return max(json.loads(line)["ended"] for line in self._times.read_text().splitlines()
                   if json.loads(line)["task"].endswith("Judge the rollout"))

    def aws(self, service: str) -> Any:
        import boto3

        return boto3.client(service, endpoint_url=self.env["AWS_ENDPOINT_URL"], region_name=self.env["AWS_REGION"],
                            aws_access_key_id=self.env["AWS_ACCESS_KEY_ID"],
                            aws_secret_access_key=self.env["AWS_SECRET_ACCESS_KEY"])

    def rollout(self, name: str, since: float) -> tuple[float, float]:
        """When the stack's update was asked for and when it had ended, in seconds since the epoch; the end is waited
        for."""
        asked = max(call.at for call in self.proxy.calls
                    if call.at >= since and call.operation in ("UpdateStack", "ExecuteChangeSet"))
        cloudformation = self.aws("cloudformation")
        until = time.monotonic() + 120
        while time.monotonic() < until:
            events = cloudformation.describe_stack_events(StackName=f"{name}-service")["StackEvents"]
            newest = events[0]
            if (newest["ResourceType"], newest["ResourceStatus"]) == ("AWS::CloudFormation::Stack", "UPDATE_COMPLETE"):
                ended = newest["Timestamp"].timestamp()
                if ended >= asked - 1:
                    return asked, ended
            time.sleep(0.3)
        raise RuntimeError(f"the update of {name}-service did not end well")


def run(command: Sequence[str], environment: Mapping[str, str], timeout: float = _LIMIT) -> float:
    """Seconds that the command took. Raises RuntimeError with what it printed where it failed."""
    started = time.monotonic()
    with tempfile.TemporaryFile("w+") as log:
        try:
            code: int | str = subprocess.run(command, cwd=common.ROOT, env=dict(environment), stdin=subprocess.DEVNULL,
                                             stdout=log, stderr=log, timeout=timeout, check=False).returncode
        except subprocess.TimeoutExpired:
            code = f"nothing within {timeout:.0f} s"
        spent = time.monotonic() - started
        if code:
            log.seek(0)
            raise RuntimeError(f"{command[0]} ended with {code}:\n{log.read()[-6000:]}")
    return spent


# -- one service ----------------------------------------------------------------------------------------------------

class OneService:
    """The three sides' ways to release one service."""

    def __init__(self, stage: Stage, folder: Path) -> None:
        self._stage = stage
        registry = f"localhost:{common.PORT}"
        build, environment, _ = common.docker_by_hand()
        parameters = stage.aws("cloudformation").describe_stacks(
            StackName="script-service")["Stacks"][0]["Parameters"]
        kept = [p["ParameterKey"] for p in parameters if p["ParameterKey"] not in ("ImageTag", "ImageDigest")]
        pinned = [p["ParameterKey"] for p in parameters if p["ParameterKey"] == "ImageDigest"]
        self._environment = {
            **os.environ, **stage.env, **environment, "AWS_ENDPOINT_URL": stage.proxy.url,
            "DOCKER_CONFIG": str(folder / "docker"), "BUILD": " ".join(build),
            "PATH": f"{common.VENV / 'bin'}:{os.environ['PATH']}", "REGISTRY": registry,
            "BASE": stage.base, "REPOSITORY": "script", "LOCAL": f"{LOCAL}script",
            "APP": str(stage.folder / "script"), "STACK": "script-service",
            "PREVIOUS": " ".join([*(f"ParameterKey={name},UsePreviousValue=true" for name in kept),
                                  *(f"ParameterKey={name},ParameterValue=" for name in pinned)])}
        self._playbook, self._settings = folder / "modules.json", folder / "ansible.cfg"
        self._settings.write_text("[defaults]\n")
        app = {"name": f"{registry}/modules", "tag": "{{ tag }}"}
        previous: dict[str, Any] = {name: {"use_previous_value": True} for name in kept}
        self._playbook.write_text(json.dumps([{
            "hosts": "localhost", "connection": "local", "gather_facts": False,
            "vars": {"ansible_python_interpreter": str(common.VENV / "bin" / "python")},
            "tasks": [
                {"name": "token", "ansible.builtin.command": "aws ecr get-login-password", "register": "token",
                 "changed_when": False, "no_log": True},
                {"name": "login", "community.docker.docker_login": {
                    "registry_url": registry, "username": "AWS", "password": "{{ token.stdout }}"}, "no_log": True},
                {"name": "tag", "ansible.builtin.set_fact": {"tag": "{{ now().timestamp() | int }}"}},
                {"name": "image", "community.docker.docker_image": {
                    **app, "source": "build", "push": True, "force_source": True, "force_tag": True,
                    "build": {"path": str(stage.folder / "modules"), "args": {"BASE_IMAGE": stage.base}}}},
                {"name": "stack", "amazon.aws.cloudformation": {
                    "stack_name": "modules-service", "state": "present", "template_body": TEMPLATE.read_text(),
                    "capabilities": ["CAPABILITY_IAM"],
                    "template_parameters": {**previous, "ImageTag": "{{ tag }}", **dict.fromkeys(pinned, "")}}},
            ]}]))

    def release(self, side: str, changed: bool) -> Done:
        name, stage = SIDES[side], self._stage
        since = time.time()
        if side == OURS:
            wall = stage.release(name)
        elif side == SCRIPT:
            wall = run(["bash", "-c", RELEASE], self._environment)
        else:
            wall = run([str(common.VENV / "bin" / "ansible-playbook"), "-i", "localhost,", str(self._playbook)],
                       {**self._environment, "ANSIBLE_CONFIG": str(self._settings)})
        if side == OURS and not changed:
            return Done(wall)
        asked, ended = stage.rollout(name, since)
        if side == SCRIPT:  # it waited for nothing, so there is nothing to subtract
            return Done(wall)
        return Done(wall, ended - asked, stage.verdict_at() - ended if side == OURS else None)


def one_service(stage: Stage, folder: Path, runs: int, report: Report) -> None:
    """A B C A B C: a round to warm up, then `runs` counted ones, each of changed and then of unchanged content."""
    sides = OneService(stage, folder)
    found: dict[tuple[str, bool], list[Done]] = {(side, changed): [] for side in SIDES for changed in (True, False)}
    for number in range(runs + 1):
        said = []
        for side, name in SIDES.items():
            stage.change(name)
            for changed in (True, False):
                done = sides.release(side, changed)
                said.append(f"{name} {done.own:.2f}")
                if number:
                    found[side, changed].append(done)
        say(f"Round {number} of {runs}, changed and unchanged, s: {', '.join(said)}.")
    _tell_one(found, stage.empty(runs), runs, report)


def _tell_one(found: Mapping[tuple[str, bool], Sequence[Done]], empty: Sequence[float], runs: int,
              report: Report) -> None:
    def median(side: str, changed: bool) -> float:
        return statistics.median(done.own for done in found[side, changed])

    def ratio(what: str, changed: bool, other: str, limit: float) -> list[str]:
        value = median(OURS, changed) / median(other, changed)
        return [f"Ratio to the {other}", f"{value:.2f}", "", "", f"<= {limit:g}",
                report.judge(f"{what}, ratio to the {other}", value, limit)]

    rows = []
    for changed, what in ((True, "Changed content"), (False, "Unchanged content")):
        rows.append([f"{what}, without its rollout, s", *(spread([done.own for done in found[side, changed]])
                                                          for side in SIDES), "", ""])
        rows.append(ratio(what, changed, SCRIPT, 1.0 if changed else 0.5))
        if changed:
            rows.append(ratio(what, changed, MODULES, 0.5))
    rows.append(["An empty playbook, s", spread(empty), "", "", "", ""])
    rows.append([f"Ratio to the {SCRIPT}, unchanged", f"{statistics.median(empty) / median(SCRIPT, False):.2f}", "", "",
                 "", ""])
    late = [done.late for done in found[OURS, True] if done.late is not None]
    rows.append(["From the rollout's end to the verdict, s", spread(late), "no verdict", "no verdict", "<= 1.5",
                 report.judge("verdict after the rollout's end (median)", statistics.median(late), 1.5, " s")])
    rows.append(["Rollouts that were waited for, s", spread([d.rollout for d in found[OURS, True]]), "none",
                 spread([d.rollout for d in found[MODULES, True]]), "", ""])
    report.table(
        "One service", ["", *SIDES, "Target", ""], rows,
        f"The sample application, its colour changed. A whole command each, from its start to its end: median (least "
        f"to greatest) of {runs}, in turn, after a warm-up. Subtracted is the time from the answer to the request for "
        "the stack's update until the update's end by the stack's events; the script does not wait for it. With "
        "unchanged content the script and the modules deploy a new tag of the same image. The empty playbook has a "
        "play without tasks: nothing that Ansible runs takes less.")
    report.plot("release.svg", plot("Seconds of a release without its rollout", [
        Bar(f"{what}: {side}", median(side, changed)) for changed, what in ((True, "changed"), (False, "unchanged"))
        for side in SIDES], "s"))


# -- many services --------------------------------------------------------------------------------------------------

def many_services(stage: Stage, report: Report) -> None:
    names = stage.names
    sample = names[:: max(1, len(names) // SINGLES)][:SINGLES]
    singles = []
    for name in sample:
        stage.change(name)
        singles.append(stage.release(name))
    stage.change(*names)
    since = time.time()
    together = stage.play("playbooks/release.yml")
    ended = time.time()
    calls = stage.proxy.between(since, ended)
    alone = statistics.mean(singles) * len(names)
    per_service = calls.total() / len(names)
    report.table(
        f"{len(names)} services", ["", "one run", f"{len(names)} single runs", "Target", ""],
        [["Wall time, s", f"{together:.1f}", f"{alone:.0f} ({len(names)} x {statistics.mean(singles):.2f})", "", ""],
         ["Ratio", f"{together / alone:.2f}", "1", "<= 0.25",
          report.judge(f"{len(names)} services, ratio of wall times", together / alone, 0.25)],
         ["API calls for each service", f"{per_service:.1f}", "", "<= 12",
          report.judge(f"{len(names)} services, API calls for each", per_service, 12, digits=1)],
         ["by operation", _operations(calls), "", "", ""]],
        f"Changed content everywhere, in the default waves (one, a quarter, the rest). Of single runs {len(singles)} "
        f"were measured, {spread(singles)} s each, their rollouts included, while all {len(names)} services ran.")


def _operations(calls: Counter[str]) -> str:
    return ", ".join(f"{number} {name}" for name, number in calls.most_common())


def memory_of_containers() -> str:
    """What the running containers take together, as the kernel counts it."""
    out = subprocess.run(["docker", "ps", "--quiet", "--no-trunc"], capture_output=True, text=True, check=False).stdout
    total = 0
    for number in out.split():
        for place in (f"memory/docker/{number}/memory.usage_in_bytes", f"docker/{number}/memory.current",
                      f"system.slice/docker-{number}.scope/memory.current"):
            path = Path("/sys/fs/cgroup", place)
            if path.exists():
                total += int(path.read_text())
                break
    return f"{len(out.split())} containers with {total / 1e6:.0f} MB" if total else f"{len(out.split())} containers"


@contextmanager
def the_scripts_images() -> Iterator[None]:
    """What the script left on the engine is gone afterwards."""
    from embedded import engine, images

    try:
        yield
    finally:
        images.remove_images(engine.client(), LOCAL)


def work(wanted: argparse.Namespace, env: dict[str, str], folder: Path, report: Report) -> None:
    with small_image(BASE), the_scripts_images(), Proxy(env["AWS_ENDPOINT_URL"]) as proxy:
        stage = Stage(folder / "one", env, proxy, list(SIDES.values()), "bench-one", sample=True)
        say("Making three services alike.")
        stage.play("playbooks/provision.yml", "playbooks/release.yml", "-e", '{"release_waves": [3]}')
        one_service(stage, folder, wanted.runs, report)
        if wanted.services:
            stage = Stage(folder / "many", env, proxy, [f"s{number:02d}" for number in range(wanted.services)],
                          "bench-many")
            say(f"Making {wanted.services} services.")
            stage.play("playbooks/provision.yml", "playbooks/release.yml", "-e", '{"release_waves": ["100%"]}')
            many_services(stage, report)
            report.facts.append(f"Running at the end: {memory_of_containers()}")


def more(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(runs=5)
    parser.add_argument("--services", type=int, default=50, help="services in one run; 0 leaves that part out")


if __name__ == "__main__":
    common.measure(__doc__, "release", "A release and what a user would write instead", work, more)
