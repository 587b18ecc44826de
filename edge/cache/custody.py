"""The ledger: what the archive lacks, has, and vouches for.

What ``sync`` works from. Nothing here is a queue: every answer is computed from the index, so a
restart, a crash or a second look always finds the same work. Times are POSIX seconds.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from edge.cache.changes import Changes
from edge.cache.trash import Trash
from edge.dicom.demographics import keyword
from edge.dicom.instance import Custody, InstanceRef
from edge.dicom.remote import NONSENSE, RemoteStudy
from edge.errors import DecisionRefused
from edge.index import (
    absences,
    copies,
    corrections,
    custody,
    disputes,
    edits,
    following,
    rejections,
    remedies,
    remote,
    residence,
    sightings,
    tombstones,
)
from edge.index.copies import Further
from edge.index.custody import UNSENT, Account, Primary
from edge.index.database import Connection, Database
from edge.index.disputes import Theirs
from edge.index.edits import Edit
from edge.index.following import Known, Replaced
from edge.index.lookup import InstanceRow
from edge.index.remedies import Remedy
from edge.index.tombstones import Withdrawal

__all__ = [
    "ArchiveLedger",
    "CustodyLedger",
    "Known",
    "Owed",
    "Remedy",
    "Replaced",
    "Settlement",
    "Theirs",
    "Withdrawal",
    "Withdrawn",
]

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Owed:
    """An instance that the archive is owed, or owes us an answer about."""

    instance_id: int
    ref: InstanceRef
    sop_class_uid: str
    transfer_syntax: str
    size: int
    """Bytes of its Part 10 stream."""
    custody: Custody
    tries: int
    dataset_digest: bytes
    """SHA-256 of its data set, without preamble and group 0002."""
    remedy: Remedy | None = None
    """How what is sent differs; None for the instance itself."""
    corrected: bytes | None = None
    """SHA-256 of what the archive has in its place since it corrected patient or study there."""

    def is_held_as(self, digest: bytes) -> bool:
        """Whether a data set is its own, the one that was sent in its place, or its correction."""
        sent = None if self.remedy is None else self.remedy.sent_digest
        return digest in (self.dataset_digest, sent, self.corrected)


@dataclass(frozen=True, slots=True)
class Settlement:
    """What became of an instance; with *retry_at*, it is tried again then."""

    instance_id: int
    custody: Custody
    reason: str = ""
    retry_at: float = 0.0
    theirs: Theirs | None = None
    """Of a CONFLICT: what the archive has."""
    corrected: bytes | None = None
    """Of one that is VERIFIED but for a correction there: SHA-256 of what the archive has."""


@dataclass(frozen=True, slots=True)
class Withdrawn:
    """An instance that was deleted here, and that the archive shall delete, too."""

    ref: InstanceRef
    tries: int


class ArchiveLedger:
    """Questions and entries about custody with one archive.

    Args:
        account: Where it is kept.
        clock: POSIX seconds.
    """

    def __init__(
        self,
        database: Database,
        changes: Changes,
        account: Account,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._database = database
        self._changes = changes
        self._account = account
        self._clock = clock

    async def owed(
        self, now: float, *, max_bytes: int, max_count: int, skip: Collection[int] = ()
    ) -> list[Owed]:
        """What to send next: what is urgent, then previews, then study by study, the oldest first.

        That is EDGE_ONLY, SENT, and REFUSED if a retry was set. At least one, if there is any, then
        as many as fit into *max_bytes*. Those whose ids are in *skip* are left out.
        """
        chosen: list[Owed] = []
        total = 0
        for row in await self._account.unsent(self._database, now, max_count + len(skip)):
            if row.instance_id in skip:
                continue
            total += row.content_bytes
            if chosen and total > max_bytes:
                break
            chosen.append(_owed(row))
        return await self._with_remedies(chosen[:max_count])

    async def choose_previews(self) -> int:
        """Let first, middle and last instance of series go before the rest; how many series.

        Looks only at series that have changed since. With 0 there is nothing more to choose.
        """
        return 0

    async def unverified(self, now: float, *, max_count: int) -> list[Owed]:
        """What the archive listed as stored, and should be asked about again."""
        acknowledged = (Custody.ACKNOWLEDGED,)
        rows = await self._account.due(self._database, acknowledged, now, max_count)
        owed = await self._with_remedies([_owed(row) for row in rows])
        ids = [one.instance_id for one in owed]
        found = await corrections.find(self._database, self._account.archive, ids)
        return [replace(one, corrected=found.get(one.instance_id)) for one in owed]

    async def remarked(self, instance_ids: Collection[int]) -> set[int]:
        """Those of these instances of which the archive said more than that it stored them.

        It had one of that UID before, altered something, or did not answer and lists it.
        """
        return await self._account.remarked(self._database, instance_ids)

    async def _with_remedies(self, owed: list[Owed]) -> list[Owed]:
        """The same, with what is to be sent in their place."""
        return owed

    async def next_due(self, now: float) -> float | None:
        """When the earliest retry is due that is not due yet."""
        unsettled = (*UNSENT, Custody.ACKNOWLEDGED)
        return await self._account.next_due(self._database, unsettled, now)

    async def mark_sent(self, instance_ids: Sequence[int]) -> None:
        """Committed before their bytes go out: from now on the archive may have them."""
        await self._database.write(lambda db: self._account.mark_sent(db, instance_ids))

    async def settle(self, settlements: Sequence[Settlement]) -> None:
        """Write down what became of instances, all of them in one transaction."""
        now = self._clock()

        def write(db: Connection) -> None:
            for entry in settlements:
                self._settle(db, entry, now)

        await self._database.write(write)
        self._changes.wake()

    def _settle(self, db: Connection, entry: Settlement, now: float) -> None:
        self._account.settle(
            db, entry.instance_id, entry.custody, entry.reason, entry.retry_at, now
        )
        if entry.corrected is not None:
            corrections.note(db, entry.instance_id, self._account.archive, entry.corrected)

    async def doubt(self, instance_ids: Sequence[int]) -> None:
        """The archive had these verifiably, and does not list them any more; they are here."""
        reason = "the archive had it, and does not list it any more"
        await self._database.write(lambda db: self._account.doubt(db, instance_ids, reason))
        self._changes.wake()


class CustodyLedger(ArchiveLedger):
    """The primary archive's, and what concerns all archives.

    Args:
        trash: Gets what the archive deleted; None where nobody follows it.
        clock: POSIX seconds.
    """

    def __init__(
        self,
        database: Database,
        changes: Changes,
        clock: Callable[[], float] = time.time,
        *,
        trash: Trash | None = None,
    ) -> None:
        super().__init__(database, changes, Primary(), clock)
        self._trash = trash

    async def suspect(self, study_uid: str, archive: str) -> None:
        """The archive lists nothing of a series any more; whether on purpose, will be found out."""
        now = self._clock()
        found = await sightings.studies(self._database, [study_uid])
        await self._database.write(
            lambda db: absences.suspect(db, archive, found, is_whole=False, now=now)
        )
        self._changes.wake()

    async def _with_remedies(self, owed: list[Owed]) -> list[Owed]:
        found = await remedies.find(self._database, [one.instance_id for one in owed])
        if not found:
            return owed
        return [replace(one, remedy=found.get(one.instance_id)) for one in owed]

    def _settle(self, db: Connection, entry: Settlement, now: float) -> None:
        super()._settle(db, entry, now)
        if entry.theirs is not None:
            disputes.note_theirs(db, entry.instance_id, entry.theirs)

    async def choose_previews(self) -> int:
        """See ``ArchiveLedger``; only the primary archive's order knows them."""
        return await self._database.write(custody.choose_previews)

    async def owes_urgent(self, now: float) -> bool:
        """Whether something urgent (STAT, HIGH, or a person's wish) waits for its upload."""
        return await custody.owes_urgent(self._database, now)

    async def upload_first(self, study_uid: str, *, first: bool = True) -> int:
        """Let a study go before all others, or not any more; how much of it is still to go.

        It holds for what comes of it later, too.

        Raises:
            DecisionRefused: No such study is known here.
        """
        waiting = await self._database.write(lambda db: custody.upload_first(db, study_uid, first))
        if waiting is None:
            raise DecisionRefused(
                "no such study is known here",
                hint="edge status --studies has the Study Instance UIDs of those that wait",
            )
        self._changes.wake()
        return waiting

    def beside(self, archive: str) -> ArchiveLedger:
        """That of another archive than the primary one."""
        return ArchiveLedger(self._database, self._changes, Further(archive), self._clock)

    async def set_roles(self, roles: Mapping[str, str]) -> None:
        """Note which archives are configured, and as what; once, at the start.

        What an earlier end of the process left unannounced is announced then.
        """
        now = self._clock()
        await self._database.write(lambda db: copies.set_roles(db, roles, now))
        await self.announce_edits()

    async def stand_in(self, archive: str) -> int:
        """Owe an archive what the primary one is owed and is here; how many more that are."""
        added = await self._database.write(lambda db: copies.enrol(db, archive))
        if added:
            self._changes.wake()
        return added

    async def step_back(self, archive: str) -> None:
        """Owe it nothing any more that has not gone out."""
        await self._database.write(lambda db: copies.retire(db, archive))

    async def to_bring_home(self, archive: str, *, max_count: int) -> list[InstanceRef]:
        """What is owed to the primary archive and is only in this one."""
        return await copies.absent(self._database, archive, max_count)

    async def miss(self, sop_uid: str) -> bool:
        """The archive does not have this instance, which is not here; whether it was here once."""
        return await self._database.write(lambda db: residence.miss(db, sop_uid))

    async def withdrawals(self, *, max_count: int) -> list[Withdrawn]:
        """What the archive is to be told now that it shall delete."""
        found = await tombstones.due(self._database, self._clock(), max_count)
        return [Withdrawn(ref, tries) for ref, tries in found]

    async def renew_withdrawals(self) -> None:
        """Have the archive told again what it would not do; once, at the start."""
        await self._database.write(tombstones.renew)

    async def next_withdrawal(self) -> float | None:
        """When the next is due; None if there is none."""
        return await tombstones.next_due(self._database)

    async def settle_withdrawal(
        self, ref: InstanceRef, withdrawal: Withdrawal, reason: str = "", retry_at: float = 0.0
    ) -> None:
        """Write down what the archive answered; if it is still DUE, it is told again then."""
        await self._database.write(
            lambda db: tombstones.settle(db, ref.sop_uid, withdrawal, reason, retry_at)
        )

    async def learn(self, study: RemoteStudy) -> None:
        """Keep what the archive listed of a study, with its fingerprint, in one transaction.

        What was edited there holds from then on.
        """
        now = self._clock()
        held = await edits.survey(self._database, study)
        edit = await self._database.write(lambda db: remote.learn(db, study, now, held))
        await self._tell_of([(study.study_uid, edit)] if edit is not None else [])
        self._changes.wake()

    async def announce_edits(self) -> None:
        """Let the change feed have every instance of what was edited."""
        now = self._clock()
        while await self._database.write(lambda db: edits.announce(db, now)):
            self._changes.wake()

    async def known(self, sop_uids: Collection[str]) -> dict[str, Known]:
        """Those of these instances that the index has, or that were deleted here."""
        return await following.known(self._database, sop_uids)

    async def follow(
        self,
        archive: str,
        studies: Sequence[RemoteStudy],
        replaced: Sequence[Replaced],
        cursor: tuple[str, str],
    ) -> list[Exception]:
        """Keep what a page of an archive's feed led to, and where it goes on, in one transaction.

        Returns:
            What was wrong with studies that can't be kept; they are left out.
        """
        now = self._clock()
        held = [await edits.survey(self._database, study) for study in studies]
        edited: list[tuple[str, Edit]] = []
        strange: list[Exception] = []

        def write(db: Connection) -> None:
            edited.clear()
            strange.clear()
            for study, here in zip(studies, held, strict=True):
                db.execute("SAVEPOINT study")
                try:
                    if edit := remote.learn(db, study, now, here):
                        edited.append((study.study_uid, edit))
                except NONSENSE as error:
                    db.execute("ROLLBACK TO study")
                    strange.append(error)
                db.execute("RELEASE study")
            following.replace(db, replaced, archive, now)
            remote.set_cursor(db, *cursor)

        await self._database.write(write)
        await self._tell_of(edited)
        if studies or replaced:
            self._changes.wake()
        return strange

    async def _tell_of(self, edited: Sequence[tuple[str, Edit]]) -> None:
        for study_uid, edit in edited:
            log.info(
                "archive %s edited study %s: version %d: %s",
                edit.archive,
                study_uid,
                edit.version,
                ", ".join(map(keyword, sorted(edit.after))),
            )
        if edited:
            await self.announce_edits()

    async def archive_deleted(self, refs: Sequence[InstanceRef], archive: str) -> None:
        """An archive says that it deleted these; said twice, it is the same.

        Raises:
            StorageFull: There is no room to write down what goes.
        """
        if self._trash is None:
            raise RuntimeError("a feed is followed, and there is no trash")
        await self._trash.put(refs, archive=archive, reason="its feed says so")
        # Where the feed was wrong, the next sweep finds out. Crash order: hidden, forgotten; after
        # a crash between the two the page is read again, for its cursor has not moved.
        studies = {ref.study_uid for ref in refs}
        await self._database.write(lambda db: remote.forget_fingerprints(db, studies))

    async def unread_notes(self, *, max_count: int) -> list[InstanceRef]:
        """Key Object Selections in the archive that may be rejection notes."""
        return await rejections.unread_notes(self._database, max_count)

    async def keep_metadata(self, read: Mapping[str, Mapping[str, Any]]) -> None:
        """Keep metadata by SOP Instance UID; what rejection notes say holds from then on."""
        now = self._clock()

        def write(db: Connection) -> None:
            for sop_uid, attributes in read.items():
                remote.set_document(db, sop_uid, attributes, now)

        if read:
            await self._database.write(write)
            self._changes.wake()

    async def fingerprints(self, study_uids: Sequence[str]) -> dict[str, str]:
        """What the archive last said of these studies, in short."""
        return await remote.fingerprints(self._database, list(study_uids))

    async def cursor(self, name: str) -> str | None:
        """Where a sweep goes on; None at its first time."""
        return await remote.cursor(self._database, name)

    async def set_cursor(self, name: str, value: str) -> None:
        """Remember where a sweep goes on."""
        await self._database.write(lambda db: remote.set_cursor(db, name, value))

    async def is_reachable(self, name: str) -> bool:
        """Whether an archive answered when it was last tried; one that never was may be."""
        states = await remote.archive_states(self._database)
        return all(state.online for state in states if state.name == name)

    async def set_archive_state(
        self, name: str, *, online: bool, reason: str = "", lasting: bool = False
    ) -> None:
        """Note that an archive answered, or why it did not, and whether only a person can help."""
        now = self._clock()
        await self._database.write(
            lambda db: remote.set_archive_state(db, name, online, reason, lasting, now)
        )
        self._changes.wake()


def _owed(row: InstanceRow) -> Owed:
    return Owed(
        instance_id=row.instance_id,
        ref=row.ref,
        sop_class_uid=row.sop_class_uid,
        transfer_syntax=row.transfer_syntax,
        size=row.content_bytes,
        custody=row.custody,
        tries=row.tries,
        dataset_digest=row.dataset_digest or b"",
    )
