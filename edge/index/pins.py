"""What shall be here at all times: the pins of people, and the rules of the configuration.

``Pinned`` is both together as one condition on a study, which eviction, prefetching and the status
ask alike, so that they can't differ. Functions that take a ``Connection`` run inside
``Database.write``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from edge.index.database import Connection, Database
from edge.index.lookup import json_list
from edge.rules import PinRule

__all__ = ["Pin", "Pinned", "PinnedSize", "add", "all_pins", "any_pin", "pinned_size", "remove"]

_ISSUER = (
    "(SELECT coalesce(json_extract(attributes, '$.\"00100021\".Value[0]'), '')"
    " FROM study_attributes WHERE study_id = s.id)"
)
_BY_PEOPLE = (
    "(EXISTS (SELECT 1 FROM pins WHERE kind = 'study' AND value = s.study_uid)"
    " OR s.patient_id <> '' AND EXISTS (SELECT 1 FROM pins WHERE kind = 'patient'"
    f" AND value = s.patient_id AND (issuer = '' OR {_ISSUER} IN ('', issuer))))"
)


@dataclass(frozen=True, slots=True)
class Pin:
    """A person's wish."""

    kind: str
    """``study`` or ``patient``."""
    value: str
    issuer: str
    added: float
    who: str
    instances: int = 0
    """That it is about, as far as is known."""
    here: int = 0
    """Of them."""
    here_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Pinned:
    """A condition on the study ``s`` of a query, and its parameters."""

    sql: str
    values: tuple[object, ...] = ()
    by_people: str = _BY_PEOPLE
    """The same, of pins of people alone; it has no parameters."""

    @classmethod
    def of(cls, rules: Sequence[PinRule], today: date) -> Pinned:
        """By pins and rules together."""
        # However many rules there are, the expression is one: SQLite takes a thousand levels.
        parts, values = [_BY_PEOPLE], list[object]()
        if studies := [rule.study_uid for rule in rules if rule.study_uid]:
            parts.append("s.study_uid IN (SELECT value FROM json_each(?))")
            values.append(json_list(studies))
        if patients := [(rule.patient_id, rule.issuer) for rule in rules if rule.patient_id]:
            parts.append(_OF_PATIENTS)
            values += [json_list(one for one, _ in patients), json_list(patients)]
        if made := [one for rule in rules for one in _made(rule, today)]:
            parts.append(_OF_MODALITIES)
            values.append(json_list(made))
        return cls(f"({' OR '.join(parts)})", tuple(values))


_OF_RULE = "json_extract(r.value, '$[1]')"
_OF_PATIENTS = (
    "(s.patient_id IN (SELECT value FROM json_each(?)) AND EXISTS (SELECT 1 FROM json_each(?) r"
    " WHERE json_extract(r.value, '$[0]') = s.patient_id"
    f" AND ({_OF_RULE} = '' OR {_ISSUER} IN ('', {_OF_RULE}))))"
)
_OF_MODALITIES = (
    "EXISTS (SELECT 1 FROM json_each(?) r WHERE instr(s.modalities, json_extract(r.value, '$[0]'))"
    " AND s.study_date >= json_extract(r.value, '$[1]'))"
)


def _made(rule: PinRule, today: date) -> list[tuple[str, str]]:
    """Each modality of a rule, as it stands in the row of a study, and since when."""
    since = ""
    if rule.max_age_days is not None:
        oldest = max(0, today.toordinal() - 1 - int(rule.max_age_days))
        since = f"{date.min + timedelta(days=oldest):%Y%m%d}".rjust(8, "0")
    return [(f"\\{name}\\", since) for name in sorted(rule.modalities)]


def add(db: Connection, pin: Pin) -> bool:
    """Keep a pin; whether it is new."""
    return bool(
        db.execute(
            "INSERT OR IGNORE INTO pins (kind, value, issuer, added, who) VALUES (?, ?, ?, ?, ?)",
            (pin.kind, pin.value, pin.issuer, pin.added, pin.who),
        ).rowcount
    )


def remove(db: Connection, kind: str, value: str, issuer: str) -> bool:
    """Let it go; whether there was one."""
    return bool(
        db.execute(
            "DELETE FROM pins WHERE kind = ? AND value = ? AND issuer = ?", (kind, value, issuer)
        ).rowcount
    )


async def all_pins(database: Database) -> list[Pin]:
    """Every pin of a person, the oldest first, with what it is about."""
    rows = await database.scan(
        "SELECT p.kind, p.value, p.issuer, p.added, p.who, count(i.id),"
        " coalesce(sum(i.availability = 'ONLINE'), 0), coalesce(sum(i.sealed_bytes), 0)"
        " FROM pins p LEFT JOIN studies s"
        " ON p.kind = 'study' AND s.study_uid = p.value"
        " OR p.kind = 'patient' AND s.patient_id = p.value"
        f" AND (p.issuer = '' OR {_ISSUER} IN ('', p.issuer))"
        " LEFT JOIN instances i ON i.study_id = s.id"
        " GROUP BY p.kind, p.value, p.issuer ORDER BY p.added, p.kind, p.value, p.issuer"
    )
    return [Pin(*row) for row in rows]


async def any_pin(database: Database) -> bool:
    """Whether a person pinned anything."""
    return bool(await database.read("SELECT 1 FROM pins LIMIT 1"))


@dataclass(frozen=True, slots=True)
class PinnedSize:
    """How much is pinned."""

    studies: int = 0
    here_bytes: int = 0
    missing: int = 0
    """Instances that are only in the archive."""


async def pinned_size(database: Database, pinned: Pinned) -> PinnedSize:
    """Of all that is pinned together."""
    rows = await database.scan(
        "SELECT count(DISTINCT s.id), coalesce(sum(i.sealed_bytes), 0),"
        " coalesce(sum(i.availability = 'NEARLINE'), 0)"
        f" FROM studies s JOIN instances i ON i.study_id = s.id WHERE {pinned.sql}",
        pinned.values,
    )
    return PinnedSize(*rows[0])
