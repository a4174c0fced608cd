"""Log lines as Jenkins writes them to its standard error, from where systemd's journal takes them."""

from __future__ import annotations

import sys
import threading
import time

_lock = threading.Lock()


def line(level: str, source: str, message: str) -> None:
    now = time.time()
    stamp = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(now))
    thread = threading.get_native_id()
    with _lock:
        print(f"{stamp}.{int(now % 1 * 1000):03d}+0000 [id={thread}]\t{level}\t{source}: {message}",
              file=sys.stderr, flush=True)


def info(source: str, message: str) -> None:
    line("INFO", source, message)


def warning(source: str, message: str) -> None:
    line("WARNING", source, message)


def severe(source: str, message: str) -> None:
    line("SEVERE", source, message)
