"""What the archive deleted and is kept for some days: its rows, and when their time is over.

That it is in the trash is a column of the instance; why, stands beside it. Whatever makes the
instance anything but VERIFIED takes it out (by a trigger of the schema), and changes follow in the
same way. Functions that take a ``Connection`` run inside ``Database.write``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum, auto

from edge.dicom.instance import Availability, Custody, InstanceRef, Withheld
from edge.index.database import Connection, Database
from edge.index.disputes import Query
from edge.index.feed import record
from edge.index.instances import NewInstance, forget
from edge.index.lookup import json_list
from edge.index.names import NAME_OF_STUDY
from edge.index.tombstones import Changed

__all__ = [
    "Candidate",
    "Item",
    "Known",
    "OfStudy",
    "adopt",
    "candidates",
    "count",
    "count_studies",
    "due",
    "erase",
    "expire",
    "find",
    "forget_remote",
    "is_known",
    "is_primary",
    "named",
    "objects_of",
    "postpone",
    "put",
    "records",
    "rename",
    "studies",
    "take_back",
]

_SAFE = (
    "custody = 'VERIFIED' AND NOT EXISTS (SELECT 1 FROM remedies WHERE instance_id = instances.id)"
    " AND NOT EXISTS (SELECT 1 FROM quarantine q WHERE q.sop_uid = instances.sop_uid)"
)
"""Just these bytes were seen in the archive, and no others are kept of this UID."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """An instance that the archive deleted, or whose days in the trash are over."""

    instance_id: int
    ref: InstanceRef
    object: str | None
    key_id: bytes | None
    availability: Availability
    custody: Custody
    withheld: Withheld
    is_safe: bool
    """The archive was seen to have just these bytes, and no others are kept of this UID."""
    is_elsewhere: bool
    """Another archive is verified to have it."""

    @property
    def in_trash(self) -> bool:
        """It is there already."""
        return self.withheld is Withheld.TRASH

    @property
    def is_remote(self) -> bool:
        """Only the archive that deleted it had it."""
        vouched = self.custody in (Custody.ACKNOWLEDGED, Custody.VERIFIED)
        return self.availability is Availability.NEARLINE and vouched and not self.is_elsewhere


class Known(Enum):
    """What is known of the UID of an object that was found."""

    NOT = auto()
    THE_SAME = auto()
    """Its bytes are here, in another object."""
    OTHERWISE = auto()


@dataclass(frozen=True, slots=True)
class Item:
    """An instance in the trash."""

    ref: InstanceRef
    sop_class_uid: str
    content_bytes: int
    patient_id: str
    patient_name: str
    archive: str
    reason: str
    since: float
    """POSIX seconds; 0: it is to be erased at once."""


@dataclass(frozen=True, slots=True)
class OfStudy:
    """What is in the trash of one study."""

    study_uid: str
    patient_id: str
    patient_name: str
    instances: int
    content_bytes: int
    archive: str
    """That deleted the first of it, and why."""
    reason: str
    since: float
    """Of the first of it, in POSIX seconds; 0: it is to be erased at once."""


_CANDIDATE = (
    "SELECT instances.id, s.study_uid, e.series_uid, instances.sop_uid, object, key_id,"
    f" availability, custody, withheld, {_SAFE}, EXISTS (SELECT 1 FROM copies c"
    " WHERE c.instance_id = instances.id AND c.custody = 'VERIFIED')"
    " FROM instances JOIN series e ON e.id = instances.series_id"
    " JOIN studies s ON s.id = instances.study_id"
)
_ITEMS = (
    " FROM trash t JOIN instances i ON i.id = t.instance_id"
    " JOIN series e ON e.id = i.series_id JOIN studies s ON s.id = i.study_id WHERE "
)


def _candidate(number: int, *row: object) -> Candidate:
    study, series, sop, name, key, availability, custody, withheld, safe, elsewhere = row
    return Candidate(
        number,
        InstanceRef(str(study), str(series), str(sop)),
        name if isinstance(name, str) else None,
        key if isinstance(key, bytes) else None,
        Availability(str(availability)),
        Custody(str(custody)),
        Withheld(str(withheld)),
        bool(safe),
        bool(elsewhere),
    )


async def is_primary(database: Database, archive: str) -> bool:
    """Whether everything goes to an archive; one whose role nobody noted may be."""
    rows = await database.read("SELECT role FROM archives WHERE name = ?", (archive,))
    return all(role in ("primary", "") for (role,) in rows)


async def candidates(database: Database, sop_uids: Iterable[str]) -> list[Candidate]:
    """Those of these instances that are known."""
    rows = await database.read(
        f"{_CANDIDATE} WHERE instances.sop_uid IN (SELECT value FROM json_each(?))"
        " ORDER BY instances.id",
        (json_list(sop_uids),),
    )
    return [_candidate(*row) for row in rows]


async def due(database: Database, before: float, max_count: int) -> list[Candidate]:
    """Those that are in the trash since then, or longer; the oldest first."""
    rows = await database.read(
        f"{_CANDIDATE} JOIN trash t ON t.instance_id = instances.id"
        " WHERE t.since <= ? ORDER BY t.since, instances.id LIMIT ?",
        (before, max_count),
    )
    return [_candidate(*row) for row in rows]


def put(
    db: Connection,
    chosen: Sequence[Candidate],
    record_name: str,
    archive: str,
    reason: str,
    now: float,
) -> int:
    """Hide instances that are here; how many. One that is not as it was is left as it is."""
    done = 0
    for one in chosen:
        if db.execute(
            "UPDATE instances SET withheld = 'TRASH' WHERE id = ? AND object = ?"
            f" AND withheld <> 'TRASH' AND {_SAFE}",
            (one.instance_id, one.object),
        ).rowcount:
            db.execute(
                "INSERT INTO trash VALUES (?, ?, ?, ?, ?)",
                (one.instance_id, record_name, archive, reason, now),
            )
            done += 1
    return done


def adopt(
    db: Connection, sop_uid: str, name: str, record_name: str, archive: str, reason: str, now: float
) -> None:
    """An object that was found again was in the trash: its days begin anew."""
    row = db.execute(
        "UPDATE instances SET custody = 'VERIFIED', withheld = 'TRASH'"
        " WHERE sop_uid = ? AND object = ? RETURNING id",
        (sop_uid, name),
    ).fetchone()
    if row is not None:
        db.execute(
            "INSERT INTO trash VALUES (?, ?, ?, ?, ?)", (row[0], record_name, archive, reason, now)
        )


def is_known(db: Connection, new: NewInstance) -> Known:
    """What is known of the UID of an object that was found."""
    row = db.execute(
        "SELECT object IS NOT NULL AND dataset_digest = ? AND transfer_syntax = ?"
        " FROM instances WHERE sop_uid = ?",
        (new.dataset_digest, new.transfer_syntax, new.ref.sop_uid),
    ).fetchone()
    if row is None:
        return Known.NOT
    return Known.THE_SAME if row[0] else Known.OTHERWISE


def forget_remote(db: Connection, chosen: Sequence[Candidate], now: float) -> int:
    """Remove the rows of what only the archive had; how many."""
    done = 0
    for one in chosen:
        row = db.execute(
            "SELECT withheld FROM instances WHERE id = ? AND availability = 'NEARLINE'",
            (one.instance_id,),
        ).fetchone()
        if row is not None:
            forget(db, one.instance_id)
            if not row[0]:
                record(db, "DELETE", one.ref, now)
            done += 1
    return done


def take_back(db: Connection, sop_uids: Iterable[str], custody: Custody) -> int:
    """Show them again, unless a note rejects them; how many were in the trash."""
    done: int = db.execute(
        "UPDATE instances SET custody = ?, retry_at = 0, tries = 0, reason = ''"
        " WHERE withheld = 'TRASH' AND sop_uid IN (SELECT value FROM json_each(?))",
        (custody, json_list(sop_uids)),
    ).rowcount
    return done


def erase(db: Connection, chosen: Sequence[Candidate]) -> None:
    """Remove the rows of what was in the trash. That it went was told when it was hidden.

    Raises:
        Changed: One of them is not as it was, or not safe elsewhere; nothing is erased.
    """
    for one in chosen:
        row = db.execute(
            "SELECT 1 FROM instances WHERE id = ? AND object IS ? AND withheld = 'TRASH'"
            f" AND {_SAFE}",
            (one.instance_id, one.object),
        ).fetchone()
        if row is None:
            raise Changed
        forget(db, one.instance_id)


def postpone(db: Connection, seconds: float) -> None:
    """Let all have come so much later, or earlier; a person's wish stays one."""
    db.execute("UPDATE trash SET since = max(1.0, since + ?) WHERE since > 0", (seconds,))


def expire(db: Connection, query: Query) -> int:
    """Their days are over now; how many are in the trash."""
    where, values = query.condition("s.study_uid", "i.sop_uid")
    done: int = db.execute(
        f"UPDATE trash SET since = 0 WHERE instance_id IN (SELECT t.instance_id{_ITEMS}{where})",
        values,
    ).rowcount
    return done


async def count(database: Database, query: Query) -> int:
    """How many are in the trash, whatever the page."""
    where, values = query.condition("s.study_uid", "i.sop_uid")
    rows = await database.read(f"SELECT count(*){_ITEMS}{where}", values)
    return int(rows[0][0])


async def find(database: Database, query: Query) -> list[Item]:
    """What is in the trash, the newest first."""
    where, values = query.condition("s.study_uid", "i.sop_uid")
    rows = await database.read(
        "SELECT s.study_uid, e.series_uid, i.sop_uid, i.sop_class_uid, i.content_bytes,"
        f" s.patient_id, {NAME_OF_STUDY}, t.archive, t.reason, t.since"
        f"{_ITEMS}{where} ORDER BY t.since DESC, i.id DESC LIMIT ? OFFSET ?",
        [*values, query.limit, query.offset],
    )
    return [Item(InstanceRef(*row[:3]), *row[3:]) for row in rows]


async def count_studies(database: Database) -> int:
    """How many studies have something in the trash."""
    rows = await database.read(f"SELECT count(DISTINCT s.id){_ITEMS}1")
    return int(rows[0][0])


async def studies(database: Database, limit: int, offset: int) -> list[OfStudy]:
    """The studies of what is in the trash, the newest first."""
    # Beside a lone min(), SQLite takes the other columns from the row that has it.
    rows = await database.read(
        f"SELECT s.study_uid, s.patient_id, {NAME_OF_STUDY}, count(*), sum(i.content_bytes),"
        f" t.archive, t.reason, min(t.since){_ITEMS}1 GROUP BY s.id"
        " ORDER BY min(t.since) DESC, s.id DESC LIMIT ? OFFSET ?",
        (limit, offset),
    )
    return [OfStudy(*row) for row in rows]


async def records(database: Database, sop_uids: Iterable[str] | None = None) -> set[str]:
    """The records that instances in the trash name; None: of all."""
    if sop_uids is None:
        rows = await database.read("SELECT DISTINCT record FROM trash")
    else:
        rows = await database.read(
            "SELECT DISTINCT t.record FROM trash t JOIN instances i ON i.id = t.instance_id"
            " WHERE i.sop_uid IN (SELECT value FROM json_each(?))",
            (json_list(sop_uids),),
        )
    return {row[0] for row in rows}


async def objects_of(database: Database, record_name: str) -> set[str]:
    """The objects in the trash that a record is to name."""
    rows = await database.read(
        "SELECT i.object FROM trash t JOIN instances i ON i.id = t.instance_id"
        " WHERE t.record = ? AND i.object IS NOT NULL",
        (record_name,),
    )
    return {row[0] for row in rows}


async def named(database: Database, objects: Iterable[str]) -> set[str]:
    """Those of these objects that are of an instance, or in quarantine."""
    rows = await database.read(
        "SELECT object FROM instances WHERE object IN (SELECT value FROM json_each(?1))"
        " UNION SELECT object FROM quarantine WHERE object IN (SELECT value FROM json_each(?1))",
        (json_list(objects),),
    )
    return {row[0] for row in rows}


def rename(db: Connection, record_name: str, new: str) -> int:
    """Another record holds from now on; how many instances it tells of."""
    done: int = db.execute(
        "UPDATE trash SET record = ? WHERE record = ?", (new, record_name)
    ).rowcount
    return done
