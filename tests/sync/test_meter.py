"""The measured speed of the line, and when all will be there."""

from __future__ import annotations

import pytest

from edge.sync.calendar import Stretch
from edge.sync.meter import Meter, arrivals


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def meter(clock):
    return Meter(clock=clock)


def transfer(meter, clock, seconds, speed, direction="up"):
    with meter.busy(direction):
        for _ in range(10):
            clock.now += seconds / 10
            meter.moved(direction, round(seconds / 10 * speed))


def test_it_measures_what_goes_over_the_line(meter, clock):
    assert meter.speed("up") is None
    transfer(meter, clock, 5, 1000)
    assert meter.speed("up") == pytest.approx(1000, rel=0.05)
    assert meter.speed("down") is None


def test_a_pause_says_nothing_about_the_line(meter, clock):
    transfer(meter, clock, 5, 1000)
    before = meter.speed("up")
    clock.now += 100_000
    assert meter.speed("up") == before
    transfer(meter, clock, 5, 1000)
    assert meter.speed("up") == pytest.approx(1000, rel=0.05)


def test_time_in_which_the_archive_takes_it_in_counts(meter, clock):
    with meter.busy("up"):
        meter.moved("up", 1000)
        clock.now += 2.0
    assert meter.speed("up") == pytest.approx(500, rel=0.05)


def test_transfers_at_the_same_time_add_up_and_their_time_does_not(meter, clock):
    with meter.busy("down"), meter.busy("down"):
        for _ in range(10):
            meter.moved("down", 100)
            meter.moved("down", 100)
            clock.now += 0.1
    assert meter.speed("down") == pytest.approx(2000, rel=0.05)


def test_what_is_long_ago_counts_less_and_less(meter, clock):
    transfer(meter, clock, 600, 1000)
    transfer(meter, clock, 60, 5000)
    assert meter.speed("up") == pytest.approx(3000, rel=0.1)
    transfer(meter, clock, 600, 5000)
    assert meter.speed("up") == pytest.approx(5000, rel=0.05)


def test_bytes_outside_of_a_transfer_count_and_measure_nothing(clock):
    counted = []
    meter = Meter(lambda *what: counted.append(what), clock=clock)
    meter.moved("down", 10)
    clock.now += 5
    assert meter.speed("down") is None
    transfer(meter, clock, 1, 100, "down")
    assert counted == [("down", 10), *[("down", 10)] * 10]


def test_each_arrives_after_those_ahead_of_it():
    week = [Stretch(1000.0, 10**6, None)]
    assert arrivals([100, 200, 0], 10.0, week) == [1010.0, 1030.0, 1030.0]


def test_a_limit_and_hours_in_which_nothing_goes_make_it_later():
    stretches = [
        Stretch(0.0, 100.0, 0),
        Stretch(100.0, 200.0, 8),  # 1000 bytes a second
        Stretch(200.0, 300.0, 0),
        Stretch(300.0, 10**6, None),
    ]
    found = arrivals([50_000, 100_000, 500_000], 5000.0, stretches)
    assert found == [150.0, 310.0, 410.0]


def test_what_can_not_be_said_is_not_said():
    assert arrivals([1, 2], None, [Stretch(0.0, 100.0, None)]) == [None, None]
    assert arrivals([10, 10**9], 1.0, [Stretch(0.0, 100.0, None)]) == [10.0, None]
    assert arrivals([10], 1.0, [Stretch(0.0, 100.0, 0)]) == [None]
    assert arrivals([], 1.0, [Stretch(0.0, 100.0, None)]) == []
