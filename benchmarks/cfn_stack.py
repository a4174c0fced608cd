"""cfn_stack beside amazon.aws.cloudformation, on the same ansible-core, Python, boto3 and embedded AWS.

Measured: an update with nothing to do, as a task; how soon an update's end is noticed, and at what price in calls;
peak memory of the module's process.
"""

from __future__ import annotations

import argparse
import math
import statistics
import threading
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from benchmarks import common
from benchmarks.common import EMPTY, Play, Report, TaskRun, say, spread
from benchmarks.memory import Peak
from benchmarks.proxy import Proxy

OURS, THEIRS = "cfn_stack", "amazon.aws.cloudformation"
SIDES = (OURS, THEIRS)
NETWORK = common.ROOT / "files" / "cloudformation" / "network.yml"

#: About how long the measured updates take, in seconds, and how much longer those of each round: who asks at fixed
#: times must be neither lucky nor unlucky with them.
DURATIONS = (3, 8, 15, 30, 45, 60)
LONGER = (0.0, 1.7, 3.3)
#: Each is measured on a stack that never had such an update, and on one whose last such update took about as long: by
#: round, what it took then in parts of what it takes now.
KINDS = {"new": (), "known": (0.85, 1.0, 1.15)}
#: What a play needs from its start to its update (at most, on a quiet machine), and after the update's end. Within
#: these spans no other play does either, so that no measurement disturbs another.
STARTING, ENDING = 3.5, 1.5

BEFORE = """
Resources:
  Queue: {Type: AWS::SQS::Queue}
"""
#: Takes until somebody signals it.
AFTER = BEFORE + """
  Wait:
    Type: AWS::CloudFormation::WaitCondition
    CreationPolicy: {ResourceSignal: {Count: 1, Timeout: PT5M}}
"""


def task(side: str, stack: str, template: Path, parameters: dict[str, str]) -> dict[str, Any]:
    """The same wish in each module's words. (Theirs calls a template by its path deprecated.)"""
    if side == OURS:
        return {"name": stack, "template": str(template), "parameters": parameters}
    return {"stack_name": stack, "template_body": template.read_text(), "template_parameters": parameters}


def client(env: dict[str, str]) -> Any:
    import boto3

    return boto3.client("cloudformation", endpoint_url=env["AWS_ENDPOINT_URL"], region_name=env["AWS_REGION"],
                        aws_access_key_id=env["AWS_ACCESS_KEY_ID"],
                        aws_secret_access_key=env["AWS_SECRET_ACCESS_KEY"])


def make(cloudformation: Any, stack: str, body: str, parameters: dict[str, str]) -> None:
    cloudformation.create_stack(StackName=stack, TemplateBody=body, Parameters=[
        {"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()])
    cloudformation.get_waiter("stack_create_complete").wait(StackName=stack,
                                                           WaiterConfig={"Delay": 1, "MaxAttempts": 60})


# -- nothing to do --------------------------------------------------------------------------------------------------

def unchanged(env: dict[str, str], folder: Path, runs: int, report: Report) -> None:
    """A B A B, a play each: a first pair to warm up, then `runs` counted ones. In each play the task comes twice."""
    cloudformation = client(env)
    first: dict[str, list[TaskRun]] = {side: [] for side in SIDES}
    again: dict[str, list[TaskRun]] = {side: [] for side in SIDES}
    empty: list[float] = []
    for side in SIDES:
        make(cloudformation, _stack("same", side), NETWORK.read_text(), {"AppName": "bench"})
    with Proxy(env["AWS_ENDPOINT_URL"]) as proxy:
        for number in range(runs + 1):
            for side in SIDES:
                wish = task(side, _stack("same", side), NETWORK, {"AppName": "bench"})
                done = Play(folder, [("first", side, wish), ("again", side, wish), ("empty", EMPTY, {})],
                            {**env, "AWS_ENDPOINT_URL": proxy.url}).end()
                if any(run.result.get("changed") for run in done):
                    raise RuntimeError("an update with nothing to do changed something")
                if number:
                    first[side].append(done[0])
                    again[side].append(done[1])
                    empty.append(done[2].seconds)
        calls = {side: [proxy.between(run.started, run.ended) for run in first[side] + again[side]] for side in SIDES}
    most = {side: max(counted.total() for counted in calls[side]) for side in SIDES}
    rows = []
    for name, of in (("first in a play", first), ("again in that play", again)):
        times = {side: [run.seconds for run in of[side]] for side in SIDES}
        ratio = statistics.median(times[OURS]) / statistics.median(times[THEIRS])
        rows += [[f"Task, {name}, s: median (least to greatest)", *(spread(times[side]) for side in SIDES), "", ""],
                 ["Ratio of the medians", f"{ratio:.2f}", "1", "<= 0.6",
                  report.judge(f"nothing to do, {name}, ratio of times", ratio, 0.6)]]
    report.table(
        "An update with nothing to do", ["", OURS, THEIRS, "Target", ""],
        [*rows,
         ["API calls, most of all runs", str(most[OURS]), str(most[THEIRS]), "<= 3",
          report.judge("nothing to do, API calls", most[OURS], 3, digits=0)],
         ["by operation", *(_operations(calls[side]) for side in SIDES), "", ""]],
        f"The stack of files/cloudformation/network.yml, {runs} plays each, alternating after a warm-up. Ansible's own "
        f"share: an empty task ({EMPTY}) in the same plays takes {spread(empty)} s.")


def _operations(counters: Sequence[Counter[str]]) -> str:
    greatest: Counter[str] = Counter()
    for counted in counters:
        greatest |= counted
    return ", ".join(f"{number} {name}" for name, number in sorted(greatest.items()))


# -- an update's end ------------------------------------------------------------------------------------------------

@dataclass(frozen=True)
class Planned:
    """An update: when its play starts, in seconds from the first one's start."""

    kind: str
    side: str
    seconds: int
    number: int
    start: float

    @property
    def end(self) -> float:
        return self.start + STARTING + self.seconds + LONGER[self.number]


@dataclass(frozen=True)
class Noticed:
    """late: seconds from the update's end to the task's; waited: seconds of the update; calls: made while it ran."""

    kind: str
    side: str
    seconds: int
    late: float
    waited: float
    calls: int


def timetable() -> list[Planned]:
    """All updates, overlapping, but with no start or end of one within a start or end of another; sides in turn."""
    taken: list[tuple[float, float]] = []
    found = []
    for seconds, (number, longer), kind in product(sorted(DURATIONS, reverse=True), enumerate(LONGER), KINDS):
        for side in SIDES if number % 2 == 0 else SIDES[::-1]:
            start = 0.0
            while not all(_apart(busy, other) for other in taken for busy in _busy(start, seconds + longer)):
                start += 0.5
            taken += _busy(start, seconds + longer)
            found.append(Planned(kind, side, seconds, number, start))
    return sorted(found, key=lambda planned: planned.start)


def _busy(start: float, seconds: float) -> list[tuple[float, float]]:
    end = start + STARTING + seconds
    return [(start, start + STARTING), (end, end + ENDING)]


def _apart(one: tuple[float, float], other: tuple[float, float]) -> bool:
    return one[1] <= other[0] or other[1] <= one[0]


def ends(env: dict[str, str], folder: Path, report: Report) -> None:
    template = folder / "after.yml"
    template.write_text(AFTER)
    planned = timetable()
    cloudformation = client(env)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda p: make(cloudformation, _name(p), BEFORE, {}), planned))
    with ThreadPoolExecutor(len(planned)) as pool:
        list(pool.map(lambda p: _once_before(p, env), (p for p in planned if KINDS[p.kind])))
    say(f"{len(planned)} updates, {max(p.end for p in planned) + 10:.0f} s.")
    plays: list[Play] = []
    stop = threading.Event()
    began = time.monotonic() + 1
    with ThreadPoolExecutor(len(planned)) as pool:
        try:
            noticed = list(pool.map(lambda p: _update(p, env, folder, template, began, plays, stop), planned))
        finally:
            # One that failed need not wait for the others.
            stop.set()
            for play in plays:
                play.stop()
    _tell_ends(noticed, report)


def _update(planned: Planned, env: dict[str, str], folder: Path, template: Path, began: float, plays: list[Play],
            stop: threading.Event) -> Noticed:
    """Start the play, let the update last, end it, and see how long the task takes to notice."""
    stack, cloudformation = _name(planned), client(env)
    if stop.wait(max(0.0, began + planned.start - time.monotonic())):
        raise RuntimeError("another update failed")
    with Proxy(env["AWS_ENDPOINT_URL"]) as proxy:
        play = Play(folder, [(stack, planned.side, task(planned.side, stack, template, {}))],
                    {**env, "AWS_ENDPOINT_URL": proxy.url})
        plays.append(play)
        if stop.wait(max(0.0, began + planned.end - time.monotonic())):
            raise RuntimeError("another update failed")
        try:
            _signal(cloudformation, stack)
            run = play.end()[0]
        except BaseException:
            stop.set()
            raise
        # The last one is what the module asked for the update with.
        asked = max(call.at for call in proxy.calls if call.operation in ("UpdateStack", "ExecuteChangeSet"))
        ended = next(event["Timestamp"].timestamp()
                     for event in cloudformation.describe_stack_events(StackName=stack)["StackEvents"]
                     if event["ResourceType"] == "AWS::CloudFormation::Stack"
                     and event["ResourceStatus"] == "UPDATE_COMPLETE")
        return Noticed(planned.kind, planned.side, planned.seconds, run.ended - ended, ended - asked,
                       proxy.between(asked, ended).total())


def _once_before(planned: Planned, env: dict[str, str]) -> None:
    """The update that the stack shall have had, and back."""
    stack, cloudformation = _name(planned), client(env)
    cloudformation.update_stack(StackName=stack, TemplateBody=AFTER)
    _signal(cloudformation, stack, (planned.seconds + LONGER[planned.number]) * KINDS[planned.kind][planned.number])
    for body in ("", BEFORE):
        if body:
            cloudformation.update_stack(StackName=stack, TemplateBody=body)
        cloudformation.get_waiter("stack_update_complete").wait(StackName=stack,
                                                               WaiterConfig={"Delay": 1, "MaxAttempts": 60})


def _signal(cloudformation: Any, stack: str, after: float = 0) -> None:
    """End the update, once it waits, after so many seconds. Where the machine is slow it begins later than planned."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        newest = cloudformation.describe_stack_events(StackName=stack)["StackEvents"][0]
        if (newest["LogicalResourceId"], newest["ResourceStatus"]) == ("Wait", "CREATE_IN_PROGRESS"):
            time.sleep(after)
            cloudformation.signal_resource(StackName=stack, LogicalResourceId="Wait", UniqueId="end", Status="SUCCESS")
            return
        time.sleep(0.2)
    raise RuntimeError(f"the update of {stack} did not begin")


def _tell_ends(noticed: Sequence[Noticed], report: Report) -> None:
    def late(side: str, *kinds: str) -> list[float]:
        return [n.late for n in noticed if n.side == side and n.kind in kinds]

    for kind, heading in (("new", "Updates that the stack never had"),
                          ("known", "Updates that take about as long as the stack's last one")):
        rows = []
        for seconds in DURATIONS:
            cells = []
            for side in SIDES:
                found = [n for n in noticed if (n.kind, n.side, n.seconds) == (kind, side, seconds)]
                cells += [spread([n.late for n in found]), str(max(n.calls for n in found))]
            rows.append([f"about {seconds} s", cells[0], cells[2], cells[1], cells[3]])
        report.table(
            heading, ["The update took", f"{OURS}: noticed after, s", f"{THEIRS}: noticed after, s",
                      f"{OURS}: calls", f"{THEIRS}: calls"], rows,
            "Seconds from the time of the stack's UPDATE_COMPLETE event to the end of the task: median (least to "
            f"greatest) of {len(LONGER)}. Calls: the most made between the answer to the request and the update's end."
            + ("" if kind == "new" else " The last one took "
               + ", ".join(f"{part:.0%}" for part in KINDS[kind]) + " of that."))
    minute = {side: max(n.calls * 60 / max(n.waited, 60) for n in noticed if n.side == side) for side in SIDES}
    rows = []
    for kind, what in (("new", "never had before"), ("known", "as long as the last one")):
        median = statistics.median(late(OURS, kind))
        rows.append([f"Noticed after, s: median, {what}", f"{median:.2f}",
                     f"{statistics.median(late(THEIRS, kind)):.2f}", "<= 1",
                     report.judge(f"end noticed after (median), {what}", median, 1, " s")])
    report.table(
        "An update's end", ["", OURS, THEIRS, "Target", ""],
        [*rows,
         ["Noticed after, s: greatest", *(f"{max(late(side, *KINDS)):.2f}" for side in SIDES), "", ""],
         ["Calls in the busiest minute of waiting", *(str(math.ceil(minute[side])) for side in SIDES), "<= 20",
          report.judge("calls per minute of waiting", math.ceil(minute[OURS]), 20, digits=0)]],
        "All of the updates above. An update shorter than a minute counts as a minute.")


def _stack(kind: str, side: str) -> str:
    return f"bench-{kind}-{'ours' if side == OURS else 'theirs'}"


def _name(planned: Planned) -> str:
    return f"{_stack(planned.kind, planned.side)}-{planned.seconds}-{planned.number}"


# -- memory ---------------------------------------------------------------------------------------------------------

def memory(env: dict[str, str], folder: Path, report: Report) -> None:
    """Peak resident memory of the module's process, with nothing to do and with an update of three seconds."""
    template = folder / "after.yml"
    template.write_text(AFTER)
    cloudformation = client(env)
    peaks: dict[tuple[str, str], list[float]] = {}
    for number in range(3):
        for side in SIDES:
            stack = f"{_stack('memory', side)}-{number}"
            make(cloudformation, stack, BEFORE, {})
            play = Play(folder, [("same", side, task(side, _stack("same", side), NETWORK, {"AppName": "bench"}))], env)
            with Peak(play.process.pid) as same:
                play.end()
            play = Play(folder, [("update", side, task(side, stack, template, {}))], env)
            with Peak(play.process.pid) as update:
                try:
                    _signal(cloudformation, stack, after=3)
                    play.end()
                finally:
                    play.stop()
            peaks.setdefault((side, "same"), []).append(same.megabytes)
            peaks.setdefault((side, "update"), []).append(update.megabytes)
    greatest = {key: max(values) for key, values in peaks.items()}
    worst = max(greatest[OURS, "same"], greatest[OURS, "update"])
    report.table(
        "Peak resident memory of the module's process, MB", ["", OURS, THEIRS, "Target", ""],
        [["Nothing to do", *(f"{greatest[side, 'same']:.0f}" for side in SIDES), "", ""],
         ["An update", *(f"{greatest[side, 'update']:.0f}" for side in SIDES), "", ""],
         ["Greatest", f"{worst:.0f}", f"{max(greatest[THEIRS, 'same'], greatest[THEIRS, 'update']):.0f}", "<= 130",
          report.judge("peak memory", worst, 130, " MB", digits=0)]],
        "The greatest of 3 runs each, as the kernel counts it.")


def work(wanted: argparse.Namespace, env: dict[str, str], folder: Path, report: Report) -> None:
    unchanged(env, folder, wanted.runs, report)
    memory(env, folder, report)
    ends(env, folder, report)


if __name__ == "__main__":
    common.measure(__doc__, "cfn_stack", "cfn_stack and amazon.aws.cloudformation", work)
