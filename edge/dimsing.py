"""Builds the DICOM services and what works beside them, and starts them.

A service is one line here; a part that runs beside the listener (a poller, a reporter) is another.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from edge.access.dicom_tls import DicomTls
from edge.cache.admission import Admission
from edge.cache.catalogue import Catalogue
from edge.cache.changes import Changes
from edge.cache.commitments import Commitments
from edge.cache.custody import CustodyLedger
from edge.cache.peers import PeerBook
from edge.cache.retrieval import Retrieval
from edge.cache.transcoding import Transcoding
from edge.config import Config
from edge.dimse.commitment_reports import CommitmentReports
from edge.dimse.find import query_service
from edge.dimse.peers import Peers
from edge.dimse.requestor import Dialer
from edge.dimse.server import DimseServer
from edge.dimse.services import Service
from edge.dimse.storage_commitment import Askers, storage_commitment_service
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
    commitments: Commitments
    """Keeps what we are asked to vouch for."""
    database: Database
    changes: Changes
    peers: Peers
    """Who may call, and where they are."""
    dialer: Dialer
    """Calls them."""
    book: PeerBook
    """Has those that were approved, and lists strangers."""
    told: Changes
    """Woken by commands, which may have approved one."""
    tls: DicomTls
    """Loaded, if ``tls_listen`` is named."""


async def start_dimse(supervisor: Supervisor, means: DimseMeans, config: Config) -> DimseServer:
    """Start the listener, with every service, and what works beside it.

    Raises:
        ConfigError: The address can't be listened on.
    """
    await means.book.refresh()
    supervisor.start("peers", partial(means.book.run, means.told))
    server = DimseServer(
        config.dimse,
        means.peers,
        means.admission,
        max_instance_bytes=config.cache.max_instance_bytes,
        services=_services(supervisor, means, config),
        tls=means.tls,
    )
    await supervisor.start_ready("dimse", lambda ready: server.serve(ready=ready))
    return server


def _services(supervisor: Supervisor, means: DimseMeans, config: Config) -> tuple[Service, ...]:
    """All beside Verification and Storage; what works beside one is started with it."""
    return (
        query_service(Catalogue(means.database)),
        _commitment(supervisor, means, config),
    )


def _commitment(supervisor: Supervisor, means: DimseMeans, config: Config) -> Service:
    commitments, askers = means.commitments, Askers()
    reports = CommitmentReports(
        commitments, askers, means.peers, means.dialer, config.dimse.ae_title, means.changes
    )
    supervisor.start("commitments", reports.run)
    return storage_commitment_service(commitments, askers)
