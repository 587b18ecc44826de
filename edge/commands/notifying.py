"""Tells systemd how the service is, if it wants to know (sd_notify(3)).

A service that waits for what opens it has started as far as systemd is concerned: a unit that
waited for more would be ended for being slow, and what is ordered behind it would never start.
"""

from __future__ import annotations

import contextlib
import os
import socket

__all__ = ["notify"]


def notify(state: str) -> None:
    """Say in one line how the service is; nothing happens without ``Type=notify``."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if address[:1] not in ("/", "@"):
        return
    line = state.splitlines()[0] if state else ""
    word = "STOPPING" if state == "stopping" else "READY"
    name = "\0" + address[1:] if address[0] == "@" else address
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as door:
        door.settimeout(1.0)
        door.sendto(f"{word}=1\nSTATUS={line}\n".encode(), name)
