"""Builds that ended with their Jenkins: the pipeline still waits for them, and nobody else would tell it.

A Jenkins that is stopped or killed forgets the job that its build had taken from the pipeline, whose action then waits
until its timeout, which can be a day. What a build got, and whether it told how it went, is in its log.
"""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from . import build_log
from .failure import JOB_FAILED, Failure
from .job import Job

#: Beside a build's log once the pipeline was told of it: id of the job.
MARK = "slipway-told"
#: Builds of a job are one after the other, so an orphan is the newest; older ones are those that could not be told of.
_NEWEST = 5
#: No pipeline waits for longer than that.
_DAYS = 7
_REGION = re.compile(r"[a-z]{2}(-[a-z]+)+-[0-9]{1,2}")


@dataclass(frozen=True)
class Orphan:
    """directory: of the build; job: id of the pipeline's; acknowledged: whether the pipeline counts on the build."""

    directory: Path
    job: str
    acknowledged: bool
    region: str

    @property
    def name(self) -> str:
        return f"{self.directory.parents[1].name} #{self.directory.name}"


def find(home: Path, now: float | None = None) -> list[Orphan]:
    """Orphans below a JENKINS_HOME whose Jenkins does not run. now: seconds since the epoch."""
    since = (time.time() if now is None else now) - _DAYS * 86_400
    return [orphan for folder in sorted((home / "jobs").glob("*/builds")) for orphan in _of_job(folder, since)]


def _of_job(builds: Path, since: float) -> Iterator[Orphan]:
    with contextlib.suppress(OSError):
        numbers = sorted((int(path.name) for path in builds.iterdir() if path.name.isdigit()), reverse=True)
        for number in numbers[:_NEWEST]:
            directory = builds / str(number)
            if (directory / MARK).exists() or _modified(directory / "log") < since:
                continue
            found = build_log.read(directory / "log")
            ended = _has_result(directory)
            # One that was not acknowledged may be somebody else's.
            if found.job and not (ended and (found.reported or not found.acknowledged)):
                yield Orphan(directory, found.job, found.acknowledged, _region(builds.parent))


def report(home: Path, link: Callable[[Orphan], str], say: Callable[[str], None],
           seconds: float = 20.0) -> list[Orphan]:
    """Tell the pipelines, each once. link(): address of a build, '' where unknown. Stops after `seconds`: what is left
    is for the next time. Returns what it told of."""
    began, told = time.monotonic(), []
    for orphan in find(home):
        if time.monotonic() - began >= seconds:
            say(f"There was no time left for {orphan.name}; the next start of Jenkins tells of it.")
            break
        job = Job(orphan.job, orphan.directory.name, link(orphan), _saying(orphan, say), orphan.region,
                  patience=max(1.0, seconds - (time.monotonic() - began)))
        if job.fail(_cause(orphan)):
            told.append(orphan)
            _log(orphan)
        if job.told:
            mark(orphan.directory / "log", orphan.job)
    return told


def mark(log: Path, job: str) -> None:
    """Note beside a build's log that the pipeline was told. Best effort."""
    with contextlib.suppress(OSError):
        (log.parent / MARK).write_text(f"{job}\n", encoding="ascii")


def _saying(orphan: Orphan, say: Callable[[str], None]) -> Callable[[str], None]:
    return lambda line: say(f"{orphan.name}: {line}")


def _cause(orphan: Orphan) -> Failure:
    return Failure(JOB_FAILED, f"Jenkins stopped while build {orphan.name} ran, so nobody finished it.\n"
                               "Choose Retry in the pipeline; a release that was interrupted is found out and gone on "
                               "with by the next one.")


def _log(orphan: Orphan) -> None:
    """A line for whoever looks at the build. Best effort."""
    with contextlib.suppress(OSError), (orphan.directory / "log").open("a", encoding="utf-8") as file:
        file.write(f"\n[slipway] Jenkins stopped during this build. AWS CodePipeline was told that job {orphan.job} "
                   "failed.\n")


def _modified(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def _has_result(directory: Path) -> bool:
    """Whether Jenkins wrote down how the build ended. It writes build.xml when a build begins, too."""
    try:
        root = _xml(directory / "build.xml")
    except (OSError, ElementTree.ParseError):
        return False
    return bool(root.findtext("result"))


def _region(job: Path) -> str:
    """Where the job's pipeline is."""
    try:
        found = _xml(job / "config.xml").findtext("scm/region") or ""
    except (OSError, ElementTree.ParseError):
        return ""
    return found if _REGION.fullmatch(found) else ""


def _xml(path: Path) -> ElementTree.Element:
    # Jenkins writes XML 1.1, which Python's parser refuses for its number alone.
    return ElementTree.fromstring(re.sub(rb"^\s*<\?xml[^>]*\?>", b"", path.read_bytes(), count=1))

