"""The calendar against a naive reading of the same rules, minute by minute."""

from __future__ import annotations

import itertools
import os
import time
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.sync.calendar import Calendar, Stretch
from edge.week import rule_of

DAYS = "mon tue wed thu fri sat sun".split()
MINUTES = 14 * 24 * 60
# Two weeks around a change of the clock, or around none: far, at midnight, by half an hour.
FORTNIGHTS = [
    ("Europe/Berlin", datetime(2026, 3, 22, tzinfo=UTC)),
    ("Europe/Berlin", datetime(2026, 10, 18, tzinfo=UTC)),
    ("America/St_Johns", datetime(2006, 10, 22, tzinfo=UTC)),
    ("America/New_York", datetime(2026, 3, 1, tzinfo=UTC)),
    ("Australia/Lord_Howe", datetime(2026, 3, 29, tzinfo=UTC)),
    ("Australia/Lord_Howe", datetime(2026, 9, 27, tzinfo=UTC)),
    ("Africa/Cairo", datetime(2026, 4, 17, tzinfo=UTC)),
    ("Africa/Cairo", datetime(2026, 10, 23, tzinfo=UTC)),
    ("Asia/Kathmandu", datetime(2026, 6, 1, tzinfo=UTC)),
    ("Pacific/Apia", datetime(2011, 12, 24, tzinfo=UTC)),
]


@st.composite
def written(draw):
    """A rule as text, and the parts that it was written from."""
    days = draw(st.none() | st.lists(st.integers(0, 6), min_size=1, max_size=3, unique=True))
    begin, end = draw(st.tuples(*(st.integers(0, 1439),) * 2).filter(lambda it: it[0] != it[1]))
    hours = draw(st.booleans())
    direction = draw(st.sampled_from(["", "up", "down"]))
    kbps = draw(st.sampled_from([None, 0, 100, 2000]))
    words = [] if days is None else [",".join(DAYS[day] for day in days)]
    if hours:
        words.append(f"{begin // 60:02}:{begin % 60:02}-{end // 60:02}:{end % 60:02}")
    if direction:
        words.append(direction)
    words.append({None: "unlimited", 0: "off"}.get(kbps, f"{kbps} kbps"))
    parts = (days, (begin, end) if hours else None, direction, kbps)
    return " ".join(words), parts


def naive(parts, usual, local, direction):
    """The limit, by walking through the rules in words."""
    found = usual
    for days, hours, only, kbps in parts:
        if only not in ("", direction):
            continue
        minute = local.hour * 60 + local.minute
        day = local.weekday()
        if hours is None:
            holds = days is None or day in days
        elif hours[0] < hours[1]:
            holds = (days is None or day in days) and hours[0] <= minute < hours[1]
        elif minute >= hours[0]:
            holds = days is None or day in days
        else:
            yesterday = (day + 6) % 7
            holds = minute < hours[1] and (days is None or yesterday in days)
        if holds:
            found = kbps
    return found


@pytest.mark.parametrize(("name", "begin"), FORTNIGHTS)
@settings(max_examples=6, deadline=None)
@given(rules=st.lists(written(), max_size=4))
def test_every_minute_of_two_weeks_is_as_a_naive_reading_has_it(name, begin, rules):
    zone = ZoneInfo(name)
    calendar = Calendar(
        [rule_of(text) for text, _ in rules], max_upload_kbps=777, max_download_kbps=0, zone=zone
    )
    parts = [part for _, part in rules]
    expected = []
    for minute in range(MINUTES):
        now = begin + timedelta(minutes=minute)
        local = now.astimezone(zone)
        both = (naive(parts, 777, local, "up"), naive(parts, None, local, "down"))
        expected.append((now.timestamp(), both))
    for now, both in expected:
        assert (calendar.limit(now, "up"), calendar.limit(now, "down")) == both
    assert changes_of(calendar, expected) == [
        now for (_, before), (now, after) in itertools.pairwise(expected) if before != after
    ]


def changes_of(calendar, expected):
    """Following ``next_change`` from the first of these minutes to the last."""
    (now, _), (end, _) = expected[0], expected[-1]
    found = []
    while (now := calendar.next_change(now) or end + 1) <= end:
        found.append(now)
    return found


def test_a_day_that_a_zone_left_out_ends_nothing_for_good():
    calendar = Calendar([rule_of("fri off")], zone=ZoneInfo("Pacific/Apia"))
    saturday = datetime(2011, 12, 24, 12, tzinfo=UTC).timestamp()
    expected = datetime(2012, 1, 6, tzinfo=ZoneInfo("Pacific/Apia")).timestamp()
    assert calendar.next_change(saturday) == expected


def at(text, zone="Europe/Berlin", *, fold=0):
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone), fold=fold).timestamp()


def berlin(*rules, **usual):
    return Calendar([rule_of(text) for text in rules], zone=ZoneInfo("Europe/Berlin"), **usual)


def test_outside_of_the_rules_the_usual_limits_hold():
    calendar = berlin("sat unlimited", max_upload_kbps=500, max_download_kbps=700)
    assert calendar.limit(at("2026-06-05T12:00"), "up") == 500
    assert calendar.limit(at("2026-06-05T12:00"), "down") == 700
    assert calendar.limit(at("2026-06-06T12:00"), "up") is None


def test_of_several_rules_the_last_one_wins():
    calendar = berlin("off", "mon-fri 08:00-18:00 2000 kbps", "mon-fri 12:00-13:00 off")
    monday = "2026-06-01T"
    limits = [calendar.limit(at(f"{monday}{it}"), "up") for it in ("07:59", "08:00", "12:30")]
    assert limits == [0, 2000, 0]


def test_a_window_that_begins_in_the_skipped_hour_begins_when_the_clock_is_put_forward():
    calendar = berlin("02:30-04:00 off")
    jump = at("2026-03-29T03:00")
    assert calendar.limit(jump - 1, "up") is None
    assert calendar.limit(jump, "up") == 0
    assert calendar.next_change(jump - 3600) == jump


def test_a_window_within_the_skipped_hour_does_not_happen_that_night():
    calendar = berlin("02:15-02:45 off")
    assert calendar.next_change(at("2026-03-29T00:00")) == at("2026-03-30T02:15")


def test_a_window_within_the_repeated_hour_happens_twice():
    calendar = berlin("02:15-02:45 off")
    now, found = at("2026-10-25T00:00"), []
    for _ in range(4):
        now = calendar.next_change(now)
        found.append(now)
    assert found == [
        at(f"2026-10-25T{wall}", fold=fold) for fold in (0, 1) for wall in ("02:15", "02:45")
    ]


def test_what_never_changes_says_so():
    assert berlin().next_change(at("2026-06-01T00:00")) is None
    assert berlin("off", max_upload_kbps=5).next_change(at("2026-06-01T00:00")) is None
    assert berlin("off").opens(at("2026-06-01T00:00"), "up") is None


def test_it_says_when_something_may_go_again():
    calendar = berlin("mon-fri 12:00-13:00 off", "mon-fri 13:00-14:00 up off")
    noon = at("2026-06-01T12:00")
    assert calendar.opens(noon, "down") == at("2026-06-01T13:00")
    assert calendar.opens(noon, "up") == at("2026-06-01T14:00")
    assert calendar.opens(noon - 60, "up") == noon - 60


def test_stretches_follow_each_other_without_a_gap():
    calendar = berlin("mon-fri 08:00-18:00 100 kbps", "12:00-13:00 down off")
    now = at("2026-06-01T07:00")
    stretches = list(calendar.stretches(now, "up"))
    assert stretches[0] == Stretch(now, at("2026-06-01T08:00"), None)
    assert stretches[1] == Stretch(at("2026-06-01T08:00"), at("2026-06-01T18:00"), 100)
    assert all(one.end == two.begin for one, two in itertools.pairwise(stretches))
    assert stretches[-1].end >= now + 59 * 86400


@pytest.fixture
def in_new_york():
    before = os.environ.get("TZ")
    os.environ["TZ"] = "America/New_York"
    time.tzset()
    yield
    if before is None:
        del os.environ["TZ"]
    else:
        os.environ["TZ"] = before
    time.tzset()


def test_without_a_zone_the_time_is_that_of_the_system(in_new_york):
    rules = [rule_of("02:30-04:00 off"), rule_of("sun 18:00-19:00 5 kbps")]
    ours, named = Calendar(rules), Calendar(rules, zone=ZoneInfo("America/New_York"))
    now = at("2026-03-07T00:00", "America/New_York")
    for _ in range(12):
        assert ours.next_change(now) == named.next_change(now)
        now = named.next_change(now)
        assert ours.limit(now, "up") == named.limit(now, "up")
