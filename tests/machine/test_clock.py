"""When the machine may be told the time."""

from __future__ import annotations

import os

import pytest

from edge.errors import MachineRefused
from edge.machine.clock import built_at, needs_time, set_clock

BUILT = 1_800_000_000.0
DAY = 86400.0


@pytest.fixture(autouse=True)
def built(places):
    places.epoch.parent.mkdir(parents=True)
    places.epoch.touch()
    os.utime(places.epoch, (BUILT, BUILT))


def told(places, utc, *, now=BUILT, measured=100.0, elapsed=101.0):
    """What became of the clock: by how much it was off, and what it was set to."""
    changed = []
    off = set_clock(
        places,
        utc,
        measured,
        clock=lambda: now,
        elapsed=lambda: elapsed,
        change=changed.append,
    )
    return off, changed


def test_a_machine_without_a_chip_and_without_a_server_is_told(places):
    assert needs_time(places, BUILT)
    # A second went by since it was heard.
    assert told(places, BUILT + 30 * DAY) == (30 * DAY + 1.0, [BUILT + 30 * DAY + 1.0])


def test_a_time_server_is_believed_and_nobody_else(places):
    places.synchronized.parent.mkdir(parents=True)
    places.synchronized.touch()
    assert not needs_time(places, 0.0)
    with pytest.raises(MachineRefused, match="by itself"):
        told(places, BUILT + DAY)


def test_a_clock_chip_is_believed_unless_it_is_before_the_build(places):
    (places.clock_chips / "rtc0").mkdir(parents=True)
    assert not needs_time(places, BUILT + 1.0)
    assert needs_time(places, BUILT - 1.0)
    assert told(places, BUILT + DAY, now=0.0)[1] == [BUILT + DAY + 1.0]


@pytest.mark.parametrize("utc", [0.0, BUILT - 2 * DAY, BUILT + 21 * 365 * DAY, float("nan")])
def test_a_time_that_can_not_be_right_is_not_set(places, utc):
    with pytest.raises(MachineRefused, match="can't be right"):
        told(places, utc)


@pytest.mark.parametrize("elapsed", [99.0, 161.0])
def test_what_was_heard_too_long_ago_is_not_set(places, elapsed):
    with pytest.raises(MachineRefused, match="can't be right"):
        told(places, BUILT + DAY, elapsed=elapsed)


def test_a_second_more_or_less_is_left(places):
    assert told(places, BUILT, now=BUILT + 0.5) == (0.5, [])


def test_the_build_is_that_of_the_image_or_of_our_files(places):
    assert built_at(places) == BUILT
    places.epoch.unlink()
    assert 1.7e9 < built_at(places) < 4e9
