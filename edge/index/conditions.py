"""Matching keys, compiled to SQL: the matching of PS3.4 C.2.2.2 over the three levels.

Owns how each key is found. An attribute that has a column of its own is matched there; any other
in the JSON of its level (`edge.index.documents`). A condition can be put to one row (``row``), and
most can also say which rows meet it (``ids``) from an index alone, so that a search begins with the
key that finds the fewest and looks at the others only there. Aliases are ``s`` for studies, ``e``
for series, ``i`` for instances. Never runs anything.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from edge.dicom.instance import Level
from edge.dicom.names import sound_of
from edge.dicom.query import Criterion, Key, Kind, Query, keys_of
from edge.index.attributes import PERSON_NAMES, NameKind
from edge.index.comparison import Sql, begins, compare, like, prefix
from edge.index.documents import in_document, in_one_item
from edge.index.keys import (
    AVAILABILITY,
    COLUMNS,
    MODALITIES_IN_STUDY,
    SOP_CLASSES_IN_STUDY,
    Column,
)
from edge.index.lookup import json_list
from edge.index.senders import sent_by

__all__ = [
    "DEPTH",
    "SHOWN",
    "WHOLE",
    "Condition",
    "Cost",
    "conditions_of",
    "private_block",
    "shown_of",
]

DEPTH: Final = {Level.PATIENT: 0, Level.STUDY: 0, Level.SERIES: 1, Level.INSTANCE: 2}
_TABLE = {Level.STUDY: "studies s", Level.SERIES: "series e", Level.INSTANCE: "instances i"}
_ALIAS = {Level.STUDY: "s", Level.SERIES: "e", Level.INSTANCE: "i"}
_PARENT = {Level.STUDY: "study_id", Level.SERIES: "series_id"}

_FEW_MONTHS = 3
"""Studies of so long a time are few among all."""


class Cost(IntEnum):
    """What finding a condition's rows takes; the search begins with the least."""

    UNIQUE = 0
    EQUAL = 1
    RANGE = 2
    """A part of an index, usually a small one."""
    INDEX = 3
    """A whole index, to find few."""
    MANY = 4
    """A part of an index, to find many."""
    ROWS = 5
    """Each row."""


@dataclass(frozen=True, slots=True)
class Condition:
    """One matching key."""

    level: Level
    """Whose rows it is about."""
    row: Sql
    """Whether a row meets it."""
    ids: Sql | None = None
    """The ids of the rows that do, if an index knows."""
    cost: Cost = Cost.ROWS
    repeats: bool = False
    """``ids`` may name a row several times."""
    is_narrow: bool = False
    """An index, or at the most a narrow row, answers ``row``."""


def shown_of(level: Level, key: str) -> str:
    """That a study or series has anything to show, in SQL; *key* is its id.

    Hardly any has not: the question goes to a small table, and not to the row.
    """
    table, column = _HIDDEN[level]
    return f"{key} NOT IN (SELECT {column} FROM {table})"


_HIDDEN = {
    Level.STUDY: ("hidden_studies", "study_id"),
    Level.SERIES: ("hidden_series", "series_id"),
}
SHOWN: Final = {
    Level.STUDY: Condition(Level.STUDY, Sql(shown_of(Level.STUDY, "s.id"))),
    Level.SERIES: Condition(Level.SERIES, Sql(shown_of(Level.SERIES, "e.id"))),
    Level.INSTANCE: Condition(Level.INSTANCE, Sql("i.withheld = ''")),
}
"""That a row is shown."""


WHOLE: Final = "0 < s.instance_count AND s.instance_count = s.online_count"
"""That all of a study ``s`` is here, as far as it is shown."""
_AVAILABILITY = f"CASE WHEN {WHOLE} THEN 'ONLINE' ELSE 'NEARLINE' END"
"""Availability as a study's answer says it; that of a series says its study's."""


def conditions_of(query: Query) -> list[Condition]:
    """What a result has to meet, all of it.

    Raises:
        QueryError: A matching key can't be understood, or not at this level.
    """
    found = []
    for tag, uid in (("0020000D", query.study_uid), ("0020000E", query.series_uid)):
        if uid is not None:
            found.append(_on_column(COLUMNS[tag], Criterion(Kind.EXACT, "UI", (uid,))))
    if query.studies:
        chosen = Criterion(Kind.EXACT, "UI", tuple(sorted(query.studies)))
        found.append(_on_column(COLUMNS["0020000D"], chosen))
    if query.senders:
        found.append(Condition(Level.STUDY, sent_by(query.senders)))
    keys = keys_of(query)
    creators = _creators(keys)
    items: dict[tuple[str, ...], list[Key]] = {}
    paths = [key.path for key in keys]
    for key in keys:
        # Several values of one attribute may stand in several items.
        if len(key.path) > 1 and paths.count(key.path) == 1:
            items.setdefault(key.path[:-1], []).append(key)
    for key in keys:
        creator = creators.get(private_block(key.path[0]) or "", "")
        together = items.get(key.path[:-1], [key])
        together = together if key in together else [key]
        if key.path[0] in creators or (not creator and key is not together[0]):
            continue
        if creator or len(together) == 1:
            condition = _condition(key, query, creator)
        else:
            condition = Condition(*in_one_item(together, query))
        found.append(_lifted(condition, query.level))
    return found


def private_block(tag: str) -> str | None:
    """The tag of the private creator that reserves the block of a private attribute."""
    group, element = int(tag[:4], 16), int(tag[4:], 16)
    return f"{tag[:4]}00{tag[4:6]}" if group % 2 and element >= 0x1000 else None


def _creators(keys: Sequence[Key]) -> dict[str, str]:
    """The private creators that are asked for along with attributes of theirs (PS3.5 7.8.1)."""
    blocks = {block for key in keys if (block := private_block(key.path[0]))}
    return {
        key.path[0]: key.criterion.values[0]
        for key in keys
        if key.path[0] in blocks and key.criterion.kind is Kind.EXACT
    }


def _condition(key: Key, query: Query, creator: str) -> Condition:
    tag, criterion = key.path[0], key.criterion
    if len(key.path) == 1:
        if tag == AVAILABILITY and query.level is not Level.INSTANCE:
            return Condition(
                Level.STUDY, _column_meets(_AVAILABILITY, COLUMNS[AVAILABILITY], criterion)
            )
        if tag == MODALITIES_IN_STUDY:
            return _has_series(COLUMNS["00080060"], criterion)
        if tag == SOP_CLASSES_IN_STUDY:
            return _has_sop_class(criterion)
        if tag in PERSON_NAMES:
            return _has_name(tag, criterion, fuzzy=query.fuzzy)
        if tag in COLUMNS:
            return _on_column(COLUMNS[tag], criterion)
    return Condition(*in_document(key, query, creator))


def _lifted(condition: Condition, level: Level) -> Condition:
    """A condition on what is below the level of the search: something shown has to meet it."""
    while DEPTH[condition.level] > DEPTH[level]:
        child = condition.level
        parent = Level.SERIES if child is Level.INSTANCE else Level.STUDY
        key = f"{_ALIAS[child]}.{_PARENT[parent]}"
        exists = (
            f"EXISTS (SELECT 1 FROM {_TABLE[child]} WHERE {key} = {_ALIAS[parent]}.id"
            f" AND ({condition.row.text}) AND {SHOWN[child].row.text})"
        )
        ids = condition.ids and Sql(
            f"SELECT {key} FROM {_TABLE[child]} WHERE {_ALIAS[child]}.id IN ({condition.ids.text})"
            f" AND {SHOWN[child].row.text}",
            condition.ids.parameters,
        )
        row = Sql(exists, condition.row.parameters)
        condition = Condition(parent, row, ids, condition.cost, repeats=True)
    return condition


def _on_column(column: Column, wanted: Criterion) -> Condition:
    alias = _ALIAS[column.level]
    row = _column_meets(f"{alias}.{column.name}", column, wanted)
    if not column.indexed:
        return Condition(column.level, row)
    ids = Sql(f"SELECT {alias}.id FROM {_TABLE[column.level]} WHERE {row.text}", row.parameters)
    cost = Cost.UNIQUE if column.unique else _cost(wanted)
    return Condition(column.level, row, ids, cost, is_narrow=True)


def _cost(wanted: Criterion) -> Cost:
    if wanted.vr == "CS" or wanted.kind is Kind.EMPTY:
        return Cost.MANY  # a code is one of few
    if wanted.kind in (Kind.EXACT, Kind.NUMBER):
        return Cost.EQUAL
    if wanted.kind in (Kind.RANGE, Kind.MOMENTS):
        first, last = (value[:6] for value in wanted.values)
        is_short = first and last and _months(last) - _months(first) <= _FEW_MONTHS
        return Cost.RANGE if is_short else Cost.MANY
    if wanted.kind is Kind.WILDCARD and not all(map(prefix, wanted.values)):
        return Cost.INDEX
    return Cost.RANGE


def _months(date: str) -> int:
    return int(date[:4]) * 12 + int(date[4:6])


def _column_meets(value: str, column: Column, wanted: Criterion) -> Sql:
    if wanted.kind is Kind.EMPTY:
        return Sql(f"{value} IS NULL" if column.null else f"{value} = ''")
    if wanted.kind is Kind.MOMENTS:
        # The range of dates is what the index finds.
        (first, last), time = wanted.values, value.replace("study_date", "study_time")
        dates = compare(value, Criterion(Kind.RANGE, "DA", (first[:8], last[:8])))
        moments = compare(f"{value} || {time}", Criterion(Kind.RANGE, "DT", wanted.values))
        return Sql(f"{dates.text} AND {moments.text}", dates.parameters + moments.parameters)
    return compare(value, wanted)


def _has_series(column: Column, wanted: Criterion) -> Condition:
    """Studies that have a series with such a modality; or none at all."""
    if wanted.kind is Kind.EMPTY:
        return Condition(Level.STUDY, Sql("s.modalities = ''"))
    on_series = _on_column(column, wanted)
    assert on_series.ids is not None
    # The index of modalities knows the study as well: no row of a series is looked at.
    shown = SHOWN[Level.SERIES].row.text
    ids = Sql(
        f"{on_series.ids.text.replace('e.id', 'e.study_id', 1)} AND {shown}",
        on_series.ids.parameters,
    )
    if wanted.kind is Kind.EXACT:
        row = Sql(
            " OR ".join(["instr(s.modalities, ?)"] * len(wanted.values)),
            tuple(f"\\{value}\\" for value in wanted.values),
        )
        return Condition(Level.STUDY, row, ids, Cost.MANY, repeats=True, is_narrow=True)
    row = Sql(
        f"EXISTS (SELECT 1 FROM series e WHERE e.study_id = s.id AND ({on_series.row.text})"
        f" AND {shown})",
        on_series.row.parameters,
    )
    return Condition(Level.STUDY, row, ids, Cost.MANY, repeats=True)


def _has_sop_class(wanted: Criterion) -> Condition:
    if wanted.kind is Kind.EMPTY:
        return Condition(
            Level.STUDY,
            Sql(
                "NOT EXISTS (SELECT 1 FROM series e WHERE e.study_id = s.id AND sop_classes <> '')"
            ),
        )
    listed = [f"\\{uid}\\" for uid in wanted.values]
    row = Sql(
        "EXISTS (SELECT 1 FROM series e, json_each(?) one WHERE e.study_id = s.id"
        " AND instr(e.sop_classes, one.value))",
        (json_list(listed),),
    )
    return Condition(Level.STUDY, row)


def _has_name(tag: str, wanted: Criterion, *, fuzzy: bool) -> Condition:
    """Person names that the index keeps: literally, or (fuzzy) each word of them somehow."""
    if wanted.kind is Kind.EMPTY:
        row = Sql(
            "NOT EXISTS (SELECT 1 FROM person_names n WHERE n.study_id = s.id AND n.tag = ?)",
            (tag,),
        )
        return Condition(Level.STUDY, row)
    found = _joined(
        " UNION ",
        [_named(tag, NameKind.NAME, like("n.text", pattern)) for pattern in wanted.values],
    )
    cost = _cost(wanted)
    if fuzzy and wanted.words:
        words = [_like_word(tag, word) for word in wanted.words]
        found = _joined(" UNION ", [found, _joined(" INTERSECT ", words)])
        row = Sql(f"s.id IN ({found.text})", found.parameters)
        return Condition(Level.STUDY, row, found, cost, repeats=True)
    literal = compare("n.text", wanted)
    row = Sql(
        "EXISTS (SELECT 1 FROM person_names n INDEXED BY person_names_by_study"
        f" WHERE n.study_id = s.id AND n.tag = ? AND n.kind = ? AND {literal.text})",
        (tag, NameKind.NAME, *literal.parameters),
    )
    return Condition(Level.STUDY, row, found, cost, repeats=True)


def _like_word(tag: str, word: str) -> Sql:
    """Studies with a word in that name that begins or sounds like this one."""
    ways = [_named(tag, NameKind.WORD, begins("n.text", word))]
    if sound := sound_of(word):
        ways.append(_named(tag, NameKind.SOUND, Sql("n.text = ?", (sound,))))
    union = _joined(" UNION ", ways)
    return Sql(f"SELECT study_id FROM ({union.text})", union.parameters)


def _named(tag: str, kind: NameKind, text: Sql) -> Sql:
    return Sql(
        f"SELECT n.study_id FROM person_names n WHERE n.tag = ? AND n.kind = ? AND {text.text}",
        (tag, kind, *text.parameters),
    )


def _joined(operator: str, parts: Sequence[Sql]) -> Sql:
    if len(parts) == 1:
        return parts[0]
    text = operator.join(f"SELECT * FROM ({part.text})" for part in parts)
    return Sql(text, tuple(value for part in parts for value in part.parameters))
