"""The budget of a metered line, under a clock that the test moves."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.sync.budget import Budget, Used

BERLIN = ZoneInfo("Europe/Berlin")
DAY = 86400
MB = 1_000_000


def at(text, zone=BERLIN):
    return datetime.fromisoformat(text).replace(tzinfo=zone).timestamp()


def budget(total=3000 * MB, first_day=1, **named):
    return Budget(total, first_day, zone=BERLIN, **named)


@pytest.mark.parametrize(
    ("first_day", "now", "begin", "end"),
    [
        (1, "2026-06-10T12:00", "2026-06-01T00:00", "2026-07-01T00:00"),
        (1, "2026-12-31T23:59", "2026-12-01T00:00", "2027-01-01T00:00"),
        (15, "2026-03-14T23:59", "2026-02-15T00:00", "2026-03-15T00:00"),
        (15, "2026-03-15T00:00", "2026-03-15T00:00", "2026-04-15T00:00"),
        (31, "2026-02-28T00:00", "2026-02-28T00:00", "2026-03-31T00:00"),
        (31, "2026-02-27T23:59", "2026-01-31T00:00", "2026-02-28T00:00"),
        (30, "2028-02-29T08:00", "2028-02-29T00:00", "2028-03-30T00:00"),
        (31, "2026-01-05T08:00", "2025-12-31T00:00", "2026-01-31T00:00"),
    ],
)
def test_a_month_begins_on_its_day_at_midnight_of_the_wall(first_day, now, begin, end):
    assert budget(first_day=first_day).month(at(now)) == (at(begin), at(end))


@given(st.integers(1, 31), st.floats(at("2026-01-01T00:00"), at("2032-01-01T00:00")))
def test_months_follow_each_other_without_a_gap(first_day, now):
    one = budget(first_day=first_day)
    begin, end = one.month(now)
    assert begin <= now < end
    assert 27.9 * DAY < end - begin < 31.1 * DAY
    assert one.month(end)[0] == budget(first_day=first_day).month(end)[0] == end


def test_it_is_spread_over_the_month_with_a_day_in_advance():
    one = budget()
    begin = at("2026-06-01T00:00")
    assert one.allowed(begin) == pytest.approx(100 * MB)
    assert one.allowed(begin + 9 * DAY) == pytest.approx(1000 * MB)
    assert one.allowed(at("2026-06-30T23:00")) == 3000 * MB


def test_it_is_not_gone_on_the_third_day_however_much_there_is_to_send():
    one = budget()
    now = at("2026-06-01T00:00")
    while now < at("2026-06-04T00:00"):
        if one.is_open(now):
            one.add(now, "up", 5 * MB)
        now += 60
    assert one.used.up == pytest.approx(400 * MB, abs=5 * MB)


def test_when_a_share_is_used_it_opens_as_soon_as_time_allows_it():
    one = budget()
    now = at("2026-06-01T00:00")
    one.add(now, "down", 150 * MB)
    assert not one.is_open(now)
    opens = one.opens(now)
    assert opens == pytest.approx(now + DAY / 2, abs=1)
    assert not one.is_open(opens - 1)
    assert one.is_open(opens + 1)


def test_when_all_is_used_it_opens_with_the_next_month():
    one = budget()
    now = at("2026-06-20T00:00")
    one.add(now, "up", 3001 * MB)
    assert one.left(now) == 0
    assert one.opens(now) == at("2026-07-01T00:00")
    assert not one.is_open(at("2026-06-30T23:59"))
    assert one.is_open(at("2026-07-01T00:00"))
    assert one.left(at("2026-07-01T00:00")) == 3000 * MB


def test_what_will_be_allowed_is_told_over_months():
    one = budget()
    now = at("2026-06-01T00:00")
    assert one.opens(now, 100 * MB) == now
    assert one.opens(now, 1100 * MB) == pytest.approx(now + 10 * DAY, abs=1)
    assert one.opens(now, 6000 * MB) == pytest.approx(now + 59 * DAY, abs=1.1 * DAY)


def test_without_a_budget_everything_is_allowed_and_counted_all_the_same():
    one = budget(0)
    now = at("2026-06-20T00:00")
    one.add(now, "up", 10**15)
    one.add(now, "down", 5)
    assert one.is_open(now)
    assert one.opens(now, 10**18) == now
    assert (one.used.up, one.used.down, one.used.bytes) == (10**15, 5, 10**15 + 5)


def test_the_count_survives_being_written_and_read():
    one = budget()
    now = at("2026-06-20T00:00")
    one.add(at("2026-05-20T00:00"), "up", 7)
    one.add(now, "up", 500 * MB)
    again = budget(used=msgspec.json.decode(msgspec.json.encode(one.used), type=Used))
    assert again.left(now) == one.left(now) == 2500 * MB
    assert again.used == one.used


def test_a_clock_that_begins_in_1970_neither_gives_nor_takes():
    one = budget()
    now = at("2026-06-20T00:00")
    one.add(now, "up", 500 * MB)
    one.add(1000.0, "up", 1 * MB)
    assert one.used.up == 501 * MB
    assert one.left(now) == 2499 * MB


def test_a_clock_that_ran_ahead_for_a_while_finds_the_count_again():
    one = budget()
    now = at("2026-06-20T00:00")
    one.add(now, "up", 500 * MB)
    one.add(at("2031-06-20T00:00"), "up", 1 * MB)
    assert one.left(now) == 2499 * MB
    one.add(now + DAY, "up", 1 * MB)
    assert one.left(now) == 2498 * MB


@pytest.mark.parametrize("there_and_back", [("Europe/Berlin", "UTC"), ("UTC", "Pacific/Apia")])
def test_another_time_zone_does_not_give_the_budget_anew(there_and_back):
    now, used = at("2026-06-20T00:00"), Used()
    for name in (*there_and_back, *there_and_back):
        one = Budget(3000 * MB, zone=ZoneInfo(name), used=used)
        one.add(now, "up", 10 * MB)
        used = one.used
    assert used.up == 40 * MB
