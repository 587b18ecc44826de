"""The DICOM port of a box that is locked: every association is rejected for now, and nothing else.

Modalities try again by themselves after a transient rejection (PS3.8 9.3.4), and show their users
what they show when an archive is busy; nothing that they hold is lost. Nothing that they send is
looked at beyond its length. Over TLS nobody listens: the certificate is sealed like everything
else.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import struct

from edge.addresses import host_and_port, not_listening
from edge.config import Dimse
from edge.dimse.framing import PduType
from edge.dimse.listener import Listener
from edge.dimse.quiet import QuietLog

__all__ = ["ShutDoor"]

LOG = logging.getLogger(__name__)

_HEADER = struct.Struct(">BxI")
_REJECTION = struct.Struct(">BxIxBBB")
_TRANSIENT, _PRESENTATION, _CONGESTION = 2, 3, 1
_MOST = 64 * 1024
"""Bytes of a request; longer ones are no sensible ones."""
_SECONDS = 10.0
"""For the whole request, and for its sender to hang up."""
_CONNECTIONS = 64


class ShutDoor:
    """It.

    Args:
        settings: ``[dimse]``; without ``listen``, nobody listens.
    """

    def __init__(self, settings: Dimse) -> None:
        self._settings = settings
        self._slots = asyncio.Semaphore(_CONNECTIONS)
        self._log = QuietLog(LOG)
        self.port = 0
        """The one that is listened on, once ``serve`` is ready; 0: none is."""

    async def serve(self, *, ready: asyncio.Event) -> None:
        """Reject until cancelled.

        Raises:
            ConfigError: The address can't be listened on.
        """
        if not self._settings.listen:
            ready.set()
            await asyncio.Event().wait()
        host, port = host_and_port(self._settings.listen)
        group = asyncio.TaskGroup()

        def attend(connection: socket.socket, peer: str) -> None:
            group.create_task(self._reject(connection, peer), name="shut door")

        async with Listener(attend, lambda: None) as listener:
            try:
                self.port = await listener.bind(host, port)
            except OSError as error:
                raise not_listening("dimse.listen", self._settings.listen, error) from error
            ready.set()
            async with group:
                await listener.accept()

    async def _reject(self, connection: socket.socket, peer: str) -> None:
        loop = asyncio.get_running_loop()
        with connection:
            connection.setblocking(False)
            if self._slots.locked():
                return
            try:
                async with self._slots, asyncio.timeout(_SECONDS):
                    kind, length = _HEADER.unpack(await _exactly(connection, _HEADER.size))
                    if kind != PduType.ASSOCIATE_RQ or length > _MOST:
                        return
                    await _exactly(connection, length)
                    await loop.sock_sendall(
                        connection,
                        _REJECTION.pack(
                            PduType.ASSOCIATE_RJ, 4, _TRANSIENT, _PRESENTATION, _CONGESTION
                        ),
                    )
                    self._log.log(
                        peer, logging.WARNING, "%s was rejected for now: the box is locked", peer
                    )
                    connection.shutdown(socket.SHUT_WR)
                    await loop.sock_recv(connection, 1)  # it hangs up, having read that
            except (OSError, TimeoutError):
                return


async def _exactly(connection: socket.socket, length: int) -> bytes:
    loop, got = asyncio.get_running_loop(), bytearray()
    while len(got) < length:
        piece = await loop.sock_recv(connection, length - len(got))
        if not piece:
            raise OSError("it hung up")
        got += piece
    return bytes(got)
