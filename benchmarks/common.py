"""What the benchmarks share: an embedded AWS of their own, plays, a quiet machine, tables."""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from html import escape
from importlib import metadata
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
HERE = ROOT / "benchmarks"
#: With the ansible that has what we compare with; beside it nothing differs from what slipway runs on.
VENV = HERE / ".venv"
PORT = int(os.environ.get("SLIPWAY_BENCH_PORT", "4640"))

#: The machine counts as quiet below this 1-minute load, for so many seconds.
_LOAD, _QUIET, _PATIENCE = 0.7, 20, 15 * 60


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


# -- what we run on -----------------------------------------------------------------------------------------------

def options(doc: str | None, name: str, more: Callable[[argparse.ArgumentParser], None]) -> argparse.Namespace:
    """The command line that all benchmarks have, and what `more` adds. Also lets SIGTERM end them tidily."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=7, help="counted runs of each side")
    parser.add_argument("--now", action="store_true", help="do not wait for a quiet machine")
    parser.add_argument("--output", type=Path, default=HERE / "results" / f"{name}.md", help="where the report goes")
    more(parser)
    return parser.parse_args()


def ensure_venv() -> None:
    """Make the environment of requirements.txt, or bring it up to date."""
    requirements = HERE / "requirements.txt"
    mark = VENV / ".ready"
    pins = ROOT / "roles" / "release_runner" / "files" / "constraints.txt"
    wanted = "".join(path.read_text() for path in (requirements, ROOT / "requirements.txt", pins))
    if mark.exists() and mark.read_text() == wanted:
        return
    say("Installing the packages of benchmarks/requirements.txt.")
    if not (VENV / "bin" / "pip").exists():
        subprocess.run([sys.executable, "-m", "venv", str(VENV)], check=True)
    subprocess.run([str(VENV / "bin" / "pip"), "install", "--quiet", "--disable-pip-version-check", "--requirement",
                    str(requirements), "--constraint", str(pins)], check=True)
    mark.write_text(wanted)


@contextmanager
def embedded_aws() -> Iterator[dict[str, str]]:
    """An embedded AWS with a port, network and state of its own; yields what a client's environment needs."""
    state = Path(tempfile.mkdtemp(prefix="slipway-bench-aws-"))
    # Read by embedded.settings when it is imported, here and in the process that serves.
    os.environ.update({"SLIPWAY_AWS_PORT": str(PORT), "SLIPWAY_AWS_STATE": str(state)})
    from embedded import engine, images, network, process, settings

    try:
        subprocess.run([sys.executable, "-m", "embedded", "up"], cwd=ROOT, check=True)
        yield settings.environment()
    finally:
        # As `python -m embedded down`, but the base images stay: others may be about to use them.
        process.check_ours()
        process.stop(say)
        if engine.answers():
            client = engine.client()
            network.remove_containers(client)
            network.remove_network(client)
            images.remove_images(client, f"localhost:{PORT}/")
            engine.stop_started_engine(state, say)
        shutil.rmtree(state, ignore_errors=True)


def wait_for_quiet(now: bool) -> str:
    """Wait until the machine has nothing else to do; the load then, as text for the report."""
    started, quiet_since = time.monotonic(), None
    while not now:
        load = os.getloadavg()[0]
        clock = time.monotonic()
        quiet_since = (quiet_since or clock) if load < _LOAD else None
        if quiet_since is not None and clock - quiet_since >= _QUIET:
            return f"{load:.2f} (below {_LOAD} for {_QUIET} s)"
        if clock - started > _PATIENCE:
            return f"{load:.2f}: THE MACHINE WAS NOT QUIET (not below {_LOAD} within {_PATIENCE // 60} minutes)"
        if quiet_since is None and int(clock - started) % 30 == 0:
            say(f"Waiting for a quiet machine: load {load:.2f}.")
        time.sleep(1)
    return f"{os.getloadavg()[0]:.2f} (not waited for a quiet machine)"


def machine() -> list[str]:
    """Cores, memory, kernel and versions, a line each."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    names = [line.partition(":")[2].strip() for line in Path("/proc/cpuinfo").read_text().splitlines()
             if line.startswith("model name")]
    engine = _output(["docker", "version", "--format", "engine {{.Server.Version}}, CLI {{.Client.Version}}"])
    bench = json.loads(_output([str(VENV / "bin" / "python"), "-c", _VERSIONS]) or "{}")
    commit = _output(["git", "-C", str(ROOT), "describe", "--always", "--dirty"])
    found = {"slipway": commit or "unknown", "Python": platform.python_version(), **bench,
             "MiniStack": metadata.version("ministack"), "Docker": engine or "unknown"}
    model = f" ({names[0]})" if names else ""
    return [
        f"Machine: {os.cpu_count()} cores{model}, {memory:.0f} GiB of memory, kernel {platform.release()}",
        f"Versions: {', '.join(f'{name} {version}' for name, version in found.items())}",
    ]


_VERSIONS = """
import json, importlib.metadata as m, importlib.util, pathlib
found = {n: m.version(n) for n in ("ansible-core", "ansible", "boto3", "docker")}
where = importlib.util.find_spec("ansible_collections.amazon.aws")
if where:
    manifest = pathlib.Path(list(where.submodule_search_locations)[0], "MANIFEST.json")
    found["amazon.aws"] = json.loads(manifest.read_text())["collection_info"]["version"]
print(json.dumps(found))
"""


def _output(command: list[str]) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
    except OSError:
        return ""


# -- plays ----------------------------------------------------------------------------------------------------------

@dataclass(frozen=True)
class TaskRun:
    """One task of a play, from when ansible handed it out until it had the result; seconds since the epoch."""

    name: str
    started: float
    ended: float
    result: dict[str, Any]

    @property
    def seconds(self) -> float:
        return self.ended - self.started


#: A task that does nothing.
EMPTY = "ansible.builtin.ping"


class Play:
    """A play of these tasks, one after the other, running in the background as soon as it is made.

    An empty task goes first, so that the first measured one does not pay for what ansible loads once.
    tasks: (name, module, arguments). env: added to the environment.
    """

    def __init__(self, folder: Path, tasks: Sequence[tuple[str, str, Mapping[str, Any]]], env: Mapping[str, str],
                 check: bool = False) -> None:
        folder = Path(tempfile.mkdtemp(dir=folder))
        self._times, self._log = folder / "times", folder / "log"
        play = folder / "play.json"
        play.write_text(json.dumps([{
            "hosts": "localhost", "connection": "local", "gather_facts": False,
            "vars": {"ansible_python_interpreter": str(VENV / "bin" / "python")},
            "tasks": [{EMPTY: {}},
                      *({"name": name, module: arguments} for name, module, arguments in tasks)],
        }]))
        environment = {
            **os.environ, **env, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
            "ANSIBLE_CALLBACK_PLUGINS": f"{ROOT / 'callback_plugins'}:{HERE / 'callback_plugins'}",
            "ANSIBLE_CALLBACKS_ENABLED": "task_times", "SLIPWAY_BENCH_TIMES": str(self._times),
        }
        with self._log.open("w") as log:
            self.process = subprocess.Popen(
                [str(VENV / "bin" / "ansible-playbook"), "-i", "localhost,", *(["--check"] if check else []),
                 str(play)], cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def end(self, timeout: float = 300) -> list[TaskRun]:
        """Its tasks, without the empty one. Raises RuntimeError, with what ansible printed, where one failed."""
        try:
            code = self.process.wait(timeout)
        finally:
            self.stop()
        records = [json.loads(line) for line in self._times.read_text().splitlines()] if self._times.exists() else []
        if code or any(record["failed"] for record in records):
            raise RuntimeError(f"ansible-playbook ended with {code}:\n{self._log.read_text()[-4000:]}")
        return [TaskRun(r["task"], r["started"], r["ended"], r["result"]) for r in records[1:]]

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait(60)


def docker_by_hand() -> tuple[list[str], dict[str, str], str]:
    """How a person builds with what ecr_push finds here: the command, its environment, and which builder that is."""
    sys.path.insert(0, str(ROOT / "module_utils"))
    from slipway.docker.build import find_builder
    from slipway.docker.engine import Engine

    engine = Engine()
    builder = find_builder(engine)
    cli = builder.cli or "docker"
    command = [cli, "buildx", "build", "--load"] if builder.kind == "buildx" else [cli, "build"]
    return command, {"DOCKER_HOST": engine.address,
                     "DOCKER_BUILDKIT": "0" if builder.kind == "classic" else "1"}, builder.kind


# -- what comes out -------------------------------------------------------------------------------------------------

@dataclass
class Report:
    """A Markdown report: heading, circumstances, tables; missed targets are collected at its end."""

    title: str
    facts: list[str] = field(default_factory=list)
    parts: list[str] = field(default_factory=list)
    missed: list[str] = field(default_factory=list)
    files: dict[str, str] = field(default_factory=dict)

    def plot(self, name: str, svg: str) -> None:
        """A drawing, written beside the report."""
        self.files[name] = svg
        self.parts.append(f"![{name.partition('.')[0]}]({name})")

    def table(self, heading: str, columns: Sequence[str], rows: Sequence[Sequence[str]], note: str = "") -> None:
        text = [f"## {heading}", "", *([note, ""] if note else []), _row(columns), _row(["---"] * len(columns))]
        self.parts.append("\n".join([*text, *map(_row, rows)]))

    def judge(self, what: str, value: float, limit: float, unit: str = "", least: bool = False,
              digits: int = 2) -> str:
        """'met' or '**MISSED**', the latter remembered. least: the limit is a lower one."""
        if value >= limit if least else value <= limit:
            return "met"
        self.missed.append(f"{what}: {value:.{digits}f}{unit}, target {'>=' if least else '<='} {limit:g}{unit}")
        return "**MISSED**"

    def text(self) -> str:
        ending = ["## Targets", "", *([f"- **MISSED** {m}" for m in self.missed] or ["All targets are met."])]
        return "\n\n".join([f"# {self.title}", "\n".join(f"- {fact}" for fact in self.facts), *self.parts,
                            "\n".join(ending)]) + "\n"

    def publish(self, output: Path) -> None:
        print(self.text(), end="")
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_text(self.text(), encoding="utf-8")
        for name, text in self.files.items():
            output.with_name(name).write_text(text, encoding="utf-8")
        say(f"Written to {output}.")


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


@dataclass(frozen=True)
class Bar:
    """One bar of a plot."""

    label: str
    value: float


def plot(title: str, bars: Sequence[Bar], unit: str) -> str:
    """Horizontal bars as an SVG that needs nothing else; slipway's are drawn darker."""
    row, left, width = 26, 330, 760
    scale = (width - left - 70) / max(bar.value for bar in bars)
    height = row * len(bars) + 44
    lines = [(f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" '
              f'height="{height}" role="img" aria-label="{escape(title)}" font-family="sans-serif" font-size="13">'),
             f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
             f'<text x="10" y="22" font-size="15" fill="#1c2430">{escape(title)}</text>']
    for number, bar in enumerate(bars):
        y, length = 36 + number * row, max(1.0, bar.value * scale)
        colour = "#1f5fa8" if "slipway" in bar.label else "#a9b8c9"
        lines += [f'<text x="{left - 8}" y="{y + 15}" text-anchor="end" fill="#1c2430">{escape(bar.label)}</text>',
                  f'<rect x="{left}" y="{y + 3}" width="{length:.1f}" height="{row - 8}" fill="{colour}"/>',
                  f'<text x="{left + length + 6:.1f}" y="{y + 15}" fill="#1c2430">{bar.value:.2f} {unit}</text>']
    return "\n".join([*lines, "</svg>"]) + "\n"


def spread(values: Sequence[float], digits: int = 2) -> str:
    """'1.20 (1.10 to 1.40)': median, least, greatest."""
    low, high = min(values), max(values)
    return f"{statistics.median(values):.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"


def measure(doc: str | None, name: str, title: str,
            work: Callable[[argparse.Namespace, dict[str, str], Path, Report], None],
            more: Callable[[argparse.ArgumentParser], None] = lambda parser: None) -> None:
    """The frame of a benchmark: environment up, a quiet machine, work, environment down, report."""
    wanted = options(doc, name, more)
    # What is compiled once is kept, on all sides, as for a user.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    ensure_venv()
    report = Report(title)
    with tempfile.TemporaryDirectory(prefix="slipway-bench-") as folder, embedded_aws() as env:
        report.facts.append(f"Load before: {wait_for_quiet(wanted.now)}")
        started = time.monotonic()
        work(wanted, env, Path(folder), report)
        report.facts += [f"Load after: {os.getloadavg()[0]:.2f}, this benchmark's own included",
                         f"Date: {datetime.now(UTC):%Y-%m-%d %H:%M} UTC, taken in {time.monotonic() - started:.0f} s",
                         *machine()]
        report.publish(wanted.output)
