"""The ledger of custody: the primary archive's account, and what concerns all archives.

What is learned of archives comes in here, too: studies, deletions, edits, and the cursors of those
who look for them. As in every account, nothing is a queue. Times are POSIX seconds.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from edge.cache.acts import BoxAct, Deed, Tell, nobody
from edge.cache.changes import Changes
from edge.cache.ledger import ArchiveLedger, Owed, Settlement
from edge.cache.trash import Trash
from edge.dicom.demographics import keyword
from edge.dicom.instance import InstanceRef
from edge.dicom.remote import NONSENSE, RemoteStudy
from edge.errors import DecisionRefused
from edge.index import (
    absences,
    copies,
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
from edge.index.custody import Primary
from edge.index.database import Connection, Database
from edge.index.edits import Edit
from edge.index.following import Known, Replaced
from edge.index.tombstones import Withdrawal

__all__ = [
    "CustodyLedger",
    "Known",
    "Replaced",
    "Withdrawal",
    "Withdrawn",
]

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Withdrawn:
    """An instance that was deleted here, and that the archive shall delete, too."""

    ref: InstanceRef
    tries: int


class CustodyLedger(ArchiveLedger):
    """The primary archive's, and what concerns all archives.

    Args:
        trash: Gets what the archive deleted; None where nobody follows it.
        clock: POSIX seconds.
        tell: Is told what archives edited.
    """

    def __init__(
        self,
        database: Database,
        changes: Changes,
        clock: Callable[[], float] = time.time,
        *,
        trash: Trash | None = None,
        tell: Tell = nobody,
    ) -> None:
        self._tell = tell
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
            names = ", ".join(map(keyword, sorted(edit.after)))
            why = f"version {edit.version}: {names}"
            await self._tell(BoxAct(Deed.EDITED, study_uid, edit.archive, why=why))
            log.info(
                "archive %s edited study %s: version %d: %s",
                edit.archive,
                study_uid,
                edit.version,
                names,
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
