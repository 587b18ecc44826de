"""What archives have in place of instances since they corrected patient or study there.

All beside those was seen to be the same, so the archive vouches for the instance as it came, and
what it gives of it is no other one. The instance itself is never touched. Functions that take a
``Connection`` run inside ``Database.write``.
"""

from __future__ import annotations

from collections.abc import Iterable

from edge.index.database import Connection, Database
from edge.index.lookup import json_list

__all__ = ["drop", "find", "is_noted", "note", "of_instance"]


async def find(database: Database, archive: str, instance_ids: Iterable[int]) -> dict[int, bytes]:
    """The digests of what an archive has in place of these, of those that it corrected.

    Args:
        database: The index.
        archive: Its name; '' is the primary one.
        instance_ids: Which.
    """
    rows = await database.read(
        "SELECT instance_id, digest FROM corrected WHERE archive = ?"
        " AND instance_id IN (SELECT value FROM json_each(?))",
        (archive, json_list(instance_ids)),
    )
    return dict(rows)


async def of_instance(database: Database, instance_id: int) -> list[bytes]:
    """The digests of what any archive has in place of an instance."""
    rows = await database.read("SELECT digest FROM corrected WHERE instance_id = ?", (instance_id,))
    return [digest for (digest,) in rows]


def note(db: Connection, instance_id: int, archive: str, digest: bytes) -> None:
    """An archive was seen to have this data set in place of an instance."""
    db.execute("INSERT OR REPLACE INTO corrected VALUES (?, ?, ?)", (instance_id, archive, digest))


def is_noted(db: Connection, instance_id: int, digest: bytes) -> bool:
    """Whether some archive was seen to have this data set in place of an instance."""
    row = db.execute(
        "SELECT 1 FROM corrected WHERE instance_id = ? AND digest = ?", (instance_id, digest)
    ).fetchone()
    return row is not None


def drop(db: Connection, instance_id: int) -> None:
    """Its bytes are others now: what was seen says nothing of them."""
    db.execute("DELETE FROM corrected WHERE instance_id = ?", (instance_id,))
