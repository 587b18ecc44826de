"""Builds the DICOM services and what works beside them, and starts them.

A service is one line here; a part that runs beside the listener (a poller, a reporter) is another.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edge.cache.admission import Admission
from edge.cache.changes import Changes
from edge.cache.completeness import Completeness
from edge.cache.custody import CustodyLedger
from edge.cache.outbox import Outbox
from edge.cache.procedures import Procedures
from edge.cache.retrieval import Retrieval
from edge.cache.transcoding import Transcoding
from edge.config import Config
from edge.dimse.mpps import mpps_service
from edge.dimse.outbox import Messenger
from edge.dimse.peers import Peers
from edge.dimse.requestor import Dialer
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
    steps = _procedures(means, config)
    await _start_telling(supervisor, means, config, steps)
    server = DimseServer(
        config.dimse,
        means.peers,
        means.admission,
        max_instance_bytes=config.cache.max_instance_bytes,
        services=_services(means, config, steps),
    )
    await supervisor.start_ready("dimse", lambda ready: server.serve(ready=ready))
    return server


def _services(means: DimseMeans, config: Config, steps: Procedures) -> Sequence[Service]:
    """All beside Verification and Storage."""
    del means, config
    return (mpps_service(steps),)


def _procedures(means: DimseMeans, config: Config) -> Procedures:
    forward_to = [peer.ae_title.strip() for peer in config.dimse.peer if peer.forward_mpps]
    # The worklist hears of each step by `tell`.
    return Procedures(means.database, means.changes, forward_to=forward_to, tell=None)


async def _start_telling(
    supervisor: Supervisor, means: DimseMeans, config: Config, steps: Procedures
) -> None:
    """Start what knows when studies are complete, and what tells peers of it and of steps."""
    notify = [peer.ae_title.strip() for peer in config.dimse.peer if peer.notify]
    outbox = Outbox(means.database, means.changes, ae_title=config.dimse.ae_title.strip())
    completeness = Completeness(means.database, config.procedures, means.changes, notify=notify)
    await supervisor.start_ready(
        "completeness", lambda ready: completeness.run(steps, outbox, ready=ready)
    )
    messenger = Messenger(outbox, means.peers, means.dialer, means.changes)
    supervisor.start("outbox", messenger.run)
