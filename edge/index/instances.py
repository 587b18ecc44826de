"""Rows of studies, series and instances: how they come to be, and change.

Every function here runs inside ``Database.write``: what it does is one transaction, and the change
number that it writes commits with it. ``put`` is where the promise "same instance twice, same
bytes: nothing written; other bytes: both kept" is decided, by the one writer, so that two senders
of one UID can't both be first.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

import msgspec

from edge.dicom.instance import Availability, Custody, InstanceRef, Origin, Withheld
from edge.dicom.query import moment
from edge.dicom.rejection import rejection_in
from edge.dicom.uids import KEY_OBJECT_SELECTION
from edge.errors import InstanceDeleted
from edge.index import attributes as levels
from edge.index import copies, corrections, rejections
from edge.index.database import Connection
from edge.index.feed import record

__all__ = [
    "NewInstance",
    "PutResult",
    "ensure_series",
    "ensure_study",
    "forget",
    "insert",
    "pack",
    "put",
    "quarantine",
    "rewrite_study",
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
    """Make the row of an instance that came in, or find that there is one.

    Raises:
        InstanceDeleted: It was deleted here, and comes from the archive.
    """
    if db.execute("SELECT 1 FROM tombstones WHERE sop_uid = ?", (new.ref.sop_uid,)).fetchone():
        if new.origin is Origin.CLOUD:
            raise InstanceDeleted(f"instance {new.ref.sop_uid} was deleted here")
        db.execute("DELETE FROM tombstones WHERE sop_uid = ?", (new.ref.sop_uid,))
    row = db.execute(
        "SELECT i.id, i.availability, i.custody, i.dataset_digest, i.transfer_syntax, s.study_uid,"
        " e.series_uid, i.withheld FROM instances i JOIN series e ON e.id = i.series_id"
        " JOIN studies s ON s.id = i.study_id WHERE i.sop_uid = ?",
        (new.ref.sop_uid,),
    ).fetchone()
    if row is None:
        insert(db, new, now)
        return PutResult.STORED
    held = _Held(*row)
    if held.availability != Availability.ONLINE:
        return _put_absent(db, held, new, now)
    if held.withheld == Withheld.TRASH:
        return _put_again(db, held, new, now)
    return PutResult.DUPLICATE if held.is_same(new) else quarantine(db, new, now)


@dataclass(frozen=True, slots=True)
class _Held:
    """What the index knows of a UID that comes in again."""

    instance_id: int
    availability: str
    custody: str
    dataset_digest: bytes | None
    transfer_syntax: str
    study_uid: str
    series_uid: str
    withheld: str

    def is_same(self, new: NewInstance) -> bool:
        """Whether these bytes were here; under another transfer syntax they mean something else."""
        return (self.dataset_digest, self.transfer_syntax) == (
            new.dataset_digest,
            new.transfer_syntax,
        )


def _put_again(db: Connection, held: _Held, new: NewInstance, now: float) -> PutResult:
    """What was in the trash is wanted after all.

    The object that came takes its place: the record of the trash names the other one, so that an
    index which is made anew takes this one for what it is.
    """
    if held.is_same(new):
        _bring_online(db, held.instance_id, new, new.custody, now)
        take_back = "UPDATE instances SET withheld = '' WHERE id = ? AND withheld = 'TRASH'"
        db.execute(take_back, (held.instance_id,))  # the trigger has done it, unless VERIFIED
        rejections.reject(db, held.instance_id)
        return PutResult.STORED
    # The archive may have either: it is asked.
    db.execute("UPDATE instances SET custody = 'SENT' WHERE id = ?", (held.instance_id,))
    return quarantine(db, new, now)


def _put_absent(db: Connection, held: _Held, new: NewInstance, now: float) -> PutResult:
    """Bytes for a row that has none now."""
    changed = held.dataset_digest is not None and not held.is_same(new)
    other = changed and not _is_copy_of_ours(db, held, new)
    if new.origin is Origin.CLOUD:
        # Of another archive than the primary one, it proves nothing of that.
        known = Custody(held.custody) if new.custody is Custody.EDGE_ONLY else new.custody
        custody = Custody.CONFLICT if other else known
    elif held.availability == Availability.UNAVAILABLE:
        # Nothing is here to keep beside it: what is sent in place of the lost one, corrected or
        # not, takes it. An archive that may have the lost one is asked before it is sent this.
        custody = Custody.EDGE_ONLY if held.custody == Custody.EDGE_ONLY else Custody.SENT
        if (held.study_uid, held.series_uid) != (new.ref.study_uid, new.ref.series_uid):
            forget(db, held.instance_id)
            insert(db, replace(new, custody=custody), now)
            return PutResult.STORED
    elif other:
        return quarantine(db, new, now)
    elif held.dataset_digest is None or held.custody == Custody.VERIFIED:
        # They are what the archive lists under this UID only if verification says so; who sends
        # them again may know better than one of long ago.
        custody = Custody.ACKNOWLEDGED
    else:
        custody = Custody(held.custody)
    _bring_online(db, held.instance_id, new, custody, now)
    if changed:
        copies.renew(db, held.instance_id)
        corrections.drop(db, held.instance_id)
        # What was sent in place of other bytes has nothing to do with these.
        db.execute("DELETE FROM remedies WHERE instance_id = ?", (held.instance_id,))
        if not held.withheld:
            record(db, "UPDATE", new.ref, now)
    is_altered = other and new.origin is Origin.CLOUD
    return PutResult.ALTERED if is_altered else PutResult.STORED


def _is_copy_of_ours(db: Connection, held: _Held, new: NewInstance) -> bool:
    """Whether the archive gives what it was sent in place of an instance that is gone here.

    Or what it was seen to have in place of it, since it corrected patient or study.
    """
    if new.origin is Origin.CLOUD and corrections.is_noted(
        db, held.instance_id, new.dataset_digest
    ):
        return True
    row = db.execute(
        "SELECT 1 FROM remedies WHERE instance_id = ? AND sent_digest = ?",
        (held.instance_id, new.dataset_digest),
    ).fetchone()
    return new.origin is Origin.CLOUD and row is not None


def forget(db: Connection, instance_id: int) -> None:
    """Remove the row of an instance, and those of its series and study if they are empty then.

    With a rejection note goes what it says.
    """
    study_id, series_id, sop_uid, sop_class_uid = db.execute(
        "DELETE FROM instances WHERE id = ? RETURNING study_id, series_id, sop_uid, sop_class_uid",
        (instance_id,),
    ).fetchone()
    for table, column, row_id in (
        ("series", "series_id", series_id),
        ("studies", "study_id", study_id),
    ):
        db.execute(
            f"DELETE FROM {table} WHERE id = ? AND instance_count = 0"
            f" AND NOT EXISTS (SELECT 1 FROM instances WHERE {column} = {table}.id)",
            (row_id,),
        )
    if sop_class_uid == KEY_OBJECT_SELECTION:
        rejections.settle_note(db, sop_uid, None, 0.0)


def insert(db: Connection, new: NewInstance, now: float, *, action: str = "CREATE") -> None:
    """Make the row of an instance that has none; *action* is what the change is called."""
    study_id = ensure_study(db, new.ref.study_uid, new.attributes, now)
    series_id = ensure_series(db, study_id, new.ref.series_uid, new.attributes, now)
    instance_id, withheld = db.execute(
        "INSERT INTO instances (study_id, series_id, sop_uid, sop_class_uid, transfer_syntax,"
        " instance_number, frame_count, availability, object, key_id, content_bytes, sealed_bytes,"
        " meta_digest, dataset_digest, custody, verified, origin, peer, received, last_used,"
        " priority, withheld) VALUES (?, ?, ?, ?, ?, ?, ?, 'ONLINE', ?, ?, ?, ?, ?, ?, ?, ?, ?, ?,"
        " ?, ?, CASE (SELECT upload_first FROM studies WHERE id = ?) WHEN 0 THEN ? ELSE 0 END,"
        f" {rejections.WITHHELD}) RETURNING id, withheld",
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
            study_id,
            levels.priority(new.attributes),
            new.ref.sop_uid,
        ),
    ).fetchone()
    db.execute("INSERT INTO metadata VALUES (?, ?, ?)", (instance_id, new.document, new.layout))
    if not withheld:
        record(db, action, new.ref, now)
    _settle_note(db, new, now)


def _settle_note(db: Connection, new: NewInstance, now: float) -> None:
    if new.sop_class_uid == KEY_OBJECT_SELECTION:
        rejection = rejection_in(new.sop_class_uid, new.attributes)
        rejections.settle_note(db, new.ref.sop_uid, rejection, now)


def _bring_online(
    db: Connection, instance_id: int, new: NewInstance, custody: str, now: float
) -> None:
    db.execute(
        "UPDATE instances SET sop_class_uid = ?, transfer_syntax = ?, instance_number = ?,"
        " frame_count = ?, availability = 'ONLINE', object = ?, key_id = ?, content_bytes = ?,"
        " sealed_bytes = ?, meta_digest = ?, dataset_digest = ?, custody = ?, tries = 0,"
        " retry_at = 0, verified = ?, received = ?, last_used = ?,"
        # Why it was lost; what the archive said of it holds.
        " reason = CASE availability WHEN 'UNAVAILABLE' THEN '' ELSE reason END WHERE id = ?",
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
            now,
            instance_id,
        ),
    )
    db.execute(
        "INSERT OR REPLACE INTO metadata VALUES (?, ?, ?)", (instance_id, new.document, new.layout)
    )
    _settle_note(db, new, now)


def quarantine(db: Connection, new: NewInstance, now: float) -> PutResult:
    """Keep an instance beside the one of its UID, until a person decides."""
    added = db.execute(
        "INSERT OR IGNORE INTO quarantine (study_uid, series_uid, sop_uid, object, key_id,"
        " content_bytes, sealed_bytes, transfer_syntax, dataset_digest, origin, peer, received)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            new.ref.study_uid,
            new.ref.series_uid,
            new.ref.sop_uid,
            new.object,
            new.key_id,
            new.content_bytes,
            new.sealed_bytes,
            new.transfer_syntax,
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
    kept = levels.select(attributes, levels.STUDY_TAGS)
    study_id: int = db.execute(
        "INSERT INTO studies (study_uid, created, patient_id, birth_date, sex, study_date,"
        " study_time, accession_number, study_id, description)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (study_uid, now, *_study_columns(kept)),
    ).lastrowid
    db.execute(
        "INSERT INTO study_attributes VALUES (?, ?)", (study_id, msgspec.json.encode(kept).decode())
    )
    _name_persons(db, study_id, kept)
    return study_id


def rewrite_study(db: Connection, study_id: int, attributes: levels.Attributes) -> None:
    """Let a study be shown and found by other attributes of patient and study, all of them."""
    db.execute(
        "UPDATE studies SET patient_id = ?, birth_date = ?, sex = ?, study_date = ?,"
        " study_time = ?, accession_number = ?, study_id = ?, description = ? WHERE id = ?",
        (*_study_columns(attributes), study_id),
    )
    db.execute(
        "UPDATE study_attributes SET attributes = ? WHERE study_id = ?",
        (msgspec.json.encode(attributes).decode(), study_id),
    )
    db.execute("DELETE FROM person_names WHERE study_id = ?", (study_id,))
    _name_persons(db, study_id, attributes)


def _study_columns(attributes: levels.Attributes) -> tuple[str, ...]:
    time = levels.text(attributes, "00080030")
    return (
        levels.text(attributes, "00100020"),
        levels.date(attributes, "00100030"),
        levels.text(attributes, "00100040"),
        levels.date(attributes, "00080020"),
        moment(time, "0") if time else "",
        levels.text(attributes, "00080050"),
        levels.text(attributes, "00200010"),
        levels.text(attributes, "00081030"),
    )


def _name_persons(db: Connection, study_id: int, attributes: levels.Attributes) -> None:
    db.executemany(
        "INSERT INTO person_names VALUES (?, ?, ?, ?)",
        [(*name, study_id) for name in levels.person_names(attributes)],
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
