"""What systemd is told about the service."""

from __future__ import annotations

import contextlib
import os
import socket


def notify(state: str) -> None:
    """sd_notify; does nothing where systemd did not start this process."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    if address.startswith("@"):
        address = "\0" + address[1:]
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.sendto(state.encode(), address)


def supervises() -> bool:
    return "NOTIFY_SOCKET" in os.environ
