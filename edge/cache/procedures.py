"""Performed procedure steps, as devices report them (PS3.4 F).

Promises that a step, and every change of it, is durable before it is acknowledged, together with
the messages to the peers that are told of it: what was acknowledged is told. Steps are kept for
half a year after their last change. They are in the index alone: one that is made anew from the
store has none.
"""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
import zlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from edge.cache.changes import Changes
from edge.cache.listing import Page
from edge.dicom import procedure
from edge.dicom.procedure import MPPS, Fault, ScheduledStep, StepState
from edge.errors import EdgeError, StepRefused
from edge.index import outbox, procedures
from edge.index.database import Connection, Database
from edge.index.instances import pack
from edge.index.outbox import Delivery
from edge.index.procedures import Record

__all__ = ["Procedures", "Step", "Tell", "Told"]

log = logging.getLogger(__name__)

Tell = Callable[[ScheduledStep, StepState], Awaitable[object]]
"""Hears of each scheduled step that is being performed, or was; more than once, perhaps."""

MOST_STEPS = 200_000
MOST_BYTES = 8 * 1024 * 1024
"""Of what is kept of a step, deflated."""
_KEEP = 183 * 86400.0
"""Seconds after its last change that a step is kept."""
_RETELL = 3 * 86400.0
"""Seconds for which the worklist is told again of what changed, at the start."""


@dataclass(frozen=True, slots=True)
class Told:
    """How far a peer was told of a step."""

    peer: str
    waiting: int
    """Messages that it was not told yet."""
    refused: int
    reason: str
    """The peer's words about the last that it did not take."""


@dataclass(frozen=True, slots=True)
class Step:
    """A step, for people."""

    sop_uid: str
    state: StepState
    peer: str
    """AE title of the device."""
    created: float
    changed: float
    study_uids: list[str]
    accession_numbers: list[str]
    patient_name: str
    patient_id: str
    modality: str
    station: str
    description: str
    instances: int
    """That it names."""
    missing: int
    """Of them, those that are neither here nor in the archive, as far as is known."""
    told: list[Told]


class Procedures:
    """Keeps them.

    Args:
        database: The index.
        changes: Woken by what changes.
        forward_to: AE titles of the peers that are told of each.
        tell: The worklist; None: nobody is told.
        clock: POSIX seconds.
    """

    def __init__(
        self,
        database: Database,
        changes: Changes,
        *,
        forward_to: Sequence[str] = (),
        tell: Tell | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._database = database
        self._changes = changes
        self._forward_to = tuple(dict.fromkeys(forward_to))
        self._tell = tell
        self._clock = clock
        # Changes of a step are made of what it was: one at a time.
        self._changing = asyncio.Lock()

    async def create(self, sop_uid: str, attributes: procedure.Attributes, peer: str) -> str:
        """Begin a step (N-CREATE); its SOP Instance UID.

        Args:
            sop_uid: Empty: one is made.
            attributes: Of the device.
            peer: Its AE title. It is not told what it said itself.

        Raises:
            StepRefused: It can't begin so, there is one of this UID, or there are too many.
            StorageFull: The disk is full.
        """
        step, packed = await asyncio.to_thread(_new, attributes)
        now = self._clock()
        record = Record(
            procedure_id=0,
            sop_uid=sop_uid or f"2.25.{uuid.uuid4().int}",
            state=procedure.state_of(step),
            attributes=packed,
            peer=peer,
            created=now,
            changed=now,
            told=tuple(one for one in self._forward_to if one != peer),
        )
        named = [one.sop_uid for one in procedure.references(step)]
        total, _ = await procedures.count(self._database)
        if total >= MOST_STEPS:
            raise StepRefused("there are as many steps as can be kept", fault=Fault.FULL)

        def write(db: Connection) -> None:
            studies = procedure.studies_of(step)
            if not procedures.insert(db, record, studies):
                raise StepRefused("there is a step of this UID", fault=Fault.DUPLICATE)
            procedures.name_instances(db, record.sop_uid, named)
            procedures.touch(db, studies, now)
            outbox.put(db, record.told, "N-CREATE", MPPS, record.sop_uid, packed, now)

        await self._database.write(write)
        self._changes.wake()
        await self._say(step)
        return record.sop_uid

    async def change(self, sop_uid: str, attributes: procedure.Attributes) -> tuple[str, ...]:
        """Change a step (N-SET); the tags of what was left out, because it may not be changed.

        Raises:
            StepRefused: It is not known, is over, or can't become that.
            StorageFull: The disk is full.
        """
        async with self._changing:
            record = await self._find(sop_uid)
            made = await asyncio.to_thread(_changed, record.attributes, attributes)
            step = made.step
            now = self._clock()
            after = replace(
                record, state=procedure.state_of(step), attributes=made.packed, changed=now
            )
            named = [one.sop_uid for one in procedure.references(step)]

            def write(db: Connection) -> None:
                procedures.update(db, after)
                procedures.name_instances(db, sop_uid, named)
                procedures.touch(db, procedure.studies_of(step), now)
                outbox.put(db, record.told, "N-SET", MPPS, sop_uid, made.changes, now)

            await self._database.write(write)
        self._changes.wake()
        await self._say(step)
        return made.left_out

    async def attributes(self, sop_uid: str) -> dict[str, Any]:
        """A step as it is now: DICOM JSON.

        Raises:
            StepRefused: It is not known.
        """
        record = await self._find(sop_uid)
        return await asyncio.to_thread(_unpack, record.attributes)

    async def page(self, *, study_uid: str = "", limit: int = 100, offset: int = 0) -> Page[Step]:
        """Steps, those that changed last first; of one study, if one is named."""
        total, _ = await procedures.count(self._database, study_uid=study_uid)
        records = await procedures.page(
            self._database, study_uid=study_uid, limit=limit, offset=offset
        )
        messages = await outbox.states_of(self._database, [one.sop_uid for one in records])
        by_step: dict[str, list[outbox.Message]] = {}
        for one in messages:
            by_step.setdefault(one.sop_uid, []).append(one)
        items = await self._database.compute(
            lambda: [_step(one, by_step.get(one.sop_uid, [])) for one in records]
        )
        return Page(total, items)

    async def repeat(self) -> None:
        """Tell the worklist of what changed of late: it may have missed it when the box stopped."""
        if self._tell is not None:
            since = self._clock() - _RETELL
            for record in await procedures.changed_since(self._database, since):
                await self._say(await asyncio.to_thread(_unpack, record.attributes))

    async def tidy(self) -> None:
        """Forget steps of long ago, and when their studies were complete."""
        before = self._clock() - _KEEP
        await self._database.write(lambda db: procedures.forget_before(db, before))

    async def _find(self, sop_uid: str) -> Record:
        record = await procedures.find(self._database, sop_uid)
        if record is None:
            raise StepRefused("no step of this UID is known", fault=Fault.UNKNOWN)
        return record

    async def _say(self, step: procedure.Attributes) -> None:
        """Tell the worklist; the step is kept, whatever becomes of that."""
        if self._tell is None:
            return
        for scheduled in procedure.scheduled_steps(step):
            try:
                await self._tell(scheduled, procedure.state_of(step))
            except EdgeError as error:
                log.warning("the worklist could not be told of a step: %s", error)


@dataclass(frozen=True, slots=True)
class _Made:
    """What an N-SET made."""

    step: dict[str, Any]
    packed: bytes
    changes: bytes
    left_out: tuple[str, ...]


def _new(attributes: procedure.Attributes) -> tuple[dict[str, Any], bytes]:
    step = procedure.new_step(_plain(attributes))
    return step, _pack(step)


def _changed(packed: bytes, attributes: procedure.Attributes) -> _Made:
    changes, step, left_out = procedure.changed_step(_unpack(packed), _plain(attributes))
    return _Made(step, _pack(step), _pack(changes), left_out)


def _plain(attributes: procedure.Attributes) -> dict[str, Any]:
    """The same as mappings and lists all the way down: a reader encodes long sequences early."""
    plain: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(attributes))
    return plain


def _pack(step: procedure.Attributes) -> bytes:
    packed = pack(step)
    if len(packed) > MOST_BYTES:
        raise StepRefused("a step is longer than one may be", fault=Fault.FULL)
    return packed


def _unpack(packed: bytes) -> dict[str, Any]:
    step: dict[str, Any] = msgspec.json.decode(zlib.decompress(packed))
    return step


def _step(record: Record, messages: Sequence[outbox.Message]) -> Step:
    attributes = _unpack(record.attributes)
    scheduled = procedure.scheduled_steps(attributes)
    numbers = dict.fromkeys(one.accession_number for one in scheduled if one.accession_number)
    return Step(
        sop_uid=record.sop_uid,
        state=record.state,
        peer=record.peer,
        created=record.created,
        changed=record.changed,
        study_uids=procedure.studies_of(attributes),
        accession_numbers=list(numbers),
        patient_name=procedure.text(attributes, "00100010"),
        patient_id=procedure.text(attributes, "00100020"),
        modality=procedure.text(attributes, "00080060"),
        station=procedure.text(attributes, "00400241"),
        description=procedure.text(attributes, "00400254"),
        instances=record.named,
        missing=record.missing,
        told=[_told(peer, [one for one in messages if one.peer == peer]) for peer in record.told],
    )


def _told(peer: str, messages: Sequence[outbox.Message]) -> Told:
    waiting = [one for one in messages if one.state in (Delivery.DUE, Delivery.SENT)]
    lost = [one for one in messages if one.state in (Delivery.REFUSED, Delivery.DROPPED)]
    reasons = [one.reason for one in (*waiting, *lost) if one.reason]
    return Told(peer, len(waiting), len(lost), reasons[-1] if reasons else "")
