"""Storage commitment: the transactions that peers asked for, until they have heard the answer.

How it stands with their instances is computed (`edge.index.commitment_items`). Functions that take
a ``Connection`` run inside ``Database.write``. Times are POSIX seconds.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from edge.index.database import Connection, Database
from edge.index.lookup import json_list

__all__ = [
    "Asked",
    "Commitment",
    "CommitmentsFull",
    "Due",
    "Standing",
    "advance",
    "ask",
    "count",
    "due",
    "due_peers",
    "forget",
    "give_up",
    "next_retry",
    "open_peers",
    "page",
    "postpone",
    "purge",
    "reopen",
    "reported",
    "retry",
    "standing",
    "turn_back_clock",
]


class CommitmentsFull(Exception):
    """More is asked than one peer may have open."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A request for storage commitment (PS3.4 J.3.2)."""

    peer: str
    """AE title of who asks."""
    transaction_uid: str
    instances: tuple[tuple[str, str], ...]
    """SOP Class UID and SOP Instance UID of each."""


@dataclass(frozen=True, slots=True)
class Due:
    """A transaction that can be reported."""

    commitment_id: int
    peer: str
    transaction_uid: str
    asked: float
    instances: int
    decided: float
    tries: int


@dataclass(frozen=True, slots=True)
class Commitment:
    """A transaction, as a person reads it."""

    transaction_uid: str
    peer: str
    asked: float
    instances: int
    decided: float
    """Since when it can be reported; 0 before."""
    tries: int
    """Reports that did not get through."""
    retry_at: float
    reason: str
    """Why the last of them did not."""
    outcome: str
    """``REPORTED``: the peer heard it; ``GIVEN_UP``: it could not be told, for days; or empty."""
    ended: float
    failed: int
    """Of the instances, those that were reported as not committed."""
    absent: int | None = None
    """Of one that is not decided: instances that are not here, and may still come. None: of others,
    and where too many would have to be looked at."""
    absent_until: float = 0.0
    """So long they may."""
    unsafe: int | None = None
    """Likewise: instances that are here, and do not count as safe yet."""


@dataclass(frozen=True, slots=True)
class Standing:
    """How many transactions there are of each kind."""

    waiting: int = 0
    """Some of their instances are not decided."""
    unreported: int = 0
    """They are decided, and the peer was not told yet."""
    given_up: int = 0
    """The peer could not be told, for days."""
    reason: str = ""
    """To whom the last report did not get through, and why; empty if none waits for that."""


_OPEN = "outcome = ''"


def ask(db: Connection, asked: Asked, now: float, *, max_open: int, max_each: int) -> bool:
    """Keep a request; whether anything in it is new.

    The same once more changes nothing, but that its report is due at once. Further instances under
    the UID of a transaction that is open are added to it; one that is over begins anew.

    Raises:
        CommitmentsFull: The peer would have more than *max_open* instances waiting, or this
            transaction more than *max_each*.
    """
    row = db.execute(
        "SELECT id, instances, outcome FROM commitments WHERE peer = ? AND transaction_uid = ?",
        (asked.peer, asked.transaction_uid),
    ).fetchone()
    if row is not None and row[2]:
        db.execute("DELETE FROM commitments WHERE id = ?", (row[0],))
        row = None
    known: set[tuple[str, str]] = set()
    if row is not None:
        known.update(
            db.execute(
                "SELECT sop_class_uid, sop_uid FROM commitment_items WHERE commitment_id = ?",
                row[:1],
            )
        )
    fresh = [one for one in dict.fromkeys(asked.instances) if one not in known]
    if row is not None and not fresh:
        db.execute("UPDATE commitments SET retry_at = 0 WHERE id = ?", row[:1])
        return False
    ((waiting,),) = db.execute(
        f"SELECT coalesce(sum(instances), 0) FROM commitments WHERE peer = ? AND {_OPEN}",
        (asked.peer,),
    )
    if waiting + len(fresh) > max_open:
        raise CommitmentsFull("too much of this peer is waiting already")
    if len(known) + len(fresh) > max_each:
        raise CommitmentsFull(f"more than {max_each} instances in one transaction")
    if row is None:
        ((commitment_id,),) = db.execute(
            "INSERT INTO commitments (peer, transaction_uid, asked, instances)"
            " VALUES (?, ?, ?, ?) RETURNING id",
            (asked.peer, asked.transaction_uid, now, len(fresh)),
        )
    else:
        commitment_id = row[0]
        db.execute(
            "UPDATE commitments SET asked = ?, instances = instances + ?, decided = 0, tries = 0,"
            " retry_at = 0, reason = '' WHERE id = ?",
            (now, len(fresh), commitment_id),
        )
    db.executemany(
        "INSERT INTO commitment_items (commitment_id, place, sop_class_uid, sop_uid)"
        " VALUES (?, ?, ?, ?)",
        [(commitment_id, place, *one) for place, one in enumerate(fresh, len(known))],
    )
    return True


def advance(db: Connection, places: Iterable[tuple[int, float, int | None]], now: float) -> None:
    """Note what transactions wait for: id, when asked, and the place; None: they are decided."""
    for commitment_id, asked, place in places:
        db.execute(
            "UPDATE commitments SET place = coalesce(?1, 0),"
            " decided = CASE WHEN ?1 IS NULL THEN ?2 ELSE 0 END"
            f" WHERE id = ?3 AND asked = ?4 AND {_OPEN}",
            (place, now, commitment_id, asked),
        )


async def open_peers(database: Database) -> list[str]:
    """Who waits for a report."""
    rows = await database.read(f"SELECT DISTINCT peer FROM commitments WHERE {_OPEN}")
    return [row[0] for row in rows]


async def due_peers(database: Database, now: float, farthest: float) -> list[str]:
    """Who can be told something now."""
    rows = await database.read(
        f"SELECT DISTINCT peer FROM commitments WHERE {_OPEN} AND decided > 0"
        " AND (retry_at <= ? OR retry_at > ?)",
        (now, now + farthest),
    )
    return [row[0] for row in rows]


async def due(database: Database, peer: str, max_count: int) -> list[Due]:
    """What a peer is to be told: first what it never refused, then what was refused longest ago."""
    rows = await database.read(
        "SELECT id, peer, transaction_uid, asked, instances, decided, tries FROM commitments"
        f" WHERE {_OPEN} AND peer = ? AND decided > 0 ORDER BY retry_at, asked, id LIMIT ?",
        (peer, max_count),
    )
    return [Due(*row) for row in rows]


async def next_retry(database: Database, now: float) -> float | None:
    """When the next report is due that is not due yet."""
    rows = await database.read(
        f"SELECT min(retry_at) FROM commitments WHERE {_OPEN} AND decided > 0 AND retry_at > ?",
        (now,),
    )
    return None if rows[0][0] is None else float(rows[0][0])


def reported(db: Connection, one: Due, now: float, failed: int) -> None:
    """The peer heard it: a transaction is over, unless more was asked meanwhile."""
    is_over = db.execute(
        "UPDATE commitments SET outcome = 'REPORTED', ended = ?, failed = ?, reason = ''"
        f" WHERE id = ? AND asked = ? AND {_OPEN}",
        (now, failed, one.commitment_id, one.asked),
    ).rowcount
    if is_over:
        db.execute("DELETE FROM commitment_items WHERE commitment_id = ?", (one.commitment_id,))


def postpone(
    db: Connection, which: Due | str, now: float, pauses: tuple[float, float], why: str
) -> None:
    """A report did not get through, or nothing that its peer was to be told.

    Args:
        db: The index.
        which: The report; or else the peer.
        now: POSIX seconds.
        pauses: The first until it is tried again, doubled each time, and the longest.
        why: In words.
    """
    where, values = "peer = ? AND decided > 0", tuple[object, ...]([which])
    if isinstance(which, Due):
        where, values = "id = ? AND asked = ?", (which.commitment_id, which.asked)
    db.execute(
        "UPDATE commitments SET tries = tries + 1, reason = ?,"
        " retry_at = ? + min(? * (1 << min(tries, 16)), ?)"
        f" WHERE {_OPEN} AND {where}",
        (why, now, *pauses, *values),
    )


def give_up(db: Connection, peer: str, now: float, decided_before: float, tries: int) -> int:
    """What a peer did not take since then, and at so many tries, is over; how many those are."""
    given_up: int = db.execute(
        "UPDATE commitments SET outcome = 'GIVEN_UP', ended = ?"
        f" WHERE {_OPEN} AND peer = ? AND decided > 0 AND decided <= ? AND tries >= ?",
        (now, peer, decided_before, tries),
    ).rowcount
    return given_up


def reopen(db: Connection, one: Due, place: int) -> None:
    """Something of it is not decided any more."""
    db.execute(
        "UPDATE commitments SET decided = 0, place = ?, tries = 0, retry_at = 0"
        f" WHERE id = ? AND asked = ? AND {_OPEN}",
        (place, one.commitment_id, one.asked),
    )


def turn_back_clock(db: Connection, now: float, farthest: float) -> None:
    """What was written under a clock that was ahead counts from now on."""
    db.execute(
        "UPDATE commitments SET asked = min(asked, ?1), decided = min(decided, ?1)"
        f" WHERE {_OPEN} AND max(asked, decided) > ?2",
        (now, now + farthest),
    )


def purge(db: Connection, ended_before: float) -> int:
    """Forget what was over long ago; how many."""
    removed: int = db.execute(
        "DELETE FROM commitments WHERE outcome <> '' AND ended < ?", (ended_before,)
    ).rowcount
    return removed


def retry(db: Connection, transaction_uids: Sequence[str] | None, now: float) -> int:
    """Have those that are decided reported now, given up or not; None: all of them; how many."""
    which, values = _about(transaction_uids)
    changed: int = db.execute(
        "UPDATE commitments SET outcome = '', ended = 0, tries = 0, retry_at = 0, decided = ?"
        f" WHERE decided > 0 AND outcome <> 'REPORTED'{which}",
        (now, *values),
    ).rowcount
    return changed


def forget(db: Connection, transaction_uids: Sequence[str] | None) -> int:
    """Drop them, told or not; None: all that were given up; how many."""
    which, values = _about(transaction_uids)
    if transaction_uids is None:
        which = " AND outcome = 'GIVEN_UP'"
    removed: int = db.execute(f"DELETE FROM commitments WHERE 1{which}", values).rowcount
    return removed


def _about(transaction_uids: Sequence[str] | None) -> tuple[str, tuple[str, ...]]:
    if transaction_uids is None:
        return "", ()
    return (
        " AND transaction_uid IN (SELECT value FROM json_each(?))",
        (json_list(transaction_uids),),
    )


async def standing(database: Database) -> Standing:
    """How many there are of each kind."""
    ((waiting, unreported, given_up),) = await database.read(
        "SELECT coalesce(sum(outcome = '' AND decided = 0), 0),"
        " coalesce(sum(outcome = '' AND decided > 0), 0),"
        " coalesce(sum(outcome = 'GIVEN_UP'), 0) FROM commitments WHERE outcome <> 'REPORTED'"
    )
    reasons = await database.read(
        "SELECT peer || ': ' || reason FROM commitments"
        " WHERE outcome <> 'REPORTED' AND reason <> ''"
        " ORDER BY max(ended, retry_at) DESC LIMIT 1"
    )
    return Standing(waiting, unreported, given_up, reasons[0][0] if reasons else "")


async def count(database: Database) -> int:
    """How many are known."""
    rows = await database.read("SELECT count(*) FROM commitments")
    return int(rows[0][0])


async def page(database: Database, *, limit: int, offset: int) -> list[Commitment]:
    """What is known: given up, then open, then what was reported; each the oldest first."""
    rows = await database.read(
        "SELECT transaction_uid, peer, asked, instances, decided, tries, retry_at, reason, outcome,"
        " ended, failed FROM commitments ORDER BY CASE outcome WHEN 'GIVEN_UP' THEN 0"
        " WHEN '' THEN 1 ELSE 2 END, asked, id LIMIT ? OFFSET ?",
        (limit, offset),
    )
    return [Commitment(*row) for row in rows]
