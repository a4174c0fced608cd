"""hudson.triggers.SCMTrigger: asks the SCM by the clock, and starts a build when it says so."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from . import cron, files, job_xml, log
from .codepipeline import plugin as codepipeline
from .jobs import Job

if TYPE_CHECKING:
    from .controller import Controller


class PollingLog:
    """scm-polling.log of one poll: like a build's console, kept in memory until it is written."""

    def __init__(self) -> None:
        self.lines = [time.strftime("Started on %b %d, %Y, %I:%M:%S %p", time.gmtime())]

    def line(self, text: str = "") -> None:
        self.lines.append(text)

    def plugin(self, text: str) -> None:
        self.line(f"[AWS CodePipeline Plugin] {text}")


def serve(controller: Controller) -> None:
    """One look at every job at every minute of cron's clock, whatever length that has here."""
    seconds = controller.settings.poll_seconds
    minute = int(time.time() // seconds)
    while not controller.ended.wait(max(0.01, (minute + 1) * seconds - time.time())):
        if time.time() // seconds <= minute:  # a little early
            continue
        minute = int(time.time() // seconds)
        if controller.quieting:
            continue
        now = time.localtime()
        for job in controller.jobs.all():
            if any(_matches(trigger.findtext("spec") or "", job.name, now)
                   for trigger in job.root.iterfind("triggers/hudson.triggers.SCMTrigger")):
                poll_in_background(controller, job)


def _matches(spec: str, name: str, now: time.struct_time) -> bool:
    try:
        return cron.Cron(spec, name).matches(now)
    except cron.BadSpec:
        return False


def poll_in_background(controller: Controller, job: Job) -> None:
    """Nothing happens where the last poll of this job still runs."""
    if not job.polling.acquire(blocking=False):
        return

    def poll() -> None:
        try:
            _poll(controller, job)
        finally:
            job.polling.release()

    threading.Thread(target=poll, name=f"SCM polling for {job.name}", daemon=True).start()


def _poll(controller: Controller, job: Job) -> None:
    started = time.monotonic()
    said = PollingLog()
    changes = False
    try:
        changes = _has_changes(controller, job, said)
        said.line(f"Done. Took {time.monotonic() - started:.1f} sec")
        said.line("Changes found" if changes else "No changes")
    except Exception as problem:
        said.line(f"ERROR: Failed to record SCM polling for hudson.model.FreeStyleProject@{id(job):x}[{job.name}]")
        said.line(str(problem))
        log.severe("h.triggers.SCMTrigger$Runner#runPolling",
                   f"Failed to record SCM polling for hudson.model.FreeStyleProject@{id(job):x}[{job.name}]\n{problem}")
    if job.directory.is_dir():
        files.write(job.directory / "scm-polling.log", "\n".join(said.lines) + "\n")
    if changes and not controller.ended.is_set() and controller.jobs.get(job.name) is job:
        log.info("h.triggers.SCMTrigger$Runner#run",
                 f"SCM changes detected in {job.name}. Triggering #{job.next_number}")
        controller.queue.schedule(job, "Started by an SCM change")


def _has_changes(controller: Controller, job: Job, said: PollingLog) -> bool:
    scm = job.root.find("scm")
    if job.disabled:
        said.line("Build disabled")
        return False
    if scm is None or scm.get("class") == job_xml.NO_SCM:
        said.line("No SCM")
        return False
    # Before anything else Jenkins wants a build to compare with: the SCM is not even asked.
    if job.last is None:
        said.line("No existing build. Scheduling a new one.")
        return controller.queue.waits(job.name) is None
    return codepipeline.poll(controller, job, scm, said)
