"""Looking instances up: by their UIDs, with or without their metadata."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from edge.dicom.demographics import overlaid_document
from edge.dicom.instance import Availability, Custody, InstanceRef, Origin, Withheld
from edge.index.database import Database

__all__ = [
    "ROW",
    "InstanceRow",
    "documents",
    "find",
    "find_one",
    "find_with_metadata",
    "is_known",
    "json_list",
    "key_of_study",
    "to_row",
    "unknown_instances",
    "unknown_studies",
]


@dataclass(frozen=True, slots=True)
class InstanceRow:
    """What the index says of one instance; its bytes and metadata are elsewhere."""

    instance_id: int
    ref: InstanceRef
    sop_class_uid: str
    transfer_syntax: str
    availability: Availability
    custody: Custody
    object: str | None
    key_id: bytes | None
    content_bytes: int
    frame_count: int
    meta_digest: bytes | None
    dataset_digest: bytes | None
    tries: int
    origin: Origin
    received: float
    """When its bytes came, in POSIX seconds."""
    edition: str = ""
    """Which edit of patient and study holds, made in the archive; empty if none does."""
    withheld: Withheld = Withheld.NO

    @property
    def version(self) -> str:
        """Changes when any of its bytes does; empty until they were seen."""
        if self.dataset_digest is None:
            return ""
        return ((self.meta_digest or b"") + self.dataset_digest).hex()


ROW = (
    "SELECT i.id, s.study_uid, e.series_uid, i.sop_uid, i.sop_class_uid, i.transfer_syntax,"
    " i.availability, i.custody, i.object, i.key_id, i.content_bytes, i.frame_count,"
    " i.meta_digest, i.dataset_digest, i.tries, i.origin, i.received,"
    " coalesce((SELECT edition FROM overlays WHERE study_id = i.study_id), ''), i.withheld"
    " FROM instances i JOIN series e ON e.id = i.series_id JOIN studies s ON s.id = i.study_id"
)
"""The columns of an ``InstanceRow``; a WHERE clause follows."""


def to_row(row: Iterable[Any]) -> InstanceRow:
    """A row of ``ROW`` as a value."""
    instance_id, study, series, sop, sop_class, syntax, availability, custody, *rest = row
    object_, key_id, content, frames, meta_digest, dataset_digest, tries, *rest = rest
    origin, received, edition, withheld = rest
    return InstanceRow(
        instance_id=instance_id,
        ref=InstanceRef(study, series, sop),
        sop_class_uid=sop_class,
        transfer_syntax=syntax,
        availability=Availability(availability),
        custody=Custody(custody),
        object=object_,
        key_id=key_id,
        content_bytes=content,
        frame_count=frames,
        meta_digest=meta_digest,
        dataset_digest=dataset_digest,
        tries=tries,
        origin=Origin(origin),
        received=received,
        edition=edition,
        withheld=Withheld(withheld),
    )


async def find(
    database: Database,
    study_uid: str,
    series_uid: str | None = None,
    sop_uid: str | None = None,
) -> list[InstanceRow]:
    """The instances of a study, a series of it, or one of them, in their natural order.

    What is withheld is left out.
    """
    where, values = ["s.study_uid = ?", "i.withheld = ''"], [study_uid]
    if series_uid is not None:
        where.append("e.series_uid = ?")
        values.append(series_uid)
    if sop_uid is not None:
        where.append("i.sop_uid = ?")
        values.append(sop_uid)
    rows = await database.read(
        f"{ROW} WHERE {' AND '.join(where)}"
        " ORDER BY e.series_number, e.id, i.instance_number, i.id",
        values,
    )
    return [to_row(row) for row in rows]


async def is_known(database: Database, study_uid: str) -> bool:
    """Whether anything of a study is known, withheld or not."""
    rows = await database.read(
        "SELECT 1 FROM studies s JOIN instances i ON i.study_id = s.id WHERE s.study_uid = ?"
        " LIMIT 1",
        (study_uid,),
    )
    return bool(rows)


async def find_one(database: Database, sop_uid: str) -> InstanceRow | None:
    """The instance of this UID, whatever study it belongs to."""
    rows = await database.read(f"{ROW} WHERE i.sop_uid = ?", (sop_uid,))
    return to_row(rows[0]) if rows else None


async def find_with_metadata(
    database: Database, sop_uid: str
) -> tuple[InstanceRow, bytes | None, bytes | None] | None:
    """The instance of this UID, its JSON object (deflated) and its layout, as far as known.

    The object is as the instance says, whatever was edited in the archive.
    """
    rows = await database.read(
        f"SELECT row.*, m.document, m.layout FROM ({ROW} WHERE i.sop_uid = ?) row"
        " LEFT JOIN metadata m ON m.instance_id = row.id",
        (sop_uid,),
    )
    if not rows:
        return None
    *row, document, layout = rows[0]
    return to_row(row), document, layout


async def documents(
    database: Database, instance_ids: Sequence[int], most_bytes: int
) -> list[bytes | None]:
    """The JSON objects (deflated) of the first of these instances, None where it is not known.

    What was edited in the archive is laid over them.

    Args:
        database: The index.
        instance_ids: In the order of the answer.
        most_bytes: No more follow once so many came; the first comes in any case.
    """
    rows = await database.scan(
        "WITH sized AS (SELECT one.key AS place, m.instance_id AS id, coalesce("
        "sum(length(m.document)) OVER (ORDER BY one.key) - length(m.document), 0) AS before"
        " FROM json_each(?) one LEFT JOIN metadata m ON m.instance_id = one.value)"
        " SELECT m.document, o.attributes FROM sized LEFT JOIN metadata m"
        " ON m.instance_id = sized.id LEFT JOIN instances i ON i.id = sized.id"
        " LEFT JOIN overlays o ON o.study_id = i.study_id"
        " WHERE sized.before <= ? ORDER BY sized.place",
        (json_list(instance_ids), most_bytes),
    )
    if any(overlay for _, overlay in rows):
        return await database.compute(_with_overlays, rows)
    return [row[0] for row in rows]


def _with_overlays(rows: Iterable[tuple[bytes | None, str | None]]) -> list[bytes | None]:
    return [
        overlaid_document(document, overlay) if document and overlay else document
        for document, overlay in rows
    ]


async def key_of_study(database: Database, study_uid: str) -> bytes | None:
    """The name of a key that objects of the study are, or were, sealed with."""
    rows = await database.read(
        "SELECT i.key_id FROM instances i JOIN studies s ON s.id = i.study_id"
        " WHERE s.study_uid = ? AND i.key_id IS NOT NULL LIMIT 1",
        (study_uid,),
    )
    return rows[0][0] if rows else None


def json_list(values: Iterable[object]) -> str:
    """A list as the one parameter that ``json_each(?)`` takes."""
    return msgspec.json.encode(list(values)).decode()


async def unknown_studies(database: Database, study_uids: Sequence[str]) -> list[str]:
    """Those of these of which nothing is known, not even in quarantine."""
    rows = await database.read(
        "SELECT DISTINCT value FROM json_each(?) WHERE value NOT IN (SELECT study_uid FROM studies"
        " WHERE study_uid = value) AND value NOT IN (SELECT study_uid FROM quarantine)",
        (json_list(study_uids),),
    )
    return [row[0] for row in rows]


async def unknown_instances(database: Database, sop_uids: Sequence[str]) -> list[str]:
    """Likewise of instances."""
    rows = await database.read(
        "SELECT DISTINCT value FROM json_each(?) WHERE value NOT IN (SELECT sop_uid FROM instances"
        " WHERE sop_uid = value) AND value NOT IN (SELECT sop_uid FROM quarantine)",
        (json_list(sop_uids),),
    )
    return [row[0] for row in rows]
