"""The Docker engine of this machine: used as it is where one answers, otherwise made by the role docker."""

from __future__ import annotations

import contextlib
import getpass
import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from enum import Enum
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from .process import EmbeddedError, Say

ROOT = Path(__file__).resolve().parent.parent
DEFAULT_HOST = "unix:///var/run/docker.sock"
ENGINE_PID_FILE = Path("/var/run/docker.pid")
#: Where no systemd runs, this file in the state directory says that the engine runs because of us.
MARKER = "engine-started.json"


class EngineMissing(EmbeddedError):
    """There is no engine to use; the text says what to install, start or join."""


class Progress:
    """Says every few seconds what is being done and for how long, until it is done."""

    def __init__(self, subject: str, say: Say, every: float = 5) -> None:
        self.stage = "starting"
        self._subject, self._say, self._every = subject, say, every
        self._started = time.monotonic()
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def say(self, text: str) -> None:
        self._say(f"{self._subject}: {text} ({time.monotonic() - self._started:.0f} s)")

    def _run(self) -> None:
        while not self._done.wait(self._every):
            self.say(self.stage)

    def __enter__(self) -> Progress:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()


class Answer(Enum):
    YES = "answers"
    DENIED = "denied"
    SILENT = "silent"


def host() -> str:
    return os.environ.get("DOCKER_HOST") or DEFAULT_HOST


def answers() -> bool:
    return ping() is Answer.YES


def client() -> Any:
    """A docker.DockerClient for the engine. Importing the SDK costs more than asking the socket, so only here."""
    import docker

    return docker.from_env(timeout=300)


def ping(timeout: float = 5) -> Answer:
    """Ask the engine for a sign of life, without the SDK where the socket is a local one."""
    address = urlsplit(host())
    if address.scheme != "unix":
        return _ping_remote()
    connection = http.client.HTTPConnection("localhost", timeout=timeout)
    connection.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.sock.settimeout(timeout)
    try:
        connection.sock.connect(address.path)
        connection.request("GET", "/_ping")
        return Answer.YES if connection.getresponse().status == 200 else Answer.SILENT
    except PermissionError:
        return Answer.DENIED
    except (OSError, http.client.HTTPException):
        return Answer.SILENT
    finally:
        connection.close()


def _ping_remote() -> Answer:
    import docker

    try:
        docker.from_env(timeout=5).ping()
    except Exception:  # the SDK lets through whatever its transport raises
        return Answer.SILENT
    return Answer.YES


def ensure_engine(state_dir: Path, say: Say) -> None:
    """Return once an engine answers.

    An engine that answers is used as it is. Otherwise root gets one from the distribution's packages, by the role that
    configures hosts. Raises EngineMissing with one line that says what to do.
    """
    answer = ping()
    if answer is Answer.YES:
        return
    if answer is Answer.DENIED or host() != DEFAULT_HOST or os.geteuid() != 0:
        installed = shutil.which("dockerd", path=_path()) is not None
        manager = "dnf" if shutil.which("dnf") else "apt-get"
        raise EngineMissing(refusal(answer, host(), getpass.getuser(), installed, manager))
    say("No Docker engine answers: installing and starting one (role docker).")
    started = time.monotonic()
    state_dir.mkdir(parents=True, exist_ok=True)
    # Before the engine starts, so that an engine of a run that is killed here is known to be ours.
    marker = state_dir / MARKER
    marker.write_text(json.dumps({"boot": _boot_id(), "since": time.clock_gettime(time.CLOCK_BOOTTIME)}))
    try:
        _apply_role(state_dir / "engine.log", say)
    finally:
        if _systemd() or not answers():
            marker.unlink(missing_ok=True)
    say(f"The Docker engine answers ({time.monotonic() - started:.0f} s).")


def refusal(answer: Answer, where: str, user: str, installed: bool, manager: str) -> str:
    """Why there is no engine to use, and what to type. Pure."""
    if answer is Answer.DENIED:
        return (f"The Docker engine's socket refuses {user}: run `sudo usermod -aG docker {user}` and log in again, "
                "or run this as root.")
    if where != DEFAULT_HOST:
        return (f"No Docker engine answers at DOCKER_HOST={where}: start it, "
                "or unset DOCKER_HOST to use this machine's own.")
    if installed:
        return ("The Docker engine is installed and does not run: start it with `sudo service docker start`, "
                "or run this as root.")
    package = "docker" if manager == "dnf" else "docker.io"
    return (f"There is no Docker engine on this machine: run this as root, which installs one, or "
            f"`sudo {manager} install {package} && sudo usermod -aG docker {user}` and log in again.")


def _apply_role(log_file: Path, say: Say) -> None:
    command = Path(sys.executable).parent / "ansible-playbook"
    if not command.exists():
        raise EngineMissing(f"{command} is missing: run `make aws`, which makes the virtual environment.")
    environment = {
        **os.environ, "PATH": _path(), "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
        "ANSIBLE_FORCE_COLOR": "0", "ANSIBLE_NOCOLOR": "1",
        # Otherwise a task is named only when it is over.
        "ANSIBLE_DISPLAY_OK_HOSTS": "1", "ANSIBLE_DISPLAY_SKIPPED_HOSTS": "1",
    }
    tail: list[str] = []
    with log_file.open("w") as log, subprocess.Popen(
            [command, "-i", "localhost,", ROOT / "embedded" / "engine.yml"], cwd=ROOT, env=environment, text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as play, \
            Progress("Docker engine", say) as progress:
        assert play.stdout is not None
        for line in play.stdout:
            log.write(line)
            tail = [*tail[-29:], line.rstrip()]
            if task := re.match(r"TASK \[(?:docker : )?(.*)\]", line):
                progress.stage = task[1]
    if play.returncode != 0 or not answers():
        shown = "\n".join(line for line in tail if line and not line.startswith("PLAY"))
        raise EngineMissing(f"Installing or starting the Docker engine failed. The end of {log_file}:\n{shown}")


def stop_started_engine(state_dir: Path, say: Say) -> bool:
    """Stop the engine that ensure_engine started where no systemd runs; packages and images stay.

    An engine that somebody else started, or in which something still runs, is left alone. True where it was stopped.
    """
    marker = state_dir / MARKER
    try:
        ours = json.loads(marker.read_text())
        pid = int(ENGINE_PID_FILE.read_text())
        is_ours = ours["boot"] == _boot_id() and _started_at(pid) >= ours["since"] - 1 and _is_engine(pid)
    except (OSError, ValueError, KeyError, TypeError, IndexError):
        is_ours = False
    if not is_ours:
        marker.unlink(missing_ok=True)
        return False
    if answers():
        running = client().containers.list()
        if running:
            say(f"The Docker engine stays: {len(running)} containers that are not ours run in it "
                f"({', '.join(sorted(c.name for c in running)[:5])}).")
            return False
    say("Stopping the Docker engine that was started for this.")
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + 60
    while _is_engine(pid):
        if time.monotonic() > deadline:
            raise EmbeddedError(f"The Docker engine (process {pid}) did not stop within 60 s: "
                                f"stop it with `kill {pid}`.")
        time.sleep(0.1)
    marker.unlink(missing_ok=True)
    return True


def _is_engine(pid: int) -> bool:
    # A process that has ended has no exe to read, also where nobody reaps it.
    try:
        return Path(f"/proc/{pid}/exe").readlink().name.startswith("dockerd")
    except OSError:
        return False


def _started_at(pid: int) -> float:
    """When the process started, in seconds since the machine did."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[19]) / os.sysconf("SC_CLK_TCK")


def _boot_id() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def _systemd() -> bool:
    return Path("/run/systemd/system").is_dir()


def _path() -> str:
    """The search path with the directories of system programs, which a user's own may lack."""
    return os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/local/sbin", "/usr/sbin", "/sbin"])
