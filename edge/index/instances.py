"""Rows of studies, series and instances: how they come to be, and change.

Every function here runs inside ``Database.write``: what it does is one transaction, and the change
number that it writes commits with it. ``put`` is where the promise "same instance twice, same
bytes: nothing written; other bytes: both kept" is decided, by the one writer, so that two senders
of one UID can't both be first.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import msgspec

from edge.dicom.instance import Availability, Custody, InstanceRef, Origin
from edge.dicom.query import moment
from edge.index import attributes as levels
from edge.index.database import Connection

__all__ = [
    "NewInstance",
    "PutResult",
    "ensure_series",
    "ensure_study",
    "pack",
    "put",
    "record",
    "set_study_attributes",
]


class PutResult(StrEnum):
    """What became of an instance that came in."""

    STORED = "STORED"
    DUPLICATE = "DUPLICATE"
    """These very bytes are here already; the new object is not needed."""
    QUARANTINED = "QUARANTINED"
    """Other bytes are here under this UID; both are kept."""
    ALTERED = "ALTERED"
    """The archive gave other bytes than it was proven to have. They are kept, for there are no
    others, and as a conflict: some archives correct what they keep, and a person should know."""


@dataclass(frozen=True, slots=True)
class NewInstance:
    """An instance whose sealed object is durable."""

    ref: InstanceRef
    sop_class_uid: str
    transfer_syntax: str
    attributes: Mapping[str, Any]
    document: bytes
    """The DICOM JSON object, deflated (``pack``)."""
    layout: bytes
    frame_count: int
    object: str
    key_id: bytes
    content_bytes: int
    sealed_bytes: int
    meta_digest: bytes
    dataset_digest: bytes
    origin: Origin
    peer: str
    custody: Custody


def pack(attributes: Mapping[str, Any]) -> bytes:
    """Deflate a JSON object for keeping."""
    return zlib.compress(msgspec.json.encode(attributes), 1)


def put(db: Connection, new: NewInstance, now: float) -> PutResult:
    """Make the row of an instance that came in, or find that there is one."""
    row = db.execute(
        "SELECT id, availability, custody, dataset_digest FROM instances WHERE sop_uid = ?",
        (new.ref.sop_uid,),
    ).fetchone()
    if row is None:
        _insert(db, new, now)
        return PutResult.STORED
    instance_id, availability, custody, digest = row
    same = digest == new.dataset_digest
    if availability == Availability.ONLINE:
        if same:
            return PutResult.DUPLICATE
        return _quarantine(db, new, now)
    if digest is None or same or new.origin is Origin.CLOUD:
        # The bytes of a row that had none. Sent from here, they are what the archive already
        # lists under this UID only if verification says so.
        altered = digest is not None and not same
        if new.origin is Origin.CLOUD:
            custody = Custody.CONFLICT if altered else Custody.VERIFIED
        elif availability == Availability.UNAVAILABLE:
            custody = Custody.EDGE_ONLY
        elif digest is None or custody == Custody.VERIFIED:
            # Who sends it again may know better than a verification of long ago.
            custody = Custody.ACKNOWLEDGED
        _bring_online(db, instance_id, new, custody, now)
        if altered:
            record(db, "UPDATE", new.ref, now)
        return PutResult.ALTERED if altered else PutResult.STORED
    return _quarantine(db, new, now)


def _insert(db: Connection, new: NewInstance, now: float) -> None:
    study_id = ensure_study(db, new.ref.study_uid, new.attributes, now)
    series_id = ensure_series(db, study_id, new.ref.series_uid, new.attributes, now)
    instance_id = db.execute(
        "INSERT INTO instances (study_id, series_id, sop_uid, sop_class_uid, transfer_syntax,"
        " instance_number, frame_count, availability, object, key_id, content_bytes, sealed_bytes,"
        " meta_digest, dataset_digest, custody, verified, origin, peer, received, last_used)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, 'ONLINE', ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            study_id,
            series_id,
            new.ref.sop_uid,
            new.sop_class_uid,
            new.transfer_syntax,
            levels.number(new.attributes, "00200013"),
            new.frame_count,
            new.object,
            new.key_id,
            new.content_bytes,
            new.sealed_bytes,
            new.meta_digest,
            new.dataset_digest,
            new.custody,
            now if new.custody is Custody.VERIFIED else 0.0,
            new.origin,
            new.peer,
            now,
            now,
        ),
    ).lastrowid
    db.execute("INSERT INTO metadata VALUES (?, ?, ?)", (instance_id, new.document, new.layout))
    record(db, "CREATE", new.ref, now)


def _bring_online(
    db: Connection, instance_id: int, new: NewInstance, custody: str, now: float
) -> None:
    db.execute(
        "UPDATE instances SET sop_class_uid = ?, transfer_syntax = ?, instance_number = ?,"
        " frame_count = ?, availability = 'ONLINE', object = ?, key_id = ?, content_bytes = ?,"
        " sealed_bytes = ?, meta_digest = ?, dataset_digest = ?, custody = ?, tries = 0,"
        " retry_at = 0, verified = ?, last_used = ? WHERE id = ?",
        (
            new.sop_class_uid,
            new.transfer_syntax,
            levels.number(new.attributes, "00200013"),
            new.frame_count,
            new.object,
            new.key_id,
            new.content_bytes,
            new.sealed_bytes,
            new.meta_digest,
            new.dataset_digest,
            custody,
            now if custody == Custody.VERIFIED else 0.0,
            now,
            instance_id,
        ),
    )
    db.execute(
        "INSERT OR REPLACE INTO metadata VALUES (?, ?, ?)", (instance_id, new.document, new.layout)
    )


def _quarantine(db: Connection, new: NewInstance, now: float) -> PutResult:
    added = db.execute(
        "INSERT OR IGNORE INTO quarantine (study_uid, series_uid, sop_uid, object, key_id,"
        " content_bytes, sealed_bytes, dataset_digest, origin, peer, received)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            new.ref.study_uid,
            new.ref.series_uid,
            new.ref.sop_uid,
            new.object,
            new.key_id,
            new.content_bytes,
            new.sealed_bytes,
            new.dataset_digest,
            new.origin,
            new.peer,
            now,
        ),
    ).rowcount
    return PutResult.QUARANTINED if added else PutResult.DUPLICATE


def ensure_study(db: Connection, study_uid: str, attributes: levels.Attributes, now: float) -> int:
    """The id of a study's row, made if there is none."""
    row = db.execute("SELECT id FROM studies WHERE study_uid = ?", (study_uid,)).fetchone()
    if row is not None:
        return int(row[0])
    study_id: int = db.execute(
        "INSERT INTO studies (study_uid, attributes, created) VALUES (?, '{}', ?)",
        (study_uid, now),
    ).lastrowid
    set_study_attributes(db, study_id, levels.select(attributes, levels.STUDY_TAGS))
    return study_id


def set_study_attributes(db: Connection, study_id: int, attributes: levels.Attributes) -> None:
    """Give a study the attributes of patient and study, and the columns drawn from them."""
    time = levels.text(attributes, "00080030")
    db.execute(
        "UPDATE studies SET patient_id = ?, birth_date = ?, sex = ?, study_date = ?,"
        " study_time = ?, accession_number = ?, study_id = ?, attributes = ? WHERE id = ?",
        (
            levels.text(attributes, "00100020"),
            levels.text(attributes, "00100030"),
            levels.text(attributes, "00100040"),
            levels.text(attributes, "00080020"),
            moment(time, "0") if time else "",
            levels.text(attributes, "00080050"),
            levels.text(attributes, "00200010"),
            msgspec.json.encode(attributes).decode(),
            study_id,
        ),
    )
    db.execute("DELETE FROM person_names WHERE study_id = ?", (study_id,))
    db.executemany(
        "INSERT INTO person_names VALUES (?, ?, ?)",
        [(tag, name, study_id) for tag, name in levels.person_names(attributes)],
    )


def ensure_series(
    db: Connection, study_id: int, series_uid: str, attributes: levels.Attributes, now: float
) -> int:
    """The id of a series' row, made if there is none."""
    row = db.execute(
        "SELECT id FROM series WHERE study_id = ? AND series_uid = ?", (study_id, series_uid)
    ).fetchone()
    if row is not None:
        return int(row[0])
    kept = levels.select(attributes, levels.SERIES_TAGS)
    return int(
        db.execute(
            "INSERT INTO series (study_id, series_uid, modality, series_number, attributes,"
            " created) VALUES (?, ?, ?, ?, ?, ?)",
            (
                study_id,
                series_uid,
                levels.text(kept, "00080060"),
                levels.number(kept, "00200011"),
                msgspec.json.encode(kept).decode(),
                now,
            ),
        ).lastrowid
    )


def record(db: Connection, action: str, ref: InstanceRef, now: float) -> None:
    """Give a change of content the next number."""
    db.execute(
        "INSERT INTO changes (action, study_uid, series_uid, sop_uid, at) VALUES (?, ?, ?, ?, ?)",
        (action, ref.study_uid, ref.series_uid, ref.sop_uid, now),
    )
