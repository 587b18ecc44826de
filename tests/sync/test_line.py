"""What sync may use of the line: whether, how fast, how much; and what the status says of it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import time
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from edge import config
from edge.cache.status import LINE, WaitingStudy
from edge.errors import LineClosed
from edge.sync.line import Line, line_state
from tests.sync.conftest import until

ZONE = ZoneInfo("Europe/Berlin")
MB = 1_000_000


def at(text):
    return datetime.fromisoformat(text).replace(tzinfo=ZONE).timestamp()


class Clock:
    """A clock that the test moves."""

    def __init__(self, text="2026-06-01T12:30"):
        self.now = at(text)

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def line(clock, ledger=None, *, look=0.02, keep_every=0.02, **settings):
    return Line(
        config.Sync(**settings),
        ledger,
        clock=clock,
        zone=ZONE,
        look=look,
        keep_every=keep_every,
    )


async def stays(task, seconds=0.1):
    await asyncio.sleep(seconds)
    assert not task.done()


async def test_without_settings_nobody_waits_and_nothing_is_slowed_down(clock):
    free = line(clock)
    await free.wait_open("up")
    free.check("down")
    assert free.closed("up") is None
    (piece,) = [it async for it in free.incoming(of([bytes(10**7)]))]
    assert len(piece) == 10**7


async def of(pieces):
    for piece in pieces:
        yield piece


async def test_while_it_is_off_sync_waits_and_goes_on_by_itself(clock, caplog):
    caplog.set_level(logging.INFO)
    closed = line(clock, calendar=("12:00-13:00 off",))
    assert closed.closed("up").why == "the calendar lets nothing through until 13:00"
    assert closed.closed("up").until == at("2026-06-01T13:00")
    waiting = asyncio.create_task(closed.wait_open("up"))
    await stays(waiting)
    clock.now = at("2026-06-01T13:00")
    await asyncio.wait_for(waiting, 30)
    assert [record.getMessage() for record in caplog.records] == [
        "uploads wait: the calendar lets nothing through until 13:00",
        "uploads go on",
    ]


async def test_a_clock_that_is_set_while_it_waits_is_noticed(clock):
    closed = line(clock, calendar=("off", "2:00-3:00 unlimited"))
    waiting = asyncio.create_task(closed.wait_open("down"))
    await stays(waiting)
    clock.now = at("2026-06-09T02:10")
    await asyncio.wait_for(waiting, 30)


async def test_waiting_costs_nothing(clock):
    asked = []
    closed = line(lambda: asked.append(1) or clock.now, calendar=("off",), look=10.0)
    waiting = asyncio.create_task(closed.wait_open("up"))
    await stays(waiting, 0.3)
    waiting.cancel()
    assert len(asked) < 10


async def test_one_direction_alone_may_be_off(clock):
    half = line(clock, calendar=("down off",))
    await half.wait_open("up")
    half.check("up")
    with pytest.raises(LineClosed, match="the calendar lets nothing through"):
        half.check("down")
    with pytest.raises(LineClosed):
        [it async for it in half.incoming(of([b"x"]))]


async def test_what_is_read_back_keeps_to_the_limit():
    slow = line(time.time, max_download_kbps=800)
    begun = time.monotonic()
    total = sum([len(it) async for it in slow.incoming(of([bytes(100_000)]))])
    assert total == 100_000
    assert time.monotonic() - begun > 0.7


async def test_all_archives_share_one_throttle_and_one_budget(clock):
    shared = line(clock, monthly_budget_mb=3000)
    ways = [shared.way("one"), shared.way("two")]
    assert ways[0].up is ways[1].up is shared.up
    for way in ways:
        assert shared.closed("up") is None
        way.gauge.moved("up", 80 * MB)
    assert "2840 MB are left" in shared.closed("up").why


async def test_what_is_due_of_the_budget_is_used_and_then_sync_waits(clock):
    metered = line(clock, monthly_budget_mb=3000)
    gauge = metered.way("cloud").gauge
    gauge.moved("up", 100 * MB)
    await metered.wait_open("up")
    gauge.moved("down", 62 * MB)
    closed = metered.closed("down")
    assert closed.why == (
        "the part of the month's budget that is due is used up until 14:52, 2838 MB are left,"
        " it starts anew on 2026-07-01"
    )
    assert closed.until == pytest.approx(at("2026-06-01T14:52:48"), abs=1)
    gauge.moved("down", 2838 * MB)
    assert metered.closed("up").why == (
        "the month's budget is used up, it starts anew on 2026-07-01"
    )
    waiting = asyncio.create_task(metered.wait_open("up"))
    await stays(waiting)
    clock.now = at("2026-07-01T00:00")
    await asyncio.wait_for(waiting, 30)


async def test_a_budget_that_is_used_up_ends_no_transfer_that_has_begun(clock):
    metered = line(clock, monthly_budget_mb=3000)
    gauge = metered.way("cloud").gauge
    found = []
    async for piece in metered.incoming(of([b"one", b"two"])):
        found.append(piece)
        gauge.moved("down", 4000 * MB)
    assert found == [b"one", b"two"]
    with pytest.raises(LineClosed):
        metered.check("down")


async def run(keeping):
    """Have it keep its count in the background."""
    task = asyncio.create_task(keeping.run())
    await asyncio.wait_for(keeping.wait_open("up"), 30)
    return task


async def stop(task):
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


async def test_the_count_is_kept_at_intervals_and_found_again(clock, ledger):
    before = line(clock, ledger, monthly_budget_mb=3000)
    task = await run(before)
    before.way("cloud").gauge.moved("up", 40 * MB)
    await until(lambda: LINE in ledger.cursors)
    # Killed here: what was kept is known to the next.
    after = line(clock, ledger, monthly_budget_mb=3000)
    after.way("cloud").gauge.moved("down", 130 * MB)
    again = asyncio.create_task(after.run())
    waiting = asyncio.create_task(after.wait_open("up"))
    await stays(waiting)
    assert "2830 MB are left" in after.closed("up").why
    await stop(task)
    await stop(again)
    waiting.cancel()


async def test_what_was_counted_last_is_kept_at_the_end(clock, ledger):
    ending = line(clock, ledger, keep_every=1000.0)
    task = await run(ending)
    ending.way("cloud").gauge.moved("up", 7)
    await stop(task)
    assert state(ledger.cursors[LINE]).month_sent_bytes == 7


async def test_nothing_is_written_while_nothing_moves(clock, ledger):
    task = await run(line(clock, ledger))
    await asyncio.sleep(0.1)
    await stop(task)
    assert ledger.cursors == {}


async def test_a_count_that_can_not_be_understood_is_begun_anew(clock, ledger, caplog):
    ledger.cursors[LINE] = "nonsense"
    task = await run(line(clock, ledger))
    await stop(task)
    assert "counted anew" in caplog.text


# The status --------------------------------------------------------------------------------------


def state(kept, backlog=0, studies=(), *, now="2026-06-01T12:30", **settings):
    return line_state(
        config.Sync(**settings),
        kept,
        backlog,
        studies,
        archive="cloud",
        now=at(now),
        zone=ZONE,
    )


KEPT = json.dumps(
    {
        "used": {"since": at("2026-06-01T00:00"), "up": 100_000_000, "down": 20_000_000},
        "speeds": {"cloud": {"up": 100_000.0, "down": 5.0}},
    }
)


def test_before_anything_was_counted_nothing_is_said():
    empty = state(None)
    assert (empty.waits, empty.upload_speed, empty.backlog_eta) == ("", None, None)
    assert (empty.budget_bytes, empty.budget_left_bytes) == (0, None)


def test_speed_use_and_limits_are_told():
    told = state(KEPT, max_upload_kbps=500, monthly_budget_mb=3000)
    assert (told.upload_speed, told.download_speed) == (100_000.0, 5.0)
    assert (told.month_sent_bytes, told.month_received_bytes) == (100 * MB, 20 * MB)
    assert (told.upload_kbps, told.download_kbps) == (500, None)
    assert told.budget_left_bytes == 2880 * MB
    assert told.budget_renewed == at("2026-07-01T00:00")


def test_why_sync_waits_is_told():
    assert state(None, calendar=("off",)).waits == "the calendar lets nothing through"
    told = state(None, calendar=("mon 8:00-18:00 off",))
    assert told.waits == "the calendar lets nothing through until 18:00"
    assert told.waits_until == at("2026-06-01T18:00")
    told = state(None, calendar=("off", "sat 8:00-9:00 1 mbps"))
    assert told.waits == "the calendar lets nothing through until Saturday 08:00"
    told = state(None, calendar=("12:00-13:00 down off",))
    assert told.waits == (
        "verification and sweeps wait: the calendar lets nothing through until 13:00"
    )
    assert state(None, calendar=("11:00-12:30 off",)).waits == ""


def test_each_study_has_its_time_and_the_backlog_the_last():
    studies = [WaitingStudy("1.2", 3, 10 * MB), WaitingStudy("1.3", 1, 20 * MB)]
    told = state(KEPT, 60 * MB, studies)
    begun = at("2026-06-01T12:30")
    assert [one.eta for one in told.studies] == [begun + 100, begun + 300]
    assert [one.study_uid for one in told.studies] == ["1.2", "1.3"]
    assert told.backlog_eta == begun + 600


def test_times_respect_calendar_and_budget():
    studies = [WaitingStudy("1.2", 3, 10 * MB), WaitingStudy("1.3", 1, 60 * MB)]
    told = state(KEPT, 70 * MB, studies, calendar=("12:00-13:00 off",))
    one = at("2026-06-01T13:00")
    assert [it.eta for it in told.studies] == [one + 100, one + 700]
    told = state(KEPT, 70 * MB, studies, monthly_budget_mb=3000)
    # Of the 152 MB that are due, 120 are used; then it is 100 MB a day.
    assert told.studies[0].eta == at("2026-06-01T12:30") + 100
    assert told.studies[1].eta == pytest.approx(at("2026-06-01T21:36"), abs=120)
    assert told.backlog_eta == told.studies[1].eta


def test_without_a_measured_speed_no_time_is_told():
    told = state(None, 10, [WaitingStudy("1.2", 1, 10)])
    assert told.studies[0].eta is told.backlog_eta is None
