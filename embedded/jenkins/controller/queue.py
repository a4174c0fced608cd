"""The build queue and the executors that empty it."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from . import execution, files
from .jobs import Build, Job

if TYPE_CHECKING:
    from .controller import Controller

REMEMBERED = 500


@dataclass
class Item:
    id: int
    job: str
    causes: list[str]
    due: float
    since: float
    build: int | None = None
    cancelled: bool = False


class Queue:
    def __init__(self, controller: Controller) -> None:
        self.controller = controller
        self.changed = threading.Condition()
        self.waiting: list[Item] = []
        self.left: dict[int, Item] = {}
        """Items that have become builds or were cancelled, for whoever still asks about them."""
        self.running: dict[int, Build] = {}
        """By number of the executor."""
        self.next_id = 1

    def schedule(self, job: Job, cause: str, delay: float | None = None) -> Item:
        """The job's item; one that waits already takes the new cause with it."""
        now = time.time()
        due = now + (job.quiet_period if delay is None else delay)
        with self.changed:
            item = next((item for item in self.waiting if item.job == job.name), None)
            if item is None:
                item = Item(self.next_id, job.name, [cause], due, now)
                self.next_id += 1
                self.waiting.append(item)
            else:
                item.due = min(item.due, due)
                if cause not in item.causes:
                    item.causes.append(cause)
            self.changed.notify_all()
            return item

    def find(self, identifier: int) -> Item | None:
        with self.changed:
            return next((item for item in self.waiting if item.id == identifier), None) or self.left.get(identifier)

    def waits(self, job: str) -> Item | None:
        with self.changed:
            return next((item for item in self.waiting if item.job == job), None)

    def cancel(self, identifier: int) -> bool:
        with self.changed:
            item = next((item for item in self.waiting if item.id == identifier), None)
            if item is None:
                return False
            item.cancelled = True
            self.waiting.remove(item)
            self._remember(item)
            return True

    def forget(self, job: str) -> None:
        with self.changed:
            self.waiting = [item for item in self.waiting if item.job != job]

    def builds_of(self, job: str) -> list[Build]:
        with self.changed:
            return [build for build in self.running.values() if build.job == job]

    def wait_for_builds_of(self, job: str, seconds: float) -> None:
        """Return once none of them runs, its record written too, or after so long."""
        with self.changed:
            self.changed.wait_for(lambda: not self.builds_of(job), seconds)

    def _remember(self, item: Item) -> None:
        self.left[item.id] = item
        while len(self.left) > REMEMBERED:
            del self.left[next(iter(self.left))]

    # -- executors --------------------------------------------------------------------------------------------------

    def serve(self) -> None:
        """Start what may start, until Jenkins ends."""
        while not self.controller.ended.is_set():
            with self.changed:
                ready = self._ready()
                if ready is None:
                    pending = [item.due - time.time() for item in self.waiting]
                    self.changed.wait(max(0.01, min([1.0, *(left for left in pending if left > 0)])))
                    continue
                item, job, executor = ready
                self.waiting.remove(item)
                build = job.new_build(item.causes, item.id)
                item.build = build.number
                self._remember(item)
                self.running[executor] = build
            threading.Thread(target=self._run, args=(job, build, executor), daemon=True).start()

    def _ready(self) -> tuple[Item, Job, int] | None:
        if self.controller.quieting:
            return None
        free = next((number for number in range(self.controller.configuration.executors) if number not in self.running),
                    None)
        for item in list(self.waiting):
            job = self.controller.jobs.get(item.job)
            if job is None:
                self.waiting.remove(item)
            elif free is not None and item.due <= time.time() and not job.disabled and not self.builds_of(job.name):
                return item, job, free
        return None

    def _run(self, job: Job, build: Build, executor: int) -> None:
        try:
            execution.run(self.controller, job, build, executor)
        finally:
            with self.changed:
                del self.running[executor]
                self.changed.notify_all()

    # -- over a restart ---------------------------------------------------------------------------------------------

    def save(self) -> None:
        with self.changed:
            items = [files.node("item", files.node("id", item.id), files.node("job", item.job),
                                *(files.node("cause", cause) for cause in item.causes)) for item in self.waiting]
            files.write(self.controller.settings.home / "queue.xml", files.xml(files.node(
                "hudson.model.Queue_-State", files.node("counter", self.next_id), *items)))

    def load(self) -> None:
        path = self.controller.settings.home / "queue.xml"
        root = files.read_xml(path)
        if root is None:
            return
        now = time.time()
        self.next_id = int(root.findtext("counter") or 1)
        for item in root.iter("item"):
            self.waiting.append(Item(int(item.findtext("id") or 0), item.findtext("job") or "",
                                     [cause.text or "" for cause in item.iter("cause")], now, now))
        path.rename(path.with_suffix(".xml.bak"))

    def data(self, item: Item) -> dict[str, Any]:
        controller = self.controller
        job = controller.jobs.get(item.job)
        url = controller.configuration.url
        common: dict[str, Any] = {
            "actions": [{"_class": "hudson.model.CauseAction",
                         "causes": [{"shortDescription": cause} for cause in item.causes]}],
            "blocked": False, "buildable": False, "id": item.id, "inQueueSince": int(item.since * 1000), "params": "",
            "stuck": False, "task": {"_class": "hudson.model.FreeStyleProject", "name": item.job,
                                     "url": f"{url}job/{item.job}/", "color": job.colour if job else "notbuilt"},
            "url": f"queue/item/{item.id}/", "why": None}
        if item.cancelled:
            return {"_class": "hudson.model.Queue$LeftItem", **common, "cancelled": True, "executable": None}
        if item.build is not None:
            return {"_class": "hudson.model.Queue$LeftItem", **common, "cancelled": False,
                    "executable": {"_class": "hudson.model.FreeStyleBuild", "number": item.build,
                                   "url": f"{url}job/{item.job}/{item.build}/"}}
        if item.due > time.time():
            why = f"In the quiet period. Expires in {item.due - time.time():.1f} sec"
            return {"_class": "hudson.model.Queue$WaitingItem", **common, "why": why, "timestamp": int(item.due * 1000)}
        busy = self.builds_of(item.job)
        if controller.quieting:
            why = "Jenkins is about to shut down"
        elif busy:
            why = f"Build #{busy[0].number} is already in progress"
        else:
            why = "Waiting for next available executor"
        kind = f"hudson.model.Queue${'Blocked' if busy else 'Buildable'}Item"
        return {"_class": kind, **common, "blocked": bool(busy), "buildable": not busy, "why": why}
