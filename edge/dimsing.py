"""Builds the DICOM services and what works beside them, and starts them.

A service is one line here; a part that runs beside the listener (a poller, a reporter) is another.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edge.cache.admission import Admission
from edge.cache.catalogue import Catalogue
from edge.cache.changes import Changes
from edge.cache.custody import CustodyLedger
from edge.cache.retrieval import Retrieval
from edge.cache.transcoding import Transcoding
from edge.config import Config
from edge.dimse.get import get_service
from edge.dimse.move import move_service
from edge.dimse.peers import Peers
from edge.dimse.requestor import Dialer
from edge.dimse.retrieve import Selection
from edge.dimse.server import DimseServer
from edge.dimse.services import Service
from edge.index.database import Database
from edge.supervision import Supervisor

__all__ = ["DimseMeans", "start_dimse"]


@dataclass(frozen=True, slots=True)
class DimseMeans:
    """What the DICOM services work with."""

    admission: Admission
    """Takes what comes."""
    retrieval: Retrieval
    """Opens what is sent."""
    transcoding: Transcoding
    """Makes it another syntax where a peer takes no other."""
    ledger: CustodyLedger
    """Knows who vouches for what."""
    database: Database
    changes: Changes
    peers: Peers
    """Who may call, and where they are."""
    dialer: Dialer
    """Calls them."""


async def start_dimse(supervisor: Supervisor, means: DimseMeans, config: Config) -> DimseServer:
    """Start the listener, with every service, and what works beside it.

    Raises:
        ConfigError: The address can't be listened on.
    """
    server = DimseServer(
        config.dimse,
        means.peers,
        means.admission,
        max_instance_bytes=config.cache.max_instance_bytes,
        services=_services(means, config),
    )
    await supervisor.start_ready("dimse", lambda ready: server.serve(ready=ready))
    return server


def _services(means: DimseMeans, config: Config) -> Sequence[Service]:
    """All beside Verification and Storage."""
    del config
    retrieval, transcoding = means.retrieval, means.transcoding
    selection = Selection(retrieval, Catalogue(means.database))
    return (
        move_service(selection, retrieval, transcoding, means.peers, means.dialer),
        get_service(selection, retrieval, transcoding),
    )
