"""What an archive does not have any more: what is known of that, and what is done about it.

Two complete sweeps and a direct look come before anything is done (``edge.sync.absence``); what was
deleted there on purpose goes into the trash here, and what was lost there is owed to it again. Too
much at a time is left to a person. Nothing here is a queue: all of it stands in the index.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from edge.cache.changes import Changes
from edge.cache.known import require_studies
from edge.cache.listing import Page
from edge.cache.trash import Trash
from edge.dicom.instance import Availability
from edge.dicom.remote import RemoteStudy
from edge.index import absences, remote, sightings, tombstones
from edge.index.absences import Absence, AbsentStudy, State, Vouched
from edge.index.database import Connection, Database
from edge.index.sightings import Review, Sweeps

__all__ = [
    "Absence",
    "Absences",
    "AbsentStudy",
    "GivenAgain",
    "Review",
    "State",
    "Sweeps",
    "Vouched",
]

_FEW, _SHARE = 3, 0.05
"""Studies that may go in one go: so many, or this share of what the archive vouches for."""
_REASON = "two sweeps did not list it, and a direct look did not find it"
_ENROLLED = 2000
"""Studies in one transaction."""


@dataclass(frozen=True, slots=True)
class GivenAgain:
    """What became of instances that an archive lost."""

    owed: int = 0
    """They are here, and it is owed them."""
    gone: int = 0
    """They were there alone: they must be sent again by whoever made them."""


class Absences:
    """Questions and entries about what archives do not list.

    Args:
        clock: POSIX seconds.
    """

    def __init__(
        self,
        database: Database,
        changes: Changes,
        trash: Trash,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._database = database
        self._changes = changes
        self._trash = trash
        self._clock = clock

    # Sweeps

    async def sighted(self, archive: str, study_uids: Collection[str]) -> None:
        """The sweep that is under way listed these."""
        now = self._clock()
        await self._database.write(lambda db: sightings.sighted(db, archive, study_uids, now))

    async def complete(self, archive: str) -> None:
        """The sweep that was under way has met all that there is."""
        now = self._clock()
        await self._enrol(archive)
        await self._database.write(lambda db: sightings.complete(db, archive, now))
        self._changes.wake()

    async def sweeps(self, archive: str) -> Sweeps:
        """How far they are."""
        return await sightings.sweeps(self._database, archive, self._clock())

    async def compare(self, archive: str, study: RemoteStudy) -> None:
        """Suspect a study that is listed without what the archive had of it."""
        now = self._clock()
        await self._database.write(lambda db: absences.compare(db, archive, study, now))

    # Absences

    async def suspect_unlisted(self, archive: str) -> None:
        """Suspect what two complete sweeps have not listed."""
        if found := await absences.suspect_unlisted(self._database, archive):
            await self.suspect(archive, found, is_whole=True)

    async def suspect(self, archive: str, study_ids: Collection[int], *, is_whole: bool) -> None:
        """Have studies looked for, once another sweep is complete."""
        now = self._clock()
        await self._database.write(
            lambda db: absences.suspect(db, archive, study_ids, is_whole=is_whole, now=now)
        )

    async def suspected(self, sweep: int) -> list[Absence]:
        """Those that were suspected before a sweep, or that two sweeps missed."""
        return await absences.in_state(self._database, [State.SUSPECTED], before_sweep=sweep)

    async def decided(self, state: State) -> list[Absence]:
        """Those of which a person said this, or that wait for that."""
        return await absences.in_state(self._database, [state])

    async def vouched(self, study_id: int, *, copies_in: str = "") -> list[Vouched]:
        """What the primary archive had of a study, or the one for copies."""
        return await absences.vouched(self._database, study_id, copies_in)

    async def limit(self) -> int:
        """Studies that may go in one go."""
        return await absences.limit(self._database, _FEW, _SHARE)

    async def witnesses(self, archive: str) -> list[str]:
        """Some studies that the archive listed lately."""
        return await sightings.witnesses(self._database, archive)

    async def clear(self, study_ids: Collection[int]) -> None:
        """They are there."""
        await self._database.write(lambda db: absences.clear(db, study_ids))

    async def hold(self, study_ids: Collection[int]) -> None:
        """Let a person decide."""
        await self._database.write(lambda db: absences.hold(db, study_ids))
        self._changes.wake()

    async def put_away(self, archive: str, study_id: int, absent: Sequence[Vouched]) -> None:
        """They were deleted there on purpose.

        Crash order: the trash has them -> the absence is over. After a crash between the two, what
        is in the trash is not looked for again, and the absence ends.

        Raises:
            StorageFull: There is no room to write down what goes.
        """
        await self._database.write(lambda db: absences.revive(db, absent))
        await self._trash.put([one.ref for one in absent], archive=archive, reason=_REASON)
        await self._database.write(lambda db: absences.settle(db, archive, study_id, absent))
        self._changes.wake()

    async def give_again(self, archive: str, study_id: int, lost: Sequence[Vouched]) -> GivenAgain:
        """The archive lost them."""
        now = self._clock()
        fresh = [one for one in lost if one.availability is not Availability.UNAVAILABLE]
        never_here = [one for one in fresh if not one.was_here]
        await self._trash.put([one.ref for one in never_here], archive=archive, reason=_REASON)

        def write(db: Connection) -> tuple[int, int]:
            return absences.give_again(db, archive, study_id, fresh, now)

        done = GivenAgain(*await self._database.write(write))
        self._changes.wake()
        return done

    async def examined(self, archive: str, number: int, gone: int) -> None:
        """The absences of a sweep were examined, and so many studies went."""
        now = self._clock()

        def write(db: Connection) -> None:
            sightings.examined(db, archive, number)
            if gone:
                sightings.count_gone(db, archive, gone, now)

        await self._database.write(write)

    async def absent(self, *, limit: int = 100, offset: int = 0) -> Page[AbsentStudy]:
        """What a person decides about, the oldest first."""
        total = await absences.count(self._database)
        found = await absences.absent(self._database, limit=limit, offset=offset)
        return Page(total, found)

    async def decide(self, study_uids: Sequence[str] | None, state: State) -> int:
        """What a person says of some of those, or of all of them; of how many it was news.

        It is carried out as soon as the archive can be asked, and not if it has them after all.

        Raises:
            DecisionRefused: One of them is not known here; nothing was decided.
        """
        if study_uids is not None:
            await require_studies(self._database, study_uids)
        done = await self._database.write(lambda db: absences.decide(db, study_uids, state))
        self._changes.wake()
        return done

    # Reviews

    async def _enrol(self, archive: str) -> None:
        while fresh := await sightings.not_enrolled(self._database, archive, _ENROLLED):
            await self._write_enrolment(archive, fresh)

    async def enrol(self, archive: str) -> None:
        """Note every study that is not noted yet; its review falls due."""
        await self._enrol(archive)
        await self._write_enrolment(archive, [])

    async def _write_enrolment(self, archive: str, fresh: Sequence[int]) -> None:
        now = self._clock()
        await self._database.write(lambda db: sightings.enrol(db, archive, fresh, now))

    async def oldest_review(self, archive: str) -> tuple[Review | None, int]:
        """The study that waits longest for its review, and how many there are in all."""
        return await sightings.oldest_review(self._database, archive)

    async def reviewed(self, archive: str, study_id: int, at: float) -> None:
        """The archive was asked about each instance of a study."""
        await self._database.write(lambda db: sightings.review(db, archive, study_id, at))

    async def look_again(self, study_id: int) -> None:
        """Have the next sweep list a study whole, whatever its fingerprint says."""
        await self._database.write(lambda db: remote.forget_fingerprint(db, study_id))

    async def look_again_at_deleted(self, before: float) -> None:
        """The same of studies that were deleted here, and that it last listed before then."""
        now = self._clock()
        await self._database.write(lambda db: tombstones.forget_fingerprints(db, before, now))

    async def prove(self, instance_ids: Sequence[int], *, copies_in: str = "") -> None:
        """These bytes were read in the archive once more."""
        now = self._clock()
        await self._database.write(lambda db: sightings.prove(db, instance_ids, copies_in, now))

    async def note_lost(self, archive: str, instances: int) -> None:
        """An archive for copies was seen to have lost so many."""
        now = self._clock()
        await self._database.write(lambda db: sightings.note_lost(db, archive, instances, now))
