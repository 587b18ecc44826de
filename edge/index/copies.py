"""Custody with the archives beside the primary one, and who is owed to them.

An archive that keeps copies is owed whatever is made here (by a trigger of the schema). One that
stands in for the primary archive is owed only what came in while that was away. Functions that
take a ``Connection`` run inside ``Database.write``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from edge.dicom.instance import Custody, InstanceRef
from edge.index.custody import FARTHEST, UNSENT
from edge.index.database import Connection, Database
from edge.index.lookup import ROW, InstanceRow, json_list, to_row

__all__ = ["Further", "absent", "enrol", "renew", "retire", "set_roles"]

_WAITING = (
    "c.archive = ? AND c.custody IN (SELECT value FROM json_each(?))"
    " AND c.custody IN ('EDGE_ONLY', 'SENT', 'ACKNOWLEDGED', 'REFUSED')"
    " AND (c.custody <> 'REFUSED' OR c.retry_at > 0)"
)


@dataclass(frozen=True, slots=True)
class Further:
    """The account of another archive than the primary one; implements `edge.index.custody.Account`.

    What was evicted meanwhile is owed, too: it is fetched on its way.
    """

    archive: str

    async def due(
        self, database: Database, custodies: Iterable[Custody], now: float, max_count: int
    ) -> list[InstanceRow]:
        """See ``Account``."""
        rows = await database.read(
            "SELECT row.*, c.custody, c.tries FROM copies c INDEXED BY copies_by_work"
            f" JOIN ({ROW}) row"
            f" ON row.id = c.instance_id WHERE {_WAITING} AND row.availability <> 'UNAVAILABLE'"
            " AND (c.retry_at <= ? OR c.retry_at > ?) ORDER BY c.instance_id LIMIT ?",
            (self.archive, json_list(custodies), now, now + FARTHEST, max_count),
        )
        return [
            replace(to_row(row), custody=Custody(custody), tries=tries)
            for *row, custody, tries in rows
        ]

    async def unsent(self, database: Database, now: float, max_count: int) -> list[InstanceRow]:
        """See ``Account``; as it came, for a copy is in no hurry."""
        return await self.due(database, UNSENT, now, max_count)

    async def remarked(self, database: Database, instance_ids: Iterable[int]) -> set[int]:
        """See ``Account``."""
        rows = await database.read(
            "SELECT instance_id FROM copies WHERE archive = ?"
            " AND instance_id IN (SELECT value FROM json_each(?)) AND reason <> ''",
            (self.archive, json_list(instance_ids)),
        )
        return {row[0] for row in rows}

    async def next_due(
        self, database: Database, custodies: Iterable[Custody], now: float
    ) -> float | None:
        """See ``Account``."""
        rows = await database.read(
            f"SELECT min(c.retry_at) FROM copies c WHERE {_WAITING} AND c.retry_at > ?",
            (self.archive, json_list(custodies), now),
        )
        return None if rows[0][0] is None else float(rows[0][0])

    def mark_sent(self, db: Connection, instance_ids: Iterable[int]) -> None:
        """See ``Account``."""
        db.execute(
            "UPDATE copies SET custody = 'SENT', retry_at = 0"
            " WHERE archive = ? AND instance_id IN (SELECT value FROM json_each(?))",
            (self.archive, json_list(instance_ids)),
        )

    def settle(
        self,
        db: Connection,
        instance_id: int,
        custody: Custody,
        reason: str,
        retry_at: float,
        now: float,
    ) -> None:
        """See ``Account``."""
        db.execute(
            "UPDATE copies SET custody = ?, reason = ?, retry_at = ?,"
            " tries = CASE WHEN ? > 0 THEN tries + 1 ELSE 0 END,"
            " verified = CASE ? WHEN 'VERIFIED' THEN ? ELSE verified END"
            " WHERE archive = ? AND instance_id = ?",
            (custody, reason, retry_at, retry_at, custody, now, self.archive, instance_id),
        )

    def doubt(self, db: Connection, instance_ids: Iterable[int], reason: str) -> None:
        """See ``Account``; they are SENT once more: asked about, and sent again if need be."""
        db.execute(
            "UPDATE copies SET custody = 'SENT', reason = ?, retry_at = 0, tries = 0"
            " WHERE archive = ? AND custody = 'VERIFIED'"
            " AND instance_id IN (SELECT value FROM json_each(?))",
            (reason, self.archive, json_list(instance_ids)),
        )


def set_roles(db: Connection, roles: Mapping[str, str], now: float) -> None:
    """Note which archives there are; what was made here before is owed to a new one for copies."""
    known = dict(db.execute("SELECT name, role FROM archives"))
    for name in known.keys() - roles.keys():
        db.execute("UPDATE archives SET role = '' WHERE name = ?", (name,))
    for name, role in roles.items():
        if known.get(name) == role:
            continue
        db.execute(
            "INSERT INTO archives (name, role, online, since) VALUES (?, ?, 0, ?)"
            " ON CONFLICT (name) DO UPDATE SET role = excluded.role",
            (name, role, now),
        )
        if role == "copy":
            db.execute(
                "INSERT OR IGNORE INTO copies (archive, instance_id) SELECT ?, id FROM instances"
                " WHERE origin <> 'CLOUD' AND availability <> 'UNAVAILABLE'",
                (name,),
            )
        else:
            retire(db, name)


def enrol(db: Connection, archive: str) -> int:
    """Owe an archive what the primary one is owed, and is here; how many that adds."""
    added: int = db.execute(
        "INSERT OR IGNORE INTO copies (archive, instance_id) SELECT ?, id FROM instances"
        " WHERE custody IN ('EDGE_ONLY', 'SENT') AND availability = 'ONLINE'",
        (archive,),
    ).rowcount
    return added


def retire(db: Connection, archive: str) -> int:
    """Owe it nothing any more that has not gone out; how much that was."""
    removed: int = db.execute(
        "DELETE FROM copies WHERE archive = ? AND custody = 'EDGE_ONLY'", (archive,)
    ).rowcount
    return removed


def renew(db: Connection, instance_id: int) -> None:
    """Its bytes are others now: whoever has the ones before lacks these."""
    db.execute(
        "UPDATE copies SET custody = 'EDGE_ONLY', tries = 0, retry_at = 0, reason = ''"
        " WHERE instance_id = ?",
        (instance_id,),
    )


async def absent(database: Database, archive: str, max_count: int) -> list[InstanceRef]:
    """What the primary archive is not verified to have, but this one is, and is not here."""
    rows = await database.read(
        "SELECT s.study_uid, e.series_uid, i.sop_uid FROM copies c"
        " JOIN instances i ON i.id = c.instance_id JOIN series e ON e.id = i.series_id"
        " JOIN studies s ON s.id = i.study_id"
        " WHERE c.archive = ? AND c.custody = 'VERIFIED' AND i.availability = 'NEARLINE'"
        " AND i.custody IN ('EDGE_ONLY', 'SENT', 'ACKNOWLEDGED') LIMIT ?",
        (archive, max_count),
    )
    return [InstanceRef(*row) for row in rows]
