"""What peers are to be told: messages that wait, went, or were refused.

Promises that of the messages to one peer about one SOP instance only the first that waits is ever
due: they arrive in their order, or not at all. One that waits long holds up no other. Functions
that take a ``Connection`` run inside ``Database.write``.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from edge.dicom.availability import AVAILABILITY_NOTIFICATION
from edge.index.database import Connection, Database
from edge.index.lookup import json_list

__all__ = [
    "MOST_WAITING",
    "Counts",
    "Delivery",
    "Message",
    "PeerTrouble",
    "counts",
    "drop",
    "due",
    "due_times",
    "fail_peer",
    "forget_before",
    "mark_sent",
    "notify",
    "page",
    "put",
    "reached",
    "retry",
    "settle",
    "states_of",
    "troubles",
]

MOST_WAITING = 50_000
"""Messages to one peer; more than that, and the oldest are dropped."""
_FARTHEST = 86400.0
"""Seconds; a retry later than that was written under a clock that was wrong, and is due."""


class Delivery(StrEnum):
    """What became of a message."""

    DUE = "DUE"
    SENT = "SENT"
    """It was sent, and whether it came is not known: it is sent again."""
    DONE = "DONE"
    REFUSED = "REFUSED"
    """The peer will not have it; a person may send it again."""
    DROPPED = "DROPPED"
    """It will not be sent: a person said so, or too many waited."""


@dataclass(frozen=True, slots=True)
class Message:
    """One message."""

    message_id: int
    peer: str
    """AE title."""
    operation: str
    """``N-CREATE`` or ``N-SET``."""
    sop_class_uid: str
    sop_uid: str
    study_uid: str
    """Whose availability it says; empty: it has attributes."""
    queued: float
    state: Delivery
    tries: int
    retry_at: float
    reason: str
    """The peer's own words, or why it could not be told."""
    attributes: bytes | None = None
    """DICOM JSON, deflated."""


@dataclass(frozen=True, slots=True)
class Counts:
    """How many messages there are."""

    waiting: int = 0
    refused: int = 0
    dropped: int = 0


@dataclass(frozen=True, slots=True)
class PeerTrouble:
    """A peer that can't be told anything now."""

    peer: str
    since: float
    tries: int
    retry_at: float
    reason: str


_COLUMNS = (
    "o.id, o.peer, o.operation, o.sop_class_uid, o.sop_uid, o.study_uid, o.queued, o.state,"
    " o.tries, o.retry_at, o.reason"
)
# A refused N-CREATE holds what follows: who has no such instance can't set anything of it.
_HEAD = (
    "o.state IN ('DUE', 'SENT') AND NOT EXISTS (SELECT 1 FROM outbox e"
    " WHERE e.peer = o.peer AND e.sop_uid = o.sop_uid AND e.id < o.id AND (e.state IN"
    " ('DUE', 'SENT') OR e.state = 'REFUSED' AND e.operation = 'N-CREATE'))"
)


def put(
    db: Connection,
    peers: Iterable[str],
    operation: str,
    sop_class_uid: str,
    sop_uid: str,
    attributes: bytes,
    now: float,
) -> None:
    """Queue a message to some peers."""
    for peer in peers:
        _insert(db, peer, operation, sop_class_uid, sop_uid, "", attributes, now)


def notify(db: Connection, peers: Iterable[str], study_uid: str, now: float) -> None:
    """Queue that a study is available; once is enough for all that was not said of it yet."""
    for peer in peers:
        waiting = db.execute(
            "SELECT 1 FROM outbox WHERE peer = ? AND state = 'DUE' AND study_uid = ?",
            (peer, study_uid),
        ).fetchone()
        if waiting is None:
            sop_uid = f"2.25.{uuid.uuid4().int}"
            _insert(db, peer, "N-CREATE", AVAILABILITY_NOTIFICATION, sop_uid, study_uid, None, now)


def _insert(
    db: Connection,
    peer: str,
    operation: str,
    sop_class_uid: str,
    sop_uid: str,
    study_uid: str,
    attributes: bytes | None,
    now: float,
) -> None:
    db.execute(
        "INSERT INTO outbox (peer, operation, sop_class_uid, sop_uid, study_uid, attributes,"
        " queued) VALUES (?, ?, ?, ?, ?, ?, ?)",
        (peer, operation, sop_class_uid, sop_uid, study_uid, attributes, now),
    )
    ((waiting, oldest),) = db.execute(
        "SELECT count(*), min(id) FROM outbox WHERE peer = ? AND state IN ('DUE', 'SENT')", (peer,)
    )
    if waiting > MOST_WAITING:
        ((about,),) = db.execute("SELECT sop_uid FROM outbox WHERE id = ?", (oldest,))
        db.execute(
            "UPDATE outbox SET state = 'DROPPED', attributes = NULL, ended = ?,"
            " reason = 'too many messages waited'"
            " WHERE peer = ? AND sop_uid = ? AND state IN ('DUE', 'SENT')",
            (now, peer, about),
        )


async def due_times(database: Database, now: float) -> dict[str, float]:
    """When each peer that something waits for can be told the next of it; 0 is now."""
    rows = await database.scan(
        "SELECT o.peer, min(max(CASE WHEN o.retry_at > ? THEN 0 ELSE o.retry_at END,"
        " CASE WHEN p.retry_at IS NULL OR p.retry_at > ? THEN 0 ELSE p.retry_at END))"
        f" FROM outbox o LEFT JOIN outbox_peers p ON p.peer = o.peer WHERE {_HEAD} GROUP BY o.peer",
        (now + _FARTHEST, now + _FARTHEST),
    )
    return {peer: float(moment) for peer, moment in rows}


async def due(database: Database, peer: str, now: float, limit: int) -> list[Message]:
    """What a peer can be told now, the oldest first; at most one message of each instance."""
    rows = await database.read(
        f"SELECT {_COLUMNS}, o.attributes FROM outbox o INDEXED BY outbox_waiting"
        f" WHERE o.peer = ? AND {_HEAD} AND (o.retry_at <= ? OR o.retry_at > ?)"
        " ORDER BY o.id LIMIT ?",
        (peer, now, now + _FARTHEST, limit),
    )
    return [_message(row) for row in rows]


def _message(row: tuple[Any, ...]) -> Message:
    message = Message(*row)
    return replace(message, state=Delivery(message.state))


def mark_sent(db: Connection, message_id: int) -> bool:
    """From now on the peer may have it; False if it is not to be sent any more."""
    return bool(
        db.execute(
            "UPDATE outbox SET state = 'SENT' WHERE id = ? AND state IN ('DUE', 'SENT')",
            (message_id,),
        ).rowcount
    )


def settle(
    db: Connection, message_id: int, state: Delivery, reason: str, retry_at: float, now: float
) -> None:
    """Write down what became of a message; one that is to be sent again counts a try more."""
    ended = state not in (Delivery.DUE, Delivery.SENT)
    db.execute(
        "UPDATE outbox SET state = ?, reason = ?, retry_at = ?, tries = tries + 1, ended = ?,"
        " attributes = CASE ? WHEN 'DONE' THEN NULL ELSE attributes END WHERE id = ?"
        " AND state IN ('DUE', 'SENT')",
        (state, reason, retry_at, now if ended else 0.0, state, message_id),
    )


def fail_peer(db: Connection, peer: str, reason: str, retry_at: float, now: float) -> None:
    """A peer could not be told anything."""
    db.execute(
        "INSERT INTO outbox_peers (peer, since, tries, retry_at, reason) VALUES (?, ?, 1, ?, ?)"
        " ON CONFLICT (peer) DO UPDATE SET tries = tries + 1, retry_at = excluded.retry_at,"
        " reason = excluded.reason",
        (peer, now, retry_at, reason),
    )


def reached(db: Connection, peer: str) -> None:
    """A peer listens."""
    db.execute("DELETE FROM outbox_peers WHERE peer = ?", (peer,))


async def troubles(database: Database) -> list[PeerTrouble]:
    """Peers that something waits for, and that can't be told."""
    rows = await database.read(
        "SELECT p.peer, p.since, p.tries, p.retry_at, p.reason FROM outbox_peers p WHERE EXISTS"
        " (SELECT 1 FROM outbox WHERE peer = p.peer AND state IN ('DUE', 'SENT')) ORDER BY p.peer"
    )
    return [PeerTrouble(*row) for row in rows]


async def counts(database: Database) -> Counts:
    """How many messages wait, and were not delivered."""
    rows = await database.read(
        "SELECT coalesce(sum(state IN ('DUE', 'SENT')), 0), coalesce(sum(state = 'REFUSED'), 0),"
        " coalesce(sum(state = 'DROPPED'), 0) FROM outbox WHERE state <> 'DONE'"
    )
    return Counts(*rows[0])


async def page(database: Database, *, limit: int, offset: int) -> tuple[int, list[Message]]:
    """Messages that were not delivered: how many, and some of them, the oldest first."""
    where = "WHERE o.state <> 'DONE'"
    ((total,),) = await database.read(f"SELECT count(*) FROM outbox o {where}")
    rows = await database.read(
        f"SELECT {_COLUMNS} FROM outbox o {where} ORDER BY o.id LIMIT ? OFFSET ?", (limit, offset)
    )
    return total, [_message(row) for row in rows]


async def states_of(database: Database, sop_uids: Iterable[str]) -> list[Message]:
    """The messages about some SOP instances, in their order; of each peer's last ones at least."""
    rows = await database.read(
        f"SELECT {_COLUMNS} FROM outbox o WHERE o.sop_uid IN (SELECT value FROM json_each(?))"
        " ORDER BY o.id",
        (json_list(sop_uids),),
    )
    return [_message(row) for row in rows]


def retry(db: Connection, message_ids: Iterable[int] | None) -> int:
    """Send what was refused, or waits for its time, now; None: all of it. How many."""
    which = json_list(() if message_ids is None else message_ids)
    db.execute("DELETE FROM outbox_peers")
    return int(
        db.execute(
            "UPDATE outbox SET state = CASE state WHEN 'SENT' THEN 'SENT' ELSE 'DUE' END,"
            " retry_at = 0, ended = 0 WHERE state IN ('DUE', 'SENT', 'REFUSED')"
            " AND (? OR id IN (SELECT value FROM json_each(?)))",
            (message_ids is None, which),
        ).rowcount
    )


def drop(db: Connection, message_ids: Iterable[int], now: float) -> int:
    """Never send these, nor what waits behind them; how many."""
    which = json_list(message_ids)
    return int(
        db.execute(
            "UPDATE outbox SET state = 'DROPPED', attributes = NULL, ended = ?"
            " WHERE state IN ('DUE', 'SENT', 'REFUSED') AND EXISTS (SELECT 1 FROM outbox e"
            " WHERE e.id IN (SELECT value FROM json_each(?)) AND e.peer = outbox.peer"
            " AND e.sop_uid = outbox.sop_uid AND e.id <= outbox.id"
            " AND e.state IN ('DUE', 'SENT', 'REFUSED'))",
            (now, which),
        ).rowcount
    )


def forget_before(db: Connection, moment: float) -> int:
    """Messages that were over by then; how many."""
    return int(
        db.execute(
            "DELETE FROM outbox WHERE state IN ('DONE', 'REFUSED', 'DROPPED') AND ended < ?",
            (moment,),
        ).rowcount
    )
