"""What somebody typed into the one field of a search, as conditions on studies.

Owns how a word is understood: as the beginning of a word of a name, a part of an ID, of an
accession number or of a description, a modality, a date, or a UID. Each word has to be found as one
of these, in whatever order; so what is typed further finds less. Never runs anything.
"""

from __future__ import annotations

import re
from datetime import date, timedelta
from typing import Final

from edge.dicom.names import words_of
from edge.dicom.uids import is_uid
from edge.index.attributes import PERSON_NAMES, NameKind
from edge.index.comparison import Sql, begins

__all__ = ["LONGEST", "typed"]

LONGEST: Final = 256
"""Characters that are read."""
_MOST_WORDS: Final = 8
_TEXTS: Final = ("s.patient_id", "s.accession_number", "s.study_id")
_BETWEEN: Final = re.compile(r"[\s,;^=]+")
_WILD: Final = str.maketrans({"%": r"\%", "_": r"\_", "\\": r"\\"})
_MODALITY: Final = re.compile(r"[A-Za-z]{2,8}")
_YEAR_FIRST: Final = re.compile(r"([12][0-9]{3})(?:-?([0-9]{2})(?:-?([0-9]{2}))?)?")
_DAY_FIRST: Final = re.compile(r"([0-9]{1,2})[./]([0-9]{1,2})[./]([12][0-9]{3})")
_NAMED: Final = ", ".join(f"'{tag}'" for tag in PERSON_NAMES)


def typed(text: str) -> list[Sql]:
    """What a study ``s`` has to meet, all of it; nothing if nothing was typed."""
    words = filter(None, _BETWEEN.split(text[:LONGEST].strip()))
    return [_word(word) for word in list(words)[:_MOST_WORDS]]


def _word(word: str) -> Sql:
    ways = [*_names(word), *(_part(column, word) for column in _TEXTS), _described(word)]
    if _MODALITY.fullmatch(word):
        ways.append(Sql("instr(s.modalities, ?)", (f"\\{word.upper()}\\",)))
    if days := _days(word):
        ways.append(Sql("s.study_date BETWEEN ? AND ?", days))
    if is_uid(word) and "." in word:
        ways.append(Sql("s.study_uid = ?", (word,)))
    text = " OR ".join(f"({way.text})" for way in ways)
    return Sql(text, tuple(value for way in ways for value in way.parameters))


def _names(word: str) -> list[Sql]:
    """That a name has words which begin so; one that is hyphenated is several."""
    found = [begins("n.text", one) for one in words_of(word)]
    if not found:
        return []
    each = [
        "s.id IN (SELECT n.study_id FROM person_names n"
        f" WHERE n.tag IN ({_NAMED}) AND n.kind = '{NameKind.WORD}' AND {one.text})"
        for one in found
    ]
    return [Sql(" AND ".join(each), tuple(value for one in found for value in one.parameters))]


def _part(column: str, word: str) -> Sql:
    return Sql(rf"{column} LIKE ? ESCAPE '\'", (f"%{word.translate(_WILD)}%",))


def _described(word: str) -> Sql:
    # SQLite knows capitals of ASCII alone: of other letters their usual spellings are tried.
    spellings = dict.fromkeys((word, word.lower(), word.capitalize(), word.upper()))
    parts = [_part("s.description", one) for one in (spellings if not word.isascii() else (word,))]
    text = " OR ".join(part.text for part in parts)
    return Sql(text, tuple(value for part in parts for value in part.parameters))


def _days(word: str) -> tuple[str, str] | None:
    """The first and the last day of a date, a month or a year; None if it is none of them."""
    if found := _DAY_FIRST.fullmatch(word):
        day, month, year = (int(part) for part in found.groups())
    elif found := _YEAR_FIRST.fullmatch(word):
        year, month, day = (int(part or 0) for part in found.groups())
    else:
        return None
    try:
        first = date(year, month or 1, day or 1)
        if day:
            last = first
        elif month:
            last = (first.replace(day=28) + timedelta(days=4)).replace(day=1) - timedelta(days=1)
        else:
            last = date(year, 12, 31)
    except ValueError:
        return None
    return f"{first:%Y%m%d}", f"{last:%Y%m%d}"
