"""Starts, stops and asks the embedded AWS's process."""

from __future__ import annotations

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
from collections.abc import Callable
from pathlib import Path
from typing import Any

from . import settings

Say = Callable[[str], None]


class EmbeddedError(Exception):
    """What is wrong and what to do, for a person."""


def health() -> dict[str, Any] | None:
    """What the running embedded AWS says of itself; None where none answers."""
    connection = http.client.HTTPConnection("127.0.0.1", settings.PORT, timeout=3)
    try:
        connection.request("GET", "/_slipway/health")
        answer = connection.getresponse()
        return dict(json.loads(answer.read())) if answer.status == 200 else None
    except (OSError, http.client.HTTPException, ValueError):
        return None
    finally:
        connection.close()


def start(gateway: str, say: Say) -> None:
    """Make sure that the embedded AWS of this checkout's code answers, with all its services running.

    gateway: the host's address on the bridge network. Raises EmbeddedError where the port is taken, or with the end of
    the log where the process does not come up.
    """
    running = health()
    if running and running["version"] == settings.code_version() and running["pid"] == _pid():
        _wait_until_settled(say)
        return
    if running and running["pid"] == _pid():
        say("The code of the embedded AWS has changed: restarting it.")
        stop(say)
    _check_port(running)
    _spawn(gateway)
    _wait_until_settled(say)


def check_ours() -> None:
    """Raise EmbeddedError where the embedded AWS on this port is somebody else's, whose things we must not take."""
    running = health()
    if running and running["pid"] != _pid():
        raise EmbeddedError(f"The embedded AWS on port {settings.PORT} (process {running['pid']}) is not the one of "
                            f"{settings.STATE}. Run this where it was started, or set SLIPWAY_AWS_STATE.")


def stop(say: Say) -> None:
    """End the process, and wait until it has saved its state and removed its containers."""
    pid = _pid()
    if pid is None:
        return
    say("Stopping the embedded AWS.")
    os.kill(pid, signal.SIGTERM)
    for number in (0, signal.SIGKILL):
        if number:
            os.kill(pid, number)
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            if _pid() is None:
                settings.PID_FILE.unlink(missing_ok=True)
                return
            time.sleep(0.1)


def _spawn(gateway: str) -> None:
    settings.STATE.mkdir(parents=True, exist_ok=True)
    _check_disk()
    with settings.LOG_FILE.open("ab") as log:
        if log.tell() > 5_000_000:
            log.truncate(0)
        process = subprocess.Popen([sys.executable, "-m", "embedded.server", gateway], cwd=settings.ROOT,
                                   stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
    settings.PID_FILE.write_text(str(process.pid))
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        answer = health()
        if answer and answer["ready"]:
            return
        if process.poll() is not None:
            raise EmbeddedError(f"The embedded AWS ended at its start. The end of {settings.LOG_FILE}:\n{_log_end()}")
        time.sleep(0.1)
    raise EmbeddedError(f"The embedded AWS did not answer within 60 s. The end of {settings.LOG_FILE}:\n{_log_end()}")


def _wait_until_settled(say: Say) -> None:
    """After a start, services that were running before come back: wait for them, up to a minute."""
    deadline, said = time.monotonic() + 60, False
    while time.monotonic() < deadline:
        answer = health()
        if answer and not (answer["waiting_services"] or answer["unhealthy_groups"] or answer["busy_stacks"]):
            return
        if answer and not said:
            names = ", ".join(answer["waiting_services"] or answer["busy_stacks"] or ["the load balancer's targets"])
            say(f"Waiting for {names} to come back.")
            said = True
        time.sleep(0.2)


def _check_port(running: dict[str, Any] | None) -> None:
    for attempt in range(2):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", settings.PORT))
                return
            except OSError:
                if attempt == 0 and not running:
                    time.sleep(1)
    what = f"the embedded AWS of another checkout (process {running['pid']})" if running else "another program"
    raise EmbeddedError(f"Port {settings.PORT} is taken by {what}. "
                        f"Stop it, or choose another port: SLIPWAY_AWS_PORT={settings.PORT + 100} make demo")


def _check_disk() -> None:
    free = shutil.disk_usage(settings.STATE).free
    if free < 500_000_000:
        raise EmbeddedError(f"Only {free // 1_000_000} MB are free under {settings.STATE}; 500 MB are needed. "
                            "Free some space, then run this again.")


def _pid() -> int | None:
    """The process id of our server, if it lives."""
    with contextlib.suppress(OSError, ValueError):
        pid = int(settings.PID_FILE.read_text())
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        # Our own child that ended but was not waited for is no server any more.
        if state != "Z" and "embedded.server" in Path(f"/proc/{pid}/cmdline").read_text():
            return pid
    return None


def _log_end(lines: int = 15) -> str:
    with contextlib.suppress(OSError):
        return "\n".join(settings.LOG_FILE.read_text(errors="replace").splitlines()[-lines:])
    return ""
