"""What rejection notes say, and hide: rows that hold before, while and after their images are here.

Functions that take a ``Connection`` run inside ``Database.write``. Counters and changes follow by
the triggers of the schema.
"""

from __future__ import annotations

from collections.abc import Iterable

from edge.dicom.instance import InstanceRef
from edge.dicom.rejection import Rejection, Title
from edge.dicom.uids import KEY_OBJECT_SELECTION
from edge.index.database import Connection, Database
from edge.index.lookup import json_list

__all__ = ["WITHHELD", "reject", "settle_note", "unread_notes"]

WITHHELD = (
    "CASE WHEN EXISTS (SELECT 1 FROM rejections WHERE sop_uid = ?) THEN 'REJECTED' ELSE '' END"
)
"""How a new row is withheld; its parameter is the SOP Instance UID."""


def reject(db: Connection, instance_id: int) -> None:
    """Hide an instance that is shown, if a note rejects it."""
    db.execute(
        "UPDATE instances SET withheld = 'REJECTED' WHERE id = ? AND withheld = ''"
        " AND EXISTS (SELECT 1 FROM rejections r WHERE r.sop_uid = instances.sop_uid)",
        (instance_id,),
    )


def settle_note(db: Connection, note_uid: str, rejection: Rejection | None, now: float) -> None:
    """Let hold what a note says, and nothing that it said before.

    Args:
        db: The writer's connection.
        note_uid: SOP Instance UID of the note.
        rejection: What it says; None if it is gone, or is no rejection note.
        now: POSIX seconds.
    """
    before = {
        row[0]
        for row in db.execute("SELECT sop_uid FROM rejections WHERE note_uid = ?", (note_uid,))
    }
    wanted = set[str]()
    if rejection is not None:
        wanted = set(rejection.sop_uids) - {note_uid}
        if rejection.title is Title.EXPIRED:
            wanted.add(note_uid)  # of no use to anybody, either
        db.executemany(
            "INSERT OR REPLACE INTO rejections VALUES (?, ?, ?, ?)",
            [(sop_uid, note_uid, rejection.title, now) for sop_uid in wanted - before],
        )
    db.executemany(
        "DELETE FROM rejections WHERE sop_uid = ? AND note_uid = ?",
        [(sop_uid, note_uid) for sop_uid in before - wanted],
    )
    _set(db, wanted - before, "", "REJECTED")
    _set(db, before - wanted, "REJECTED", "")


def _set(db: Connection, sop_uids: Iterable[str], before: str, after: str) -> None:
    is_rejected = "EXISTS (SELECT 1 FROM rejections r WHERE r.sop_uid = instances.sop_uid)"
    db.execute(
        "UPDATE instances SET withheld = ? WHERE withheld = ?"
        " AND sop_uid IN (SELECT value FROM json_each(?))"
        f" AND {is_rejected if after else f'NOT {is_rejected}'}",
        (after, before, json_list(sop_uids)),
    )


async def unread_notes(database: Database, max_count: int) -> list[InstanceRef]:
    """Key Object Selections that an archive listed, and of which nothing more is known."""
    rows = await database.read(
        "SELECT s.study_uid, e.series_uid, i.sop_uid FROM instances i INDEXED BY notes_in_archive"
        " JOIN series e ON e.id = i.series_id JOIN studies s ON s.id = i.study_id"
        f" WHERE i.sop_class_uid = '{KEY_OBJECT_SELECTION}' AND i.availability = 'NEARLINE'"
        " AND NOT EXISTS (SELECT 1 FROM metadata WHERE instance_id = i.id) LIMIT ?",
        (max_count,),
    )
    return [InstanceRef(*row) for row in rows]
