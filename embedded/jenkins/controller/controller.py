"""The controller: what the parts of Jenkins have in common, and how it starts and ends."""

from __future__ import annotations

import secrets
import threading
import time

from . import configuration, files, init_scripts, log, triggers
from .jobs import Jobs
from .plugins import Plugins
from .queue import Queue
from .security import Security
from .settings import Settings

STOP_SECONDS = 15
"""How long the end waits for builds that are being stopped."""


class Controller:
    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.session_id = secrets.token_hex(4)
        """New at every start: by it a caller sees that Jenkins has restarted."""
        self.ready = threading.Event()
        self.quieting = False
        self.ended = threading.Event()
        self.exit_code = 0
        self.security = Security(settings.home)
        self.configuration = configuration.Configuration()
        self.plugins = Plugins(settings.home / "plugins", settings.version)
        self.jobs = Jobs(settings.home, self.plugins)
        self.queue = Queue(self)

    # -- start ------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Everything between the first answer 503 and the first 200."""
        home = self.settings.home
        log.info("j.InitReactorRunner$1#onAttained", "Started initialization")
        files.secret(home, "master.key")
        identity = home / "secret.key"
        if not identity.exists():
            files.write(identity, secrets.token_hex(32))
            files.write(home / "secret.key.not-so-secret", "")
        self.plugins.load()
        log.info("j.InitReactorRunner$1#onAttained", "Listed all plugins")
        log.info("j.InitReactorRunner$1#onAttained", "Prepared all plugins")
        log.info("j.InitReactorRunner$1#onAttained", "Started all plugins")
        loaded = configuration.load(home, self.security.policy)
        if loaded:
            self.configuration = loaded
        elif self.settings.setup_wizard:
            self.security.set_up_wizard()
        self.jobs.load()
        self.queue.load()
        log.info("j.InitReactorRunner$1#onAttained", "Loaded all jobs")
        init_scripts.run_all(self)
        if not (home / "config.xml").exists():
            self.save()
        threading.Thread(target=self.queue.serve, name="queue", daemon=True).start()
        threading.Thread(target=triggers.serve, args=(self,), name="triggers", daemon=True).start()
        log.info("j.InitReactorRunner$1#onAttained", "Completed initialization")
        self.ready.set()
        log.info("hudson.lifecycle.Lifecycle#onReady", "Jenkins is fully up and running")

    def save(self) -> None:
        configuration.save(self.settings.home, self.settings.version, self.security.policy, self.configuration)

    # -- end --------------------------------------------------------------------------------------------------------

    def stop(self) -> None:
        """The last thing before the process ends: builds that still run are stopped, and what waits is kept."""
        log.info("winstone.Logger#logInternal", "JVM is terminating. Shutting down Jetty")
        self.ready.clear()
        with self.queue.changed:
            running = list(self.queue.running.values())
        for build in running:
            build.keep.wait(STOP_SECONDS)
        self.queue.save()

    def end(self, code: int) -> None:
        if not self.ended.is_set():
            self.exit_code = code
            self.ended.set()

    def quiet_down(self, quiet: bool) -> None:
        self.quieting = quiet
        with self.queue.changed:
            self.queue.changed.notify_all()

    def end_when_idle(self, code: int) -> None:
        """Let the builds finish that run, start none, then end; does nothing more where it is called off."""
        self.quiet_down(True)
        threading.Thread(target=self._wait_for_builds, args=(code,), name="safe end", daemon=True).start()

    def _wait_for_builds(self, code: int) -> None:
        with self.queue.changed:
            while self.queue.running and self.quieting:
                self.queue.changed.wait(1)
        if not self.quieting:
            return
        self.ready.clear()
        log.info("jenkins.model.Jenkins$20#run", f"Restart in {self.settings.restart_seconds:g} seconds")
        time.sleep(self.settings.restart_seconds)
        self.end(code)
