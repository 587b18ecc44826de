"""Rules of a week: how a technician writes when the line may be used, and how fast.

    mon-fri 08:00-18:00 2000 kbps      these days, these hours
    mon-fri 12:00-13:00 off            nothing goes through
    sat,sun unlimited                  all day
    22:00-06:00 up unlimited           every day, over midnight; only what is sent

Days, hours, ``up`` or ``down``, and the limit, in this order; only the limit must be there. Hours
that go over midnight belong to the day on which they begin. What the rules mean together, and when
they change, is ``edge.sync.calendar``'s. Quiet hours are written as days and hours alone. No I/O.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

__all__ = ["DAY", "Direction", "Rule", "RuleError", "hours_of", "limit_of", "rule_of"]

Direction = Literal["up", "down"]
"""To the archive, or from it."""

DAY = 24 * 60
"""Minutes."""
_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_MOST = 100_000_000
"""kbit/s; more is a slip of the pen."""
_WORD = re.compile(r"\S+")
_HOURS = re.compile(r"(\d{1,2}):(\d\d)-(\d{1,2}):(\d\d)")
_RATE = re.compile(r"(\d{1,9})(kbps|mbps)?")
_UNITS = {"kbps": 1, "mbps": 1000}
_LIMIT = 'a limit such as "2000 kbps", "off" or "unlimited"'


class RuleError(ValueError):
    """A rule that can't be understood; *position* counts its characters from 1."""

    def __init__(self, why: str, position: int) -> None:
        super().__init__(f"{why} (at character {position})")
        self.position = position


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule."""

    days: frozenset[int] = frozenset(range(7))
    """Of the week, Monday is 0."""
    begin: int = 0
    end: int = DAY
    """Minutes of the day; an end before the beginning is on the day after."""
    directions: frozenset[Direction] = frozenset(("up", "down"))
    kbps: int | None = None
    """kbit/s; None is unlimited, 0 is off."""

    def covers(self, day: int, minute: int) -> bool:
        """Whether it holds in this minute of this day of the week."""
        if self.begin < self.end:
            return day in self.days and self.begin <= minute < self.end
        return (day in self.days and minute >= self.begin) or (
            (day - 1) % 7 in self.days and minute < self.end
        )


def limit_of(
    rules: Sequence[Rule], day: int, minute: int, direction: Direction, usual: int | None
) -> int | None:
    """kbit/s that may go in this minute of this day; the last rule that covers it wins.

    Args:
        rules: In the order in which they are written.
        day: Of the week, Monday is 0.
        minute: Of the day.
        direction: To the archive, or from it.
        usual: Outside of the rules.
    """
    for rule in reversed(rules):
        if direction in rule.directions and rule.covers(day, minute):
            return rule.kbps
    return usual


def rule_of(text: str) -> Rule:
    """Understand a rule.

    Raises:
        RuleError: It is none; says where.
    """
    # Blanks around commas and dashes don't count; positions must stay those of the text.
    words = list(_words(text.lower()))
    rule = _when(words)
    if words and words[0][0] in ("up", "down"):
        word, _ = words.pop(0)
        one: Direction = "up" if word == "up" else "down"
        rule = Rule(rule.days, rule.begin, rule.end, frozenset((one,)))
    kbps = _limit(words, len(text) + 1)
    return Rule(rule.days, rule.begin, rule.end, rule.directions, kbps)


def hours_of(text: str) -> Rule:
    """Understand hours that stand alone: ``mon-fri 19:00-06:00``, ``22:00-05:00`` or ``sat,sun``.

    Raises:
        RuleError: They are none; says where.
    """
    words = list(_words(text.lower()))
    if not words:
        raise RuleError("days or hours are missing", len(text) + 1)
    before = len(words)
    rule = _when(words)
    if len(words) == before:
        word, at = words[0]
        raise RuleError(f'"{word}" are no days or hours such as mon-fri 19:00-06:00', at)
    if words:
        raise RuleError(f'"{words[0][0]}" is too much', words[0][1])
    return rule


def _when(words: list[tuple[str, int]]) -> Rule:
    """Days and hours, which are taken away from the words."""
    rule = Rule()
    if words and words[0][0][:3] in _DAYS:
        word, at = words.pop(0)
        rule = Rule(days=_days(word, at))
    if words and ":" in words[0][0]:
        word, at = words.pop(0)
        begin, end = _hours(word, at)
        rule = Rule(rule.days, begin, end)
    return rule


def _words(text: str) -> Iterator[tuple[str, int]]:
    """The words and where they begin; "sat, sun" and "8:00 - 9:00" are one word each."""
    joined, begun = "", 0
    for match in _WORD.finditer(text):
        word = match[0]
        if joined and (joined[-1] in ",-" or word[0] in ",-"):
            joined += word
            continue
        if joined:
            yield joined, begun
        joined, begun = word, match.start() + 1
    if joined:
        yield joined, begun


def _days(word: str, at: int) -> frozenset[int]:
    days: set[int] = set()
    for part in word.split(","):
        first, dash, last = part.partition("-")
        for name in (first, last) if dash else (first,):
            if name not in _DAYS:
                raise RuleError(f'"{name}" is not a day: {", ".join(_DAYS)}', at)
        begin = _DAYS.index(first)
        length = (_DAYS.index(last) - begin) % 7 if dash else 0
        days.update((begin + step) % 7 for step in range(length + 1))
        at += len(part) + 1
    return frozenset(days)


def _hours(word: str, at: int) -> tuple[int, int]:
    match = _HOURS.fullmatch(word)
    if match is None:
        raise RuleError(f'"{word}" are not hours such as 08:00-18:00', at)
    ends = []
    for hour, minute in ((int(match[1]), int(match[2])), (int(match[3]), int(match[4]))):
        if minute > 59 or hour * 60 + minute > DAY:
            raise RuleError(f'"{hour:02}:{minute:02}" is no time of a day', at)
        ends.append(hour * 60 + minute)
    begin, end = ends
    if begin == DAY:
        raise RuleError("a day ends at 24:00; begin at 00:00", at)
    if begin == end:
        raise RuleError("it ends when it begins; leave the hours out for a whole day", at)
    return begin, end


def _limit(words: list[tuple[str, int]], end: int) -> int | None:
    if not words:
        raise RuleError(f"{_LIMIT} is missing", end)
    (word, at), *rest = words
    if word in ("off", "unlimited"):
        kbps = 0 if word == "off" else None
    elif match := _RATE.fullmatch(word):
        unit = match[2]
        if unit is None:
            if not rest or rest[0][0] not in _UNITS:
                raise RuleError(f'"{word}" needs a unit: kbps or mbps', at)
            unit = rest.pop(0)[0]
        kbps = int(match[1]) * _UNITS[unit]
        if not 1 <= kbps <= _MOST:
            raise RuleError('it is too large a number, or 0: say "unlimited" or "off"', at)
    else:
        raise RuleError(f'"{word}" is not {_LIMIT}', at)
    if rest:
        raise RuleError(f'"{rest[0][0]}" is too much', rest[0][1])
    return kbps
