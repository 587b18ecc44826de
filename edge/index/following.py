"""What following an archive's feed finds here, and changes.

Functions that take a ``Connection`` run inside ``Database.write``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from edge.dicom.instance import Availability, InstanceRef
from edge.index.database import Connection, Database
from edge.index.feed import record
from edge.index.instances import pack
from edge.index.lookup import json_list

__all__ = ["Known", "Replaced", "known", "replace"]


@dataclass(frozen=True, slots=True)
class Known:
    """An instance that the index has, or that was deleted here."""

    availability: Availability | None
    """None: it was deleted here."""
    seen: float
    """When an archive was last known to have it as it is here; POSIX seconds."""
    is_verified: bool
    """Whether the primary archive vouches for it."""
    has_document: bool
    """Whether its metadata is kept."""
    in_trash: bool = False
    """Whether the archive deleted it, and it is kept here for some days more."""
    of: tuple[str, str] | None = None
    """Study and series that it is of here; None: it was deleted here."""


@dataclass(frozen=True, slots=True)
class Replaced:
    """An instance that an archive says it has otherwise now."""

    ref: InstanceRef
    document: Mapping[str, Any] | None = None
    """Its metadata there, made ours; None if that could not be had."""


async def known(database: Database, sop_uids: Iterable[str]) -> dict[str, Known]:
    """Those of these instances that the index has, or that were deleted here."""
    rows = await database.read(
        "SELECT sop_uid, availability, max(verified, received), custody = 'VERIFIED',"
        " EXISTS (SELECT 1 FROM metadata WHERE instance_id = i.id), withheld = 'TRASH',"
        " s.study_uid, e.series_uid FROM instances i"
        " JOIN studies s ON s.id = i.study_id JOIN series e ON e.id = i.series_id"
        " WHERE sop_uid IN (SELECT value FROM json_each(?1)) UNION ALL"
        " SELECT sop_uid, NULL, deleted, 0, 0, 0, '', '' FROM tombstones"
        " WHERE sop_uid IN (SELECT value FROM json_each(?1))",
        (json_list(sop_uids),),
    )
    return {
        sop_uid: Known(
            None if where is None else Availability(where),
            seen,
            bool(verified),
            bool(document),
            bool(in_trash),
            (study_uid, series_uid) if study_uid else None,
        )
        for sop_uid, where, seen, verified, document, in_trash, study_uid, series_uid in rows
    }


def replace(db: Connection, replaced: Iterable[Replaced], archive: str, now: float) -> None:
    """Look again at what an archive has otherwise now: what it was proven to have is not proven.

    What is only there has other metadata now. What is here stays as it is: who was verified to have
    these bytes is asked once more.
    """
    role = db.execute("SELECT role FROM archives WHERE name = ?", (archive,)).fetchone()
    is_primary = role is not None and role[0] == "primary"
    for one in replaced:
        sop_uid = one.ref.sop_uid
        if is_primary:
            db.execute(
                "UPDATE instances SET custody = 'ACKNOWLEDGED', retry_at = 0, tries = 0,"
                " reason = 'the archive says that it was replaced' WHERE sop_uid = ?"
                " AND custody = 'VERIFIED' AND availability = 'ONLINE'",
                (sop_uid,),
            )
            _renew_document(db, one, now)
        else:
            db.execute(
                "UPDATE copies SET custody = 'ACKNOWLEDGED', retry_at = 0, tries = 0,"
                " reason = 'the archive says that it was replaced' WHERE archive = ?"
                " AND instance_id = (SELECT id FROM instances WHERE sop_uid = ?)"
                " AND custody = 'VERIFIED'",
                (archive, sop_uid),
            )


def _renew_document(db: Connection, one: Replaced, now: float) -> None:
    """Keep the metadata of today, of what is not here; without any it is asked for when needed."""
    row = db.execute(
        "SELECT id FROM instances WHERE sop_uid = ? AND availability = 'NEARLINE'",
        (one.ref.sop_uid,),
    ).fetchone()
    if row is None:
        return
    gone = db.execute("DELETE FROM metadata WHERE instance_id = ?", row).rowcount
    if gone and one.document is not None:
        db.execute(
            "INSERT INTO metadata (instance_id, document) VALUES (?, ?)",
            (row[0], pack(one.document)),
        )
    record(db, "UPDATE", one.ref, now)
