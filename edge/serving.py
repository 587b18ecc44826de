"""Builds what is asked for over HTTP: DICOMweb, the change feed and the admin API, and starts it.

A part of the admin API is one line here; another application that is mounted is another.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from operator import itemgetter
from pathlib import Path
from typing import Any

import msgspec
from aiohttp import web

from edge.access.acts import Service
from edge.access.audit.messages import Messages
from edge.access.audit.recorder import Audit
from edge.access.emergencies import Emergencies
from edge.access.gate import Gate
from edge.access.http_tls import HttpTls
from edge.access.oidc.people import ProviderPeople
from edge.access.renewals import Renewals
from edge.access.tls import box_names
from edge.admin import api
from edge.admin.absences import absence_routes
from edge.admin.archives import archive_routes
from edge.admin.audit import audit_routes
from edge.admin.certificate import certificate_routes
from edge.admin.claims import claim_of_api
from edge.admin.commitments import commitment_routes
from edge.admin.doctor import doctor_routes
from edge.admin.edits import edit_routes
from edge.admin.emergency import emergency_routes
from edge.admin.events import event_routes
from edge.admin.identities import identity_routes
from edge.admin.keys import key_routes
from edge.admin.links import link_routes
from edge.admin.local_keys import LockAsked
from edge.admin.logs import log_routes
from edge.admin.network import network_routes
from edge.admin.oidc import ProviderRoutes
from edge.admin.peers import peer_routes
from edge.admin.prefetch import prefetch_routes
from edge.admin.procedures import procedure_routes
from edge.admin.progress import progress_routes
from edge.admin.recovery import recovery_routes
from edge.admin.sending import Gives, sending_routes
from edge.admin.settings import Running, settings_routes
from edge.admin.studies import study_routes
from edge.admin.support import support_routes
from edge.admin.sync import sync_routes
from edge.admin.tokens import token_routes
from edge.admin.trash import trash_routes
from edge.admin.trial import trial_routes
from edge.admin.updates import update_routes
from edge.admin.users import user_routes
from edge.admin.worklist import worklist_routes
from edge.applying import Applying
from edge.cache.admission import Admission
from edge.cache.arrivals import Coming
from edge.cache.backup import Backups
from edge.cache.catalogue import Catalogue
from edge.cache.changes import Changes
from edge.cache.completeness import Completeness
from edge.cache.custody import CustodyLedger
from edge.cache.deletion import Deletion
from edge.cache.disk_paper import DiskPaper
from edge.cache.edits import Edits
from edge.cache.expected import Expectations
from edge.cache.feed import ChangeFeed
from edge.cache.history import History
from edge.cache.live import Live
from edge.cache.machine import temperature
from edge.cache.outbox import Outbox
from edge.cache.own_settings import OwnSettings
from edge.cache.peers import Reached
from edge.cache.procedures import Procedures
from edge.cache.queue import Queue
from edge.cache.recovery_key import RecoveryPaper
from edge.cache.rendering import Rendering
from edge.cache.retrieval import Retrieval
from edge.cache.specimens import Specimens
from edge.cache.status import Parts, Status
from edge.cache.studies import Studies
from edge.cache.support import bundle, name_of
from edge.cache.transcoding import Transcoding
from edge.cloud.shut import opened
from edge.cloud.trial import Trials
from edge.config import Config
from edge.crypto.secrets import PURPOSE, seal_secret
from edge.dicomweb import changefeed, safety, uri_service
from edge.dicomweb import server as dicomweb
from edge.dicomweb.claims import claim_of_feed, claim_of_images, claim_of_uri
from edge.dicomweb.hosts import OwnNames
from edge.dicomweb.listener import Listener
from edge.dicomweb.middleware import IDENTITY, access
from edge.dicomweb.root import create_root
from edge.dicomweb.safety import PAGE, POLICY_HEADER
from edge.dicomweb.witness import HttpWitness
from edge.dimse.examination import examine
from edge.entering import LogInDoors, log_in_doors, provider_log_in
from edge.errors import WrongKey
from edge.logs import recent
from edge.machine.asking import is_there
from edge.machine.disk_key import groups_of
from edge.machine.former_name import FormerName
from edge.machine.networks import is_network_set
from edge.machine.page_port import page_ports
from edge.machine.places import Places
from edge.machine.trust import trusted
from edge.opening import Cache
from edge.pages.door import Pages
from edge.pages.page import Means as PageMeans
from edge.pages.table import WELCOME
from edge.pixels.workers import PixelWorkers
from edge.supervision import Supervisor
from edge.updates.updater import Updater
from edge.viewer import server as viewer
from edge.viewer.server import Policies
from edge.viewer.shelf import folder_of, open_shelf

__all__ = ["Calling", "Echo", "HttpMeans", "last_lines", "start_http"]

log = logging.getLogger(__name__)

Echo = Callable[[str], Awaitable[Reached]]
"""Calls a DICOM peer by its name."""


@dataclass(frozen=True, slots=True)
class Calling:
    """Calls DICOM peers."""

    echo: Echo
    giving: Gives
    """Sends them studies."""


@dataclass(frozen=True, slots=True)
class HttpMeans:
    """What is served over HTTP works with."""

    cache: Cache
    admission: Admission
    """Takes what comes."""
    retrieval: Retrieval
    """Opens what is asked for."""
    rendering: Rendering
    transcoding: Transcoding
    deletion: Deletion
    workers: PixelWorkers
    """Decode pictures that come in."""
    ledger: CustodyLedger
    """Knows who vouches for what."""
    changes: Changes
    calling: Calling
    parts: Callable[[], Parts]
    """How every part of the service is."""
    status: Callable[[], Awaitable[Status]]
    renewals: Renewals
    """Get the certificate."""
    lock: Callable[[LockAsked], Awaitable[str]]
    """Locks the box."""
    applying: Applying
    """Has settings come into force."""
    file: Path | None
    """The configuration of the machine."""
    backups: Backups
    """Makes them."""
    updater: Updater
    """Has the machine get newer versions."""


async def start_http(
    supervisor: Supervisor, means: HttpMeans, config: Config
) -> tuple[Listener, str]:
    """Serve every application on the one HTTP port.

    Returns:
        What listens, and what is wrong with the box's own certificate: if there is none to show,
        it does not listen.

    Raises:
        ConfigError: The address can't be listened on, or its certificate can't be used.
    """
    cache, names = means.cache, box_names(config)
    entrance = await log_in_doors(cache, config)
    supervisor.start("emergency access", entrance.glass.run)
    gate = entrance.door.gate
    tls = HttpTls(config.http, cache.keys.derive("tls"), cache.folder / "tls", names)
    closed = ""
    try:
        await asyncio.to_thread(tls.load)
    except WrongKey as error:
        closed = f"pages and DICOMweb are closed: {error}; {error.hint}"
        log.error("%s", closed)
    if await cache.users.is_empty():
        await asyncio.to_thread(tls.forget_former)
    if tls.context is not None:
        await asyncio.to_thread(means.renewals.add, tls.load, tls.files)
    own = OwnNames(names, tls.called)
    has_machine = await asyncio.to_thread(is_there, Places())
    if has_machine and tls.former_hosts():
        supervisor.start("former name", FormerName(tls.former_hosts).run)
    live = Live(means.changes, means.status, Coming(cache.database))
    page_means = PageMeans(
        config,
        live,
        temperature,
        cache.users.is_empty,
        cache.users.second_factors,
        lambda: sorted(tls.certified()) or names,
        tls.authority,
    )
    pages = Pages(
        gate, page_means, (POLICY_HEADER, PAGE), _nothing_but_refused(cache.audit).refused
    )
    sees = Catalogue(cache.database).was_sent_by
    secret = cache.keys.derive(PURPOSE)
    trials = Trials(config.cloud.archive, partial(opened, cloud=config.cloud, key=secret))
    application = create_root(
        {
            "/dicom-web": _images(means, gate),
            "/wado": uri_service.create_application(
                retrieval=means.retrieval,
                rendering=means.rendering,
                transcoding=means.transcoding,
                authorise=gate.authorise,
                witness=HttpWitness(cache.audit, claim_of_uri),
                sees=sees,
            ),
            "/changefeed": changefeed.create_application(
                ChangeFeed(cache.database),
                authorise=gate.authorise,
                witness=HttpWitness(cache.audit, claim_of_feed),
            ),
            "/api/v1": _administration(means, entrance, config, live, trials),
            "/viewer": await _viewer(gate, pages, cache.audit, config),
        },
        cors_origins=config.http.cors_origins,
        names=own,
        is_open=config.http.auth == "none",
        strict_transport=config.http.tls == "files",
        outermost=pages.faces,
    )
    application.add_routes([*api.health_routes(means.parts), *entrance.routes])
    application.add_routes(pages.routes())
    application.add_routes(certificate_routes(tls.authority))
    if config.access.oidc.issuer:
        provider = await provider_log_in(supervisor, cache, config, entrance.throttle)
        routes = ProviderRoutes(
            provider, entrance.door, own.has, entrance.witness, tls=config.http.tls != "off"
        )
        application.add_routes(routes.routes())
    listener = Listener(application, config.http.listen, tls.context)
    if not closed:
        await supervisor.start_ready("http", lambda ready: listener.serve(ready=ready))
    # Behind the listener, so that it ends before it: streams would hold up the end of the others.
    supervisor.start("live", live.run)
    renewing = f"the TLS certificate can't be renewed: {tls.trouble}" if tls.trouble else ""
    return listener, closed or renewing


def _images(means: HttpMeans, gate: Gate) -> web.Application:
    catalogue = Catalogue(means.cache.database)
    return dicomweb.create_application(
        retrieval=means.retrieval,
        rendering=means.rendering,
        transcoding=means.transcoding,
        catalogue=catalogue,
        admission=means.admission,
        deletion=means.deletion,
        workers=means.workers,
        authorise=gate.authorise,
        witness=HttpWitness(means.cache.audit, claim_of_images),
        sees=catalogue.was_sent_by,
    )


def _nothing_but_refused(audit: Audit) -> HttpWitness:
    """The witness of what shows nobody's data: only who is turned away is told of."""
    return HttpWitness(audit, lambda _: None)


async def _viewer(gate: Gate, pages: Pages, audit: Audit, config: Config) -> web.Application:
    shelf = await asyncio.to_thread(open_shelf, folder_of(config.page))
    policies = Policies(safety.PAGE, safety.VIEWER, safety.DECODER)
    guard = access(gate.authorise, Service.DICOMWEB, _nothing_but_refused(audit))
    return viewer.create_application(shelf, guard, policies, pages.face, log_in=WELCOME.path)


def _administration(
    means: HttpMeans, entrance: LogInDoors, config: Config, live: Live, trials: Trials
) -> web.Application:
    cache, changes, gate = means.cache, means.changes, entrance.door.gate
    database, identity, wake = cache.database, itemgetter(IDENTITY), changes.wake
    has_archive, sees = bool(config.cloud.archive), Catalogue(database).was_sent_by
    studies = Studies(database, cache.pins, means.retrieval, has_archive=has_archive)

    specimens = Specimens(database, next(iter(config.cloud.in_order), None))
    secret = cache.keys.derive(PURPOSE)
    own = OwnSettings(means.file, cache.folder, partial(seal_secret, key=secret))
    applying, http = means.applying, config.http
    running = Running(
        applying.since,
        applying.setback,
        applying.ask,
        http.tls == "auto",
        partial(trusted, Places()),
        partial(page_ports, Places()),
    )

    witness = HttpWitness(cache.audit, claim_of_api)
    return api.create_application(
        status=means.status,
        identity=identity,
        middlewares=[access(gate.authorise, Service.ADMIN, witness, sees)],
        routes=[
            *sync_routes(cache.disputes, means.ledger, identity, wake),
            *progress_routes(Queue(database, live.status), History(database)),
            *archive_routes(trials.walk, config.cloud.archive, specimens.tried),
            *absence_routes(cache.absences, identity),
            *trash_routes(cache.trash, identity),
            *commitment_routes(cache.commitments),
            *edit_routes(Edits(database)),
            *procedure_routes(
                Procedures(database, changes),
                Completeness(database, config.procedures, changes),
                Outbox(database, changes),
                wake,
            ),
            *prefetch_routes(Expectations(database), cache.pins, identity, wake),
            *peer_routes(cache.peers, identity, means.calling.echo),
            *doctor_routes(partial(examine, cache.peers, cache.associations, config.dimse)),
            *worklist_routes(cache.worklist),
            *user_routes(cache.users, cache.sessions, identity),
            *identity_routes(ProviderPeople(database), cache.sessions, identity),
            *emergency_routes(Emergencies(database), identity),
            *token_routes(cache.tokens, identity),
            *audit_routes(
                cache.audit.folder,
                lambda: cache.audit.known,
                Messages(config.appliance.name, config.dimse.ae_title),
                cache.audit.damages,
            ),
            *key_routes(means.lock, identity),
            *settings_routes(own, running, identity),
            *trial_routes(own, partial(opened, key=secret), trials.walk_to, identity, specimens),
            *network_routes(partial(is_network_set, Places())),
            *update_routes(means.updater, identity),
            *recovery_routes(
                RecoveryPaper(cache.folder, cache.keys),
                means.backups,
                identity,
                config.appliance.name,
                DiskPaper(database, partial(groups_of, Places())),
            ),
            *log_routes(recent()),
            *support_routes(partial(_support, means, config)),
            *event_routes(live, gate.authorise, sees),
            *study_routes(studies, identity),
            *sending_routes(means.calling.giving, identity),
            *link_routes(entrance.links, studies, identity),
        ],
    )


async def _support(means: HttpMeans, config: Config) -> tuple[str, bytes]:
    """A bundle for support, and what it is called."""
    cache, now = means.cache, time.time()
    await cache.peers.refresh()
    found = await examine(cache.peers, cache.associations, config.dimse)
    made = await asyncio.to_thread(
        bundle,
        config,
        (await means.status()).as_json(),
        msgspec.json.encode(found),
        recent().lines(),
        cache.refer,
        now,
    )
    return name_of(config, now), made


async def last_lines(_: Mapping[str, Any]) -> Mapping[str, Any]:
    """The last lines of the log, for a command."""
    return {"lines": [asdict(line) for line in recent().lines()]}
