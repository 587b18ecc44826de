"""Builds the DICOM services and what works beside them, and starts them.

A service is one line here; a part that runs beside the listener (a poller, a reporter) is another.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from edge.access.audit.recorder import Audit
from edge.access.dicom_tls import DicomTls
from edge.cache.admission import Admission
from edge.cache.associations import Associations
from edge.cache.catalogue import Catalogue
from edge.cache.changes import Changes
from edge.cache.commitments import Commitments
from edge.cache.completeness import Completeness
from edge.cache.custody import CustodyLedger
from edge.cache.outbox import Outbox
from edge.cache.peers import PeerBook
from edge.cache.procedures import Procedures
from edge.cache.retrieval import Retrieval
from edge.cache.transcoding import Transcoding
from edge.cache.worklist import Worklist
from edge.config import Config
from edge.dicom.procedure import ScheduledStep, StepState
from edge.dimse.carrying import Carrying
from edge.dimse.commitment_reports import CommitmentReports
from edge.dimse.find import query_service
from edge.dimse.get import get_service
from edge.dimse.giving import Giving
from edge.dimse.move import move_service
from edge.dimse.mpps import mpps_service
from edge.dimse.outbox import Messenger
from edge.dimse.peers import Peers
from edge.dimse.requestor import Dialer
from edge.dimse.retrieve import Selection
from edge.dimse.server import DimseServer
from edge.dimse.services import Service
from edge.dimse.storage_commitment import Askers, storage_commitment_service
from edge.dimse.witness import DimseWitness
from edge.dimse.worklist import worklist_service
from edge.dimse.worklist_poll import WorklistPoll
from edge.dropfolder.worklist import WorklistFolder
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
    worklist: Worklist
    """What is scheduled."""
    associations: Associations
    """What went wrong with them."""
    audit: Audit
    """The record."""


async def start_dimse(
    supervisor: Supervisor, means: DimseMeans, config: Config
) -> tuple[DimseServer, Giving]:
    """Start the listener, with every service, and what works beside it; what sends studies, too.

    Raises:
        ConfigError: The address can't be listened on.
    """
    await means.book.refresh()
    carrying = Carrying(means.retrieval, means.transcoding, means.dialer)
    supervisor.start("peers", partial(means.book.run, means.told))
    supervisor.start("associations", means.associations.run)
    server = DimseServer(
        config.dimse,
        means.peers,
        means.admission,
        max_instance_bytes=config.cache.max_instance_bytes,
        services=await _services(supervisor, means, config, carrying),
        tls=means.tls,
        casebook=means.dialer.casebook,
    )
    await supervisor.start_ready("dimse", lambda ready: server.serve(ready=ready))
    giving = Giving(means.retrieval, carrying, means.peers, DimseWitness(means.audit).gave)
    supervisor.start("giving", giving.run)
    return server, giving


async def _services(
    supervisor: Supervisor, means: DimseMeans, config: Config, carrying: Carrying
) -> tuple[Service, ...]:
    """All beside Verification and Storage; what works beside one is started with it."""
    catalogue = Catalogue(means.database)
    retrieval, transcoding = means.retrieval, means.transcoding
    selection = Selection(retrieval, catalogue)
    return (
        query_service(catalogue),
        move_service(selection, carrying, means.peers),
        get_service(selection, retrieval, transcoding),
        _commitment(supervisor, means, config),
        await _worklist(supervisor, means, config),
        await _procedures(supervisor, means, config),
    )


def _commitment(supervisor: Supervisor, means: DimseMeans, config: Config) -> Service:
    commitments, askers = means.commitments, Askers()
    reports = CommitmentReports(
        commitments,
        askers,
        means.peers,
        means.dialer,
        config.dimse.ae_title,
        means.changes,
    )
    supervisor.start("commitments", reports.run)
    return storage_commitment_service(commitments, askers)


async def _worklist(supervisor: Supervisor, means: DimseMeans, config: Config) -> Service:
    """With what asks its sources."""
    await means.worklist.begin()
    for source in config.worklist.source:
        part: WorklistPoll | WorklistFolder
        if source.kind == "dicom":
            part = WorklistPoll(source, means.worklist, means.dialer)
        else:
            part = WorklistFolder(source, means.worklist)
        supervisor.start(f"worklist {source.name}", part.run)
    return worklist_service(means.worklist)


async def _procedures(supervisor: Supervisor, means: DimseMeans, config: Config) -> Service:
    """With what knows when studies are complete, and what tells peers of it and of steps."""
    peers, ae_title = config.dimse.peer, config.dimse.ae_title.strip()
    forward_to = [peer.ae_title.strip() for peer in peers if peer.forward_mpps]
    notify = [peer.ae_title.strip() for peer in peers if peer.notify]

    async def tell(step: ScheduledStep, state: StepState) -> None:
        await means.worklist.set_step_state(
            step.study_uid, step.step_id, state.value, accession_number=step.accession_number
        )

    steps = Procedures(means.database, means.changes, forward_to=forward_to, tell=tell)
    outbox = Outbox(means.database, means.changes, ae_title=ae_title)
    completeness = Completeness(means.database, config.procedures, means.changes, notify=notify)
    await supervisor.start_ready(
        "completeness", lambda ready: completeness.run(steps, outbox, ready=ready)
    )
    supervisor.start("outbox", Messenger(outbox, means.peers, means.dialer, means.changes).run)
    return mpps_service(steps)
