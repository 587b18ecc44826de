"""The state of the box, read from the index, the disk and the configuration."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from edge.cache.backup import overview
from edge.cache.emergencies import emergency_state
from edge.cache.ending import ending_authorities, ending_certificates, ending_tokens
from edge.cache.pins import Pins
from edge.cache.priors import Priors
from edge.cache.space import Space
from edge.cache.status import (
    FOUND,
    LINE,
    AuditState,
    Cages,
    LineState,
    Parts,
    PrefetchState,
    ProcedureState,
    ReadLine,
    Status,
)
from edge.cache.worklist import SourceState, Worklist
from edge.config import Config
from edge.errors import StorageFull
from edge.index import commitments, leftovers, outbox, procedures
from edge.index.database import Database
from edge.index.remote import ArchiveState, archive_states, cursor
from edge.index.summary import Summary, summary, waiting_studies
from edge.machine.health import MachineState
from edge.machine.power import closed_by
from edge.store.objects import ObjectStore

__all__ = ["read_status"]

_DAY = 86400.0
_STUDIES = 100
"""That wait, and are named."""


async def read_status(
    config: Config,
    database: Database,
    store: ObjectStore,
    parts: Parts | None,
    line: ReadLine | None = None,
    cages: Cages | None = None,
    audit: AuditState | None = None,
    machine: MachineState | None = None,
) -> Status:
    """Read it from the index, the disk and the configuration.

    Args:
        config: Says which archives and folders count; others are forgotten ones.
        database: The index.
        store: On the disk whose room counts.
        parts: The states of the service's parts; None if it is not running.
        line: Says how sync may use the line; None if nobody can say.
        cages: Of the service's processes, and what its start found.
        audit: The state of the record.
        machine: What is under the box.
    """
    numbers = await summary(database)
    told = {name: words for name, words in (cages or {}).items() if words}
    roles = {archive.name: archive.role for archive in config.cloud.archive}
    states = {state.name: state for state in await archive_states(database)}
    archives = tuple(
        replace(states[name], role=role) for name, role in roles.items() if name in states
    )
    machine = machine or MachineState()
    space = Space(config.cache, database, store, closed=lambda: closed_by(machine.mains))
    await space.refresh()
    try:
        space.check_room()
        refusal = ""
    except StorageFull as error:
        refusal = str(error)
    return Status(
        summary=numbers,
        archives=archives,
        untried=tuple(name for name in roles if name not in states),
        capacity_bytes=space.capacity,
        refusal=refusal,
        drop_folder=await _trouble_of(config.dropfolder.path, database),
        parts=parts,
        backups=await overview(config, database),
        line=LineState() if line is None else await _read_line(database, numbers, line, archives),
        trash_until=_trash_until(config, numbers),
        prefetch=await _read_prefetch(config, database, space),
        commitments=await commitments.standing(database),
        procedures=await _read_procedures(database),
        worklist=await _read_worklist(config, database),
        tokens=await ending_tokens(database, time.time()),
        authorities=ending_authorities(config.cloud.archive, machine.authorities, time.time()),
        certificates=await asyncio.to_thread(ending_certificates, config, time.time()),
        cages={name: lacks for name, lacks in told.items() if name not in FOUND},
        found={name: words for name, words in told.items() if name in FOUND},
        audit=audit or AuditState(),
        emergencies=await emergency_state(database),
        machine=machine,
    )


async def _read_procedures(database: Database) -> ProcedureState:
    coming_in, in_progress = await procedures.progress(database)
    untold = await outbox.counts(database)
    return ProcedureState(
        coming_in=coming_in,
        in_progress=in_progress,
        untold=untold.waiting,
        refused=untold.refused,
        dropped=untold.dropped,
    )


async def _read_worklist(config: Config, database: Database) -> tuple[SourceState, ...]:
    states = await Worklist(database, config.worklist).sources()
    named = {one.name for one in config.worklist.source}
    return tuple(one for one in states if one.name in named or one.steps)


async def _read_prefetch(config: Config, database: Database, space: Space) -> PrefetchState:
    if not config.cloud.archive:
        return PrefetchState()
    look = await Priors(database, config).look()
    pins = Pins(database, config.cache.pin)
    size = await pins.size()
    later = len({one.study_id for one in look.wanted if one.later})
    return PrefetchState(
        studies=len({one.study_id for one in look.wanted}) - later,
        later=later,
        pinned_studies=size.studies,
        pinned_bytes=size.here_bytes,
        pinned_missing=size.missing,
        pinned_fit=not size.missing or await pins.may_grow(space.capacity) > 0,
    )


async def _read_line(
    database: Database, numbers: Summary, line: ReadLine, archives: Sequence[ArchiveState]
) -> LineState:
    waiting = await waiting_studies(database, _STUDIES)
    state = line(await cursor(database, LINE), numbers.backlog_bytes, waiting)
    if any(one.role == "primary" and not one.online for one in archives):
        # How fast it was says nothing of when it is back.
        studies = tuple(replace(one, eta=None) for one in state.studies)
        return replace(state, backlog_eta=None, studies=studies)
    return state


def _trash_until(config: Config, numbers: Summary) -> float | None:
    if numbers.trashed_since is None:
        return None
    if numbers.trashed_since == 0:  # a person wants it erased
        return time.time()
    return numbers.trashed_since + config.sync.trash_days * _DAY


async def _trouble_of(drop_folder: Path, database: Database) -> str:
    if drop_folder == Path():
        return ""
    try:
        await asyncio.to_thread(lambda: next(drop_folder.iterdir(), None))
    except OSError as error:
        return f"it can't be read: {error.strerror or error}"
    # Only the service knows the rest: who asks may well be root.
    return await leftovers.trouble(database)
