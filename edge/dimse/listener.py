"""The listening sockets: bound once, and accepted from one connection at a time.

Owns what asyncio's own server does badly under attack: when no file descriptor is left, it is said
once a while and not for every connection, somebody gives one back, and those who wait are accepted
later. It knows no protocol; whoever is accepted goes to a callback with its address.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
from collections.abc import Callable
from typing import Self

from edge.dimse.quiet import QuietLog

__all__ = ["Listener"]

LOG = logging.getLogger(__name__)

NAME = "the DICOM port"
BACKLOG = 512
PAUSE = 0.2
"""Seconds until accepting is tried again when there was no file descriptor."""
_EXHAUSTED = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
_UNINTERESTING = (errno.ECONNABORTED, errno.EPERM, errno.EPROTO, errno.ETIMEDOUT)
"""The one connection failed before it was accepted; the next may not (accept(2))."""


class Listener:
    """One address, and everybody who connects to it; leaving the block closes it.

    Args:
        connected: Gets each connection, not blocking, with the peer's address. It owns it.
        exhausted: Called when there is no file descriptor for the next one; may free some.
    """

    def __init__(
        self,
        connected: Callable[[socket.socket, str], object],
        exhausted: Callable[[], object],
    ) -> None:
        self._connected = connected
        self._exhausted = exhausted
        self._sockets: list[socket.socket] = []
        self._log = QuietLog(LOG)

    async def bind(self, host: str, port: int) -> int:
        """Listen on every address of *host*; which port it is, where *port* is 0.

        Raises:
            OSError: It can't be listened on.
        """
        found = await asyncio.get_running_loop().getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        for family, address in dict.fromkeys((entry[0], entry[4]) for entry in found):
            # Where any port will do, the first address chooses it for all.
            here = (address[0], port, *address[2:])
            listening = socket.create_server(here, family=family, backlog=BACKLOG)
            self._sockets.append(listening)
            # Nagle's algorithm is off for all that is accepted: Linux lets them inherit it.
            listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            listening.setblocking(False)
            port = listening.getsockname()[1]
        return port

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Accept no more; those who were accepted stay."""
        for listening in self._sockets:
            listening.close()
        self._sockets.clear()

    async def accept(self) -> None:
        """Accept until cancelled."""
        async with asyncio.TaskGroup() as group:
            for listening in self._sockets:
                group.create_task(self._accept(listening))

    async def _accept(self, listening: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            pause = 0.0  # others have their turn even while a crowd comes in
            try:
                connection, address = await loop.sock_accept(listening)
            except OSError as error:
                if error.errno in _EXHAUSTED:
                    why = error.strerror
                    self._log.log(NAME, logging.ERROR, "%s: nobody can connect now: %s", NAME, why)
                    self._exhausted()
                    pause = PAUSE
                elif error.errno not in _UNINTERESTING:
                    raise
            else:
                self._connected(connection, address[0])
            await asyncio.sleep(pause)
