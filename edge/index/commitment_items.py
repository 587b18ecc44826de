"""How it stands with the instances that peers asked us to vouch for (storage commitment).

That is never kept: it is computed from the rows of instances whenever it is asked, so that nothing
is said to be safe that was safe only once. Times are POSIX seconds.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum

from edge.index.database import Database
from edge.index.lookup import json_list

__all__ = ["Item", "Patience", "State", "Waiting", "first_undecided", "items", "tally", "waiting"]


class State(StrEnum):
    """How it stands with an instance that a peer asked about."""

    COMMITTED = "COMMITTED"
    ABSENT = "ABSENT"
    """It is not here, or hidden, or lost; what an archive only lists counts as not here."""
    CONFLICTING = "CONFLICTING"
    """It is here as another SOP class."""
    REFUSED = "REFUSED"
    """The archive refuses it, and a person gave it up."""
    WAITING = "WAITING"


@dataclass(frozen=True, slots=True)
class Patience:
    """What is settled by now, and what may still change."""

    at_edge: Collection[str]
    """Peers to whom what is sealed here is committed."""
    absent_before: float
    """Of what was asked earlier, whatever is not here will not come."""
    undecided_before: float
    """Of what was asked earlier, nothing waits any more."""

    @property
    def values(self) -> tuple[object, ...]:
        """What the statements below call ?1, ?2, ?3."""
        return json_list(self.at_edge), self.absent_before, self.undecided_before


@dataclass(frozen=True, slots=True)
class Waiting:
    """A transaction of which something is not decided."""

    commitment_id: int
    asked: float
    place: int
    """Of the first instance that was not decided when it was last looked at."""
    state: State
    """Of that one."""
    is_decided: bool
    """Whether it is now."""


@dataclass(frozen=True, slots=True)
class Item:
    """An instance of a transaction."""

    place: int
    sop_class_uid: str
    sop_uid: str
    state: State
    is_decided: bool


_ELSEWHERE = (
    "(i.custody = 'VERIFIED' OR EXISTS (SELECT 1 FROM copies k"
    " JOIN archives a ON a.name = k.archive WHERE k.instance_id = i.id"
    " AND k.custody = 'VERIFIED' AND a.role = 'failover'))"
)
"""An archive verifiably has it: the primary one, or one that stands in."""
_STATE = (
    "CASE WHEN i.id IS NULL OR i.withheld <> '' OR i.availability = 'UNAVAILABLE'"
    f" OR i.availability = 'NEARLINE' AND NOT {_ELSEWHERE} THEN 'ABSENT'"
    " WHEN i.sop_class_uid NOT IN ('', t.sop_class_uid) THEN 'CONFLICTING'"
    " WHEN i.availability = 'ONLINE'"
    " AND c.peer IN (SELECT value FROM json_each(?1)) THEN 'COMMITTED'"
    # Of what it was shown to miss, the archive may have lost it; of two versions of an instance,
    # nobody knows which is the peer's.
    f" WHEN {_ELSEWHERE} AND i.study_id NOT IN (SELECT study_id FROM absences)"
    " AND NOT EXISTS (SELECT 1 FROM quarantine q WHERE q.sop_uid = i.sop_uid)"
    " THEN 'COMMITTED'"
    " WHEN i.custody = 'REFUSED' AND EXISTS"
    " (SELECT 1 FROM disputes d WHERE d.instance_id = i.id AND d.given_up > 0) THEN 'REFUSED'"
    " ELSE 'WAITING' END"
)
_UNDECIDED = f"({_STATE} = 'WAITING' AND c.asked >= ?3 OR {_STATE} = 'ABSENT' AND c.asked >= ?2)"
_ITEMS = (
    " FROM commitments c CROSS JOIN commitment_items t ON t.commitment_id = c.id"
    " LEFT JOIN instances i ON i.sop_uid = t.sop_uid"
)


async def waiting(database: Database, patience: Patience) -> list[Waiting]:
    """All that are not decided, each with the one instance that it was last seen to wait for."""
    rows = await database.read(
        f"SELECT c.id, c.asked, c.place, {_STATE}, NOT {_UNDECIDED}{_ITEMS}"
        f" WHERE t.place = c.place AND c.outcome = '' AND c.decided = 0",
        patience.values,
    )
    return [
        Waiting(number, asked, place, State(state), bool(is_decided))
        for number, asked, place, state, is_decided in rows
    ]


async def first_undecided(
    database: Database, commitment_id: int, place: int, patience: Patience
) -> int | None:
    """The place of the first instance from *place* on that is not decided."""
    rows = await database.read(
        f"SELECT t.place{_ITEMS} WHERE c.id = ?4 AND t.place >= ?5 AND {_UNDECIDED}"
        " ORDER BY t.place LIMIT 1",
        (*patience.values, commitment_id, place),
    )
    return int(rows[0][0]) if rows else None


async def tally(
    database: Database, transaction_uids: Collection[str], patience: Patience
) -> dict[tuple[str, str], tuple[int, int]]:
    """How many instances of transactions are not decided, for they are absent, or wait.

    Keys are the peer and the Transaction UID; transactions that are decided are left out.
    """
    rows = await database.scan(
        "WITH found AS MATERIALIZED (SELECT c.peer AS peer, c.transaction_uid AS uid,"
        f" c.asked AS asked, {_STATE} AS state{_ITEMS} WHERE c.outcome = '' AND c.decided = 0"
        " AND c.transaction_uid IN (SELECT value FROM json_each(?4)))"
        " SELECT peer, uid, sum(state = 'ABSENT' AND asked >= ?2),"
        " sum(state = 'WAITING' AND asked >= ?3) FROM found GROUP BY peer, uid",
        (*patience.values, json_list(transaction_uids)),
    )
    return {(peer, uid): (absent, waits) for peer, uid, absent, waits in rows}


async def items(database: Database, commitment_id: int, patience: Patience) -> list[Item]:
    """All instances of a transaction."""
    rows = await database.scan(
        f"SELECT t.place, t.sop_class_uid, t.sop_uid, {_STATE}, NOT {_UNDECIDED}{_ITEMS}"
        " WHERE c.id = ?4 ORDER BY t.place",
        (*patience.values, commitment_id),
    )
    return [
        Item(place, sop_class, sop, State(state), bool(is_decided))
        for place, sop_class, sop, state, is_decided in rows
    ]
