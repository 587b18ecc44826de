"""The DICOM listener: accepts connections, gives each its association, owns all their tasks.

Promises that no association outlives `serve`, and that none can hurt another: they share a bounded
account of memory, a bounded number, and nothing else. It speaks no protocol itself.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Sequence

from edge.cache.admission import Admission
from edge.config import Dimse, host_and_port
from edge.dimse.association import Association, Shared
from edge.dimse.peers import Peers
from edge.dimse.services import Service
from edge.dimse.storage import storage_service
from edge.dimse.upper_layer import UpperLayer
from edge.dimse.verification import verification_service
from edge.errors import ConfigError

__all__ = ["DimseServer"]

BACKLOG = 512
MIN_PDU, MAX_PDU = 4096, 1024 * 1024


class DimseServer:
    """The acceptor: Verification and Storage, and whatever else it is given.

    Args:
        settings: ``[dimse]``.
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
        return self._shared.associated if self._shared else 0

    async def serve(self, *, ready: asyncio.Event | None = None) -> None:
        """Listen until cancelled; then abort every association and wait for its end.

        Args:
            ready: Set as soon as connections are accepted.

        Raises:
            ConfigError: The address can't be listened on.
        """
        group = asyncio.TaskGroup()
        self._shared = shared = Shared(
            settings=self._settings,
            peers=Peers(self._settings),
            services=self._services,
            max_instance_bytes=self._max_instance_bytes,
            spawn=group.create_task,
        )
        listener = await self._listen(shared)
        try:
            async with group:
                self._port = listener.sockets[0].getsockname()[1]
                await listener.start_serving()
                if ready is not None:
                    ready.set()
                try:
                    await asyncio.get_running_loop().create_future()
                finally:
                    shared.is_stopping = True
        finally:
            listener.close()
            # Aborted by now; what lingers for the peer's end of the connection goes too.
            for association in tuple(shared.connections):
                association.layer.disconnect()

    async def _listen(self, shared: Shared) -> asyncio.Server:
        def connect() -> UpperLayer:
            return Association(shared).layer

        host, port = self._address
        try:
            return await asyncio.get_running_loop().create_server(
                connect,
                host,
                port,
                backlog=BACKLOG,
                ssl=self._tls,
                ssl_handshake_timeout=self._settings.artim_seconds if self._tls else None,
                start_serving=False,
            )
        except OSError as error:
            raise ConfigError(
                f"dimse.listen: {self._settings.listen} can't be listened on: {error}",
                hint="another program may be using the port",
            ) from error
