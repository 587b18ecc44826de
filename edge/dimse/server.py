"""The DICOM listeners: accept connections, give each its association, own all their tasks.

There is one for plain TCP, one for TLS, or both. Promises that no association outlives `serve`, and
that none can hurt another: they share a bounded account of memory, a bounded number, and nothing
else. It speaks no protocol itself.
"""

from __future__ import annotations

import asyncio
import logging
import resource
import socket
from collections.abc import Sequence
from contextlib import AsyncExitStack
from functools import partial

from edge.addresses import host_and_port, not_listening
from edge.cache.admission import Admission
from edge.config import Dimse
from edge.dimse.association import Association
from edge.dimse.casebook import CaseBook
from edge.dimse.connections import MAX_UNASSOCIATED, Connections
from edge.dimse.listener import Listener
from edge.dimse.peers import Peers
from edge.dimse.services import Service
from edge.dimse.shared import ServerTls, Shared
from edge.dimse.storage import storage_service
from edge.dimse.verification import verification_service
from edge.errors import ConfigError
from edge.peering import namesakes

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
        tls: What is spoken at ``tls_listen`` (PS3.15 B).
        casebook: Has what goes wrong written down.

    Raises:
        ConfigError: ``max_pdu`` is out of its range.
        ValueError: ``listen`` or ``tls_listen`` is not an address.
    """

    def __init__(
        self,
        settings: Dimse,
        peers: Peers,
        admission: Admission,
        *,
        max_instance_bytes: int,
        services: Sequence[Service] = (),
        tls: ServerTls | None = None,
        casebook: CaseBook | None = None,
    ) -> None:
        if not MIN_PDU <= settings.max_pdu <= MAX_PDU:
            raise ConfigError(f"dimse.max_pdu must be {MIN_PDU} to {MAX_PDU} bytes")
        listens = {"listen": settings.listen, "tls_listen": settings.tls_listen}
        self._addresses = {key: host_and_port(text) for key, text in listens.items() if text}
        self._settings = settings
        self._peers = peers
        self._max_instance_bytes = max_instance_bytes
        self._services = (verification_service(), *services, storage_service(admission))
        self._tls = tls
        self._casebook = casebook or CaseBook(settings)
        self._ports: dict[str, int] = {}
        self._shared: Shared | None = None

    @property
    def services(self) -> tuple[Service, ...]:
        """What is offered, each to peers that have its right."""
        return self._services

    @property
    def port(self) -> int:
        """The TCP port of plain DICOM; 0 before `serve` is ready, or if there is none."""
        return self._ports.get("listen", 0)

    @property
    def tls_port(self) -> int:
        """The TCP port of DICOM over TLS; 0 before `serve` is ready, or if there is none."""
        return self._ports.get("tls_listen", 0)

    @property
    def associations(self) -> int:
        """How many peers are associated now."""
        return self._shared.connections.associated if self._shared else 0

    @property
    def is_quiet(self) -> bool:
        """Whether an end of this server would interrupt nobody."""
        return self._shared is None or self._shared.connections.is_quiet

    @property
    def is_idle(self) -> bool:
        """Whether no request is under way, be an association about to begin another or not."""
        return self._shared is None or self._shared.connections.is_idle

    def turn_away(self, why: str) -> None:
        """Let nobody associate from now on; those that are associated go on. Empty: let them."""
        if self._shared:
            self._shared.connections.turns_away = why

    async def serve(self, *, ready: asyncio.Event | None = None) -> None:
        """Listen until cancelled; then abort every association and wait for its end.

        Args:
            ready: Set as soon as connections are accepted.

        Raises:
            ConfigError: An address can't be listened on.
        """
        self._shared = shared = Shared(
            settings=self._settings,
            peers=self._peers,
            services=self._services,
            max_instance_bytes=self._max_instance_bytes,
            connections=_bounded(self._settings.max_associations),
            casebook=self._casebook,
            tls=self._tls,
        )
        self._warn_of_namesakes()
        connections = shared.connections
        group = asyncio.TaskGroup()

        def attend(connection: socket.socket, host: str, *, is_encrypted: bool) -> None:
            association = Association(shared, host, is_encrypted=is_encrypted)
            group.create_task(association.run(connection))

        exhausted = partial(connections.relieve, "no more files can be opened")
        async with AsyncExitStack() as stack:
            listeners = []
            for key in self._addresses:
                connected = partial(attend, is_encrypted=key == "tls_listen")
                listeners.append(await stack.enter_async_context(Listener(connected, exhausted)))
                await self._bind(listeners[-1], key)
            try:
                async with group, asyncio.TaskGroup() as accepting:
                    for listener in listeners:
                        accepting.create_task(listener.accept())
                    if ready is not None:
                        ready.set()
                    if not listeners:  # its one door could not be opened
                        await asyncio.Event().wait()
            finally:
                # Aborted by now; what lingers for the peer's end of the connection goes too.
                for member in connections:
                    member.give_way("this server stops")

    def _warn_of_namesakes(self) -> None:
        for title, those in namesakes(self._settings.peer).items():
            hosts = ", ".join(peer.host or "any address" for peer in those)
            called = self._peers.find(title)
            LOG.warning(
                "%d [[dimse.peer]] have the AE title %s (%s): a caller is the first that fits;"
                " what goes to %s goes to %s",
                len(those),
                title,
                hosts,
                title,
                called.host if called else "none of them",
            )

    async def _bind(self, listener: Listener, key: str) -> None:
        try:
            self._ports[key] = await listener.bind(*self._addresses[key])
        except OSError as error:
            listen = getattr(self._settings, key)
            raise not_listening(f"dimse.{key}", listen, error) from error


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
