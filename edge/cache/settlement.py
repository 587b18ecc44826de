"""Conflicts with the archive whose decision is to be carried out, and what became of them.

What ``edge.sync.arbitration`` works from. Every step is one transaction. A decision that was taken
back meanwhile is not carried out.
"""

from __future__ import annotations

from dataclasses import dataclass

from edge.cache.exchange import Exchange
from edge.cache.listing import KEEP_ARCHIVE_ALONE, Decision
from edge.dicom.instance import Custody, InstanceRef
from edge.errors import DecisionRefused
from edge.index import disputes, lookup
from edge.index.database import Database
from edge.index.disputes import Query, Theirs

__all__ = ["Case", "Settling"]

_MOST = 100


@dataclass(frozen=True, slots=True)
class Case:
    """A conflict, and how it shall end."""

    instance_id: int
    ref: InstanceRef
    wish: str
    """The decision, by its name."""
    theirs: bytes | None
    """Digest of what the archive was seen to have when that was decided, if it was seen."""
    length: int = 0
    """Bytes of its file then; 0 if it was not seen."""

    @property
    def keeps_ours(self) -> bool:
        """Whether the archive's bytes give way, and not ours."""
        return self.wish == Decision.KEEP_OURS

    @property
    def throws_ours_away(self) -> bool:
        """Whether ours goes for good, and not into quarantine."""
        return self.wish == KEEP_ARCHIVE_ALONE

    def is_another(self, digest: bytes) -> bool:
        """Whether that is not what the decision was about."""
        return self.theirs not in (None, digest)


class Settling:
    """Questions and entries about decisions.

    Args:
        database: The index.
        exchange: Puts the archive's bytes in the place of ours.
    """

    def __init__(self, database: Database, exchange: Exchange) -> None:
        self._database = database
        self._exchange = exchange

    async def undone(self) -> list[Case]:
        """What was decided, and is not done."""
        return [
            Case(one.instance_id, one.ref, one.decision, *_seen(one.theirs))
            for one in await disputes.undone(self._database, _MOST)
        ]

    async def stands(self, case: Case) -> bool:
        """Whether it is still decided so."""
        query = Query((case.ref.sop_uid,))
        found = await disputes.find(self._database, Custody.CONFLICT, query)
        return any(
            (one.instance_id, one.decision) == (case.instance_id, case.wish) for one in found
        )

    async def is_ours(self, case: Case, digest: bytes) -> bool:
        """Whether the archive has just what is here: then there is no conflict."""
        row = await lookup.find_one(self._database, case.ref.sop_uid)
        return row is not None and row.dataset_digest == digest

    async def agree(self, case: Case) -> None:
        """The archive has ours, as far as was seen: verification looks once more."""
        await self._end(case, Custody.ACKNOWLEDGED)

    async def give_ours(self, case: Case) -> None:
        """The archive has nothing any more: it is owed ours."""
        await self._end(case, Custody.EDGE_ONLY)

    async def take_theirs(self, case: Case, digest: bytes) -> None:
        """What was fetched becomes the instance; ours goes into quarantine, or for good.

        Raises:
            DecisionRefused: It is not there, or can't be read.
            StorageFull: There is not even room to write down what goes.
        """
        found = await disputes.find_aside(self._database, Query((case.ref.sop_uid,)))
        theirs = next((one for one in found if one.dataset_digest == digest), None)
        if theirs is None:
            raise DecisionRefused("what the archive gave is not here")
        # It was just read from there, which is what verification does.
        goes = case.instance_id if case.throws_ours_away else None
        await self._exchange.swap(theirs, Custody.VERIFIED, goes=goes)

    async def fail(self, case: Case, words: str) -> None:
        """It can't be carried out: both are kept, and the listing says why."""
        await self._end(case, Custody.CONFLICT, words)

    async def _end(self, case: Case, custody: Custody, words: str = "") -> None:
        await self._database.write(
            lambda db: disputes.end_decision(db, case.instance_id, custody, words)
        )


def _seen(theirs: Theirs | None) -> tuple[bytes | None, int]:
    return (None, 0) if theirs is None else (theirs.digest, theirs.content_bytes)
