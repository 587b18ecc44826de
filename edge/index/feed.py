"""The change feed: what changed, in the order of commit.

Each row of ``changes`` is written in the transaction of the change itself, by the one writer. So
whoever sees a number can see all lower ones: none is committed later. The numbers have no gaps, and
nothing is ever removed.

Removing old changes would have a price: a follower that was away for long would take the gap for
silence. Whoever learns to do it must refuse numbers from before the gap, and counts altogether.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from edge.dicom.instance import InstanceRef
from edge.index.database import Connection, Database

__all__ = [
    "Action",
    "Change",
    "State",
    "changes_after",
    "changes_between",
    "document_of",
    "latest_change",
    "position_after",
    "record",
]


class Action(StrEnum):
    """What happened to the instance."""

    CREATE = "create"
    UPDATE = "update"
    DELETE = "delete"


class State(StrEnum):
    """What the change means by now."""

    CURRENT = "current"
    """The instance is as this change left it."""
    REPLACED = "replaced"
    """It was changed again since."""
    DELETED = "deleted"
    """It is not here any more."""


@dataclass(frozen=True, slots=True)
class Change:
    """One change, and what it means at the moment of reading."""

    sequence: int
    action: Action
    ref: InstanceRef
    at: float
    """POSIX seconds, by the box's clock at the time."""
    state: State


_CHANGE = (
    "SELECT c.sequence, c.action, c.study_uid, c.series_uid, c.sop_uid, c.at,"
    " CASE WHEN last.action = 'DELETE' THEN 'deleted'"
    " WHEN last.sequence = c.sequence THEN 'current' ELSE 'replaced' END"
    " FROM changes c JOIN changes last"
    " ON last.sequence = (SELECT max(sequence) FROM changes WHERE sop_uid = c.sop_uid)"
)


def record(db: Connection, action: str, ref: InstanceRef, now: float) -> None:
    """Give a change of content the next number; what is hidden, or shown again, the triggers do."""
    db.execute(
        "INSERT INTO changes (action, study_uid, series_uid, sop_uid, at) VALUES (?, ?, ?, ?, ?)",
        (action, ref.study_uid, ref.series_uid, ref.sop_uid, now),
    )


async def _read(database: Database, where: str, *parameters: object) -> list[Change]:
    rows = await database.scan(f"{_CHANGE} {where}", parameters)
    return [
        Change(sequence, Action(action.lower()), InstanceRef(*uids), at, State(state))
        for sequence, action, *uids, at, state in rows
    ]


async def changes_after(database: Database, sequence: int, *, limit: int) -> list[Change]:
    """The changes whose numbers are higher than *sequence*, the lowest first."""
    return await _read(
        database, "WHERE c.sequence > ? ORDER BY c.sequence LIMIT ?", sequence, limit
    )


async def changes_between(
    database: Database, start: float, end: float, *, offset: int, limit: int
) -> list[Change]:
    """The changes of a span of time, the lowest number first.

    Args:
        database: The index.
        start: POSIX seconds, inclusive.
        end: POSIX seconds, exclusive. What is being committed now is waited for: a span that is
            over does not grow afterwards.
        offset: How many of them to skip.
        limit: How many to give.
    """
    await database.write(_nothing)
    # The numbers first: they alone are sorted, and they stand in the index by time.
    return await _read(
        database,
        "WHERE c.sequence IN (SELECT sequence FROM changes INDEXED BY changes_by_time"
        " WHERE at >= ? AND at < ? ORDER BY sequence LIMIT ? OFFSET ?) ORDER BY c.sequence",
        start,
        end,
        limit,
        offset,
    )


async def latest_change(database: Database) -> Change | None:
    """The change with the highest number; None if nothing ever changed."""
    changes = await _read(database, "ORDER BY c.sequence DESC LIMIT 1")
    return changes[0] if changes else None


async def position_after(database: Database, count: int) -> int:
    """The number behind which the feed goes on for who has seen *count* changes of it.

    Followers count, or go on by the number that they saw last. Numbers are far higher than any
    count, so that both are understood.
    """
    [(first,)] = await database.scan("SELECT min(sequence) FROM changes")
    return count if first is None or count >= first else int(first) - 1 + count


async def document_of(database: Database, sop_uid: str) -> bytes | None:
    """The JSON object (deflated) of an instance as it is now; None if it is not shown."""
    rows = await database.scan(
        "SELECT m.document FROM instances i JOIN metadata m ON m.instance_id = i.id"
        " WHERE i.sop_uid = ? AND i.withheld = ''",
        (sop_uid,),
    )
    return rows[0][0] if rows else None


def _nothing(_: Connection) -> None:
    """A write that changes nothing: it returns once those before it are durable."""
