"""Attributes without a column: matched in the JSON of their level.

Owns the way to a value: from the document of a study ``s``, a series ``e`` or an instance ``i``
through the items of sequences. Never runs anything.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from edge.dicom.instance import Level
from edge.dicom.query import TIME_OF, Criterion, Key, Kind, Query, called
from edge.errors import QueryError
from edge.index.attributes import SERIES_TAGS, STUDY_TAGS
from edge.index.comparison import Sql, compare
from edge.index.keys import UNKNOWN

__all__ = ["in_document", "in_one_item"]

_PLURAL: Final = {Level.PATIENT: "patients", Level.STUDY: "studies", Level.SERIES: "series"}
_READ: Final[dict[str, Callable[[str], str]]] = {
    "TM": lambda value: f"moment({value})",
    "DT": lambda value: f"instant({value})",
}


def in_document(key: Key, query: Query, creator: str = "") -> tuple[Level, Sql]:
    """An attribute, perhaps in items of sequences: whose it is, and whether a row of that meets it.

    Args:
        key: The attribute, and what it has to be.
        query: What the key is of.
        creator: Who reserved the block of a private attribute, wherever in its group that is
            (PS3.5 7.8.1); empty: the block is the one that is named.

    Raises:
        QueryError: It is below the level of the search, and not kept there.
    """
    level, document = _document_of(key.path[0], query)
    way, last, also = _steps(key.path), len(key.path) - 1, list[Sql]()
    if creator:
        group, element = key.path[0][:4], key.path[0][6:]
        block = f"'$.\"{group}' || substr(c.key, 7) || '{element}\".Value'"
        way[:1] = [Sql("json_each(d.text) c"), Sql(f"json_each(d.text, {block}) v0")]
        reserved = "c.key BETWEEN ? AND ? AND json_extract(c.value, '$.Value[0]') = ?"
        also = [Sql(reserved, (f"{group}0010", f"{group}00FF", creator))]
    return level, _meets([document, *way], f"v{last}", _above(last), key, query, also)


def in_one_item(keys: Sequence[Key], query: Query) -> tuple[Level, Sql]:
    """Several attributes of one sequence: some item has to have them all (PS3.4 C.2.2.2.6).

    Raises:
        QueryError: As ``in_document``.
    """
    path = keys[0].path[:-1]
    level, document = _document_of(path[0], query)
    item = _above(len(path))
    met = [
        _meets([Sql(f"json_each({item}, ?) x", (_path(key.path[-1]),))], "x", item, key, query)
        for key in keys
    ]
    return level, _exists([document, *_steps(path)], met)


def _document_of(tag: str, query: Query) -> tuple[Level, Sql]:
    """The level whose JSON has an attribute, and that JSON: ``d.text``.

    Raises:
        QueryError: It is below the level of the search, and not kept there.
    """
    if tag in UNKNOWN:
        raise QueryError(f"{called(tag)} is not kept here: nothing can be matched by it")
    if tag in STUDY_TAGS:
        level, document = (
            Level.STUDY,
            "SELECT attributes FROM study_attributes WHERE study_id = s.id",
        )
    elif tag in SERIES_TAGS:
        level, document = Level.SERIES, "e.attributes"
    elif query.level is Level.INSTANCE:
        level = Level.INSTANCE
        document = "SELECT inflated(document) FROM metadata WHERE instance_id = i.id"
    else:
        raise QueryError(
            f"{called(tag)} is an attribute of instances;"
            f" {_PLURAL[query.level]} can't be matched by it",
            hint="search for instances",
        )
    return level, Sql(f"(SELECT ({document}) AS text) d")


def _steps(path: Sequence[str]) -> list[Sql]:
    """One json_each for each step: the values of a tag are items, and an item has tags."""
    return [
        Sql(f"json_each({_above(depth)}, ?) v{depth}", (_path(tag),))
        for depth, tag in enumerate(path)
    ]


def _above(depth: int) -> str:
    """What has the tag of a step: the document, or an item."""
    return _tree(f"v{depth - 1}") if depth else "d.text"


def _path(tag: str) -> str:
    return f'$."{tag}".Value'


def _tree(row: str) -> str:
    """The value of a row of json_each that is an item or a name; nothing if it is text.

    A sender may write another VR than the dictionary's, and a path may lead through what is no
    sequence: text is no JSON, and SQLite would give up the whole search.
    """
    return f"CASE {row}.type WHEN 'object' THEN {row}.value END"


def _meets(
    way: Sequence[Sql], row: str, above: str, key: Key, query: Query, also: Sequence[Sql] = ()
) -> Sql:
    """Whether a value meets a key; of EMPTY, whether there is none.

    Args:
        way: Leads to the values.
        row: Has one.
        above: What has the tag.
        key: What is asked for.
        query: What the key is of.
        also: What has to be met as well.
    """
    meets = _value_meets(f"{row}.value", key.criterion, fuzzy=query.fuzzy)
    found = _exists([*way, *_beside(row, above, key)], [*also, meets])
    is_to_lack = key.criterion.kind is Kind.EMPTY
    return Sql(f"NOT {found.text}", found.parameters) if is_to_lack else found


def _beside(row: str, above: str, key: Key) -> list[Sql]:
    """What a value is read with: a date with the time beside it, a name by its groups."""
    if key.criterion.kind is Kind.MOMENTS:
        return [Sql(f"json_each({above}, ?) t", (_path(TIME_OF[key.path[-1]]),))]
    if key.criterion.vr == "PN" and key.criterion.kind is not Kind.EMPTY:
        return [Sql(f"json_each({_tree(row)}) g")]
    return []


def _exists(sources: Sequence[Sql], conditions: Sequence[Sql]) -> Sql:
    tables = ", ".join(one.text for one in sources)
    met = " AND ".join(one.text for one in conditions)
    parameters = tuple(value for one in (*sources, *conditions) for value in one.parameters)
    return Sql(f"EXISTS (SELECT 1 FROM {tables} WHERE {met})", parameters)


def _value_meets(value: str, wanted: Criterion, *, fuzzy: bool) -> Sql:
    """Whether a value in JSON meets a criterion; of EMPTY, whether there is one."""
    if wanted.kind is Kind.EMPTY:
        return Sql(f"{value} IS NOT NULL AND {value} NOT IN ('', '{{}}')")
    if wanted.kind is Kind.MOMENTS:
        text = f"{value} || moment(t.value)"
        return compare(text, Criterion(Kind.RANGE, "DT", wanted.values))
    if wanted.vr == "PN":
        literal = compare("folded(g.value)", wanted)
        if not fuzzy or not wanted.words:
            return literal
        words = " ".join(wanted.words)
        return Sql(f"({literal.text} OR alike(g.value, ?))", (*literal.parameters, words))
    read: Callable[[str], str] = _READ.get(wanted.vr, lambda text: text)
    if wanted.kind is Kind.NUMBER:
        return compare(f"CAST({value} AS REAL)", wanted)
    # What the dictionary does not know may be a number.
    return compare(f"CAST({value} AS TEXT)" if wanted.vr == "UN" else read(value), wanted)
