"""The calendar of limits as a page draws it: a week, day by day, for each direction.

What a rule means is `edge.week`'s; nothing here decides when anything goes.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from edge.config import Sync
from edge.pages.words import Words, noted
from edge.week import DAY, Direction, Rule, limit_of, rule_of

__all__ = ["DayRow", "Stretch", "Week", "week_of"]

_DAYS: Final = (
    noted("Monday"),
    noted("Tuesday"),
    noted("Wednesday"),
    noted("Thursday"),
    noted("Friday"),
    noted("Saturday"),
    noted("Sunday"),
)


@dataclass(frozen=True, slots=True)
class Stretch:
    """Part of a day in which one limit holds."""

    begin: int
    """Minute of the day."""
    minutes: int
    kind: str
    """``off``, ``limited`` or ``free``."""
    text: str
    """When, and how much."""


@dataclass(frozen=True, slots=True)
class DayRow:
    """A day of the week."""

    name: str
    stretches: tuple[Stretch, ...]


@dataclass(frozen=True, slots=True)
class Week:
    """Of one direction."""

    title: str
    days: tuple[DayRow, ...]


def week_of(settings: Sync, words: Words) -> list[Week]:
    """Both directions; nothing if neither is ever limited."""
    rules = [rule_of(text) for text in settings.calendar]
    if not (rules or settings.max_upload_kbps or settings.max_download_kbps):
        return []
    ways: list[tuple[Direction, str, int | None]] = [
        ("up", words.gettext("To the cloud"), settings.max_upload_kbps or None),
        ("down", words.gettext("From the cloud"), settings.max_download_kbps or None),
    ]
    return [
        Week(
            title,
            tuple(
                DayRow(words.gettext(name), _stretches(rules, day, direction, usual, words))
                for day, name in enumerate(_DAYS)
            ),
        )
        for direction, title, usual in ways
    ]


def _stretches(
    rules: Sequence[Rule], day: int, direction: Direction, usual: int | None, words: Words
) -> tuple[Stretch, ...]:
    edges = sorted({0, DAY, *(end % DAY for rule in rules for end in (rule.begin, rule.end))})
    found: list[tuple[int, int, int | None]] = []
    for begin, end in itertools.pairwise(edges):
        kbps = limit_of(rules, day, begin, direction, usual)
        if found and found[-1][2] == kbps:
            found[-1] = (found[-1][0], end, kbps)
        else:
            found.append((begin, end, kbps))
    return tuple(_stretch(*one, words) for one in found)


def _stretch(begin: int, end: int, kbps: int | None, words: Words) -> Stretch:
    if kbps is None:
        kind, what = "free", words.gettext("no limit")
    elif kbps == 0:
        kind, what = "off", words.gettext("nothing goes")
    else:
        speed = words.bytes(kbps * 125)
        kind, what = "limited", words.gettext("%(speed)s a second", speed=speed)
    hours = f"{begin // 60:02}:{begin % 60:02}\u2013{end // 60:02}:{end % 60:02}"
    return Stretch(begin, end - begin, kind, f"{hours} {what}")
