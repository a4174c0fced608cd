"""The start: as jenkins.war's own, with its messages and exit codes."""

from __future__ import annotations

import os
import signal
import sys
import threading
import traceback
from pathlib import Path

from . import groovy, java, log, settings, systemd
from .controller import Controller
from .restart import RESTART
from .server import Server


def main() -> int:
    try:
        chosen = settings.read(sys.argv[1:], os.environ)
        java.check(chosen.java, os.environ.get("JAVA_OPTS", ""), chosen.version)
    except (settings.UsageError, java.UnsuitableJava) as error:
        print(error, file=sys.stderr, flush=True)
        return 1
    if chosen.log_file:
        _log_to(chosen.log_file)
    try:
        return _serve(chosen)
    except OSError as error:
        log.severe("executable.Main", f"java.io.IOException: {error}")
        return 1


def _log_to(path: str) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(handle, 1)
    os.dup2(handle, 2)
    os.close(handle)


def _serve(chosen: settings.Settings) -> int:
    chosen.home.mkdir(parents=True, exist_ok=True)
    if chosen.webroot:
        # Jenkins unpacks its war here, and does not start where it may not write.
        Path(chosen.webroot).mkdir(parents=True, exist_ok=True)
        (Path(chosen.webroot) / ".timestamp2").touch()
    log.info("winstone.Logger#logInternal", "Beginning extraction from war file")
    controller = Controller(chosen)
    try:
        server = Server(controller)
    except OSError as error:
        log.severe("winstone.Logger#logInternal", "Container startup failed\n"
                   f"java.io.IOException: Failed to bind to {chosen.address}/{chosen.address}:{chosen.port}\n"
                   f"Caused by: java.net.BindException: {error.strerror}")
        return 1
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, frame: controller.end(128 + number))
    threading.Thread(target=server.serve_forever, name="http", daemon=True).start()
    threading.Thread(target=_start, args=(controller,), name="start", daemon=True).start()
    while not controller.ended.wait(3600):
        pass
    systemd.notify("STOPPING=1")
    controller.stop()
    server.shutdown()
    server.server_close()
    if controller.exit_code == RESTART and not systemd.supervises():
        # Nobody starts it again, so it replaces itself, as Jenkins does outside of a service.
        arguments = [sys.executable, *(["-I"] if sys.flags.isolated else []), chosen.war, *sys.argv[1:]]
        os.execv(sys.executable, arguments)
    sys.stdout.flush()
    sys.stderr.flush()
    # Threads that wait for AWS need not be waited for.
    os._exit(controller.exit_code)


def _start(controller: Controller) -> None:
    try:
        controller.start()
    except groovy.NotUnderstood as problem:
        log.severe("j.util.groovy.GroovyHookScript#execute", str(problem))
        controller.end(1)
    except Exception:
        log.severe("hudson.util.BootFailure#publish", f"Failed to initialize Jenkins\n{traceback.format_exc()}")
        controller.end(1)
    else:
        systemd.notify("READY=1\nSTATUS=Jenkins is fully up and running")
