"""The stand-in Jenkins as a plain process, for tests: its war, a home of its own, a free port."""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.parse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from embedded.jenkins import package

INIT_SCRIPT = Path(__file__).resolve().parents[2] / "roles" / "jenkins" / "files" / "init.groovy.d" / "slipway.groovy"
PASSWORD = "correct horse"
TOKEN = "11" + "0123456789abcdef" * 2
PYTHON = shutil.which("python3", path="/usr/bin") or sys.executable
"""The system's own, as on a host."""
SECONDS = 60
"""How long a test waits for what should take a moment."""


def until(what: Callable[[], Any], message: str = "it did not happen") -> Any:
    """Wait for the first true answer."""
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        answer = what()
        if answer:
            return answer
        time.sleep(0.02)
    raise AssertionError(message)


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def text(self) -> str:
        return self.body.decode()


class Jenkins:
    """One Jenkins on a home; start() and stop() any number of times."""

    def __init__(self, folder: Path, version: str = "2.568.2", java: int = 21) -> None:
        self.folder, self.home = folder, folder / "home"
        self.home.mkdir(parents=True)
        self.war = folder / "jenkins.war"
        package.write_war(self.war, version)
        self.java = folder / "java"
        self.set_java(java)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.environment: dict[str, str] = {}
        self.log_file = folder / "jenkins.log"
        self.process: subprocess.Popen[bytes] | None = None

    def set_java(self, version: int) -> None:
        """Which Java the machine has is not what these tests are about: this one only says its version."""
        self.java.write_text(f"#!/bin/sh\necho 'openjdk version \"{version}.0.1\" 2026-01-01' >&2\n")
        self.java.chmod(0o755)

    def secure(self) -> None:
        """As the role jenkins does it: its own init script, and the two secrets beside it."""
        (self.home / "init.groovy.d").mkdir(exist_ok=True)
        shutil.copy(INIT_SCRIPT, self.home / "init.groovy.d")
        secrets = self.folder / "credentials"
        secrets.mkdir(exist_ok=True)
        (secrets / "admin-password").write_text(PASSWORD + "\n")
        (secrets / "api-token").write_text(TOKEN + "\n")
        self.environment |= {
            "CREDENTIALS_DIRECTORY": str(secrets), "SLIPWAY_ADMIN": "admin", "SLIPWAY_EXECUTORS": "2",
            "SLIPWAY_URL": f"http://127.0.0.1:{self.port}", "JAVA_OPTS": "-Djenkins.install.runSetupWizard=false"}

    def install(self, *plugins: Path) -> None:
        folder = self.home / "plugins"
        folder.mkdir(exist_ok=True)
        for plugin in plugins:
            shutil.copy(plugin, folder / f"{plugin.stem}.jpi")

    def launch(self) -> subprocess.Popen[bytes]:
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "JENKINS_"))},
            "JENKINS_HOME": str(self.home), "JENKINS_JAVA_CMD": str(self.java), "AWS_EC2_METADATA_DISABLED": "true",
            "JENKINS_STAND_IN_POLL_SECONDS": "0.2", "JENKINS_STAND_IN_JITTER_SECONDS": "0",
            "JENKINS_STAND_IN_RESTART_SECONDS": "0.1", "HOME": str(self.folder), **self.environment}
        with self.log_file.open("ab") as log:
            self.process = subprocess.Popen(
                [PYTHON, "-I", self.war, f"--httpPort={self.port}", "--httpListenAddress=127.0.0.1",
                 f"--webroot={self.folder / 'webroot'}"], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                cwd=self.home, env=environment, start_new_session=True)
        return self.process

    def start(self) -> Jenkins:
        process = self.launch()

        def up() -> bool:
            assert process.poll() is None, f"Jenkins ended with {process.returncode}:\n{self.log}"
            return self.status("/login") == 200

        until(up, "Jenkins did not come up")
        return self

    def stop(self, number: int = signal.SIGTERM) -> int:
        assert self.process is not None
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(number)
        try:
            return self.process.wait(SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise

    @property
    def log(self) -> str:
        return self.log_file.read_text() if self.log_file.exists() else ""

    # -- HTTP -------------------------------------------------------------------------------------------------------

    def status(self, path: str) -> int:
        try:
            return self.call("GET", path, user=None).status
        except OSError:
            return 0

    def call(self, method: str, path: str, body: bytes = b"", kind: str = "", user: str | None = f"admin:{TOKEN}",
             headers: dict[str, str] | None = None) -> Answer:
        sent = dict(headers or {})
        if user is not None:
            sent["Authorization"] = "Basic " + base64.b64encode(user.encode()).decode()
        if kind:
            sent["Content-Type"] = kind
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=SECONDS)
        try:
            connection.request(method, path, body, sent)
            answer = connection.getresponse()
            return Answer(answer.status, dict(answer.headers.items()), answer.read())
        finally:
            connection.close()

    def get(self, path: str, **options: Any) -> Answer:
        return self.call("GET", path, **options)

    def post(self, path: str, body: bytes = b"", kind: str = "", **options: Any) -> Answer:
        return self.call("POST", path, body, kind, **options)

    # -- jobs -------------------------------------------------------------------------------------------------------

    def create(self, name: str, config: str) -> Answer:
        return self.post(f"/createItem?name={urllib.parse.quote(name)}", config.encode(), "application/xml")

    def build(self, name: str) -> int:
        """Start a build and wait until it has a number."""
        answer = self.post(f"/job/{name}/build?delay=0sec")
        assert answer.status == 201, answer.text
        item = urllib.parse.urlsplit(answer.headers["Location"]).path

        def number() -> int | None:
            executable = self.get(f"{item}api/json").json.get("executable")
            return int(executable["number"]) if executable else None

        return int(until(number, "the build did not start"))

    def result(self, name: str, number: int | str = "lastBuild") -> dict[str, Any]:
        """The build's data, once it has ended."""
        def ended() -> dict[str, Any] | None:
            answer = self.get(f"/job/{name}/{number}/api/json")
            data: dict[str, Any] = answer.json if answer.status == 200 else {}
            return data if data and not data["building"] else None

        found: dict[str, Any] = until(ended, f"{name} {number} did not end:\n{self.log}")
        return found

    def took_its_job(self, name: str) -> dict[str, Any]:
        """As result, of the last build that was the first to take its pipeline's job: the plugin is told of a job until
        that is acknowledged, and then a further build finds only that."""
        found = self.result(name)
        while "was already acknowledged" in self.console(name, found["number"]):
            found = self.result(name, found["number"] - 1)
        return found

    def console(self, name: str, number: int | str = "lastBuild") -> str:
        return self.get(f"/job/{name}/{number}/consoleText").text


