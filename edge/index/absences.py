"""What the primary archive does not list any more, and what was found out about that.

A study is *suspected* when two complete sweeps did not list it, or when it is listed without what
was known of it. Functions that take a ``Connection`` run inside ``Database.write``.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from edge.dicom.instance import Availability, InstanceRef
from edge.dicom.remote import RemoteStudy
from edge.index import residence
from edge.index.database import Connection, Database
from edge.index.lookup import json_list
from edge.index.names import NAME_OF_STUDY
from edge.index.residence import MISSED
from edge.index.sightings import SETTLED

__all__ = [
    "LOST",
    "Absence",
    "AbsentStudy",
    "State",
    "Vouched",
    "absent",
    "clear",
    "compare",
    "count",
    "decide",
    "give_again",
    "hold",
    "in_state",
    "limit",
    "revive",
    "settle",
    "suspect",
    "suspect_unlisted",
    "vouched",
]

LOST = "the archive had it, and lost it"

_VOUCHED = (
    "i.withheld <> 'TRASH' AND (i.custody = 'VERIFIED'"
    " OR i.availability = 'NEARLINE' AND i.custody = 'ACKNOWLEDGED'"
    f" OR i.availability = 'UNAVAILABLE' AND i.reason = '{MISSED}')"
)
"""What the archive is known to have had, and is not known to be in the trash."""


class State(StrEnum):
    """How far it is with a study that is not listed as before."""

    SUSPECTED = "SUSPECTED"
    """It is looked for once more before anything is done."""
    HELD = "HELD"
    """It is not there; a person decides."""
    TRASH = "TRASH"
    """A person said that it was deleted on purpose."""
    AGAIN = "AGAIN"
    """A person said that the archive shall have it again."""


@dataclass(frozen=True, slots=True)
class Absence:
    """A study that is not listed as before."""

    study_id: int
    study_uid: str
    is_whole: bool
    """Two complete sweeps have not listed it at all."""


@dataclass(frozen=True, slots=True)
class Vouched:
    """An instance that the archive had."""

    instance_id: int
    ref: InstanceRef
    availability: Availability
    is_verified: bool
    """The archive was seen to have just these bytes."""
    digest: bytes | None = None
    """SHA-256 of its data set; None if that was never here."""
    sent_digest: bytes | None = None
    """Of the copy that was sent in its place, if any was."""
    size: int = 0
    corrected: bytes | None = None
    """Of what the archive has in its place since it corrected patient or study, if it did."""

    @property
    def was_here(self) -> bool:
        """Its bytes are, or were, on this box."""
        return self.digest is not None


@dataclass(frozen=True, slots=True)
class AbsentStudy:
    """A study that a person decides about. It names a patient."""

    study_uid: str
    patient_name: str
    patient_id: str
    study_date: str
    description: str
    instances: int
    here: int
    """Of those."""
    since: float
    """When it was missed first; POSIX seconds."""
    state: str
    """As ``State``."""


async def vouched(database: Database, study_id: int, copies_in: str = "") -> list[Vouched]:
    """What the primary archive had of a study, or the one for copies that is named."""
    which = (
        ", c.custody = 'VERIFIED' FROM instances i"
        " JOIN copies c ON c.instance_id = i.id AND c.archive = ?2 AND c.custody = 'VERIFIED'"
        if copies_in
        else ", i.custody = 'VERIFIED' FROM instances i"
    )
    rows = await database.read(
        "SELECT i.id, s.study_uid, e.series_uid, i.sop_uid, i.availability, i.dataset_digest,"
        " (SELECT r.sent_digest FROM remedies r WHERE r.instance_id = i.id), i.content_bytes,"
        " (SELECT v.digest FROM corrected v WHERE v.instance_id = i.id AND v.archive = ?2)"
        f"{which} JOIN series e ON e.id = i.series_id JOIN studies s ON s.id = i.study_id"
        f" WHERE i.study_id = ?1 AND {'1' if copies_in else _VOUCHED} ORDER BY i.series_id, i.id",
        (study_id, copies_in),
    )
    return [
        Vouched(number, InstanceRef(study, series, sop), Availability(where), bool(verified), *rest)
        for number, study, series, sop, where, *rest, verified in rows
    ]


async def suspect_unlisted(database: Database, archive: str) -> list[int]:
    """Studies that two complete sweeps have not listed, and that are not suspected yet.

    Only what was there, or learned of, before the first of them began.
    """
    rows = await database.read(
        "SELECT g.study_id FROM sightings g JOIN sweeps w ON w.archive = g.archive"
        " WHERE g.archive = ? AND g.sweep < w.number - 2"
        " AND g.study_id NOT IN (SELECT study_id FROM absences WHERE is_whole)"
        f" AND EXISTS (SELECT 1 FROM instances i WHERE i.study_id = g.study_id AND {_VOUCHED})"
        " AND NOT EXISTS (SELECT 1 FROM instances i WHERE i.study_id = g.study_id"
        f" AND {_VOUCHED} AND max(i.verified, i.received) >= w.earlier)",
        (archive,),
    )
    return [row[0] for row in rows]


def suspect(
    db: Connection, archive: str, study_ids: Iterable[int], *, is_whole: bool, now: float
) -> None:
    """Suspect studies; what a person decides about stays as it is."""
    db.execute(
        "INSERT INTO absences (study_id, state, is_whole, sweep, since)"
        " SELECT value, 'SUSPECTED', ?1,"
        " coalesce((SELECT number FROM sweeps WHERE archive = ?2), 0), ?3 FROM json_each(?4)"
        " WHERE value IN (SELECT id FROM studies)"
        " ON CONFLICT (study_id) DO UPDATE SET is_whole = max(is_whole, excluded.is_whole)",
        (is_whole, archive, now, json_list(study_ids)),
    )


def compare(db: Connection, archive: str, study: RemoteStudy, now: float) -> None:
    """Suspect a study that is listed without what the archive had of it; clear one that is whole.

    One of which the archive counts more than it lists, or counts nothing, says nothing.
    """
    if not study.fingerprint:
        return
    row = db.execute("SELECT id FROM studies WHERE study_uid = ?", (study.study_uid,)).fetchone()
    if row is None:
        return
    listed = {one.sop_uid for series in study.series for one in series.instances}
    had = db.execute(f"SELECT i.sop_uid FROM instances i WHERE i.study_id = ? AND {_VOUCHED}", row)
    if all(sop_uid in listed for (sop_uid,) in had):
        clear(db, row)
    else:
        suspect(db, archive, row, is_whole=False, now=now)


def clear(db: Connection, study_ids: Iterable[int]) -> None:
    """They are there."""
    db.execute(
        "DELETE FROM absences WHERE study_id IN (SELECT value FROM json_each(?))",
        (json_list(study_ids),),
    )


def hold(db: Connection, study_ids: Iterable[int]) -> None:
    """Let a person decide about studies that are suspected."""
    db.execute(
        "UPDATE absences SET state = 'HELD' WHERE state = 'SUSPECTED'"
        " AND study_id IN (SELECT value FROM json_each(?))",
        (json_list(study_ids),),
    )


def decide(db: Connection, study_uids: Sequence[str] | None, state: State) -> int:
    """Write down what a person said of studies that are held, or of all; how many that are."""
    which = "" if study_uids is None else " AND study_uid IN (SELECT value FROM json_each(?2))"
    values = (state,) if study_uids is None else (state, json_list(study_uids))
    done: int = db.execute(
        "UPDATE absences SET state = ?1 WHERE state <> 'SUSPECTED' AND state <> ?1"
        f" AND study_id IN (SELECT id FROM studies WHERE 1{which})",
        values,
    ).rowcount
    return done


async def in_state(
    database: Database, states: Collection[State], *, before_sweep: int | None = None
) -> list[Absence]:
    """Absences in one of these states.

    With *before_sweep*, those that were suspected before it, and those that two sweeps missed.
    """
    until = "" if before_sweep is None else " AND (a.is_whole OR a.sweep < ?2)"
    values: tuple[object, ...] = (json_list(states),)
    rows = await database.read(
        "SELECT a.study_id, s.study_uid, a.is_whole FROM absences a"
        " JOIN studies s ON s.id = a.study_id"
        f" WHERE a.state IN (SELECT value FROM json_each(?1)){until} ORDER BY a.study_id",
        values if before_sweep is None else (*values, before_sweep),
    )
    return [Absence(number, uid, bool(whole)) for number, uid, whole in rows]


async def limit(database: Database, least: int, share: float) -> int:
    """Studies that may go in one go: a share of those that the archive vouches for."""
    ((count,),) = await database.read(
        "SELECT count(*) FROM studies WHERE instance_count > edge_only_count"
    )
    return max(least, int(count * share))


def revive(db: Connection, instances: Iterable[Vouched]) -> None:
    """What was opened, and not found where it was, is only there once more: to be forgotten."""
    db.execute(
        "UPDATE instances SET availability = 'NEARLINE', custody = 'ACKNOWLEDGED', reason = ''"
        " WHERE availability = 'UNAVAILABLE' AND reason = ?"
        " AND id IN (SELECT value FROM json_each(?))",
        (MISSED, json_list(one.instance_id for one in instances)),
    )


def settle(db: Connection, archive: str, study_id: int, went: Iterable[Vouched]) -> None:
    """The absence of a study was dealt with; what is left of *went* is for a person.

    That is what the archive had otherwise, or of which other bytes are kept.
    """
    db.execute(
        "UPDATE instances SET custody = 'CONFLICT', reason = ?"
        " WHERE custody = 'VERIFIED' AND availability = 'ONLINE' AND withheld <> 'TRASH'"
        " AND id IN (SELECT value FROM json_each(?))",
        (MISSED, json_list(one.instance_id for one in went)),
    )
    _forget_listing(db, archive, study_id)


def give_again(
    db: Connection, archive: str, study_id: int, lost: Iterable[Vouched], now: float
) -> tuple[int, int]:
    """The archive lost these: it is owed what is here; how many that are, and how many are gone.

    What never was here is the archive's own affair.
    """
    again = gone = 0
    for one in lost:
        again += db.execute(
            "UPDATE instances SET custody = 'EDGE_ONLY', reason = ?, retry_at = 0, tries = 0"
            " WHERE id = ? AND custody = 'VERIFIED' AND availability = 'ONLINE'"
            " AND withheld <> 'TRASH'",
            (LOST, one.instance_id),
        ).rowcount
        gone += residence.miss(db, one.ref.sop_uid)
    if again or gone:
        db.execute(
            "UPDATE sweeps SET lost = lost + ?, lost_at = ? WHERE archive = ?",
            (again + gone, now, archive),
        )
    _forget_listing(db, archive, study_id)
    return again, gone


def _forget_listing(db: Connection, archive: str, study_id: int) -> None:
    """Have the study looked into if it is listed ever again; until then it is not missed."""
    db.execute("UPDATE studies SET fingerprint = '' WHERE id = ?", (study_id,))
    db.execute(
        "UPDATE sightings SET sweep = ? WHERE study_id = ? AND archive = ?",
        (SETTLED, study_id, archive),
    )
    clear(db, (study_id,))


async def count(database: Database) -> int:
    """How many studies a person decides about, or has."""
    rows = await database.read("SELECT count(*) FROM absences WHERE state <> 'SUSPECTED'")
    return int(rows[0][0])


async def absent(database: Database, *, limit: int, offset: int) -> list[AbsentStudy]:
    """Those that a person decides about, or has, the oldest first."""
    rows = await database.read(
        f"SELECT s.study_uid, {NAME_OF_STUDY}, s.patient_id, s.study_date,"
        " s.description, s.instance_count, s.online_count, a.since, a.state"
        " FROM absences a JOIN studies s ON s.id = a.study_id WHERE a.state <> 'SUSPECTED'"
        " ORDER BY a.since, a.study_id LIMIT ? OFFSET ?",
        (limit, offset),
    )
    return [AbsentStudy(*row) for row in rows]
