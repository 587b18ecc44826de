"""Searches: which rows meet a query, how many there are, and what is said of them.

Answers are DICOM JSON with the computed attributes (counts, modalities, availability). They come in
the order of arrival, so that a page never shifts when something new comes in: whoever pages by
offset while a study arrives misses nothing and sees nothing twice.

A search first finds ids, in narrow rows and indexes, so many at a time; whole rows are read for
those alone that are shown, a page at a time. What is withheld, or has nothing in it that is not, is
never found.
"""

from __future__ import annotations

import zlib
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from edge.dicom.instance import Availability, Level
from edge.dicom.query import ALL, Query
from edge.index import lookup
from edge.index.attributes import PATIENT_TAGS, SERIES_TAGS, STUDY_TAGS
from edge.index.comparison import Sql
from edge.index.conditions import (
    DEPTH,
    SHOWN,
    Condition,
    Cost,
    conditions_of,
    private_block,
    shown_of,
)
from edge.index.database import Database
from edge.index.lookup import json_list
from edge.index.patients import COUNTS, GROUPS

__all__ = ["count", "search"]

_PAGE, _PAGE_BYTES = 200, 64 * 1024
"""Answers, and bytes of the deflated metadata they are made from, that are made at a time."""
_FEW = 8
"""So many are made quicker than a thread is asked to."""
_BATCH = 50_000
"""Ids that are found at a time."""

_SOP_CLASSES_IN_STUDY = "00080062"
_BULK = b'"BulkDataURI":'
_ATTRIBUTES = msgspec.json.Decoder(dict[str, msgspec.Raw])
"""Takes a data set apart, but none of its attributes: few of them are shown."""

# What an answer holds without being asked (PS3.18 Tables 10.6.3-3 to 10.6.3-5).
_STUDY_ANSWER = frozenset(
    "00080005 00080020 00080030 00080050 00080056 00080061 00080090 00080201 00100010 00100020 "
    "00100030 00100040 0020000D 00200010 00201206 00201208".split()
)
_SERIES_ANSWER = frozenset(
    "00080005 00080060 00080201 0008103E 0020000E 00200011 00201209 00400244 00400245 "
    "00400275".split()
)
_INSTANCE_ANSWER = frozenset(
    "00080005 00080016 00080018 00080056 00080201 00200013 00280008 00280010 00280011 "
    "00280100".split()
)
_OF_PATIENT = {"00201200": "studies", "00201202": "series", "00201204": "instances"}
"""Counts of all that a patient has."""
_OF_INSTANCE = frozenset({"00080016", "00080018", "00080056", "00200013"})
"""What the row of an instance knows."""
_COMPUTED = frozenset(
    {_SOP_CLASSES_IN_STUDY, "00080056", "00080061", "00201206", "00201208", "00201209"}
    | _OF_PATIENT.keys()
)
_TABLES = {
    Level.STUDY: "studies s",
    Level.SERIES: "series e",
    Level.INSTANCE: "instances i",
}
_KEY = {Level.STUDY: "s.id", Level.SERIES: "e.id", Level.INSTANCE: "i.id"}
# The way from a row to those above it, and from the rows of a level to the ids of one above.
_ABOVE = {
    (Level.SERIES, Level.STUDY): "e.study_id",
    (Level.INSTANCE, Level.STUDY): "i.study_id",
    (Level.INSTANCE, Level.SERIES): "i.series_id",
}
_COUNTER = {Level.SERIES: "series_count", Level.INSTANCE: "instance_count"}

_STUDY_FIELDS = (
    "s.study_uid, a.attributes, s.series_count, s.instance_count, s.online_count, s.modalities,"
    " :patient, :sop_classes"
)
_SOP_CLASSES = "(SELECT group_concat(sop_classes, '') FROM series WHERE study_id = s.id)"
_SERIES_FIELDS = "e.series_uid, e.attributes, e.instance_count"
_INSTANCE_FIELDS = "i.sop_uid, i.sop_class_uid, i.instance_number, i.availability, i.id"
_STUDIES = "JOIN studies s ON s.id = %s JOIN study_attributes a ON a.study_id = s.id"
_ROWS = {
    Level.PATIENT: (_STUDY_FIELDS, _STUDIES % "one.value"),
    Level.STUDY: (_STUDY_FIELDS, _STUDIES % "one.value"),
    Level.SERIES: (
        f"{_STUDY_FIELDS}, {_SERIES_FIELDS}",
        "JOIN series e ON e.id = one.value " + _STUDIES % "e.study_id",
    ),
    Level.INSTANCE: (
        f"{_STUDY_FIELDS}, {_SERIES_FIELDS}, {_INSTANCE_FIELDS}",
        "JOIN instances i ON i.id = one.value JOIN series e ON e.id = i.series_id "
        + _STUDIES % "i.study_id",
    ),
}


async def search(database: Database, query: Query) -> AsyncGenerator[dict[str, Any]]:
    """The answers to a query, each a DICOM JSON object, a few in memory at a time.

    That of a patient is what its newest study among the results says of it.

    Raises:
        QueryError: A matching key can't be understood.
    """
    level, shown = query.level, _Shown.by(query)
    async for ids in _pages(database, query):
        page = await _rows(database, level, ids, shown)
        done = 0
        while done < len(page):
            part = page[done:]
            documents: list[bytes | None] = [None] * len(part)
            if level is Level.INSTANCE and not shown.is_known_of_rows:
                documents = await lookup.documents(database, [row[-1] for row in part], _PAGE_BYTES)
            done += len(documents)
            if len(part) <= _FEW and not any(documents):
                answers = _answers(level, part, documents, shown)
            else:
                answers = await database.compute(_answers, level, part, documents, shown)
            for answer in answers:
                yield answer


async def _pages(database: Database, query: Query) -> AsyncGenerator[list[int]]:
    """The ids of the results, ascending; of a patient, that of the study which speaks for it."""
    level, found = _level_of_rows(query), conditions_of(query)
    where, key = _where(level, [*found, SHOWN[level]]), _KEY[level]
    # An index that leads to few is not to be given up for the order of ids: hence the plus.
    rest = f" AND +{key} > ?"
    if query.level is Level.PATIENT:
        key = f"max({key})"
        rest = f" GROUP BY {GROUPS} HAVING {key} > ?"
    left, offset, last = query.limit, query.offset, 0
    while left is None or left > 0:
        most = _BATCH if left is None else min(left, _BATCH)
        rows = await database.scan(
            f"SELECT {key} FROM {_from(level, found)} WHERE ({where.text}){rest}"
            f" ORDER BY {key} LIMIT ? OFFSET ?",
            (*where.parameters, last, most, offset),
        )
        ids = [row[0] for row in rows]
        del rows
        for start in range(0, len(ids), _PAGE):
            yield ids[start : start + _PAGE]
        if len(ids) < most:
            return
        left, offset, last = left and left - most, 0, ids[-1]


async def count(database: Database, query: Query) -> int:
    """How many answers a query has, whatever its limit and offset.

    Raises:
        QueryError: A matching key can't be understood.
    """
    level, found = _level_of_rows(query), conditions_of(query)
    if query.level is Level.PATIENT:
        where = _where(level, [*found, SHOWN[level]])
        patients = f"SELECT 1 FROM {_from(level, found)} WHERE {where.text} GROUP BY {GROUPS}"
        rows = await database.scan(f"SELECT count(*) FROM ({patients})", where.parameters)
        return int(rows[0][0])
    # Rows know how many there are below them that are shown: none of those needs to be looked at.
    lowest = max((one.level for one in found), key=DEPTH.__getitem__, default=Level.STUDY)
    alias = _KEY[lowest].removesuffix("id")
    what = "count(*)" if lowest is level else f"coalesce(sum({alias}{_COUNTER[level]}), 0)"
    is_alone = len(found) == 1 and lowest is level is not Level.INSTANCE
    if is_alone and (ids := found[0].ids) is not None:
        # What an index knows alone, it counts alone.
        each = f"SELECT DISTINCT * FROM ({ids.text})" if found[0].repeats else ids.text
        text = f"WITH found (id) AS ({each}) SELECT count(*) FROM found WHERE"
        sql = Sql(f"{text} {shown_of(level, 'id')}", ids.parameters)
    elif not found and level is Level.STUDY:
        sql = Sql("SELECT (SELECT count(*) FROM studies) - (SELECT count(*) FROM hidden_studies)")
    else:
        where = _where(lowest, [*found, SHOWN[level]] if lowest is level else found)
        text = f"SELECT {what} FROM {_from(lowest, found)} WHERE {where.text}"
        sql = Sql(text, where.parameters)
    rows = await database.scan(sql.text, sql.parameters)
    return int(rows[0][0])


def _level_of_rows(query: Query) -> Level:
    """What is gone through: there are no rows of patients."""
    return Level.STUDY if query.level is Level.PATIENT else query.level


def _from(level: Level, conditions: Sequence[Condition]) -> str:
    """The tables that the conditions speak of; the one of *level* first."""
    first = _first(conditions)
    spoken_of = {one.level for one in conditions if one is not first}
    text = _TABLES[level]
    for above in (Level.SERIES, Level.STUDY):
        if above in spoken_of and above is not level:
            text += f" JOIN {_TABLES[above]} ON {_KEY[above]} = {_ABOVE[level, above]}"
    return text


def _first(conditions: Sequence[Condition]) -> Condition | None:
    """The condition to begin with; None if each row has to be looked at."""
    best = min(conditions, key=lambda one: one.cost, default=None)
    return None if best is None or best.cost is Cost.ROWS else best


def _where(level: Level, conditions: Sequence[Condition]) -> Sql:
    first, parts = _first(conditions), list[Sql]()
    if first is not None and first.ids is not None and _is_direct(first, level):
        parts.append(first.row)
    elif first is not None and first.ids is not None:
        key = _KEY[level] if first.level is level else _ABOVE[level, first.level]
        parts.append(Sql(f"{key} IN ({first.ids.text})", first.ids.parameters))
    parts += [one.row for one in conditions if one is not first]
    text = " AND ".join(f"({part.text})" for part in parts) or "1"
    return Sql(text, tuple(value for part in parts for value in part.parameters))


def _is_direct(condition: Condition, level: Level) -> bool:
    """Whether the first condition is best left as it is.

    Where a whole index is gone through, SQLite would rather go through all rows, in their order.
    """
    is_own = condition.is_narrow and condition.level is level
    return is_own and condition.cost is not Cost.INDEX


async def _rows(
    database: Database, level: Level, ids: Sequence[int], shown: _Shown
) -> list[tuple[Any, ...]]:
    """What answers are made from; of a row that is gone by now there is none."""
    fields, tables = _ROWS[level]
    is_counted = level is Level.PATIENT or bool(shown.tags and shown.tags & _OF_PATIENT.keys())
    fields = fields.replace(":patient", COUNTS if is_counted else "NULL")
    sop_classes = _SOP_CLASSES if shown.has(_SOP_CLASSES_IN_STUDY) else "NULL"
    return await database.scan(
        f"SELECT {fields.replace(':sop_classes', sop_classes)} FROM json_each(?) one {tables}"
        " ORDER BY one.key",
        (json_list(ids),),
    )


@dataclass(frozen=True, slots=True)
class _Shown:
    """Which attributes answers show."""

    tags: frozenset[str] | None
    """None means all."""
    creators: dict[str, str]
    """Private creators that were asked for: the tag of the element, and its value."""

    @classmethod
    def by(cls, query: Query) -> _Shown:
        creators = {
            match.path[0]: match.values[0]
            for match in query.matches
            if len(match.path) == 1 and match.values and _is_creator(match.path[0])
        }
        if query.shown is not None:
            return cls(query.shown, creators)
        if ALL in query.include:
            return cls(None, creators)
        tags = set(_STUDY_ANSWER)
        if query.level is not Level.STUDY:
            tags |= _SERIES_ANSWER
            if query.study_uid is not None:
                tags = set(_SERIES_ANSWER) | {"0020000D"}
        if query.level is Level.INSTANCE:
            tags |= _INSTANCE_ANSWER
            if query.series_uid is not None:
                tags = set(_INSTANCE_ANSWER) | {"0020000D", "0020000E"}
        tags |= {match.path[0] for match in query.matches}
        tags |= query.include
        # A private attribute says nothing without its creator (PS3.18 10.6.3.3).
        tags |= {block for tag in tags if (block := private_block(tag))}
        if query.is_narrowed:
            tags -= _OF_PATIENT.keys()  # they would count what is not to be seen
        return cls(frozenset(tags), creators)

    @property
    def is_known_of_rows(self) -> bool:
        """Whether all of it is, without the metadata of instances."""
        known = _OF_INSTANCE | STUDY_TAGS | SERIES_TAGS | _COMPUTED
        return self.tags is not None and self.tags <= known

    def has(self, tag: str) -> bool:
        return self.tags is None or tag in self.tags

    def of(self, answer: dict[str, Any]) -> dict[str, Any]:
        """Those of an answer, tags ascending; nothing else is made from its text."""
        tags = answer.keys() if self.tags is None else self.tags
        if self.tags is not None and self.creators:
            tags = self.tags | self._elsewhere(answer)
        return {tag: _read(answer[tag]) for tag in sorted(tags) if tag in answer}

    def _elsewhere(self, answer: dict[str, Any]) -> set[str]:
        """Where this data set has the private attributes whose creator was named."""
        found = set[str]()
        for asked, creator in self.creators.items():
            wanted = [tag for tag in self.tags or () if private_block(tag) == asked]
            for tag, attribute in answer.items():
                is_near = tag[:4] == asked[:4] and _is_creator(tag)
                if is_near and _read(attribute).get("Value") == [creator]:
                    found |= {tag, *(f"{tag[:4]}{tag[6:]}{one[6:]}" for one in wanted)}
        return found


def _is_creator(tag: str) -> bool:
    """PS3.5 7.8.1."""
    return bool(int(tag[:4], 16) % 2) and 0x0010 <= int(tag[4:], 16) <= 0x00FF


def _answers(
    level: Level,
    rows: Sequence[tuple[Any, ...]],
    documents: Sequence[bytes | None],
    shown: _Shown,
) -> list[dict[str, Any]]:
    """Answers from the first rows, as many as there are documents."""
    return [
        shown.of(_answer(level, row, document))
        for row, document in zip(rows, documents, strict=False)
    ]


def _read(attribute: msgspec.Raw | dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = (
        msgspec.json.decode(attribute) if isinstance(attribute, msgspec.Raw) else attribute
    )
    return found


def _answer(level: Level, row: tuple[Any, ...], document: bytes | None) -> dict[str, Any]:
    study_uid, attributes, series_count, instance_count, online_count, modalities, *rest = row
    patient, sop_classes, *rest = rest
    answer: dict[str, Any] = _shared(attributes)
    if patient is not None:
        *counts, online = msgspec.json.decode(patient)
        if level is Level.PATIENT:
            answer = {tag: answer[tag] for tag in answer.keys() & PATIENT_TAGS}
            answer["00080056"] = _availability(counts[-1], online)
        answer |= {tag: _value("IS", one) for tag, one in zip(_OF_PATIENT, counts, strict=True)}
        if level is Level.PATIENT:
            return answer
    answer["00080061"] = _value("CS", *_each(modalities))
    if sop_classes is not None:
        answer[_SOP_CLASSES_IN_STUDY] = _value("UI", *_each(sop_classes))
    answer["0020000D"] = _value("UI", study_uid)
    answer["00201206"] = _value("IS", series_count)
    answer["00201208"] = _value("IS", instance_count)
    answer["00080056"] = _availability(instance_count, online_count)
    if level is not Level.STUDY:
        series_uid, attributes, in_series, *rest = rest
        answer |= _shared(attributes)
        answer["0020000E"] = _value("UI", series_uid)
        answer["00201209"] = _value("IS", in_series)
    if level is Level.INSTANCE:
        sop_uid, sop_class_uid, instance_number, availability, _ = rest
        if document is not None:
            answer |= _ATTRIBUTES.decode(zlib.decompress(document))
        answer["00080018"] = _value("UI", sop_uid)
        answer["00080016"] = _value("UI", sop_class_uid)
        if instance_number is not None:
            answer["00200013"] = _value("IS", instance_number)
        answer["00080056"] = _value("CS", availability)
    return answer


def _shared(attributes: str) -> dict[str, Any]:
    """What is kept of a study or series; a bulk value is had from an instance that has it alone."""
    found: dict[str, Any] = _ATTRIBUTES.decode(attributes)
    if _BULK.decode() in attributes:
        found = {tag: raw for tag, raw in found.items() if _BULK not in bytes(raw)}
    return found


def _availability(instance_count: int, online_count: int) -> dict[str, Any]:
    whole = 0 < instance_count == online_count
    return _value("CS", Availability.ONLINE if whole else Availability.NEARLINE)


def _each(listed: str) -> list[str]:
    """The members of a list between backslashes, each once."""
    return sorted({one for one in listed.split("\\") if one})


def _value(vr: str, *values: object) -> dict[str, Any]:
    present = [value for value in values if value != ""]
    return {"vr": vr, "Value": present} if present else {"vr": vr}
