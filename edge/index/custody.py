"""What an archive lacks, has, and vouches for: the queue is a question, never a list of its own.

Custody with the primary archive stands in the rows of instances; with another it stands beside them
(`edge.index.copies`). Functions that take a ``Connection`` run inside ``Database.write``.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from edge.dicom.instance import Custody
from edge.index.database import Connection, Database
from edge.index.lookup import ROW, InstanceRow, json_list, to_row

__all__ = [
    "FARTHEST",
    "UNSENT",
    "UNSENT_IN_TURN",
    "Account",
    "Primary",
    "choose_previews",
    "owes_urgent",
    "upload_first",
]

FARTHEST = 86400.0
"""Seconds; a retry later than that was written under a clock that was wrong, and is due."""

_WAITING = (
    "custody IN (SELECT value FROM json_each(?))"
    " AND custody IN ('EDGE_ONLY', 'SENT', 'ACKNOWLEDGED', 'REFUSED') AND availability = 'ONLINE'"
    " AND (custody <> 'REFUSED' OR retry_at > 0)"
)
"""What time will make due; a REFUSED instance without a time never is."""

UNSENT = (Custody.EDGE_ONLY, Custody.SENT, Custody.REFUSED)
"""Of what an archive lacks, or may lack."""
_UNSENT = (
    "custody IN ('EDGE_ONLY', 'SENT', 'REFUSED') AND availability = 'ONLINE'"
    " AND (custody <> 'REFUSED' OR retry_at > 0)"
)
"""Word for word the condition of the index ``instances_in_turn``, which is read in its order."""
UNSENT_IN_TURN = (
    f"SELECT id FROM instances INDEXED BY instances_in_turn WHERE {_UNSENT}"
    " AND (retry_at <= ? OR retry_at > ?)"
    " ORDER BY priority, behind, study_id, series_id, instance_number, id LIMIT ?"
)
_ROUTINE = 3
"""Priority of most; what is more urgent is below."""
_FEW_SERIES = 64
"""Series whose previews are chosen in one transaction."""


class Account(Protocol):
    """Custody with one archive."""

    @property
    def archive(self) -> str:
        """Its name; '' is the primary one."""
        ...

    async def due(
        self, database: Database, custodies: Iterable[Custody], now: float, max_count: int
    ) -> list[InstanceRow]:
        """Instances in one of *custodies* whose time has come, study by study, oldest first.

        Custody and tries of the rows are those of this account.
        """
        ...

    async def unsent(self, database: Database, now: float, max_count: int) -> list[InstanceRow]:
        """What the archive lacks, or may lack, and whose time has come, in the order of its turn.

        Custody and tries as of ``due``.
        """
        ...

    async def remarked(self, database: Database, instance_ids: Iterable[int]) -> set[int]:
        """Those of these instances of which the archive said more than that it stored them."""
        ...

    async def next_due(
        self, database: Database, custodies: Iterable[Custody], now: float
    ) -> float | None:
        """When the next of them is due, if later than *now*."""
        ...

    def mark_sent(self, db: Connection, instance_ids: Iterable[int]) -> None:
        """From now on the archive may have them."""
        ...

    def settle(
        self,
        db: Connection,
        instance_id: int,
        custody: Custody,
        reason: str,
        retry_at: float,
        now: float,
    ) -> None:
        """Write down what became of an instance; a retry counts as one more try."""
        ...

    def doubt(self, db: Connection, instance_ids: Iterable[int], reason: str) -> None:
        """VERIFIED instances that are here, and that the archive does not list any more."""
        ...


class Primary:
    """The account of the archive that everything goes to."""

    archive = ""

    async def due(
        self, database: Database, custodies: Iterable[Custody], now: float, max_count: int
    ) -> list[InstanceRow]:
        """See ``Account``; ONLINE ones only."""
        rows = await database.read(
            f"{ROW} WHERE {_WAITING} AND (i.retry_at <= ? OR i.retry_at > ?)"
            " ORDER BY i.study_id, i.series_id, i.instance_number, i.id LIMIT ?",
            (json_list(custodies), now, now + FARTHEST, max_count),
        )
        return [to_row(row) for row in rows]

    async def unsent(self, database: Database, now: float, max_count: int) -> list[InstanceRow]:
        """See ``Account``: what is urgent, then previews, then study by study, the oldest first."""
        rows = await database.read(
            f"{ROW} WHERE i.id IN ({UNSENT_IN_TURN})"
            " ORDER BY i.priority, i.behind, i.study_id, i.series_id, i.instance_number, i.id",
            (now, now + FARTHEST, max_count),
        )
        return [to_row(row) for row in rows]

    async def remarked(self, database: Database, instance_ids: Iterable[int]) -> set[int]:
        """See ``Account``."""
        rows = await database.read(
            "SELECT id FROM instances WHERE reason <> ''"
            " AND id IN (SELECT value FROM json_each(?))",
            (json_list(instance_ids),),
        )
        return {row[0] for row in rows}

    async def next_due(
        self, database: Database, custodies: Iterable[Custody], now: float
    ) -> float | None:
        """See ``Account``."""
        rows = await database.read(
            f"SELECT min(retry_at) FROM instances WHERE {_WAITING} AND retry_at > ?",
            (json_list(custodies), now),
        )
        return None if rows[0][0] is None else float(rows[0][0])

    def mark_sent(self, db: Connection, instance_ids: Iterable[int]) -> None:
        """See ``Account``."""
        db.execute(
            "UPDATE instances SET custody = 'SENT', retry_at = 0"
            " WHERE id IN (SELECT value FROM json_each(?))",
            (json_list(instance_ids),),
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
            "UPDATE instances SET custody = ?, reason = ?, retry_at = ?,"
            " tries = CASE WHEN ? > 0 THEN tries + 1 ELSE 0 END,"
            " verified = CASE ? WHEN 'VERIFIED' THEN ? ELSE verified END WHERE id = ?",
            (custody, reason, retry_at, retry_at, custody, now, instance_id),
        )

    def doubt(self, db: Connection, instance_ids: Iterable[int], reason: str) -> None:
        """See ``Account``; they are SENT once more: asked about, and sent again if need be."""
        db.execute(
            "UPDATE instances SET custody = 'SENT', reason = ?, retry_at = 0, tries = 0"
            " WHERE id IN (SELECT value FROM json_each(?))"
            " AND custody = 'VERIFIED' AND availability = 'ONLINE'",
            (reason, json_list(instance_ids)),
        )


async def owes_urgent(database: Database, now: float) -> bool:
    """Whether anything waits for its upload that is more urgent than most."""
    rows = await database.read(
        f"SELECT 1 FROM instances INDEXED BY instances_in_turn WHERE {_UNSENT} AND priority < ?"
        " AND (retry_at <= ? OR retry_at > ?) LIMIT 1",
        (_ROUTINE, now, now + FARTHEST),
    )
    return bool(rows)


def upload_first(db: Connection, study_uid: str, first: bool) -> int | None:
    """Put a study before all others, also what will come of it; how much of it waits.

    None if there is no such study. *first* False takes that back, and what a device called urgent
    is routine from then on.
    """
    row = db.execute(
        "UPDATE studies SET upload_first = ? WHERE study_uid = ? RETURNING id", (first, study_uid)
    ).fetchone()
    if row is None:
        return None
    db.execute(
        "UPDATE instances SET priority = ? WHERE study_id = ? AND (priority = 0) <> ?",
        (0 if first else 3, row[0], first),
    )
    waiting = db.execute(f"SELECT count(*) FROM instances WHERE study_id = ? AND {_UNSENT}", row)
    return int(waiting.fetchone()[0])


def choose_previews(db: Connection) -> int:
    """Let first, middle and last instance of each series that has changed go before the others.

    Only of studies that the archive lacks something of; how many series were looked at, at most 64.
    """
    changed = db.execute(
        "SELECT e.id, e.instance_count FROM studies s INDEXED BY studies_only_here"
        " CROSS JOIN series e ON e.study_id = s.id"
        " WHERE s.edge_only_count > 0 AND e.previewed <> e.instance_count LIMIT ?",
        (_FEW_SERIES,),
    ).fetchall()
    for series_id, count in changed:
        in_order = [
            row[0]
            for row in db.execute(
                "SELECT id FROM instances WHERE series_id = ? ORDER BY instance_number, id",
                (series_id,),
            )
        ]
        chosen = json_list({in_order[0], in_order[len(in_order) // 2], in_order[-1]})
        db.execute(
            "UPDATE instances SET behind = NOT behind WHERE series_id = ?"
            " AND behind = (id IN (SELECT value FROM json_each(?)))",
            (series_id, chosen),
        )
        db.execute("UPDATE series SET previewed = ? WHERE id = ?", (count, series_id))
    return len(changed)
