"""What the archive is known to have: rows that a listing made, and what was last heard of it.

Functions that take a ``Connection`` run inside ``Database.write``. A listing only ever adds:
absence from it is never a delete. What was deleted here stays so, whatever is listed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from edge.dicom.instance import Custody, InstanceRef, Origin
from edge.dicom.rejection import rejection_in
from edge.dicom.remote import RemoteInstance, RemoteStudy
from edge.index import attributes as levels
from edge.index import edits, rejections, tombstones
from edge.index.database import Connection, Database
from edge.index.edits import Edit, Held
from edge.index.feed import record
from edge.index.instances import ensure_series, ensure_study, pack
from edge.index.lookup import json_list

__all__ = [
    "ArchiveState",
    "archive_states",
    "cursor",
    "fingerprints",
    "forget_fingerprint",
    "forget_fingerprints",
    "learn",
    "set_archive_state",
    "set_cursor",
    "set_document",
]


@dataclass(frozen=True, slots=True)
class ArchiveState:
    """What is known of the way to an archive."""

    name: str
    online: bool
    since: float
    reason: str
    lasting: bool
    """It stays offline until a person does something: a password, a url, a certificate."""
    contact: float | None
    unproven: int = 0
    """Of one beside the primary: instances that it is owed, or not verified to have yet."""
    role: str = "primary"
    """As it is configured."""
    lost: int = 0
    """Instances that it was seen to have lost, ever."""
    lost_at: float | None = None
    """When it was last."""


def learn(
    db: Connection, study: RemoteStudy, now: float, held: Held = edits.NOTHING
) -> Edit | None:
    """Make NEARLINE rows of what was not known nor deleted here, and keep the fingerprint.

    What else it says of patient and study than before is an edit, which holds from now on; it is
    given back. *held* is from ``edits.survey``. A series without instances makes no row, and has,
    like a study without series, no fingerprint kept: the archive is just receiving it, or deleting
    it.
    """
    is_whole = study.series and all(one.instances for one in study.series)
    fingerprint = study.fingerprint if is_whole else ""
    study = _left_of(db, study)
    if not study.series and not _is_known(db, study.study_uid):
        tombstones.keep_fingerprint(db, study.study_uid, fingerprint, now)
        return None
    study_id = ensure_study(db, study.study_uid, study.attributes, now)
    for series in study.series:
        series_id = ensure_series(db, study_id, series.series_uid, series.attributes, now)
        for instance in series.instances:
            ref = InstanceRef(study.study_uid, series.series_uid, instance.sop_uid)
            _learn_instance(db, study_id, series_id, ref, instance, now)
    noted = edits.note(db, study_id, study, held, now)
    kept = fingerprint if noted.settled else ""
    db.execute("UPDATE studies SET fingerprint = ? WHERE id = ?", (kept, study_id))
    return noted.edit


def _left_of(db: Connection, study: RemoteStudy) -> RemoteStudy:
    """Without what was deleted here, and without series that have nothing left."""
    listed = [one.sop_uid for series in study.series for one in series.instances]
    deleted = tombstones.deleted_among(db, listed)
    left = []
    for series in study.series:
        rest = tuple(one for one in series.instances if one.sop_uid not in deleted)
        if rest:
            left.append(replace(series, instances=rest))
    return replace(study, series=tuple(left))


def _is_known(db: Connection, study_uid: str) -> bool:
    found = db.execute("SELECT 1 FROM studies WHERE study_uid = ?", (study_uid,)).fetchone()
    return found is not None


def _learn_instance(
    db: Connection,
    study_id: int,
    series_id: int,
    ref: InstanceRef,
    instance: RemoteInstance,
    now: float,
) -> None:
    added = db.execute(
        "INSERT OR IGNORE INTO instances (study_id, series_id, sop_uid, sop_class_uid,"
        " instance_number, frame_count, availability, custody, origin, received, last_used,"
        " withheld) VALUES (?, ?, ?, ?, ?, ?, 'NEARLINE', ?, ?, ?, ?,"
        f" {rejections.WITHHELD}) RETURNING withheld",
        (
            study_id,
            series_id,
            ref.sop_uid,
            instance.sop_class_uid,
            levels.number(instance.attributes, "00200013"),
            levels.number(instance.attributes, "00280008") or 0,
            Custody.ACKNOWLEDGED,
            Origin.CLOUD,
            now,
            now,
            ref.sop_uid,
        ),
    ).fetchone()
    if added is not None:
        if not added[0]:
            record(db, "CREATE", ref, now)
    else:
        # An instance that was lost here, but is there, can be fetched after all.
        db.execute(
            "UPDATE instances SET availability = 'NEARLINE', custody = 'ACKNOWLEDGED'"
            " WHERE sop_uid = ? AND availability = 'UNAVAILABLE'",
            (ref.sop_uid,),
        )
        # So comes back what is in the trash; whether it is still the same will be verified.
        db.execute(
            "UPDATE instances SET custody = 'ACKNOWLEDGED', retry_at = 0, tries = 0"
            " WHERE sop_uid = ? AND withheld = 'TRASH'",
            (ref.sop_uid,),
        )


async def fingerprints(database: Database, study_uids: list[str]) -> dict[str, str]:
    """The fingerprints that are kept of these studies; empty ones are left out."""
    # Of a study that was deleted here, the tombstones keep it; one that came again has its own.
    rows = await database.read(
        "SELECT study_uid, fingerprint FROM tombstones"
        " WHERE study_uid IN (SELECT value FROM json_each(?1)) AND fingerprint <> ''"
        " AND study_uid NOT IN (SELECT study_uid FROM studies)"
        " UNION SELECT study_uid, fingerprint FROM studies"
        " WHERE study_uid IN (SELECT value FROM json_each(?1)) AND fingerprint <> ''",
        (json_list(study_uids),),
    )
    return dict(rows)


def forget_fingerprint(db: Connection, study_id: int) -> None:
    """What the archive said of a study is not known any more: it is to be listed whole."""
    db.execute("UPDATE studies SET fingerprint = '' WHERE id = ?", (study_id,))


def forget_fingerprints(db: Connection, study_uids: Iterable[str]) -> None:
    """The same of several, by their UIDs."""
    db.execute(
        "UPDATE studies SET fingerprint = '' WHERE study_uid IN (SELECT value FROM json_each(?))",
        (json_list(study_uids),),
    )


def set_document(db: Connection, sop_uid: str, attributes: Mapping[str, Any], now: float) -> None:
    """Keep the metadata of an instance whose bytes have not been here yet.

    From now on it holds what a rejection note says.
    """
    kept = db.execute(
        "INSERT OR IGNORE INTO metadata (instance_id, document)"
        " SELECT id, ? FROM instances WHERE sop_uid = ?",
        (pack(attributes), sop_uid),
    ).rowcount
    if not kept:
        return
    ((sop_class_uid,),) = db.execute(
        "SELECT sop_class_uid FROM instances WHERE sop_uid = ?", (sop_uid,)
    )
    rejection = rejection_in(sop_class_uid, attributes)
    if rejection is not None:
        rejections.settle_note(db, sop_uid, rejection, now)


async def cursor(database: Database, name: str) -> str | None:
    """Where a sweep goes on."""
    rows = await database.read("SELECT value FROM cursors WHERE name = ?", (name,))
    return rows[0][0] if rows else None


def set_cursor(db: Connection, name: str, value: str) -> None:
    """Remember where a sweep goes on."""
    db.execute("INSERT OR REPLACE INTO cursors VALUES (?, ?)", (name, value))


def set_archive_state(
    db: Connection, name: str, online: bool, reason: str, lasting: bool, now: float
) -> None:
    """Note that an archive answered, or did not; ``since`` moves only when that changes."""
    db.execute(
        "INSERT INTO archives (name, online, since, reason, lasting, contact)"
        " VALUES (?, ?, ?, ?, ?, ?)"
        " ON CONFLICT (name) DO UPDATE SET"
        " since = CASE WHEN online = excluded.online THEN since ELSE excluded.since END,"
        " online = excluded.online, reason = excluded.reason, lasting = excluded.lasting,"
        " contact = coalesce(excluded.contact, contact)",
        (name, online, now, reason, lasting, now if online else None),
    )


async def archive_states(database: Database) -> list[ArchiveState]:
    """Every archive that was ever tried."""
    rows = await database.read(
        "SELECT name, online, since, reason, lasting, contact, (SELECT count(*) FROM copies"
        " WHERE archive = name AND custody <> 'VERIFIED'), coalesce(lost, 0), lost_at"
        " FROM archives LEFT JOIN sweeps ON archive = name"
        " WHERE contact IS NOT NULL OR reason <> '' ORDER BY name"
    )
    return [
        ArchiveState(
            name,
            bool(online),
            since,
            reason,
            bool(lasting),
            contact,
            unproven,
            lost=lost,
            lost_at=lost_at or None,
        )
        for name, online, since, reason, lasting, contact, unproven, lost, lost_at in rows
    ]
