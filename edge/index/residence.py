"""Which instances are here: what eviction may take, what was used when, which objects are named.

Functions that take a ``Connection`` run inside ``Database.write``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from edge.dicom.instance import InstanceRef
from edge.index.database import Connection, Database
from edge.index.lookup import json_list
from edge.index.pins import Pinned

__all__ = [
    "MISSED",
    "Evictable",
    "brought_since",
    "evict",
    "evictable",
    "key_ids_in_use",
    "key_ids_of_evicted",
    "key_ids_of_objects",
    "key_ids_of_quarantined",
    "lose",
    "miss",
    "named_objects",
    "named_shelves",
    "quarantined_objects",
    "release_keys",
    "stale_bytes",
    "studies_believed_no_more",
    "touch",
]


MISSED = "the archive had it, and does not have it any more"
"""Why an instance is lost that was here, left, and is not where it was."""


@dataclass(frozen=True, slots=True)
class Evictable:
    """An instance that the archive is verified to have, too."""

    instance_id: int
    ref: InstanceRef
    object: str
    sealed_bytes: int


_MANY = 20_000
"""Instances that are gone through to see how much could go."""
_EVICTABLE = (
    "SELECT i.id, s.study_uid, e.series_uid, i.sop_uid, i.object, i.sealed_bytes"
    " FROM instances i JOIN series e ON e.id = i.series_id JOIN studies s ON s.id = i.study_id"
)
_IS_ELSEWHERE = (
    "availability = 'ONLINE' AND withheld <> 'TRASH'"
    " AND study_id NOT IN (SELECT study_id FROM absences)"
    " AND (custody = 'VERIFIED' OR custody IN ('EDGE_ONLY', 'SENT') AND EXISTS"
    " (SELECT 1 FROM copies c JOIN archives a ON a.name = c.archive"
    " WHERE c.instance_id = instances.id AND c.custody = 'VERIFIED' AND a.role = 'failover'"
    " AND NOT EXISTS (SELECT 1 FROM corrected v WHERE v.instance_id = c.instance_id"
    " AND v.archive = c.archive)))"
)
"""Those that an archive verifiably has which counts: the primary one, or one that stands in. Only
the primary one's corrections hold, so those may take the place of what came in here."""

_MAY_LIE_HERE = "(object IS NOT NULL OR availability = 'UNAVAILABLE')"
"""Of what is lost, a damaged object may still be in the store, for whoever saves what can be."""


async def studies_believed_no_more(
    database: Database, *, verified_since: float, askable: Sequence[str]
) -> int:
    """Studies with bytes here that the primary archive, which can't be asked, had long ago.

    Args:
        database: The index.
        verified_since: What was verified later is believed.
        askable: Other archives that can be asked; whatever they have is believed.
    """
    some = ", ".join("?" * len(askable))
    ((studies,),) = await database.read(
        "SELECT count(DISTINCT i.study_id) FROM instances i WHERE i.custody = 'VERIFIED'"
        " AND i.availability = 'ONLINE' AND i.withheld <> 'TRASH' AND i.verified < ?"
        " AND NOT EXISTS (SELECT 1 FROM copies c WHERE c.instance_id = i.id"
        f" AND c.custody = 'VERIFIED' AND (c.verified >= ? OR c.archive IN ({some})))",
        (verified_since, verified_since, *askable),
    )
    return int(studies)


async def evictable(
    database: Database,
    *,
    used_before: float,
    verified_since: float,
    max_bytes: int,
    standing_in: str = "",
    max_count: int = 1000,
    spared: Pinned | None = None,
    only: Pinned | None = None,
) -> list[Evictable]:
    """VERIFIED objects by age of last use, until their sizes make up *max_bytes*.

    Not those that a copy was sent of: the archive has an equal, and their bytes are nowhere else.
    Nor what is in the trash: the archive deleted it. Nor of studies that it is missed in.

    Args:
        database: The index.
        used_before: Those used later are left out.
        verified_since: So are those that were verified earlier.
        max_bytes: On disk.
        standing_in: The archive that has them, if it is not the primary one, which lacks them.
        max_count: At the most.
        spared: What is pinned is left out.
        only: Nothing but what is pinned; that of rules before that of people.
    """
    pinned, values_of_pins, order = "", tuple[object, ...](), ""
    if spared is not None:
        pinned, values_of_pins = f" AND NOT {spared.sql}", spared.values
    elif only is not None:
        pinned, values_of_pins, order = f" AND {only.sql}", only.values, f"{only.by_people}, "
    if standing_in:
        which = (
            " JOIN copies c ON c.instance_id = i.id AND c.archive = ? WHERE c.custody = 'VERIFIED'"
            " AND i.custody IN ('EDGE_ONLY', 'SENT') AND c.verified >= ? AND NOT EXISTS (SELECT 1"
            " FROM corrected v WHERE v.instance_id = c.instance_id AND v.archive = c.archive)"
        )
        values: tuple[object, ...] = (standing_in, verified_since)
    else:
        which, values = " WHERE i.custody = 'VERIFIED' AND i.verified >= ?", (verified_since,)
    rows = await database.read(
        f"{_EVICTABLE}{which} AND i.availability = 'ONLINE' AND i.last_used < ?"
        " AND i.withheld <> 'TRASH' AND i.study_id NOT IN (SELECT study_id FROM absences)"
        f" AND NOT EXISTS (SELECT 1 FROM remedies WHERE instance_id = i.id){pinned}"
        f" ORDER BY {order}i.last_used, i.id LIMIT ?",
        (*values, used_before, *values_of_pins, max_count),
    )
    chosen: list[Evictable] = []
    total = 0
    for instance_id, study, series, sop, name, sealed_bytes in rows:
        if total >= max_bytes:
            break
        ref = InstanceRef(study, series, sop)
        chosen.append(Evictable(instance_id, ref, name, sealed_bytes))
        total += sealed_bytes
    return chosen


def evict(
    db: Connection, candidates: Iterable[Evictable], spared: Pinned | None = None
) -> list[Evictable]:
    """Make them NEARLINE; those that changed or were pinned since they were chosen are spared."""
    pinned = ""
    if spared is not None:
        pinned = (
            " AND NOT EXISTS (SELECT 1 FROM studies s WHERE s.id = instances.study_id"
            f" AND {spared.sql})"
        )
    return [
        candidate
        for candidate in candidates
        if db.execute(
            "UPDATE instances SET availability = 'NEARLINE', object = NULL, sealed_bytes = 0"
            f" WHERE id = ? AND object = ? AND {_IS_ELSEWHERE}"
            f" AND NOT EXISTS (SELECT 1 FROM remedies WHERE instance_id = instances.id){pinned}",
            (candidate.instance_id, candidate.object, *(spared.values if spared else ())),
        ).rowcount
    ]


async def stale_bytes(
    database: Database, *, used_before: float, verified_since: float, spared: Pinned
) -> int:
    """Bytes of what eviction may take that was not used since then; of very many, a part."""
    rows = await database.scan(
        "SELECT coalesce(sum(sealed_bytes), 0) FROM (SELECT i.sealed_bytes FROM instances i"
        " JOIN studies s ON s.id = i.study_id WHERE i.custody = 'VERIFIED'"
        " AND i.availability = 'ONLINE' AND i.last_used < ? AND i.verified >= ?"
        " AND NOT EXISTS (SELECT 1 FROM remedies WHERE instance_id = i.id)"
        f" AND NOT {spared.sql} ORDER BY i.last_used LIMIT ?)",
        (used_before, verified_since, *spared.values, _MANY),
    )
    return int(rows[0][0])


async def brought_since(database: Database, since: float) -> int:
    """Bytes that are here because the archive gave them since then."""
    # What it gives is verified in the moment that it is received.
    rows = await database.scan(
        "SELECT coalesce(sum(sealed_bytes), 0) FROM instances WHERE custody = 'VERIFIED'"
        " AND availability = 'ONLINE' AND last_used >= ?1 AND received >= ?1"
        " AND verified = received",
        (since,),
    )
    return int(rows[0][0])


def touch(db: Connection, used: Mapping[int, float]) -> None:
    """Note when instances were last opened."""
    db.executemany(
        "UPDATE instances SET last_used = max(last_used, ?) WHERE id = ?",
        [(moment, instance_id) for instance_id, moment in used.items()],
    )


async def named_shelves(database: Database) -> set[str]:
    """The shelves of which the index names an object: the first two digits of their names."""
    # The first name of each shelf is found in the index of names; no other is read.
    rows = await database.read(
        "WITH RECURSIVE first (object) AS (SELECT min(object) FROM instances UNION ALL"
        " SELECT (SELECT min(object) FROM instances WHERE object >= substr(first.object, 1, 2)"
        " || 'g') FROM first WHERE first.object IS NOT NULL)"
        " SELECT substr(object, 1, 2) FROM first WHERE object IS NOT NULL"
        " UNION SELECT substr(object, 1, 2) FROM quarantine"
    )
    return {shelf for (shelf,) in rows}


async def named_objects(database: Database, shelf: str) -> dict[str, int]:
    """The objects of one shelf that the index names: name -> bytes on disk."""
    first, last = shelf, shelf + "g"
    rows = await database.read(
        "SELECT object, sealed_bytes FROM instances WHERE object >= ? AND object < ?"
        " UNION ALL SELECT object, sealed_bytes FROM quarantine WHERE object >= ? AND object < ?",
        (first, last, first, last),
    )
    return dict(rows)


async def quarantined_objects(database: Database) -> list[str]:
    """The objects that are kept beside another of their UID."""
    return [row[0] for row in await database.read("SELECT object FROM quarantine")]


def lose(db: Connection, objects: Iterable[str]) -> tuple[int, int]:
    """Objects are gone from the store; how many the archive has, and how many are lost for good.

    What the archive has becomes NEARLINE. Of the rest the rows stay, as UNAVAILABLE: somebody has
    to know what was lost.
    """
    names = json_list(objects)
    fetchable = db.execute(
        "UPDATE instances SET availability = 'NEARLINE', object = NULL, sealed_bytes = 0"
        " WHERE object IN (SELECT value FROM json_each(?))"
        " AND custody IN ('ACKNOWLEDGED', 'VERIFIED') AND withheld <> 'TRASH'",
        (names,),
    ).rowcount
    lost = db.execute(
        "UPDATE instances SET availability = 'UNAVAILABLE', object = NULL, sealed_bytes = 0"
        " WHERE object IN (SELECT value FROM json_each(?))",
        (names,),
    ).rowcount
    db.execute("DELETE FROM quarantine WHERE object IN (SELECT value FROM json_each(?))", (names,))
    return fetchable, lost


def miss(db: Connection, sop_uid: str) -> bool:
    """The archive does not have an instance any more that was here, and left; whether it is lost.

    What has never been here is the archive's own affair. Its study is looked into again at the next
    sweep: should it be listed after all, it can be fetched again.
    """
    lost: int = db.execute(
        "UPDATE instances SET availability = 'UNAVAILABLE', custody = 'EDGE_ONLY', reason = ?"
        " WHERE sop_uid = ? AND availability = 'NEARLINE' AND dataset_digest IS NOT NULL",
        (MISSED, sop_uid),
    ).rowcount
    if lost:
        db.execute(
            "UPDATE studies SET fingerprint = ''"
            " WHERE id = (SELECT study_id FROM instances WHERE sop_uid = ?)",
            (sop_uid,),
        )
    return bool(lost)


async def key_ids_in_use(database: Database) -> set[bytes]:
    """The names of the study keys that some object is, or was, sealed with."""
    rows = await database.read(
        "SELECT DISTINCT key_id FROM instances WHERE key_id IS NOT NULL"
        " UNION SELECT key_id FROM quarantine"
    )
    return {row[0] for row in rows}


async def key_ids_of_objects(database: Database) -> set[bytes]:
    """The names of the study keys that some object is sealed with."""
    rows = await database.scan(
        "SELECT DISTINCT key_id FROM instances WHERE object IS NOT NULL"
        " UNION SELECT key_id FROM quarantine"
    )
    return {row[0] for row in rows}


async def key_ids_of_evicted(database: Database) -> set[bytes]:
    """The names of study keys that only instances were sealed with which are not here any more."""
    rows = await database.scan(
        "SELECT key_id FROM instances WHERE key_id IS NOT NULL GROUP BY key_id"
        f" HAVING max({_MAY_LIE_HERE}) = 0"
    )
    return {row[0] for row in rows}


async def key_ids_of_quarantined(database: Database, objects: Iterable[str]) -> set[bytes]:
    """The names of the keys that objects in quarantine are sealed with."""
    rows = await database.read(
        "SELECT key_id FROM quarantine WHERE object IN (SELECT value FROM json_each(?))",
        (json_list(objects),),
    )
    return {row[0] for row in rows}


def release_keys(db: Connection, key_ids: Iterable[bytes]) -> set[bytes]:
    """Those of these study keys that no object is sealed with; from now on no row names them."""
    aside = {row[0] for row in db.execute("SELECT DISTINCT key_id FROM quarantine")}
    unused = {
        key_id
        for key_id in key_ids
        if key_id not in aside
        and not db.execute(
            f"SELECT 1 FROM instances WHERE key_id = ? AND {_MAY_LIE_HERE} LIMIT 1", (key_id,)
        ).fetchone()
    }
    db.executemany(
        "UPDATE instances SET key_id = NULL WHERE key_id = ?", [(key_id,) for key_id in unused]
    )
    return unused
