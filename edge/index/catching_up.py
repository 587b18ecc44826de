"""What came while a newer version ran, learned by the index of before.

The newer file is read as far as its tables and columns have the names that they have here; what
can't be read is answered by what is safe, and said. Who is right, table by table:

    studies, series                the former; what the newer one alone has is made of its rows.
                                   Which are to go up first, the newer one
    said, overlays, edits          the newer one, and studies are shown so: whose they are was
                                   corrected
    sweeps, sightings              the former: the next sweep goes on where it was then, and learns
                                   again what the archive said since
    cursors                        those of sweeps and feeds the former, all others the newer one
    instances                      the newer one, as to which there are, whether they are here, and
                                   whether they are withheld. A row that it lacks was deleted; one
                                   that is of other bytes, or came into the trash or out of it, is
                                   made anew by recovery, of what is in the store
    custody, copies                what both say; else it is asked again: ACKNOWLEDGED as far as
                                   the newer one says that an archive has it, SENT if not. Nothing
                                   is evicted until it was asked
    absences                       neither: of studies that the newer one missed anything in, all
                                   is asked again but what is in the trash, and none is suspected
    archives                       the former; the settings say anew which there are
    tombstones                     the newer one: what was sent again is deleted no more, and is
                                   never withdrawn from an archive
    rejections                     the newer one, also where the note itself is made anew
    trash, remedies, corrected,    the newer one
      courier
    quarantine                     the newer one, as to what went; what came is adopted
    disputes                       the former; a decision that waits is to be made again, for it
                                   may be carried out already
    tokens, people, peers, pins,   the newer one, whole tables: who was let in or kept out since
      emergencies                  is so
    commitments, procedures,       the newer one, whole tables: nobody is told twice, and nobody
      outbox, arrivals, worklist,  waits for ever
      expected, callers, history
    sessions, links, codes         neither: they hold no longer
    metadata, names, hidden_*,     follow from the rows
      totals
    changes                        begin anew, above all numbers of both; then what is gone is told

If rows or tombstones can't be read, nothing is withdrawn from an archive (`BLIND`) until a person
says so again: what is deleted here may have been sent again.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

import msgspec
from sqlcipher3 import dbapi2 as sqlcipher

from edge.dicom.instance import InstanceRef
from edge.index import edits, emergencies, identities, instances, unproven, users
from edge.index.connection import Connection
from edge.index.feed import record
from edge.index.lookup import json_list
from edge.index.remote import set_cursor
from edge.index.side_by_side import Row, pairs

__all__ = ["BLIND", "TakenBack", "learn"]

log = logging.getLogger(__name__)

BLIND: Final = "taken back: blind"
"""Cursor that is set until the start after which nothing is withdrawn that may have come again."""

_WHOLE: Final[tuple[tuple[str, tuple[str, ...]], ...]] = (
    ("tokens", ("tokens",)),
    ("users", users.KEPT),
    ("people of the identity provider", identities.KEPT),
    ("emergency accesses", emergencies.KEPT),
    ("peers", ("peers",)),
    ("pins", ("pins",)),
    ("commitments", ("commitments", "commitment_items")),
    ("performed steps", ("procedures", "procedure_studies", "procedure_instances")),
    ("messages to peers", ("outbox", "outbox_peers", "arrivals")),
    ("worklist", ("worklist_sources", "worklist_steps", "worklist_states")),
    ("expected patients", ("expected",)),
    ("callers", ("strangers", "associations")),
    ("couriers' bundles", ("courier_bundles",)),
)
"""What they are called, and the tables in which they can be filled."""
_OF_INSTANCES: Final = ("copies", "remedies", "corrected", "courier", "trash")
"""Tables whose rows are each of one instance, by its number."""
_UNREAD: Final = (
    sqlcipher.Error,
    msgspec.DecodeError,
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
)
"""What comes of tables, columns and values that are not as they are here."""
_ENDED: Final = ("sessions", "links", "codes")


@dataclass(slots=True)
class TakenBack:
    """What was done."""

    version: int
    """Of the schema that was set aside."""
    deleted: int = 0
    """Instances that were deleted since."""
    asked_again: int = 0
    """Instances about which the archive is asked again."""
    unread: list[str] = field(default_factory=list)
    """What could not be read of the newer file, and is as it was before the update."""


def learn(db: Connection, newer: Connection, done: TakenBack) -> None:
    """Put right what came between, within a transaction.

    Args:
        db: The index of before.
        newer: The one of the newer version.
        done: Is filled.
    """
    now, told = time.time(), _last_change(db)
    for what, names in _WHOLE:
        if not _tried(db, partial(_take_whole, db, newer, names)):
            done.unread.append(what)
            log.error(
                "%s can't be read of the index of the newer version: they are as before", what
            )
    for name in _ENDED:
        db.execute(f"DELETE FROM {name}")
    gone: list[InstanceRef] = []
    if not _tried(db, lambda: gone.extend(_bury(db, newer))):
        done.unread.append("deletions")
        log.error("what was deleted since can't be read: some of it may come back")
        # Some of it may have been sent again: a person can say that the archive shall delete it.
        db.execute("UPDATE tombstones SET withdrawal = 'NONE' WHERE withdrawal = 'DUE'")
    done.deleted = len(gone)
    if not _tried(db, lambda: gone.extend(_follow(db, newer, done, now))):
        done.unread.append("custody")
        done.asked_again = _doubt_all(db)
    if {"deletions", "custody"} & {*done.unread}:
        set_cursor(db, BLIND, "yes")
    db.execute("DELETE FROM absences")
    db.execute("UPDATE disputes SET decision = ''")
    # Behind the rows: with one of a note that is made anew goes what it said. The last two come
    # last, for what is done here counts itself there, and marks what others go on from.
    parts: list[tuple[str, Callable[[Connection, Connection], None]]] = [
        ("rejections", _take_rejections),
        ("corrections of patients and studies", edits.take_over),
        ("what goes up first", _take_urgency),
        *((name, partial(_take_of_instances, name=name)) for name in _OF_INSTANCES),
        ("history", _take_history),
        ("cursors", _take_cursors),
    ]
    for what, act in parts:
        if not _tried(db, partial(act, db, newer)):
            done.unread.append(what)
            log.error("%s can't be read of the index of the newer version: as before", what)
    _doubt_copies(db)
    _begin_feed_anew(db, newer, told, gone, now)


def _tried(db: Connection, act: Callable[[], None]) -> bool:
    """Whether it could be done; if not, nothing of it was.

    Raises:
        sqlcipher.Error: Nothing can be done here: the disk is full.
    """
    db.execute("SAVEPOINT part")
    try:
        act()
    except _UNREAD as error:
        if not db.in_transaction or "full" in str(error):  # that is no matter of the newer file
            raise
        log.warning("the index of the newer version: %s", error)
        db.execute("ROLLBACK TO part")
        db.execute("RELEASE part")
        return False
    db.execute("RELEASE part")
    return True


# Tables -------------------------------------------------------------------------------------------


def _take_whole(db: Connection, newer: Connection, names: Sequence[str]) -> None:
    for name in reversed(names):
        db.execute(f"DELETE FROM {name}")
    for name in names:
        rows = newer.execute(f"SELECT * FROM {name}")
        _fill(db, name, [column[0] for column in rows.description], rows)


def _take_of_instances(db: Connection, newer: Connection, name: str) -> None:
    """Take rows of the newer file for the instances of this one."""
    rows = newer.execute(
        f"SELECT i.sop_uid, t.* FROM {name} t JOIN instances i ON i.id = t.instance_id"
    )
    columns = [column[0] for column in rows.description][1:]
    at = columns.index("instance_id")
    ours = "SELECT id FROM instances WHERE sop_uid = ?"
    if name == "trash":  # what recovery has yet to put there is not
        ours += " AND withheld = 'TRASH'"

    def known() -> Iterator[list[Any]]:
        for uid, *row in rows:
            for (row[at],) in db.execute(ours, (uid,)).fetchall():
                yield row

    db.execute(f"DELETE FROM {name}")
    _fill(db, name, columns, known())


def _take_rejections(db: Connection, newer: Connection) -> None:
    _take_whole(db, newer, ("rejections",))
    is_rejected = "EXISTS (SELECT 1 FROM rejections r WHERE r.sop_uid = instances.sop_uid)"
    db.execute(f"UPDATE instances SET withheld = 'REJECTED' WHERE withheld = '' AND {is_rejected}")
    db.execute(
        f"UPDATE instances SET withheld = '' WHERE withheld = 'REJECTED' AND NOT {is_rejected}"
    )


def _take_urgency(db: Connection, newer: Connection) -> None:
    """Have go up first what a person wants to, as it is said of studies."""
    rows = newer.execute("SELECT study_uid FROM studies WHERE upload_first <> 0")
    first = json_list(row[0] for row in rows)
    wanted = "study_uid IN (SELECT value FROM json_each(?))"
    db.execute(f"UPDATE studies SET upload_first = {wanted}", (first,))
    of_study = "(SELECT upload_first FROM studies s WHERE s.id = instances.study_id)"
    db.execute(
        f"UPDATE instances SET priority = CASE {of_study} WHEN 0 THEN 3 ELSE 0 END"
        f" WHERE (priority = 0) <> {of_study}"
    )


def _take_history(db: Connection, newer: Connection) -> None:
    _take_whole(db, newer, ("history",))


def _take_cursors(db: Connection, newer: Connection) -> None:
    """Have the marks of the newer file, but for how far archives were listened to."""
    marks = "name NOT LIKE 'sweep:%' AND name NOT LIKE 'feed:%' AND name <> ?"
    rows = newer.execute(f"SELECT name, value FROM cursors WHERE {marks}", (BLIND,))
    _fill(db, "cursors", ("name", "value"), rows)


def _fill(db: Connection, name: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Put rows into a table, as far as it has their columns."""
    there = {row[1] for row in db.execute(f"PRAGMA table_info({name})")}
    kept = [at for at, column in enumerate(columns) if column in there]
    marks = ", ".join("?" * len(kept))
    db.executemany(
        f"INSERT OR REPLACE INTO {name} ({', '.join(columns[at] for at in kept)}) VALUES ({marks})",
        ([row[at] for at in kept] for row in rows),
    )


# What there is ------------------------------------------------------------------------------------


def _bury(db: Connection, newer: Connection) -> list[InstanceRef]:
    """Have the tombstones of the newer file, and no row of what they are of; which rows went."""
    rows = newer.execute(
        "SELECT * FROM tombstones WHERE sop_uid NOT IN (SELECT sop_uid FROM instances)"
    )
    db.execute("DELETE FROM tombstones")
    _fill(db, "tombstones", [column[0] for column in rows.description], rows)
    deleted = db.execute(
        "SELECT i.id, s.study_uid, e.series_uid, i.sop_uid FROM tombstones t"
        " JOIN instances i ON i.sop_uid = t.sop_uid JOIN series e ON e.id = i.series_id"
        " JOIN studies s ON s.id = i.study_id"
    ).fetchall()
    for number, *_ in deleted:
        _forget(db, number)
    return [InstanceRef(*uids) for _, *uids in deleted]


def _forget(db: Connection, number: int) -> None:
    # Its study is not as it was listed, though its counts may be as they were by now.
    db.execute(
        "UPDATE studies SET fingerprint = ''"
        " WHERE id = (SELECT study_id FROM instances WHERE id = ?)",
        (number,),
    )
    instances.forget(db, number)


def _follow(db: Connection, newer: Connection, done: TakenBack, now: float) -> list[InstanceRef]:
    """Have the instances of the newer file, and what is known of them; which are not shown now."""
    gone: list[InstanceRef] = []
    fresh: list[Row] = []
    asked = deleted = 0
    for before, after in list(pairs(db, newer)):  # all of them first: rows change below
        if before is None:
            fresh += [after] if after is not None else []
        elif after is None:
            _forget(db, before.number)
            gone.append(before.ref)
            deleted += 1
        elif before.is_other(after):
            _forget(db, before.number)
            fresh.append(after)
        else:
            asked += _bring_up(db, before, after)
            gone += [after.ref] if after.withheld == "REJECTED" and not before.withheld else []
    for row in fresh:
        if row.withheld == "TRASH":  # recovery adopts it, for a record of the trash names it
            gone.append(row.ref)
        else:
            instance = unproven.described(newer, row.sop_uid)
            unproven.insert_absent(db, instance, *row.standing(None), now)
    kept = [row[0] for row in newer.execute("SELECT object FROM quarantine")]
    db.execute(
        "DELETE FROM quarantine WHERE object NOT IN (SELECT value FROM json_each(?))",
        (json_list(kept),),
    )
    # Of a deletion that could not be read, and that something came after.
    db.execute("DELETE FROM tombstones WHERE sop_uid IN (SELECT sop_uid FROM instances)")
    missed = newer.execute(
        "SELECT s.study_uid FROM absences a JOIN studies s ON s.id = a.study_id"
    ).fetchall()
    asked += _doubt_studies(db, [row[0] for row in missed])
    done.deleted += deleted
    done.asked_again = asked
    return gone


def _bring_up(db: Connection, before: Row, after: Row) -> bool:
    """Let hold of a row what does now; whether its archive is asked again."""
    where, custody, reason = after.standing(before)
    if where != before.availability:
        db.execute(
            "UPDATE instances SET availability = ?, object = NULL, sealed_bytes = 0 WHERE id = ?",
            (where, before.number),
        )
    if (custody, reason) != (before.custody, before.reason):
        db.execute(
            "UPDATE instances SET custody = ?, tries = 0, retry_at = 0, reason = ? WHERE id = ?",
            (custody, reason, before.number),
        )
    if after.withheld != before.withheld and {after.withheld, before.withheld} == {"", "REJECTED"}:
        db.execute(
            "UPDATE instances SET withheld = ? WHERE id = ?", (after.withheld, before.number)
        )
    return custody != before.custody


# Who vouches for it -------------------------------------------------------------------------------


def _doubt_all(db: Connection) -> int:
    """Believe an archive nothing but that it may be asked."""
    doubted: int = db.execute(f"{_DOUBT} WHERE custody = 'VERIFIED'").rowcount
    return doubted


def _doubt_studies(db: Connection, study_uids: Iterable[str]) -> int:
    """The same, of some studies; they are listed whole at the next sweep."""
    uids = json_list(study_uids)
    which = "(SELECT id FROM studies WHERE study_uid IN (SELECT value FROM json_each(?)))"
    doubted: int = db.execute(
        # What the archive has deleted is not sent to it again.
        f"{_DOUBT} WHERE custody = 'VERIFIED' AND withheld <> 'TRASH' AND study_id IN {which}",
        (uids,),
    ).rowcount
    db.execute(f"UPDATE studies SET fingerprint = '' WHERE id IN {which}", (uids,))
    return doubted


_DOUBT: Final = (
    "UPDATE instances SET custody = 'ACKNOWLEDGED', tries = 0, retry_at = 0, reason = ''"
)


def _doubt_copies(db: Connection) -> None:
    db.execute(
        "UPDATE copies SET custody = 'ACKNOWLEDGED', tries = 0, retry_at = 0"
        " WHERE custody = 'VERIFIED'"
    )


# Who is told of it --------------------------------------------------------------------------------


def _begin_feed_anew(
    db: Connection, newer: Connection, told: int, gone: Iterable[InstanceRef], now: float
) -> None:
    """Tell whoever follows by number of everything once more; the box itself has seen it.

    Also that it is gone, of what came and went since *told*: they may have heard half of that.
    """
    absent = {ref.sop_uid: ref for ref in gone}
    beyond = max(_last_change(db), int(now * 1000))
    with contextlib.suppress(*_UNREAD):
        rows = newer.execute(
            "SELECT DISTINCT study_uid, series_uid, sop_uid FROM changes"
            " WHERE sequence > ? AND action = 'DELETE'",
            (told,),
        )
        absent |= {row[2]: InstanceRef(*row) for row in rows}
        beyond = max(beyond, _last_change(newer))  # the clock may have been ahead
    db.execute("DELETE FROM changes")
    db.execute("UPDATE sqlite_sequence SET seq = ? WHERE name = 'changes'", (beyond,))
    db.execute(
        "INSERT INTO changes (action, study_uid, series_uid, sop_uid, at)"
        " SELECT 'CREATE', s.study_uid, e.series_uid, i.sop_uid, ? FROM instances i"
        " JOIN series e ON e.id = i.series_id JOIN studies s ON s.id = i.study_id"
        " WHERE i.withheld = '' ORDER BY i.id",
        (now,),
    )
    is_shown = "SELECT 1 FROM instances WHERE sop_uid = ? AND withheld = ''"
    for uid, ref in absent.items():
        if db.execute(is_shown, (uid,)).fetchone() is None:
            record(db, "DELETE", ref, now)
    set_cursor(db, "arrivals", str(_last_change(db)))


def _last_change(db: Connection) -> int:
    """The number of the last change that there was."""
    rows = db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'changes'")
    return int(rows.fetchone()[0])
