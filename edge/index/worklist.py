"""Scheduled procedure steps: rows of what sources brought, how the sources are, what MPPS said.

Functions that take a ``Connection`` run inside ``Database.write``. Days are those of the clock on
the wall, YYYYMMDD; times are POSIX seconds.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import msgspec

from edge.index.database import Connection, Database
from edge.index.lookup import json_list

__all__ = [
    "SourceState",
    "StepRow",
    "add_source",
    "forget_before",
    "note_failure",
    "note_success",
    "remove",
    "renew",
    "served",
    "set_sources",
    "set_state",
    "source_states",
    "steps_of_source",
]


@dataclass(frozen=True, slots=True)
class StepRow:
    """A step, as it is kept."""

    key: str
    study_uid: str
    step_id: str
    accession_number: str
    day: str
    time: str
    attributes: bytes
    """DICOM JSON, encoded."""
    source: str = ""
    state: str = ""
    """Performed Procedure Step Status (0040,0252), if it was begun; else empty."""


@dataclass(frozen=True, slots=True)
class SourceState:
    """How a source of the worklist is; times are POSIX seconds."""

    name: str
    steps: int
    """That it brought and are still served."""
    succeeded: float | None
    """When it was last renewed; None: never."""
    due: float | None
    """Until when that is believed."""
    failing_since: float | None
    """None if the last try succeeded."""
    error: str
    """Why the last try failed, in plain words."""
    problems: tuple[str, ...]
    """What of it could not be taken, or is flawed. Names of files are in them: they are for who may
    read."""


def set_sources(db: Connection, ranks: Mapping[str, int]) -> None:
    """From now on there are these; what others brought is forgotten."""
    names = json_list(ranks)
    db.execute(
        "DELETE FROM worklist_sources WHERE name NOT IN (SELECT value FROM json_each(?))", (names,)
    )
    db.executemany(
        "INSERT INTO worklist_sources (name, rank) VALUES (?, ?)"
        " ON CONFLICT (name) DO UPDATE SET rank = excluded.rank",
        list(ranks.items()),
    )


def add_source(db: Connection, name: str, rank: int) -> None:
    """Have a source, if it is not there yet."""
    db.execute("INSERT OR IGNORE INTO worklist_sources (name, rank) VALUES (?, ?)", (name, rank))


def steps_of_source(db: Connection, source: str) -> list[StepRow]:
    """All that a source brought."""
    rows = db.execute(
        "SELECT key, study_uid, step_id, accession_number, day, time, attributes, source"
        " FROM worklist_steps WHERE source = ?",
        (source,),
    )
    return [_row(*row) for row in rows]


def renew(db: Connection, source: str, steps: Iterable[StepRow], *, whole: bool) -> int:
    """Write what a source brought; how many rows changed.

    Args:
        db: The writer's.
        source: Its name.
        steps: The first of a key counts.
        whole: It is all that there is: what is not among it goes.
    """
    found = db.execute(
        "SELECT key, day, attributes FROM worklist_steps WHERE source = ?", (source,)
    ).fetchall()
    known = {key: (day, text) for key, day, text in found}
    brought: dict[str, StepRow] = {}
    for step in steps:
        brought.setdefault(step.key, step)
    changed = [
        step
        for step in brought.values()
        if known.get(step.key) != (step.day, step.attributes.decode())
    ]
    db.executemany(
        "INSERT OR REPLACE INTO worklist_steps VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        [
            (
                source,
                step.key,
                step.study_uid,
                step.step_id,
                step.accession_number,
                step.day,
                step.time,
                step.attributes.decode(),
            )
            for step in changed
        ],
    )
    gone = [(source, key) for key in known if whole and key not in brought]
    db.executemany("DELETE FROM worklist_steps WHERE source = ? AND key = ?", gone)
    return len(changed) + len(gone)


def remove(db: Connection, source: str, *, study_uid: str, step_id: str) -> int:
    """Take back a step of a source, or all of a study (an empty *step_id*); how many."""
    removed: int = db.execute(
        "DELETE FROM worklist_steps WHERE source = ? AND study_uid = ? AND ? IN ('', step_id)",
        (source, study_uid, step_id),
    ).rowcount
    return removed


def note_success(
    db: Connection, source: str, *, now: float, due: float, problems: Iterable[str]
) -> None:
    """A source was renewed."""
    db.execute(
        "UPDATE worklist_sources SET succeeded = ?, due = ?, failing_since = 0, error = '',"
        " problems = ? WHERE name = ?",
        (now, due, json_list(problems), source),
    )


def note_failure(db: Connection, source: str, error: str, now: float) -> None:
    """A source could not be renewed; what it brought stays."""
    db.execute(
        "UPDATE worklist_sources SET error = ?,"
        " failing_since = CASE failing_since WHEN 0 THEN ? ELSE failing_since END WHERE name = ?",
        (error, now, source),
    )


def forget_before(db: Connection, day: str, now: float) -> int:
    """Forget what is not served any more, and states of steps that are gone; how many steps."""
    removed: int = db.execute(
        "DELETE FROM worklist_steps WHERE day < ?"
        " AND source IN (SELECT name FROM worklist_sources WHERE due <= ?)",
        (day, now),
    ).rowcount
    db.execute(
        "DELETE FROM worklist_states WHERE since < ? AND NOT EXISTS"
        " (SELECT 1 FROM worklist_steps s WHERE s.study_uid = worklist_states.study_uid)",
        (now - _STATES_KEPT,),
    )
    return removed


_STATES_KEPT = 30 * 86400.0
"""Seconds for which it is remembered what became of a step that no source brings now."""


def set_state(
    db: Connection, state: str, now: float, *, study_uid: str, step_id: str, accession_number: str
) -> int:
    """Note what became of a step; how many steps that are known it is about.

    Without a Study Instance UID it is about the studies of the accession number, as far as they are
    known. A step that comes later is what was noted of it, too.
    """
    studies = [study_uid]
    if not study_uid:
        rows = db.execute(
            "SELECT DISTINCT study_uid FROM worklist_steps"
            " WHERE accession_number = ? AND accession_number <> '' AND study_uid <> ''",
            (accession_number,),
        )
        studies = [row[0] for row in rows]
    db.executemany(
        "INSERT OR REPLACE INTO worklist_states VALUES (?, ?, ?, ?)",
        [(uid, step_id, state, now) for uid in studies],
    )
    row = db.execute(
        "SELECT count(DISTINCT key) FROM worklist_steps"
        " WHERE study_uid IN (SELECT value FROM json_each(?)) AND ? IN ('', step_id)",
        (json_list(studies), step_id),
    ).fetchone()
    return int(row[0])


_SERVED = "(s.due > ? OR w.day >= ?)"
"""A source that answers says what there is; of any other, days that are not over count."""


async def served(
    database: Database, *, now: float, since: str, first: str = "", last: str = ""
) -> list[StepRow]:
    """Steps of all sources by day and time; of two with one key, that of the first source.

    Args:
        database: The index.
        now: What is due then is believed.
        since: The first day of which steps of silent sources are served.
        first: A day; empty: any.
        last: The same.
    """
    rows = await database.scan(
        "SELECT w.key, w.study_uid, w.step_id, w.accession_number, w.day, w.time, w.attributes,"
        " w.source, coalesce((SELECT t.state FROM worklist_states t"
        " WHERE t.study_uid = w.study_uid AND t.study_uid <> ''"
        " AND t.step_id IN ('', w.step_id) ORDER BY t.since DESC LIMIT 1), '')"
        " FROM worklist_steps w JOIN worklist_sources s ON s.name = w.source"
        f" WHERE {_SERVED} AND w.day >= ? AND (? = '' OR w.day <= ?)"
        # The few sources first: each knows its step by the primary key.
        " AND NOT EXISTS (SELECT 1 FROM worklist_sources p CROSS JOIN worklist_steps o"
        " WHERE p.rank < s.rank AND o.source = p.name AND o.key = w.key"
        " AND (p.due > ? OR o.day >= ?))"
        " ORDER BY w.day, w.time, w.key",
        (now, since, first, last, last, now, since),
    )
    return [_row(*row) for row in rows]


def _row(
    key: str,
    study_uid: str,
    step_id: str,
    accession_number: str,
    day: str,
    time: str,
    attributes: str,
    source: str,
    state: str = "",
) -> StepRow:
    return StepRow(
        key,
        study_uid,
        step_id,
        accession_number,
        day,
        time,
        attributes.encode(),
        source,
        state,
    )


async def source_states(database: Database, *, now: float, since: str) -> list[SourceState]:
    """All sources, the first configured one first."""
    rows = await database.read(
        "SELECT s.name, (SELECT count(*) FROM worklist_steps w WHERE w.source = s.name"
        f" AND {_SERVED}), s.succeeded, s.due, s.failing_since, s.error, s.problems"
        " FROM worklist_sources s ORDER BY s.rank",
        (now, since),
    )
    return [
        SourceState(
            name,
            steps,
            succeeded or None,
            due or None,
            failing_since or None,
            error,
            tuple(msgspec.json.decode(problems, type=list[str])),
        )
        for name, steps, succeeded, due, failing_since, error, problems in rows
    ]
