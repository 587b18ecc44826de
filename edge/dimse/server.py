"""The DICOM listener: accepts connections, gives each its association, owns all their tasks.

Promises that no association outlives `serve`, and that none can hurt another: they share a bounded
account of memory, a bounded number, and nothing else. It speaks no protocol itself.
"""

from __future__ import annotations

import asyncio
import logging
import resource
import socket
import ssl
from collections.abc import Sequence
from functools import partial

from edge.cache.admission import Admission
from edge.config import Dimse, host_and_port, not_listening
from edge.dimse.association import Association, Shared
from edge.dimse.connections import MAX_UNASSOCIATED, Connections
from edge.dimse.listener import Listener
from edge.dimse.peers import Peers
from edge.dimse.services import Service
from edge.dimse.storage import storage_service
from edge.dimse.verification import verification_service
from edge.errors import ConfigError

__all__ = ["DimseServer"]

LOG = logging.getLogger(__name__)

MIN_PDU, MAX_PDU = 4096, 1024 * 1024


class DimseServer:
    """The acceptor: Verification and Storage, and whatever else it is given.

    Args:
        settings: ``[dimse]``.
        peers: Who may call.
        admission: Where instances go.
        max_instance_bytes: A longer data set is refused by an abort.
        services: Further services; they come before Storage, which takes every private SOP class.
        tls: Speaks TLS on this listener (PS3.15 B); None: plain TCP.

    Raises:
        ConfigError: ``max_pdu`` is out of its range, or ``listen`` is not an address.
    """

    def __init__(
        self,
        settings: Dimse,
        peers: Peers,
        admission: Admission,
        *,
        max_instance_bytes: int,
        services: Sequence[Service] = (),
        tls: ssl.SSLContext | None = None,
    ) -> None:
        if not MIN_PDU <= settings.max_pdu <= MAX_PDU:
            raise ConfigError(f"dimse.max_pdu must be {MIN_PDU} to {MAX_PDU} bytes")
        self._address = host_and_port(settings.listen)
        self._settings = settings
        self._peers = peers
        self._max_instance_bytes = max_instance_bytes
        self._services = (verification_service(), *services, storage_service(admission))
        self._tls = tls
        self._port = 0
        self._shared: Shared | None = None

    @property
    def port(self) -> int:
        """The TCP port that is listened on; 0 before `serve` is ready."""
        return self._port

    @property
    def associations(self) -> int:
        """How many peers are associated now."""
        return self._shared.connections.associated if self._shared else 0

    async def serve(self, *, ready: asyncio.Event | None = None) -> None:
        """Listen until cancelled; then abort every association and wait for its end.

        Args:
            ready: Set as soon as connections are accepted.

        Raises:
            ConfigError: The address can't be listened on.
        """
        self._shared = shared = Shared(
            settings=self._settings,
            peers=self._peers,
            services=self._services,
            max_instance_bytes=self._max_instance_bytes,
            connections=_bounded(self._settings.max_associations),
            tls=self._tls,
        )
        connections = shared.connections
        group = asyncio.TaskGroup()

        def attend(connection: socket.socket, host: str) -> None:
            group.create_task(Association(shared, host).run(connection))

        exhausted = partial(connections.relieve, "no more files can be opened")
        async with Listener(attend, exhausted) as listener:
            await self._bind(listener)
            try:
                async with group:
                    if ready is not None:
                        ready.set()
                    await listener.accept()
            finally:
                # Aborted by now; what lingers for the peer's end of the connection goes too.
                for member in connections:
                    member.give_way("this server stops")

    async def _bind(self, listener: Listener) -> None:
        try:
            self._port = await listener.bind(*self._address)
        except OSError as error:
            raise not_listening("dimse.listen", self._settings.listen, error) from error


def _bounded(max_associations: int) -> Connections:
    """As many as were asked for, if this process may open the files that they need.

    An association takes two, its connection and the object that arrives; half of all are left for
    the index, the viewers and what they open.
    """
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if files == resource.RLIM_INFINITY:
        files = 1 << 20
    most = min(max_associations, files // 4)
    if most < max_associations:
        LOG.warning("only %d associations are possible: %d files may be opened", most, files)
    return Connections(most, min(MAX_UNASSOCIATED, files // 16))
