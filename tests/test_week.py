"""What a technician writes about the line."""

from __future__ import annotations

import pytest

from edge.week import DAY, Rule, RuleError, hours_of, limit_of, rule_of

BOTH = frozenset(("up", "down"))
EVERY = frozenset(range(7))


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("off", Rule(kbps=0)),
        ("unlimited", Rule(kbps=None)),
        ("2 mbps", Rule(kbps=2000)),
        ("mon-fri 08:00-18:00 2000 kbps", Rule(frozenset(range(5)), 480, 1080, BOTH, 2000)),
        ("Mon - Fri 8:00 - 18:00 2000KBPS", Rule(frozenset(range(5)), 480, 1080, BOTH, 2000)),
        ("mon-fri 12:00-13:00 off", Rule(frozenset(range(5)), 720, 780, BOTH, 0)),
        ("sat,sun unlimited", Rule(frozenset((5, 6)), 0, DAY, BOTH, None)),
        ("sat, sun up off", Rule(frozenset((5, 6)), 0, DAY, frozenset(("up",)), 0)),
        ("fri-mon,wed off", Rule(frozenset((4, 5, 6, 0, 2)), 0, DAY, BOTH, 0)),
        ("22:00-06:00 unlimited", Rule(EVERY, 1320, 360, BOTH, None)),
        ("18:00-24:00 down 300 kbps", Rule(EVERY, 1080, DAY, frozenset(("down",)), 300)),
    ],
)
def test_a_rule_means_what_it_says(text, rule):
    assert rule_of(text) == rule


@pytest.mark.parametrize(
    ("text", "position", "words"),
    [
        ("", 1, "is missing"),
        ("mon", 4, "is missing"),
        ("mon-fry 08:00-18:00 off", 1, '"fry" is not a day'),
        ("mon,tue,moo off", 9, '"moo" is not a day'),
        ("monday off", 1, '"monday" is not a day'),
        ("mon 8-18 off", 5, '"8-18" is not a limit'),
        ("mon 08:00 off", 5, "are not hours"),
        ("mon 08:00-25:00 off", 5, '"25:00" is no time'),
        ("mon 08:60-09:00 off", 5, '"08:60" is no time'),
        ("24:00-06:00 off", 1, "begin at 00:00"),
        ("08:00-08:00 off", 1, "ends when it begins"),
        ("08:00-18:00 fast", 13, '"fast" is not a limit'),
        ("08:00-18:00 0 kbps", 13, 'say "unlimited" or "off"'),
        ("08:00-18:00 2000", 13, "needs a unit"),
        ("2000 kb", 1, "needs a unit"),
        ("200000 mbps", 1, "too large"),
        ("off mon", 5, '"mon" is too much'),
        ("up down off", 4, '"down" is not a limit'),
        ("08:00-18:00 2000 kbps up", 23, '"up" is too much'),
    ],
)
def test_a_rule_that_is_none_says_where_and_why(text, position, words):
    with pytest.raises(RuleError, match=r"\(at character \d+\)") as caught:
        rule_of(text)
    assert caught.value.position == position
    assert words in str(caught.value)


def test_hours_over_midnight_belong_to_the_day_on_which_they_begin():
    rule = rule_of("fri 22:00-06:00 off")
    assert rule.covers(4, 1320)
    assert rule.covers(5, 359)
    assert not rule.covers(5, 360)
    assert not rule.covers(5, 1320)
    assert not rule.covers(4, 359)


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("19:00-06:00", Rule(begin=19 * 60, end=6 * 60)),
        ("mon-fri 22:00 - 5:00", Rule(frozenset(range(5)), 22 * 60, 5 * 60)),
        ("sat,sun", Rule(frozenset({5, 6}))),
    ],
)
def test_hours_that_stand_alone_are_understood(text, rule):
    assert hours_of(text) == rule


@pytest.mark.parametrize(
    ("text", "why", "position"),
    [
        ("", "are missing", 1),
        ("at night", '"at" are no days or hours', 1),
        ("19:00-06:00 off", '"off" is too much', 13),
        ("mon 19:00", "are not hours", 5),
    ],
)
def test_what_are_no_hours_is_shown_where(text, why, position):
    with pytest.raises(RuleError, match=why) as caught:
        hours_of(text)
    assert caught.value.position == position


@pytest.mark.parametrize(
    ("day", "minute", "direction", "kbps"),
    [
        (0, 9 * 60, "up", 2000),
        (0, 12 * 60 + 30, "up", 0),
        (0, 19 * 60, "up", 500),
        (5, 9 * 60, "up", None),
        (5, 9 * 60, "down", 500),
    ],
)
def test_the_last_rule_that_covers_a_minute_wins(day, minute, direction, kbps):
    rules = [
        rule_of("mon-fri 08:00-18:00 2000 kbps"),
        rule_of("mon-fri 12:00-13:00 off"),
        rule_of("sat up unlimited"),
    ]
    assert limit_of(rules, day, minute, direction, 500) == kbps
