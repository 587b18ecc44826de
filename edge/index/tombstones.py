"""Instances that were deleted on purpose, and whether the archive shall delete them, too.

A tombstone keeps what the archive still has from coming back; ``instances.put`` removes it when
somebody else sends the instance again. What the archive is to be told is a column of it, so that an
instance which came again is never withdrawn. Functions that take a ``Connection`` run inside
``Database.write``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from edge.dicom.instance import Availability, Custody, InstanceRef
from edge.index.custody import FARTHEST
from edge.index.database import Connection, Database
from edge.index.feed import record
from edge.index.instances import forget
from edge.index.lookup import json_list

__all__ = [
    "Changed",
    "Doomed",
    "Target",
    "Withdrawal",
    "bury",
    "deleted_among",
    "doomed_in",
    "due",
    "forget_fingerprints",
    "is_deleted",
    "keep_fingerprint",
    "next_due",
    "quarantined_in",
    "records",
    "renew",
    "restore",
    "settle",
    "tell_of",
    "tombstones_in",
]


class Withdrawal(StrEnum):
    """Whether the archive shall delete an instance, too."""

    NONE = "NONE"
    """Nobody asked for it."""
    DUE = "DUE"
    """It is to be told, or told again."""
    DONE = "DONE"
    """It deleted the instance, or has none."""
    REFUSED = "REFUSED"
    """It does not delete anything."""


class Changed(Exception):
    """What was to be deleted is not as it was when that was decided."""


@dataclass(frozen=True, slots=True)
class Doomed:
    """An instance as it was when its deletion was decided."""

    instance_id: int
    ref: InstanceRef
    object: str | None
    key_id: bytes | None
    availability: Availability
    custody: Custody
    remedied: bool = False
    """What the archive has is a copy that it takes, and not these bytes."""

    @property
    def may_be_only_copy(self) -> bool:
        """Bytes are here, and the archive was not seen to have the same."""
        verified = self.custody is Custody.VERIFIED and not self.remedied
        return self.object is not None and not verified


Target = tuple[str, str | None, str | None]
"""Study, series and instance, as far as they are named."""


def _within(target: Target, study: str, series: str, sop: str) -> tuple[str, list[str]]:
    """A condition on three columns."""
    pairs = [(column, uid) for column, uid in zip((study, series, sop), target, strict=True) if uid]
    return " AND ".join(f"{column} = ?" for column, _ in pairs), [uid for _, uid in pairs]


async def doomed_in(database: Database, target: Target) -> list[Doomed]:
    """Every instance of a study, a series or one of them."""
    where, values = _within(target, "s.study_uid", "e.series_uid", "i.sop_uid")
    rows = await database.read(
        "SELECT i.id, s.study_uid, e.series_uid, i.sop_uid, i.object, i.key_id,"
        " i.availability, i.custody, EXISTS (SELECT 1 FROM remedies WHERE instance_id = i.id)"
        " FROM instances i JOIN series e ON e.id = i.series_id JOIN studies s ON s.id = i.study_id"
        f" WHERE {where} ORDER BY i.id",
        values,
    )
    return [
        Doomed(
            number,
            InstanceRef(*uids),
            name,
            key,
            Availability(availability),
            Custody(custody),
            bool(remedied),
        )
        for number, *uids, name, key, availability, custody, remedied in rows
    ]


async def quarantined_in(
    database: Database, target: Target, sop_uids: Iterable[str]
) -> dict[str, InstanceRef]:
    """Objects in quarantine that are of a target, or of these instances."""
    where, values = _within(target, "study_uid", "series_uid", "sop_uid")
    rows = await database.read(
        "SELECT object, study_uid, series_uid, sop_uid FROM quarantine"
        f" WHERE ({where}) OR sop_uid IN (SELECT value FROM json_each(?))",
        [*values, json_list(sop_uids)],
    )
    return {name: InstanceRef(*uids) for name, *uids in rows}


async def tombstones_in(database: Database, target: Target) -> list[InstanceRef]:
    """What was deleted of a target before, and the archive was not told of."""
    where, values = _within(target, "study_uid", "series_uid", "sop_uid")
    rows = await database.read(
        "SELECT study_uid, series_uid, sop_uid FROM tombstones"
        f" WHERE {where} AND withdrawal IN ('NONE', 'REFUSED') ORDER BY sop_uid",
        values,
    )
    return [InstanceRef(*uids) for uids in rows]


async def is_deleted(database: Database, target: Target) -> bool:
    """Whether anything of a target was deleted."""
    where, values = _within(target, "study_uid", "series_uid", "sop_uid")
    return bool(await database.read(f"SELECT 1 FROM tombstones WHERE {where} LIMIT 1", values))


def deleted_among(db: Connection, sop_uids: Iterable[str]) -> set[str]:
    """Those of these instances that were deleted."""
    rows = db.execute(
        "SELECT sop_uid FROM tombstones WHERE sop_uid IN (SELECT value FROM json_each(?))",
        (json_list(sop_uids),),
    )
    return {row[0] for row in rows}


def bury(
    db: Connection,
    doomed: Sequence[Doomed],
    quarantined: Iterable[str],
    record_name: str,
    now: float,
    *,
    withdraw_from: float | None,
) -> None:
    """Remove the rows of instances, and set tombstones.

    Args:
        db: The writer's connection.
        doomed: Instances, as they were looked at.
        quarantined: Objects in quarantine that go as well.
        record_name: Of the sealed file that holds the same.
        now: POSIX seconds.
        withdraw_from: When to tell the archive; None if it is not to be told.

    Raises:
        Changed: One of them is not as it was; nothing is deleted.
    """
    for one in doomed:
        same = db.execute(
            "SELECT withheld FROM instances WHERE id = ? AND object IS ? AND custody = ?"
            " AND availability = ?",
            (one.instance_id, one.object, one.custody, one.availability),
        ).fetchone()
        if same is None:
            raise Changed
        forget(db, one.instance_id)
        if not same[0]:
            record(db, "DELETE", one.ref, now)
    for name in quarantined:
        if not db.execute("DELETE FROM quarantine WHERE object = ?", (name,)).rowcount:
            raise Changed
    _set(db, [one.ref for one in doomed], record_name, now, withdraw_from)


def restore(
    db: Connection,
    refs: Iterable[InstanceRef],
    record_name: str,
    deleted: float,
    *,
    withdraw: bool,
) -> int:
    """Set the tombstones of a record that no tombstone names; how many.

    What has a row or a tombstone is left as it is: the deletion did not come to be, or something
    came after it.
    """
    missing = []
    for ref in refs:
        known = db.execute(
            "SELECT 1 FROM instances WHERE sop_uid = ?1"
            " UNION ALL SELECT 1 FROM tombstones WHERE sop_uid = ?1",
            (ref.sop_uid,),
        ).fetchone()
        if known is None:
            missing.append(ref)
    _set(db, missing, record_name, deleted, deleted if withdraw else None)
    return len(missing)


def tell_of(db: Connection, refs: Iterable[InstanceRef], record_name: str) -> None:
    """The archive is to be told of instances that were deleted before."""
    for ref in refs:
        db.execute(
            "UPDATE tombstones SET withdrawal = 'DUE', tries = 0, retry_at = 0, record = ?"
            " WHERE sop_uid = ?",
            (record_name, ref.sop_uid),
        )


def renew(db: Connection) -> None:
    """What the archive would never delete is told to it again: it may be another one by now."""
    db.execute(
        "UPDATE tombstones SET withdrawal = 'DUE', retry_at = 0 WHERE withdrawal = 'REFUSED'"
    )


def _set(
    db: Connection,
    refs: Iterable[InstanceRef],
    record_name: str,
    deleted: float,
    withdraw_from: float | None,
) -> None:
    withdrawal = Withdrawal.NONE if withdraw_from is None else Withdrawal.DUE
    db.executemany(
        "INSERT OR REPLACE INTO tombstones (sop_uid, study_uid, series_uid, record, deleted,"
        " withdrawal, retry_at) VALUES (?, ?, ?, ?, ?, ?, ?)",
        [
            (
                ref.sop_uid,
                ref.study_uid,
                ref.series_uid,
                record_name,
                deleted,
                withdrawal,
                withdraw_from or 0.0,
            )
            for ref in refs
        ],
    )


def keep_fingerprint(db: Connection, study_uid: str, fingerprint: str, now: float) -> None:
    """Keep what the archive last said of a study that is deleted here."""
    db.execute(
        "UPDATE tombstones SET fingerprint = ?, listed = ? WHERE study_uid = ?",
        (fingerprint, now, study_uid),
    )


def forget_fingerprints(db: Connection, before: float, now: float) -> None:
    """Have the next sweep list whole what is deleted here and was last listed before then.

    One instance less and another one more, and the fingerprint is as it was. What was listed in the
    future was so under a clock that was wrong.
    """
    db.execute(
        "UPDATE tombstones SET fingerprint = ''"
        " WHERE fingerprint <> '' AND (listed < ? OR listed > ?)",
        (before, now),
    )


async def records(database: Database) -> set[str]:
    """The records that some tombstone names."""
    return {row[0] for row in await database.read("SELECT DISTINCT record FROM tombstones")}


async def due(database: Database, now: float, max_count: int) -> list[tuple[InstanceRef, int]]:
    """What the archive is to be told of now, and how often it was tried."""
    rows = await database.read(
        "SELECT study_uid, series_uid, sop_uid, tries FROM tombstones"
        " WHERE withdrawal = 'DUE' AND (retry_at <= ? OR retry_at > ?) ORDER BY retry_at LIMIT ?",
        (now, now + FARTHEST, max_count),
    )
    return [(InstanceRef(*uids), tries) for *uids, tries in rows]


async def next_due(database: Database) -> float | None:
    """When the archive is to be told of the next."""
    rows = await database.read("SELECT min(retry_at) FROM tombstones WHERE withdrawal = 'DUE'")
    return None if rows[0][0] is None else float(rows[0][0])


def settle(
    db: Connection, sop_uid: str, withdrawal: Withdrawal, reason: str, retry_at: float
) -> None:
    """Write down what the archive answered; a retry counts as one more try.

    If it deleted, its study is not as it was listed, though its counts may be as they were by now.
    """
    db.execute(
        "UPDATE tombstones SET withdrawal = ?, reason = ?, retry_at = ?,"
        " tries = CASE ? WHEN 'DUE' THEN tries + 1 ELSE 0 END WHERE sop_uid = ?",
        (withdrawal, reason, retry_at, withdrawal, sop_uid),
    )
    if withdrawal is Withdrawal.DONE:
        for table in ("studies", "tombstones"):
            db.execute(
                f"UPDATE {table} SET fingerprint = '' WHERE study_uid ="
                " (SELECT study_uid FROM tombstones WHERE sop_uid = ?)",
                (sop_uid,),
            )
