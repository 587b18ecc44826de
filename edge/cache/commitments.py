"""Storage commitment: what peers asked us to vouch for, until they have heard the answer (PS3.4 J).

What is committed depends on the peer: verified in the archive (``cloud``), or sealed on this box
(``edge``). Promises that nothing is said to be committed that is not, at the moment when it is
said: that is computed from the index, and what was decided before is decided again. Nothing waits
for ever: what is not decided after ``commit_days`` is not committed, so that the peer keeps it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum

from edge.cache.changes import Changes
from edge.cache.listing import Page
from edge.config import Config
from edge.dicom.uids import is_storage_sop_class
from edge.index import commitment_items, commitments
from edge.index.commitment_items import Patience, State
from edge.index.commitments import (
    Asked,
    Commitment,
    CommitmentsFull,
    Due,
    Standing,
)
from edge.index.database import Connection, Database

__all__ = [
    "MAX_INSTANCES",
    "Asked",
    "Commitment",
    "Commitments",
    "CommitmentsFull",
    "Due",
    "FailureReason",
    "Standing",
    "Verdict",
]

DAY = 86400.0
FARTHEST = DAY
"""Seconds; a moment later than that was written under a clock that was wrong."""
MAX_OPEN = 1_000_000
"""Instances that one peer may have waiting."""
MAX_INSTANCES = 20_000
"""Of one transaction: its report is one message."""
FIRST_PAUSE, LONGEST_PAUSE = 5.0, 1800.0
"""Seconds until a report is tried again: doubled each time."""
FEWEST_TRIES = 8
"""A report is given up after so many at the least, however long the box itself was off."""
KEPT = 30 * DAY
"""So long what is over is listed."""
MOST_TALLIED = 50_000
"""Instances whose state is looked at for one list; a second of work on small hardware."""
_MANY = 100
"""Reports to one peer in one go."""


class FailureReason(IntEnum):
    """Failure Reason (0008,1197) of an instance (PS3.3 C.14.1.1)."""

    PROCESSING_FAILURE = 0x0110
    NO_SUCH_OBJECT_INSTANCE = 0x0112
    CLASS_INSTANCE_CONFLICT = 0x0119
    SOP_CLASS_NOT_SUPPORTED = 0x0122


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of a transaction: SOP Class UID and SOP Instance UID of each instance."""

    committed: tuple[tuple[str, str], ...]
    failed: tuple[tuple[str, str, FailureReason], ...]


class Commitments:
    """All transactions.

    Args:
        database: The index.
        changes: Woken by every request and decision.
        config: Says what is committed for whom, and how long all waits.
        clock: POSIX seconds.
        is_careful: Nobody is told "committed" for what is sealed here alone, whatever the
            configuration says: it may lack what was set.
    """

    def __init__(
        self,
        database: Database,
        changes: Changes,
        config: Config,
        clock: Callable[[], float] = time.time,
        *,
        is_careful: bool = False,
    ) -> None:
        self._database = database
        self._changes = changes
        self._is_careful = is_careful
        self._settings = config.dimse
        self._has_archive = bool(config.cloud.archive)
        self._clock = clock

    async def ask(self, asked: Asked) -> None:
        """Keep a request; it is durable when this returns, and the same once more is harmless.

        Raises:
            CommitmentsFull: The peer has too much waiting, or the transaction is too long.
            StorageFull: There is no room for it.
        """
        now = self._clock()
        await self._database.write(
            lambda db: commitments.ask(db, asked, now, max_open=MAX_OPEN, max_each=MAX_INSTANCES)
        )

    def wake(self) -> None:
        """Who asked has heard that it was kept: from now on it may be reported."""
        self._changes.wake()

    async def decide(self) -> float | None:
        """See which transactions can be reported by now; when time alone decides the next."""
        now = self._clock()
        patience = await self._patience(now)
        places: list[tuple[int, float, int | None]] = []
        later: list[float] = []
        for one in await commitment_items.waiting(self._database, patience):
            place: int | None = one.place
            if one.is_decided:
                place = await self._first_undecided(one.commitment_id, one.place, patience)
                if place is not None:
                    later.append(now)  # what it waits for now is not known here: look again
                places.append((one.commitment_id, one.asked, place))
            else:
                absent = one.state is State.ABSENT
                seconds = self._grace if absent else self._settings.commit_days * DAY
                later.append(one.asked + seconds)
        if places:
            await self._database.write(lambda db: commitments.advance(db, places, now))
        if any(place is None for _, _, place in places):
            self._changes.wake()
        return min(later, default=None)

    async def _first_undecided(
        self, commitment_id: int, place: int, patience: Patience
    ) -> int | None:
        """From *place* on; and if there is none, whether one before it changed."""
        found = await commitment_items.first_undecided(
            self._database, commitment_id, place, patience
        )
        if found is None and place > 0:
            found = await commitment_items.first_undecided(
                self._database, commitment_id, 0, patience
            )
        return found

    async def due_peers(self) -> list[str]:
        """Who can be told something now."""
        return await commitments.due_peers(self._database, self._clock(), FARTHEST)

    async def due(self, peer: str) -> list[Due]:
        """What a peer is to be told; some of it, if it is much."""
        return await commitments.due(self._database, peer, _MANY)

    async def next_retry(self) -> float | None:
        """When the next report is tried again; POSIX seconds."""
        return await commitments.next_retry(self._database, self._clock())

    async def verdict(self, one: Due) -> Verdict | None:
        """What can be said now; None if something is not decided any more: then it waits again."""
        patience = await self._patience(self._clock())
        committed, failed = [], []
        for item in await commitment_items.items(self._database, one.commitment_id, patience):
            if not item.is_decided:
                await self._reopen(one, item.place)
                return None
            if item.state is State.COMMITTED:
                committed.append((item.sop_class_uid, item.sop_uid))
            else:
                reason = _reason(item.state, item.sop_class_uid)
                failed.append((item.sop_class_uid, item.sop_uid, reason))
        return Verdict(tuple(committed), tuple(failed))

    async def _reopen(self, one: Due, place: int) -> None:
        await self._database.write(lambda db: commitments.reopen(db, one, place))
        self._changes.wake()

    async def reported(self, one: Due, verdict: Verdict) -> None:
        """The peer heard it."""
        now, failed = self._clock(), len(verdict.failed)
        await self._database.write(lambda db: commitments.reported(db, one, now, failed))
        self._changes.wake()

    async def not_reported(self, one: Due, why: str) -> int:
        """The peer did not take it; how much is given up for that."""
        return await self._postpone(one.peer, one, why)

    async def unreachable(self, peer: str, why: str) -> int:
        """The peer can be told nothing now; how much is given up for that."""
        return await self._postpone(peer, peer, why)

    async def _postpone(self, peer: str, which: Due | str, why: str) -> int:
        now, pauses = self._clock(), (FIRST_PAUSE, LONGEST_PAUSE)
        decided_before = now - self._settings.commit_report_days * DAY

        def write(db: Connection) -> int:
            commitments.postpone(db, which, now, pauses, why)
            return commitments.give_up(db, peer, now, decided_before, FEWEST_TRIES)

        given_up = await self._database.write(write)
        self._changes.wake()
        return given_up

    async def tidy(self) -> None:
        """Forget what was over long ago, and mend what a wrong clock wrote."""
        now = self._clock()

        def write(db: Connection) -> None:
            commitments.turn_back_clock(db, now, FARTHEST)
            commitments.purge(db, now - KEPT)

        await self._database.write(write)

    # What a person sees and does.

    async def page(self, *, limit: int = 100, offset: int = 0) -> Page[Commitment]:
        """What is known: given up, then open, then what was reported lately."""
        total = await commitments.count(self._database)
        found = await commitments.page(self._database, limit=limit, offset=offset)
        return Page(total, await self._tallied(found))

    async def _tallied(self, found: list[Commitment]) -> list[Commitment]:
        """With what those that are not decided wait for."""
        uids, looked_at = set[str](), 0
        for one in found:
            looked_at += 0 if one.outcome or one.decided else one.instances
            if not (one.outcome or one.decided) and looked_at <= MOST_TALLIED:
                uids.add(one.transaction_uid)
        if not uids:
            return found
        patience = await self._patience(self._clock())
        waiting = await commitment_items.tally(self._database, uids, patience)
        return [
            self._waiting(one, *waiting.get((one.peer, one.transaction_uid), (None, None)))
            for one in found
        ]

    def _waiting(self, one: Commitment, absent: int | None, unsafe: int | None) -> Commitment:
        until = one.asked + self._grace if absent else 0.0
        return replace(one, absent=absent, absent_until=until, unsafe=unsafe)

    async def retry(self, transaction_uids: Sequence[str] | None) -> int:
        """Report those that are decided now, also what was given up; None: all; how many."""
        now = self._clock()
        done = await self._database.write(lambda db: commitments.retry(db, transaction_uids, now))
        self._changes.wake()
        return done

    async def forget(self, transaction_uids: Sequence[str] | None) -> int:
        """Tell the peer nothing any more; None: all that was given up; how many."""
        done = await self._database.write(lambda db: commitments.forget(db, transaction_uids))
        self._changes.wake()
        return done

    @property
    def _grace(self) -> float:
        return self._settings.commit_grace_seconds

    async def _patience(self, now: float) -> Patience:
        return Patience(
            at_edge=await self._at_edge(),
            absent_before=now - self._grace,
            undecided_before=now - self._settings.commit_days * DAY,
        )

    async def _at_edge(self) -> list[str]:
        """Peers to whom what is sealed here is committed.

        Of peers that share an AE title, the most careful one counts.
        """
        if self._is_careful:
            return []
        if not self._has_archive or self._settings.commit_after == "edge":
            known = await commitments.open_peers(self._database)
        else:
            known = [peer.ae_title.strip() for peer in self._settings.peer]
        if not self._has_archive:
            return known
        chosen: dict[str, set[str]] = {}
        for peer in self._settings.peer:
            said = peer.commit_after or self._settings.commit_after
            chosen.setdefault(peer.ae_title.strip(), set()).add(said)
        usual = {self._settings.commit_after}
        return [name for name in known if chosen.get(name, usual) == {"edge"}]


def _reason(state: State, sop_class_uid: str) -> FailureReason:
    if state is State.CONFLICTING:
        return FailureReason.CLASS_INSTANCE_CONFLICT
    if state is not State.ABSENT:
        return FailureReason.PROCESSING_FAILURE
    if not is_storage_sop_class(sop_class_uid):
        return FailureReason.SOP_CLASS_NOT_SUPPORTED
    return FailureReason.NO_SUCH_OBJECT_INSTANCE
