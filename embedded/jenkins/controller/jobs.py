"""Jobs and builds, kept as Jenkins does: jobs/<name>/{config.xml,nextBuildNumber,builds/<n>/{build.xml,log}}."""

from __future__ import annotations

import re
import shutil
import threading
import time
import unicodedata
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element

from . import files, job_xml, log
from .plugins import Plugins

UNSAFE = "?*/\\%!@#$^&|<>[]:;"
COLOURS = {"SUCCESS": "blue", "UNSTABLE": "yellow", "FAILURE": "red", "ABORTED": "aborted", "NOT_BUILT": "notbuilt"}


class BadRequest(Exception):
    """What Jenkins puts into X-Error."""


@dataclass
class Build:
    number: int
    directory: Path
    job: str
    causes: list[str] = field(default_factory=list)
    queue_id: int = 0
    timestamp: float = 0.0
    duration: float = 0.0
    result: str | None = None
    building: bool = False
    cookie: str = ""
    stopped_by: str = ""
    """Who asked for its end; builds look at it between their steps."""
    keep: threading.Event = field(default_factory=threading.Event)
    """Set when it has ended."""

    @property
    def log(self) -> Path:
        return self.directory / "log"

    def save(self) -> None:
        node = files.node
        causes = [node("shortDescription", cause) for cause in self.causes]
        files.write(self.directory / "build.xml", files.xml(node(
            "build", node("actions", node("hudson.model.CauseAction", *causes)), node("queueId", self.queue_id),
            node("timestamp", int(self.timestamp * 1000)), *([node("result", self.result)] if self.result else []),
            node("duration", int(self.duration * 1000)), node("charset", "UTF-8"), node("keepLog", False))))


def load_build(directory: Path, job: str) -> Build | None:
    root = files.read_xml(directory / "build.xml")
    if root is None:
        return None
    causes = [item.text or "" for item in root.iter("shortDescription")]
    # Without a result Jenkins was ended while it ran, and counts it as failed.
    return Build(int(directory.name), directory, job, causes, int(root.findtext("queueId") or 0),
                 int(root.findtext("timestamp") or 0) / 1000, int(root.findtext("duration") or 0) / 1000,
                 root.findtext("result") or "FAILURE")


class Job:
    def __init__(self, name: str, directory: Path, root: Element) -> None:
        self.name, self.directory, self.root = name, directory, root
        self.builds: dict[int, Build] = {}
        self.pipeline_job: dict[str, Any] | None = None
        """The plugin keeps what it got from AWS in one field of the SCM, which lives as long as the loaded job."""
        self.polling = threading.Lock()
        for path in sorted((directory / "builds").glob("[0-9]*")) if (directory / "builds").is_dir() else []:
            build = load_build(path, name) if path.name.isdigit() else None
            if build:
                self.builds[build.number] = build

    def text(self, path: str, default: str = "") -> str:
        return self.root.findtext(path) or default

    @property
    def disabled(self) -> bool:
        return self.text("disabled") == "true"

    @property
    def quiet_period(self) -> float:
        return float(self.text("quietPeriod", "5"))

    def newest(self) -> list[Build]:
        """All builds, the last one first; a copy, since builds come and go meanwhile."""
        builds = dict(self.builds)
        return [builds[number] for number in sorted(builds, reverse=True)]

    @property
    def last(self) -> Build | None:
        return next(iter(self.newest()), None)

    def find_build(self, name: str) -> Build | None:
        if name.isdigit():
            return self.builds.get(int(name))
        newest = self.newest()
        wanted = {"lastBuild": lambda build: True, "lastCompletedBuild": lambda build: not build.building,
                  "lastSuccessfulBuild": lambda build: build.result == "SUCCESS",
                  "lastStableBuild": lambda build: build.result == "SUCCESS",
                  "lastFailedBuild": lambda build: not build.building and build.result == "FAILURE",
                  "lastUnsuccessfulBuild": lambda build: not build.building and build.result != "SUCCESS",
                  }.get(name)
        return next((build for build in newest if wanted(build)), None) if wanted else None

    @property
    def next_number(self) -> int:
        try:
            return int((self.directory / "nextBuildNumber").read_text())
        except (OSError, ValueError):
            return max(self.builds, default=0) + 1

    def new_build(self, causes: list[str], queue_id: int) -> Build:
        number = max(self.next_number, max(self.builds, default=0) + 1)
        files.write(self.directory / "nextBuildNumber", f"{number + 1}\n")
        directory = self.directory / "builds" / str(number)
        directory.mkdir(parents=True)
        build = Build(number, directory, self.name, causes, queue_id, time.time(), building=True)
        build.log.touch()
        build.save()
        self.builds[number] = build
        return build

    def discard_old(self) -> None:
        """What the job's build discarder says."""
        limit = self.text("properties/jenkins.model.BuildDiscarderProperty/strategy/numToKeep", "-1")
        keep = int(limit) if re.fullmatch(r"\d+", limit) and int(limit) > 0 else 0
        done = sorted(number for number, build in self.builds.items() if not build.building)
        for number in done[:-keep] if keep else []:
            self.delete_build(number)

    def delete_build(self, number: int) -> None:
        build = self.builds.pop(number, None)
        if build:
            shutil.rmtree(build.directory, ignore_errors=True)

    @property
    def colour(self) -> str:
        if self.disabled:
            return "disabled"
        last = self.last
        done = self.find_build("lastCompletedBuild")
        colour = COLOURS.get(done.result or "", "notbuilt") if done else "notbuilt"
        return f"{colour}_anime" if last and last.building else colour


def check_name(name: str) -> str:
    name = name.strip()
    if not name:
        raise BadRequest("No name is specified")
    if name in (".", ".."):
        raise BadRequest(f"‘{name}’ is not an allowed name")
    for character in name:
        if unicodedata.category(character) == "Cc":
            raise BadRequest("No control code is allowed: " + "".join(
                f"\\u{ord(one):04x}" if unicodedata.category(one) == "Cc" else one for one in name))
        if character in UNSAFE:
            raise BadRequest(f"‘{character}’ is an unsafe character")
    if name.endswith("."):
        raise BadRequest("A name cannot end with ‘.’")
    return name


class Jobs:
    def __init__(self, home: Path, plugins: Plugins) -> None:
        self.home, self.plugins = home, plugins
        self.root = home / "jobs"
        self.lock = threading.RLock()
        self.jobs: dict[str, Job] = {}

    def load(self) -> None:
        self.root.mkdir(exist_ok=True)
        for path in sorted(self.root.glob("*/config.xml")):
            name = path.parent.name
            try:
                self.jobs[name] = Job(name, path.parent, self._read(name, path.read_bytes()))
            except (job_xml.Unreadable, OSError) as error:
                log.severe("jenkins.model.Jenkins$16#run", f"Failed to load item {name}\n{error}")

    def _read(self, name: str, data: bytes) -> Element:
        return job_xml.normalise(job_xml.parse(data), self.plugins, self.home, lambda text: log.warning(
            "h.util.RobustReflectionConverter#doUnmarshal", f"{name}: {text}"))

    def get(self, name: str) -> Job | None:
        with self.lock:
            return self.jobs.get(name)

    def all(self) -> list[Job]:
        with self.lock:
            return [self.jobs[name] for name in sorted(self.jobs, key=str.lower)]

    def create(self, name: str, data: bytes) -> Job:
        with self.lock:
            name = check_name(name)
            if any(other.lower() == name.lower() for other in self.jobs):
                raise BadRequest(f"A job already exists with the name ‘{name}’")
            root = self._read(name, data)
            directory = self.root / name
            try:
                directory.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise job_xml.Unreadable(f"java.io.IOException: {directory}: {error.strerror}") from error
            job = Job(name, directory, root)
            self._save(job)
            self.jobs[name] = job
            return job

    def update(self, job: Job, data: bytes) -> None:
        with self.lock:
            job.root = self._read(job.name, data)
            job.pipeline_job = None
            self._save(job)

    def set_disabled(self, job: Job, disabled: bool) -> None:
        with self.lock:
            element = job.root.find("disabled")
            assert element is not None
            element.text = "true" if disabled else "false"
            self._save(job)

    def _save(self, job: Job) -> None:
        files.write(job.directory / "config.xml", files.xml(job.root))

    def withdraw(self, job: Job) -> None:
        with self.lock:
            self.jobs.pop(job.name, None)

    def delete(self, job: Job) -> None:
        """Of a job that is withdrawn."""
        with self.lock:
            shutil.rmtree(job.directory, ignore_errors=True)
            shutil.rmtree(self.home / "workspace" / job.name, ignore_errors=True)

    def config(self, job: Job) -> bytes:
        return (job.directory / "config.xml").read_bytes()
