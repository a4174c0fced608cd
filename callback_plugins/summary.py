"""What a run came to, in a few aligned lines below ansible's own recap."""

from __future__ import annotations

import re
import textwrap
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from ansible import context
from ansible.plugins.callback import CallbackBase

if TYPE_CHECKING:
    from ansible.executor.stats import AggregateStats
    from ansible.executor.task_result import CallbackTaskResult
    from ansible.inventory.host import Host
    from ansible.playbook import Playbook
    from ansible.playbook.play import Play
    from ansible.playbook.task import Task

DOCUMENTATION = r"""
name: summary
type: aggregate
short_description: Ends a run with addresses, image, stacks, verdicts, the release's record and times
description:
  - Collects what the modules C(cfn_stack), C(ecr_push) and C(ecs_rollout) return and prints it, aligned, after the
    recap of the play. Without one of them it prints nothing.
  - Of a release that the ledger has on record it tells what they do not, which image was there before, the commit, who
    released, and the verdict where no rollout was judged. Addresses apart, a line is 80 columns wide at most.
  - Of a run that releases several services it prints a table with a line for each, also for those whose turn never
    came, 80 columns wide at most.
  - A failed run begins with the message of the task that failed.
  - It prints no other values of a result than names, addresses, tags, digests, states and times.
requirements:
  - enabled by callbacks_enabled in ansible.cfg
"""

STACK, IMAGE, ROLLOUT = "cfn_stack", "ecr_push", "ecs_rollout"
PREFLIGHT, LEDGER, TARGET, TASK = "ecs_preflight", "ecs_ledger", "ecs_rollback_target", "ecs_task"
#: What the summary of any run is made of.
MODULES = frozenset({STACK, IMAGE, ROLLOUT})
#: What a run of one service tells besides.
TOLD = MODULES | {LEDGER, TASK}
#: What shows in the table of several services that a release of one of them began.
STEPS = MODULES | {PREFLIGHT, LEDGER, TARGET, TASK}
#: The failing step of a release that never came to a verdict.
_FAILED_AT = {STACK: "stack failed", IMAGE: "image failed", PREFLIGHT: "refused", LEDGER: "refused",
              TARGET: "refused", TASK: "task failed"}
#: The table is as wide as the narrowest of terminals.
_COLUMNS = 80
_NAME, _TAG, _CAUSE_LINES = 20, 22, 4

#: A failure's message is cut after this many characters: the task itself has shown all of it.
_MESSAGE = 600

Line = tuple[str, "str | None"]


@dataclass(frozen=True)
class Row:
    """What one of STEPS returned on one host (for a loop: for one item). seconds: wall time of the task or item.

    releasing: whether the play was one that releases, and not one that prepares it.
    """

    module: str
    host: str
    seconds: float
    result: Mapping[str, Any]
    failed: bool = False
    releasing: bool = True


@dataclass(frozen=True)
class Failure:
    """A task that ended the run on its host."""

    task: str
    host: str
    message: str


@dataclass
class Run:
    """All that the summary is made of. changed: tasks that changed something, of any module; seconds: the whole run.

    services: of a run that releases several, each one's seconds by its host, 0 where its turn never came.
    """

    rows: list[Row] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    changed: int = 0
    seconds: float = 0.0
    check: bool = False
    services: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Outcome:
    """What became of one service."""

    service: str
    verdict: str
    tag: str = ""
    digest: str = ""
    seconds: float = 0.0
    cause: str = ""

    @property
    def tone(self) -> str | None:
        if self.verdict in _GOOD:
            return None
        return "yellow" if self.verdict == _UNTOUCHED else "red"


_UNTOUCHED = "untouched"
_GOOD = ("completed", "unchanged", "would change", "would not change")


def compose(run: Run) -> list[Line]:
    """The lines of the summary, each with a colour or None; none where no row is.

    One block follows the other: failures, addresses, images, stacks, rollouts, times, what changed. Where several
    services are released a table of them stands instead.
    """
    if len(run.services) > 1:
        return list(_table(run))
    if not any(row.module in MODULES for row in run.rows):
        return []
    labels = _stack_labels(run.rows)
    lines = list(_failures(run.failures))
    record = _record(run.rows)
    addresses = _addresses(run.rows, labels)
    blocks = [
        *addresses,
        ("image", _images(run, record)),
        *_origin(record),
        ("stacks", _stacks(run)),
        ("rollout", _rollouts(run)),
        *_verdict(run, record),
        ("time", [_times(run, labels)]),
    ]
    blocks = [(label, texts) for label, texts in blocks if texts]
    width = max(len(label) for label, _ in blocks)
    for label, texts in blocks:
        # An address is there to be clicked or copied.
        kept = (label, texts) in addresses
        shown = [line for text in texts for line in ([text] if kept else _folded(text, _COLUMNS - width - 2))]
        for number, text in enumerate(shown):
            lines.append((f"{label if not number else '':<{width}}  {text}".rstrip(), None))
    lines += _changes(run, labels)
    return lines


# -- the record of one release ---------------------------------------------------------------------------------------

def _record(rows: Sequence[Row]) -> Mapping[str, Any]:
    """What the ledger has put down (ledger/record.py); {} where there is none."""
    found = [row.result["record"] for row in rows if row.module == LEDGER
             and isinstance(row.result.get("record"), Mapping)]
    return found[-1] if found else {}


def _origin(record: Mapping[str, Any]) -> list[tuple[str, list[str]]]:
    """The commit, and who released it from where."""
    who = str(record.get("who") or "").rpartition(":")[2]
    by = " on ".join(str(record[key]) for key in ("user", "host") if record.get(key))
    said = ", as ".join(part for part in (by, who) if part)
    return [("commit", [str(record["commit"])] if record.get("commit") else []),
            ("by", [text for text in (said, str(record.get("build_url") or "")) if text])]


def _verdict(run: Run, record: Mapping[str, Any]) -> list[tuple[str, list[str]]]:
    """What the release is called where no rollout says so."""
    judged = any(row.module == ROLLOUT and row.result.get("verdict") for row in run.rows)
    return [("verdict", [str(record["verdict"]).replace("_", " ")])] if record.get("verdict") and not judged else []


def _folded(text: str, width: int) -> list[str]:
    # A number stays with its name and its unit.
    whole = re.sub(r" (?=\d+\.\d\b)|(?<=\d) (?=s\b)", "\u00a0", text)
    return [line.replace("\u00a0", " ") for line in textwrap.wrap(whole, width, break_on_hyphens=False)]


# -- several services ------------------------------------------------------------------------------------------------

def _table(run: Run) -> Iterator[Line]:
    """Service, verdict, tag, digest, time; below a failed one its cause. Then the other stacks, counts and times."""
    others = [row for row in run.rows if row.host not in run.services or not row.releasing]
    run = replace(run, rows=[row for row in run.rows if row not in others])
    yield from _failures([failure for failure in run.failures if failure.host not in run.services])
    for number, text in enumerate(_stacks(Run([row for row in others if row.failed or row.result.get("changed")],
                                              check=run.check))):
        yield f"{'stacks' if not number else '':<7} {text}", None
    found = [outcome(run, host) for host in run.services]
    cells = _aligned([["service", "verdict", "tag", "digest", "time"],
                      *([_cut(one.service, _NAME), one.verdict, _cut(one.tag, _TAG), one.digest,
                         f"{one.seconds:.1f} s" if one.seconds else ""] for one in found)])
    yield cells[0], None
    for text, one in zip(cells[1:], found, strict=True):
        yield text, one.tone
        for line in _wrapped(one.cause):
            yield f"  {line}", one.tone
    yield from _counts(found)
    spent: dict[str, Counter[str]] = {}
    for row in run.rows:
        if row.host in run.services and row.module in MODULES:
            label = {IMAGE: "image", ROLLOUT: "rollout"}.get(row.module, "stack")
            spent.setdefault(label, Counter())[row.host] += row.seconds  # type: ignore[assignment]
    slowest = ", ".join(f"{label} {max(hosts.values()):.1f} s" for label, hosts in spent.items())
    yield (f"time: {f'the slowest {slowest}; ' if slowest else ''}total {run.seconds:.1f} s"), None


def _counts(found: Sequence[Outcome]) -> Iterator[Line]:
    """'48 completed, 1 rolled back, 1 untouched of 50 services.'"""
    number = Counter(one.verdict for one in found)
    text = ", ".join(f"{count} {verdict}" for verdict, count in number.items())
    good = all(one.verdict in _GOOD for one in found)
    yield f"{text} of {len(found)} services.", "green" if good else "red"
    left = [one.service for one in found if one.verdict == _UNTOUCHED]
    if left:
        yield from ((line, "yellow") for line in textwrap.wrap(
            f"Untouched, as a release before theirs failed: {', '.join(left)}.", _COLUMNS, break_on_hyphens=False))


def outcome(run: Run, host: str) -> Outcome:
    """What became of the service of this host."""
    last: dict[str, Row] = {row.module: row for row in run.rows if row.host == host}
    image, stack, rollout = (last[module].result if module in last else {} for module in (IMAGE, STACK, ROLLOUT))
    target = last[TARGET].result if TARGET in last else {}
    record: Mapping[str, Any] = next((row.result["record"] for row in run.rows
                                      if row.host == host and isinstance(row.result.get("record"), Mapping)), {})
    tag = str(record.get("tag") or image.get("tag") or target.get("tag") or "")
    digest = str(record.get("digest") or image.get("digest") or target.get("digest") or "")
    digest = digest.removeprefix("sha256:")[:12] if digest.startswith("sha256:") else ""
    failure = next((one for one in run.failures if one.host == host), None)
    if not last and not run.services[host]:
        return Outcome(host, _UNTOUCHED)
    if failure:
        broken = next((row for row in run.rows if row.host == host and row.failed), None)
        verdict = record.get("verdict") or (broken.result.get("verdict") or _failed_at(broken.module, stack)
                                            if broken else None) or "failed"
        cause = str(record.get("cause") or "") or failure.message
        return Outcome(host, str(verdict).replace("_", " "), tag, digest, run.services[host], cause)
    if run.check:
        would = any(row.result.get("changed") for row in run.rows if row.host == host)
        return Outcome(host, "would change" if would else "would not change", tag, digest, run.services[host])
    verdict = str(rollout.get("verdict") or "unfinished").replace("_", " ")
    if verdict == "completed" and not stack.get("changed"):
        verdict = "unchanged"
    return Outcome(host, verdict, tag, digest, run.services[host])


def _failed_at(module: str, stack: Mapping[str, Any]) -> str:
    """The verdict by the step that failed without one. stack: what cfn_stack returned."""
    if module == ROLLOUT:
        return "aborted" if stack.get("changed") else "refused"
    return _FAILED_AT.get(module, "failed")


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(" ".join(text.split()), _COLUMNS - 2, max_lines=_CAUSE_LINES, placeholder=" ...",
                         break_on_hyphens=False)


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else f"{text[:width - 1]}~"


# -- one service -----------------------------------------------------------------------------------------------------

def _failures(failures: Sequence[Failure]) -> Iterator[Line]:
    for failure in failures:
        message = " ".join(failure.message.split())
        if len(message) > _MESSAGE:
            message = message[:_MESSAGE - 3] + "..."
        yield f"FAILED  {failure.task} ({failure.host}): {message}", "red"


def _stack_labels(rows: Sequence[Row]) -> dict[str, str]:
    """Stack names without the words that all of them begin with: shop-network, shop-service are network, service."""
    names = [str(row.result["stack_name"]) for row in rows if row.module == STACK and row.result.get("stack_name")]
    words = [name.split("-") for name in dict.fromkeys(names)]
    common = 0
    if len(words) > 1:
        while all(len(w) > common + 1 for w in words) and len({w[common] for w in words}) == 1:
            common += 1
    return {"-".join(w): "-".join(w[common:]) for w in words}


def _addresses(rows: Sequence[Row], labels: Mapping[str, str]) -> list[tuple[str, list[str]]]:
    """One block for each output that is an address (AppURL first); several of one kind with their stack's label."""
    found: dict[str, dict[str, str]] = {}
    for row in rows:
        outputs = row.result.get("outputs")
        for key, value in (outputs.items() if row.module == STACK and isinstance(outputs, Mapping) else ()):
            if str(key).endswith("URL") and value:
                found.setdefault(str(key), {})[str(row.result.get("stack_name", ""))] = str(value)
    order = sorted(found, key=lambda key: (key != "AppURL", key))
    return [(key, _aligned([[url] if len(found[key]) == 1 else [labels.get(stack, stack), url]
                            for stack, url in found[key].items()])) for key in order]


def _images(run: Run, record: Mapping[str, Any]) -> list[str]:
    """Tag and digest of each image, after the tag that ran before."""
    texts: list[str] = []
    before = str((record.get("from") or {}).get("tag") or "")
    for row in run.rows:
        if row.module != IMAGE or row.failed:
            continue
        result = row.result
        tag = result.get("tag") or next(iter(result.get("tags") or []), "")
        done = [verb for key, verb in (("built", "built"), ("pushed", "pushed")) if result.get(key)]
        words = (f"would be {' and '.join(done)}" if run.check else ", ".join(done)) if done else "already there"
        way = f"{before} -> {tag}" if before and before != tag and tag == record.get("tag") else tag
        texts += [f"{way}  {words}".strip(), *([str(result["digest"])] if result.get("digest") else [])]
    if not texts and record.get("tag"):
        # Nothing was built: a rollback, a promoted image or a kept one.
        texts = [f"{before} -> {record['tag']}" if before and before != record["tag"] else str(record["tag"]),
                 *([str(record["digest"])] if record.get("digest") else [])]
    return list(dict.fromkeys(texts))


def _stacks(run: Run) -> list[str]:
    latest: dict[str, list[str]] = {}
    changed: set[str] = set()
    for row in run.rows:
        name = str(row.result.get("stack_name") or "")
        if row.module != STACK or not name:
            continue
        if row.result.get("changed"):
            changed.add(name)
        state = str(row.result.get("stack_status") or row.result.get("status") or "")
        how = "would change" if run.check else "changed"
        latest[name] = [name, state, "failed" if row.failed else how if name in changed else "unchanged"]
    return _aligned(list(latest.values()))


def _rollouts(run: Run) -> list[str]:
    cells = []
    for row in run.rows:
        result = row.result
        verdict = result.get("verdict")
        if row.module == ROLLOUT and run.check and not row.failed and verdict != "completed":
            # What is there before the run has no verdict yet.
            verdict = "would be awaited"
        if row.module != ROLLOUT or not verdict:
            continue
        seconds = result.get("rollout_seconds")
        cells.append([str(result.get("service") or row.host), str(verdict).replace("_", " "),
                      f"in {seconds:.1f} s" if isinstance(seconds, (int, float)) else "",
                      str(result.get("deployment_id") or ""),
                      "" if run.check else str(result.get("task_definition") or "").rpartition("/")[2]])
    return _aligned(cells)


def _times(run: Run, labels: Mapping[str, str]) -> str:
    """'network 2.1 s, image 3.2 s (build 2.1, push 0.9), total 9.0 s'; of hosts at work together, the slowest.

    The parts are those of a release; what prepares it has none to tell.
    """
    spent: dict[str, Counter[str]] = {}
    parts: dict[str, Mapping[str, Any]] = {}
    for row in run.rows:
        stack = str(row.result.get("stack_name") or "")
        if row.module == LEDGER:
            continue
        label = {IMAGE: "image", ROLLOUT: "rollout", TASK: "task"}.get(row.module) or labels.get(stack, "stack")
        spent.setdefault(label, Counter())[row.host] += row.seconds  # type: ignore[assignment]
        if row.releasing and isinstance(row.result.get("phases"), Mapping):
            parts[label] = row.result["phases"]
    texts = []
    for label, hosts in spent.items():
        text = f"{label} {max(hosts.values()):.1f} s"
        inner = ", ".join(f"{name} {seconds:.1f}" for name, seconds in parts.get(label, {}).items()
                          if isinstance(seconds, (int, float)) and seconds >= 0.05 and name != "total")
        texts.append(text + (f" ({inner})" if inner and len(hosts) == 1 else ""))
    return ", ".join([*texts, f"total {run.seconds:.1f} s"])


def _changes(run: Run, labels: Mapping[str, str]) -> Iterator[Line]:
    if run.failures:
        return
    if not run.changed:
        yield ("Nothing would change." if run.check else "Nothing changed."), "green"
    elif run.check:
        ours = [row for row in run.rows if row.result.get("changed")]
        names = dict.fromkeys(labels.get(str(row.result.get("stack_name") or ""), "image") for row in ours)
        others = run.changed - len(ours)
        words = [*names, *([f"{others} other task{'s' if others > 1 else ''}"] if others > 0 else [])]
        yield f"Would change: {', '.join(words)}.", "yellow"


def _aligned(cells: Sequence[Sequence[str]]) -> list[str]:
    """Rows of cells as texts with equal columns; columns that are empty everywhere are left out."""
    widths = [max((len(row[i]) for row in cells if i < len(row)), default=0)
              for i in range(max(map(len, cells), default=0))]
    return ["  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=False) if width).rstrip()
            for row in cells]


class CallbackModule(CallbackBase):
    """Collects while the playbook runs, prints at its end."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "summary"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._rows: list[Row] = []
        self._failed: dict[str, Failure] = {}
        self._started = time.monotonic()
        self._marks: dict[tuple[str, str], float] = {}
        self._items: dict[tuple[str, str], list[float]] = {}
        self._in_release = False
        self._releasing: dict[str, None] = {}
        self._spans: dict[str, list[float]] = {}

    def v2_playbook_on_start(self, playbook: Playbook) -> None:
        self._started = time.monotonic()

    def v2_playbook_on_play_start(self, play: Play) -> None:
        """Comes once for each wave of a play, and tells of all its hosts: also of those whose turn may never come."""
        self._in_release = any(_action(task) == ROLLOUT for task in _tasks(play))
        if self._in_release:
            inventory = play.get_variable_manager()._inventory
            self._releasing |= dict.fromkeys(
                host.name for host in inventory.get_hosts(play.hosts, ignore_restrictions=True))

    def v2_runner_on_start(self, host: Host, task: Task) -> None:
        self._marks[host.name, task._uuid] = time.monotonic()

    def v2_runner_item_on_ok(self, result: CallbackTaskResult) -> None:
        self._item(result)

    def v2_runner_item_on_failed(self, result: CallbackTaskResult) -> None:
        self._item(result)

    def v2_runner_item_on_skipped(self, result: CallbackTaskResult) -> None:
        self._item(result)

    def v2_runner_on_ok(self, result: CallbackTaskResult) -> None:
        self._collect(result, failed=False)

    def v2_runner_on_failed(self, result: CallbackTaskResult, ignore_errors: bool = False) -> None:
        self._collect(result, failed=True)
        if not ignore_errors:
            self._note_failure(result)

    def v2_runner_on_unreachable(self, result: CallbackTaskResult) -> None:
        self._note_failure(result)

    def v2_playbook_on_stats(self, stats: AggregateStats) -> None:
        # A failure that a rescue section took care of is none.
        lost = [failure for host, failure in self._failed.items()
                if stats.failures.get(host) or stats.dark.get(host)]
        names = list(self._releasing) if len(self._releasing) > 1 else []
        run = Run([row for row in self._rows if names or row.module in TOLD], lost, sum(stats.changed.values()),
                  time.monotonic() - self._started, bool(context.CLIARGS.get("check")),
                  {name: _length(self._spans.get(name)) for name in names})
        for text, colour in compose(run):
            self._display.display(text, color=colour)

    def _collect(self, result: CallbackTaskResult, failed: bool) -> None:
        module = _module(result)
        if module not in STEPS:
            return
        key = (result.host.name, result.task._uuid)
        now = time.monotonic()
        if self._in_release:
            self._spans.setdefault(result.host.name, [self._marks.get(key, now)]).append(now)
        data = result.result
        items = data.get("results")
        if isinstance(items, list) and items and all(isinstance(item, Mapping) for item in items):
            times = self._items.pop(key, [])
            for number, item in enumerate(items):
                if not item.get("skipped"):
                    self._rows.append(Row(module, result.host.name, times[number] if number < len(times) else 0.0,
                                          item, bool(item.get("failed")), self._in_release))
            return
        spent = time.monotonic() - self._marks.pop(key, time.monotonic())
        self._rows.append(Row(module, result.host.name, spent, data, failed, self._in_release))

    def _item(self, result: CallbackTaskResult) -> None:
        """An item of a loop has no start of its own: it began when the one before ended."""
        key = (result.host.name, result.task._uuid)
        now = time.monotonic()
        self._items.setdefault(key, []).append(now - self._marks.get(key, now))
        self._marks[key] = now

    def _note_failure(self, result: CallbackTaskResult) -> None:
        data = result.result
        broken = next((item for item in data.get("results") or []
                       if isinstance(item, Mapping) and item.get("failed")), data)
        message = str(broken.get("msg") or broken.get("censored") or "no message")
        self._failed[result.host.name] = Failure(result.task_name, result.host.name, message)


def _module(result: CallbackTaskResult) -> str:
    return _action(result.task)


def _action(task: Task) -> str:
    return str(task.action).rsplit(".", 1)[-1]


def _length(span: Sequence[float] | None) -> float:
    return span[-1] - span[0] if span else 0.0


def _tasks(play: Play) -> Iterator[Task]:
    """Every task of the play that stands in it before it runs."""
    found = [*play.compile()]
    while found:
        one = found.pop()
        if hasattr(one, "block"):
            found += [*one.block, *one.rescue, *one.always]
        else:
            yield one
