"""What systemd is told of the service (sd_notify(3)): that it is ready, how it is, that it lives.

Owns the words and the watch. Promises that the watchdog is fed by proof and not by habit: what a
service must be able to do is done, and only then it is said. A service that was not started by
systemd tells nobody. Nothing that is told names a patient.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from edge.errors import StorageFull

__all__ = ["Systemd", "keep_watch"]

log = logging.getLogger(__name__)

_SHARE: Final = 4
"""Proofs in the time that a watchdog waits: one or two may be lost."""
_LONG: Final = 30 * 86400.0
"""Seconds for which nothing is expected of it."""


class Systemd:
    """The manager that started this process, if one did.

    Args:
        environ: Of this process.
    """

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        address = environ.get("NOTIFY_SOCKET", "")
        # A name that begins with @ is one of the abstract namespace (unix(7)).
        self._address = f"\0{address[1:]}" if address.startswith("@") else address
        self._watch = environ.get("WATCHDOG_USEC", "")
        if environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
            self._watch = ""
        self._has_failed = False

    @property
    def watch_seconds(self) -> float | None:
        """After which the process is ended unless it says that it lives; None: never."""
        return int(self._watch) / 1e6 if self._watch.isascii() and self._watch.isdigit() else None

    def waiting(self, state: str) -> None:
        """It can't go on without somebody, and for systemd it has started.

        A unit that waited for more would be ended for being slow, and what is ordered behind it
        would never start.

        Args:
            state: What it waits for.
        """
        self._tell("READY=1", _status(state), *self._watching(_LONG))

    def opening(self) -> None:
        """What is here is opened, which takes as long as it takes: an index may be rebuilt."""
        self._tell("STATUS=opens what is here", *self._watching(_LONG))

    def ready(self) -> None:
        """It serves."""
        self._tell("READY=1", "STATUS=runs", *self._watching(self.watch_seconds or 0.0))

    def stopping(self) -> None:
        """It was told to, and will not come back by itself."""
        self._tell("STOPPING=1", "STATUS=stops")

    def alive(self, state: str) -> None:
        """It was just proved.

        Args:
            state: How things are.
        """
        self._tell("WATCHDOG=1", _status(state))

    def _watching(self, seconds: float) -> list[str]:
        return [f"WATCHDOG_USEC={seconds * 1e6:.0f}"] if self.watch_seconds else []

    def _tell(self, *words: str) -> None:
        """Say something, at once or not at all: nobody waits for systemd."""
        if not self._address:
            return
        message = "\n".join(words).encode("utf-8", "replace")
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as door:
            try:
                door.sendto(message, self._address)
            except OSError as error:
                if not self._has_failed:
                    log.warning("systemd can't be told how things are: %s", error.strerror)
                self._has_failed = True


def _status(state: str) -> str:
    return f"STATUS={' '.join(state.split())}"


async def keep_watch(
    systemd: Systemd, seconds: float, proof: Callable[[], Awaitable[None]], state: Callable[[], str]
) -> None:
    """Prove life and tell of it, often enough, until cancelled.

    Args:
        systemd: Whom to tell.
        seconds: The time that it waits.
        proof: Does what a service must be able to do. While it fails, nothing is told.
        state: How things are.
    """
    while True:
        # That there is no room is no fault of the process: to start it again would not give it any.
        with contextlib.suppress(StorageFull):
            await proof()
        systemd.alive(state())
        await asyncio.sleep(seconds / _SHARE)
