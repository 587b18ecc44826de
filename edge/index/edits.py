"""Demographics that are edited in the archive: what it said, what holds, and what held before.

An archive's answer about a study that says something else of patient or study than it said before
is an edit: a correction there, or a merge of two patients. So is what it says for the first time,
if no instance here says so. Only the primary archive's word counts, and only once it vouches for
something of what came in here: until then, that holds.

Bytes and documents stay as they are. An edit stands in the columns and attributes of its study, and
is laid over documents where those are read. What has the original value again is overlaid no more.
Functions that take a ``Connection`` run inside ``Database.write``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from edge.dicom.demographics import described, is_same
from edge.dicom.remote import RemoteStudy
from edge.index.attributes import STUDY_TAGS, select
from edge.index.database import Connection, Database
from edge.index.instances import rewrite_study
from edge.index.lookup import json_list

__all__ = [
    "NOTHING",
    "Edit",
    "Held",
    "Noted",
    "announce",
    "history",
    "note",
    "overlay_of",
    "survey",
    "take_over",
]

Attributes = Mapping[str, Any]
"""DICOM JSON."""

_LOT = 500
"""Changes that are numbered in one transaction."""
_VERSIONS = 100
"""Of a study that are kept, the newest."""


@dataclass(frozen=True, slots=True)
class Edit:
    """One edit of a study."""

    version: int
    """Counts from 1."""
    at: float
    """When it was seen here, in POSIX seconds."""
    archive: str
    before: dict[str, Any]
    """The attributes that were edited, as they were shown; what was absent is missing."""
    after: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Held:
    """What instances say that were here, where the archive says something for the first time."""

    values: Mapping[str, list[Attributes]]
    """Every attribute that was looked at, with the values that occur."""
    anything: bool = False
    """Whether any was here at all."""


NOTHING = Held({})
"""Nothing was looked at."""


@dataclass(frozen=True, slots=True)
class Noted:
    """What an answer of the archive came to."""

    settled: bool = True
    """False: it has to be looked at again, though it may stay the same."""
    edit: Edit | None = None


async def survey(database: Database, study: RemoteStudy) -> Held:
    """What ``note`` has to know of documents, found out without holding up the writer."""
    rows = await database.read(
        "SELECT s.id, a.attributes, w.attributes FROM studies s JOIN study_attributes a"
        " ON a.study_id = s.id LEFT JOIN said w ON w.study_id = s.id WHERE s.study_uid = ?",
        (study.study_uid,),
    )
    if not rows:
        return NOTHING
    study_id, current, said = rows[0][0], _read(rows[0][1]), _read(rows[0][2])
    unsaid = [
        tag
        for tag, attribute in _heard(study).items()
        if tag not in said and not is_same(current.get(tag), attribute)
    ]
    if not unsaid:
        return NOTHING
    # Where bytes never were here, the document is the archive's own.
    here = "FROM instances WHERE study_id = ? AND transfer_syntax <> ''"
    found = await database.scan(
        "SELECT DISTINCT one.key, one.value FROM metadata m, json_each(inflated(m.document)) one"
        f" WHERE m.instance_id IN (SELECT id {here})"
        " AND one.key IN (SELECT value FROM json_each(?))",
        (study_id, json_list(unsaid)),
    )
    [(anything,)] = await database.read(f"SELECT EXISTS (SELECT 1 {here})", (study_id,))
    values: dict[str, list[Attributes]] = {tag: [] for tag in unsaid}
    for tag, attribute in found:
        values[tag].append(_read(attribute))
    return Held(values, bool(anything))


def _heard(study: RemoteStudy) -> dict[str, Any]:
    """What an answer says for sure."""
    said = described(study.attributes)
    return {tag: one for tag, one in said.items() if tag not in study.contradicted}


def note(db: Connection, study_id: int, study: RemoteStudy, held: Held, now: float) -> Noted:
    """Keep what the archive says of a study, and let an edit hold from now on.

    Args:
        db: The writer's connection.
        study_id: The study's row.
        study: The answer.
        held: As ``survey`` found it.
        now: POSIX seconds.
    """
    role = db.execute("SELECT role FROM archives WHERE name = ?", (study.archive,)).fetchone()
    if role is None or role[0] != "primary":
        return Noted()
    row = db.execute(
        "SELECT a.attributes, w.attributes, o.attributes, o.original FROM study_attributes a"
        " LEFT JOIN said w ON w.study_id = a.study_id"
        " LEFT JOIN overlays o ON o.study_id = a.study_id WHERE a.study_id = ?",
        (study_id,),
    ).fetchone()
    current, said, overlay = _read(row[0]), _read(row[1]), _read(row[2])
    original = current if row[3] is None else _read(row[3])
    answer = _heard(study)
    news = _News.of(answer, current, said, held)
    edited, learned = news.edited, news.learned
    if news.unsure or (edited and not _is_vouched_for(db, study_id)):
        return Noted(settled=False)
    if said | answer != said:
        _put(db, "said", study_id, _written(said | answer))
    if not edited and not learned:
        return Noted()
    original = original | learned
    overlay = {
        tag: attribute
        for tag, attribute in sorted((overlay | edited).items())
        if not is_same(original.get(tag), attribute)
    }
    rewrite_study(db, study_id, dict(sorted((original | overlay).items())))
    db.execute("DELETE FROM overlays WHERE study_id = ?", (study_id,))
    if overlay:
        text = _written(overlay)
        edition = hashlib.sha256(text.encode()).hexdigest()[:16]
        _put(db, "overlays", study_id, text, _written(original), edition)
    if not edited:
        return Noted()
    before = {tag: current[tag] for tag in edited if tag in current}
    return Noted(edit=_record(db, study_id, study.archive, before, edited, now))


@dataclass(slots=True)
class _News:
    """What an answer says that is not shown."""

    edited: dict[str, Any] = field(default_factory=dict)
    learned: dict[str, Any] = field(default_factory=dict)
    """What was not known, and nobody says otherwise."""
    unsure: bool = False
    """Something was not looked at: it came meanwhile."""

    @classmethod
    def of(cls, answer: Attributes, current: Attributes, said: Attributes, held: Held) -> _News:
        news = cls()
        for tag, attribute in answer.items():
            if is_same(current.get(tag), attribute):
                continue
            if tag in said:
                if not is_same(said[tag], attribute):
                    news.edited[tag] = attribute
            elif tag not in held.values:
                news.unsure = True
            else:
                news._add_first(tag, attribute, tag in current, held)
        return news

    def _add_first(self, tag: str, attribute: Any, is_shown: bool, held: Held) -> None:
        """What is said for the first time."""
        is_held = any(is_same(one, attribute) for one in held.values[tag])
        if not is_shown and (is_held or not held.anything):
            self.learned[tag] = attribute
        elif not is_held:
            self.edited[tag] = attribute
        # Else instances differ, and the archive names one of them.


def _is_vouched_for(db: Connection, study_id: int) -> bool:
    """Whether the archive has anything of what came in here; or nothing ever did.

    That it has other images under the same UID says nothing of ours.
    """
    [vouched, anything] = db.execute(
        "SELECT max(custody IN ('ACKNOWLEDGED', 'VERIFIED')), count(*) FROM instances"
        " WHERE study_id = ? AND transfer_syntax <> ''",
        (study_id,),
    ).fetchone()
    return bool(vouched) or not anything


def _record(
    db: Connection,
    study_id: int,
    archive: str,
    before: Attributes,
    after: dict[str, Any],
    now: float,
) -> Edit:
    [version] = db.execute(
        "SELECT coalesce(max(version), 0) + 1 FROM edits WHERE study_id = ?", (study_id,)
    ).fetchone()
    # The last one announces whatever is as it is now.
    db.execute("UPDATE edits SET announced = NULL WHERE study_id = ?", (study_id,))
    db.execute(
        "INSERT INTO edits VALUES (?, ?, ?, ?, ?, ?, 0)",
        (study_id, version, now, archive, _written(before), _written(after)),
    )
    # An archive whose answers flap between two names must not fill the disk with them.
    db.execute(
        "DELETE FROM edits WHERE study_id = ? AND version <= ?", (study_id, version - _VERSIONS)
    )
    announce(db, now, study_id)
    return Edit(version, now, archive, dict(before), after)


def announce(db: Connection, now: float, study_id: int | None = None) -> bool:
    """Give some changes of edited instances their numbers; whether there are more to come.

    What is edited holds at once. A study can have thousands of instances: their numbers come in
    transactions of bounded length, and a crash between two of them leaves it written down how far
    they have come.
    """
    row = db.execute(
        "SELECT study_id, version, announced FROM edits WHERE announced IS NOT NULL"
        " AND (?1 IS NULL OR study_id = ?1) LIMIT 1",
        (study_id,),
    ).fetchone()
    if row is None:
        return False
    edited, version, done = row
    ids = [
        one
        for (one,) in db.execute(
            "SELECT id FROM instances WHERE study_id = ? AND id > ? AND withheld = ''"
            " ORDER BY id LIMIT ?",
            (edited, done, _LOT),
        )
    ]
    db.execute(
        "INSERT INTO changes (action, study_uid, series_uid, sop_uid, at)"
        " SELECT 'UPDATE', s.study_uid, e.series_uid, i.sop_uid, ? FROM json_each(?) one"
        " JOIN instances i ON i.id = one.value JOIN series e ON e.id = i.series_id"
        " JOIN studies s ON s.id = i.study_id ORDER BY one.key",
        (now, json_list(ids)),
    )
    last = ids[-1] if len(ids) == _LOT else None
    db.execute(
        "UPDATE edits SET announced = ? WHERE study_id = ? AND version = ?", (last, edited, version)
    )
    return bool(db.execute("SELECT 1 FROM edits WHERE announced IS NOT NULL LIMIT 1").fetchone())


def take_over(db: Connection, newer: Connection) -> None:
    """Have what another file of the index says of edits, and studies shown as it shows them.

    Whoever follows changes is told of all of them by somebody else.

    Args:
        db: The writer's connection.
        newer: The other file, which may be of a newer form.
    """
    ours = "SELECT a.study_id, a.attributes FROM study_attributes a JOIN studies s"
    ours += " ON s.id = a.study_id WHERE s.study_uid = ?"
    for study_uid, text in newer.execute(
        "SELECT s.study_uid, a.attributes FROM study_attributes a"
        " JOIN studies s ON s.id = a.study_id"
    ):
        row = db.execute(ours, (study_uid,)).fetchone()
        if row is not None and text != row[1]:
            rewrite_study(db, row[0], select(_read(text), STUDY_TAGS))
    for table, columns in (
        ("said", "t.attributes"),
        ("overlays", "t.attributes, t.original, t.edition"),
        ("edits", "t.version, t.at, t.archive, t.before, t.after, NULL"),
    ):
        rows = newer.execute(
            f"SELECT {columns}, s.study_uid FROM {table} t JOIN studies s ON s.id = t.study_id"
        )
        places = "?, " * (len(rows.description) - 1)
        db.execute(f"DELETE FROM {table}")
        db.executemany(
            f"INSERT INTO {table} SELECT id, {places[:-2]} FROM studies WHERE study_uid = ?", rows
        )


async def overlay_of(database: Database, study_uid: str) -> dict[str, Any]:
    """The attributes that hold in place of those of a study's instances."""
    rows = await database.read(
        "SELECT o.attributes FROM overlays o JOIN studies s ON s.id = o.study_id"
        " WHERE s.study_uid = ?",
        (study_uid,),
    )
    return _read(rows[0][0]) if rows else {}


async def history(database: Database, study_uid: str) -> list[Edit]:
    """Every edit of a study, the oldest first."""
    rows = await database.read(
        "SELECT h.version, h.at, h.archive, h.before, h.after FROM edits h"
        " JOIN studies s ON s.id = h.study_id WHERE s.study_uid = ? ORDER BY h.version",
        (study_uid,),
    )
    return [
        Edit(version, at, archive, _read(before), _read(after))
        for version, at, archive, before, after in rows
    ]


def _put(db: Connection, table: str, study_id: int, *values: str) -> None:
    places = ", ?" * len(values)
    db.execute(f"INSERT OR REPLACE INTO {table} VALUES (?{places})", (study_id, *values))


def _written(attributes: Attributes) -> str:
    return msgspec.json.encode(attributes).decode()


def _read(text: str | None) -> dict[str, Any]:
    found: dict[str, Any] = msgspec.json.decode(text) if text else {}
    return found
