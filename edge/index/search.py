"""Searches, compiled to SQL: the matching of PS3.4 C.2.2.2 over the four levels.

An attribute that has a column of its own is matched there. Any other is matched in the JSON of its
level: that of patient and study, of the series, or of the whole instance. Answers are DICOM JSON
with the computed attributes (counts, modalities, availability); the order is that of arrival, so
that a page never shifts when something new comes in.
"""

from __future__ import annotations

import zlib
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from edge.dicom.instance import Availability, Level
from edge.dicom.query import ALL, Criterion, Kind, Match, Query, criterion
from edge.errors import QueryError
from edge.index import lookup
from edge.index.attributes import PERSON_NAMES, SERIES_TAGS, STUDY_TAGS
from edge.index.database import Database
from edge.index.lookup import json_list

__all__ = ["search"]

_PAGE, _PAGE_BYTES = 200, 64 * 1024
"""Answers, and bytes of the deflated metadata they are made from, that are made at a time."""

_COLUMNS = {
    "0020000D": "s.study_uid",
    "00100020": "s.patient_id",
    "00100030": "s.birth_date",
    "00100040": "s.sex",
    "00080020": "s.study_date",
    "00080030": "s.study_time",
    "00080050": "s.accession_number",
    "00200010": "s.study_id",
    "0020000E": "e.series_uid",
    "00080060": "e.modality",
    "00200011": "e.series_number",
    "00080018": "i.sop_uid",
    "00080016": "i.sop_class_uid",
    "00200013": "i.instance_number",
}
_MODALITIES_IN_STUDY, _MODALITY = "00080061", "00080060"

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
_FROM = {
    Level.STUDY: "studies s",
    Level.SERIES: "series e JOIN studies s ON s.id = e.study_id",
    Level.INSTANCE: "instances i JOIN series e ON e.id = i.series_id"
    " JOIN studies s ON s.id = i.study_id LEFT JOIN metadata m ON m.instance_id = i.id",
}
_KEY = {Level.STUDY: "s.id", Level.SERIES: "e.id", Level.INSTANCE: "i.id"}
_STUDY_FIELDS = (
    "s.study_uid, s.attributes, s.series_count, s.instance_count, s.online_count,"
    " (SELECT json_group_array(DISTINCT modality) FROM series WHERE study_id = s.id"
    " AND modality <> '')"
)
_SERIES_FIELDS = "e.series_uid, e.attributes, e.instance_count"
_INSTANCE_FIELDS = "i.sop_uid, i.sop_class_uid, i.instance_number, i.availability, i.id"
_FIELDS = {
    Level.STUDY: _STUDY_FIELDS,
    Level.SERIES: f"{_STUDY_FIELDS}, {_SERIES_FIELDS}",
    Level.INSTANCE: f"{_STUDY_FIELDS}, {_SERIES_FIELDS}, {_INSTANCE_FIELDS}",
}


@dataclass(slots=True)
class _Where:
    """Conditions and their parameters, as they are put together."""

    conditions: list[str] = field(default_factory=list)
    parameters: list[object] = field(default_factory=list)

    def add(self, condition: str, *parameters: object) -> None:
        self.conditions.append(condition)
        self.parameters += parameters

    def text(self) -> str:
        return " AND ".join(self.conditions) or "1"


async def search(database: Database, query: Query) -> AsyncGenerator[dict[str, Any]]:
    """The answers to a query, each a DICOM JSON object, a few in memory at a time.

    Raises:
        QueryError: A matching key can't be understood.
    """
    if query.level not in _FROM:
        raise QueryError(f"searches at the level {query.level} are not supported")
    where = _Where()
    if query.study_uid is not None:
        where.add("s.study_uid = ?", query.study_uid)
    if query.series_uid is not None:
        where.add("e.series_uid = ?", query.series_uid)
    for match in query.matches:
        _match(where, match, query.level)
    rows = await database.scan(
        f"SELECT {_FIELDS[query.level]} FROM {_FROM[query.level]} WHERE {where.text()}"
        f" ORDER BY {_KEY[query.level]} LIMIT ? OFFSET ?",
        (*where.parameters, -1 if query.limit is None else query.limit, query.offset),
    )
    wanted, done = _wanted(query), 0
    while done < len(rows):
        page = rows[done : done + _PAGE]
        documents: list[bytes | None] = [None] * len(page)
        if query.level is Level.INSTANCE:
            documents = await lookup.documents(database, [row[-1] for row in page], _PAGE_BYTES)
        done += len(documents)
        for answer in await database.compute(_answers, query.level, page, documents, wanted):
            yield answer


def _answers(
    level: Level,
    rows: Sequence[tuple[Any, ...]],
    documents: Sequence[bytes | None],
    wanted: frozenset[str] | None,
) -> list[dict[str, Any]]:
    """Answers from the first rows, as many as there are documents."""
    pairs = zip(rows, documents, strict=False)
    return [_answer(level, row, document, wanted) for row, document in pairs]


def _match(where: _Where, match: Match, level: Level) -> None:
    wanted = criterion(match)
    if wanted.kind is Kind.UNIVERSAL:
        return
    tag = match.path[0]
    if tag == _MODALITIES_IN_STUDY or (tag == _MODALITY and level is Level.STUDY):
        condition, parameters = _compare("modality", wanted)
        where.add(f"s.id IN (SELECT study_id FROM series WHERE {condition})", *parameters)
    elif tag in PERSON_NAMES:
        condition, parameters = _compare("name", wanted)
        where.add(
            f"s.id IN (SELECT study_id FROM person_names WHERE tag = ? AND {condition})",
            tag,
            *parameters,
        )
    elif len(match.path) == 1 and tag in _COLUMNS and _reachable(_COLUMNS[tag], level):
        condition, parameters = _compare(_COLUMNS[tag], wanted)
        where.add(condition, *parameters)
    else:
        _match_in_json(where, match, wanted, level)


def _reachable(column: str, level: Level) -> bool:
    return column[0] in {Level.STUDY: "s", Level.SERIES: "se", Level.INSTANCE: "sei"}[level]


def _match_in_json(where: _Where, match: Match, wanted: Criterion, level: Level) -> None:
    tag = match.path[0]
    if tag in STUDY_TAGS or level is Level.STUDY:
        document = "s.attributes"
    elif tag in SERIES_TAGS or level is Level.SERIES:
        document = "e.attributes"
    else:
        document = "inflated(m.document)"
    # One json_each for each step of the path: the values of a tag are items, and an item has tags.
    sources = [f"json_each({document}, ?) v0"]
    parameters: list[object] = [f'$."{tag}".Value']
    for depth, step in enumerate(match.path[1:], 1):
        sources.append(f"json_each(v{depth - 1}.value, ?) v{depth}")
        parameters.append(f'$."{step}".Value')
    value = f"v{len(match.path) - 1}.value"
    if wanted.vr == "PN":
        sources.append(f"json_each({value}) groups")
        value = "folded(groups.value)"
    elif wanted.vr == "TM":
        value = f"moment({value})"
    condition, more = _compare(value, wanted)
    where.add(f"EXISTS (SELECT 1 FROM {', '.join(sources)} WHERE {condition})", *parameters, *more)


def _compare(value: str, wanted: Criterion) -> tuple[str, list[object]]:
    if wanted.kind is Kind.RANGE:
        first, last = wanted.values
        if wanted.vr == "DT" and last:
            last += "9" * (14 - len(last))
        conditions, parameters = [f"{value} <> ''"], list[object]()
        if first:
            conditions.append(f"{value} >= ?")
            parameters.append(first)
        if last:
            conditions.append(f"{value} <= ?")
            parameters.append(last)
        return f"({' AND '.join(conditions)})", parameters
    if wanted.kind is Kind.NUMBER:
        return f"{value} IN (SELECT value FROM json_each(?))", [
            json_list(float(number) for number in wanted.values)
        ]
    if wanted.kind is Kind.EXACT:
        return f"{value} IN (SELECT value FROM json_each(?))", [json_list(wanted.values)]
    # GLOB has DICOM's wildcards and a third one, which is a plain character in DICOM.
    patterns = [pattern.replace("[", "[[]") for pattern in wanted.values]
    return f"({' OR '.join([f'{value} GLOB ?'] * len(patterns))})", list(patterns)


def _wanted(query: Query) -> frozenset[str] | None:
    """The tags that answers show; None means all."""
    if ALL in query.include:
        return None
    wanted = set(_STUDY_ANSWER)
    if query.level is not Level.STUDY:
        wanted |= _SERIES_ANSWER
        if query.study_uid is not None:
            wanted = set(_SERIES_ANSWER) | {"0020000D"}
    if query.level is Level.INSTANCE:
        wanted |= _INSTANCE_ANSWER
        if query.series_uid is not None:
            wanted = set(_INSTANCE_ANSWER) | {"0020000D", "0020000E"}
    wanted |= {match.path[0] for match in query.matches}
    return frozenset(wanted | query.include)


def _answer(
    level: Level, row: tuple[Any, ...], document: bytes | None, wanted: frozenset[str] | None
) -> dict[str, Any]:
    study_uid, attributes, series_count, instance_count, online_count, modalities, *rest = row
    answer: dict[str, Any] = msgspec.json.decode(attributes)
    whole = 0 < instance_count == online_count
    answer["00080061"] = _value("CS", *sorted(msgspec.json.decode(modalities)))
    answer["0020000D"] = _value("UI", study_uid)
    answer["00201206"] = _value("IS", series_count)
    answer["00201208"] = _value("IS", instance_count)
    answer["00080056"] = _value("CS", Availability.ONLINE if whole else Availability.NEARLINE)
    if level is not Level.STUDY:
        series_uid, attributes, in_series, *rest = rest
        answer |= msgspec.json.decode(attributes)
        answer["0020000E"] = _value("UI", series_uid)
        answer["00201209"] = _value("IS", in_series)
    if level is Level.INSTANCE:
        sop_uid, sop_class_uid, instance_number, availability, _ = rest
        if document is not None:
            answer |= msgspec.json.decode(zlib.decompress(document))
        answer["00080018"] = _value("UI", sop_uid)
        answer["00080016"] = _value("UI", sop_class_uid)
        if instance_number is not None:
            answer["00200013"] = _value("IS", instance_number)
        answer["00080056"] = _value("CS", availability)
    return {tag: answer[tag] for tag in sorted(answer) if wanted is None or tag in wanted}


def _value(vr: str, *values: object) -> dict[str, Any]:
    present = [value for value in values if value != ""]
    return {"vr": vr, "Value": present} if present else {"vr": vr}
