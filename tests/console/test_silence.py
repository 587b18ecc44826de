"""A box that does not answer at once is not called broken."""

from __future__ import annotations

from edge.cache.condition import Level
from edge.console.silence import BUSY, Silence


class Clock:
    now = 1000.0

    def __call__(self):
        return self.now


def test_for_half_a_minute_nothing_is_said_then_that_it_is_busy_and_after_minutes_what_helps():
    clock = Clock()
    silence = Silence("The service", clock)
    told = {}
    for second in range(0, 241, 5):
        clock.now = 1000.0 + second
        told[second] = silence.grown()
    assert all(told[second] is None for second in range(0, 30, 5))
    assert all(told[second] == (BUSY, Level.BUSY) for second in range(30, 180, 5))
    assert told[180] == (
        "The service has not answered for 3 minutes. If it lasts: r restarts the box.",
        Level.ALARM,
    )


def test_one_look_that_takes_long_is_not_several():
    clock = Clock()
    silence = Silence("The box", clock)
    assert silence.grown() is None
    clock.now += 600
    assert silence.grown() is None
    assert silence.grown() is not None


def test_an_answer_ends_it():
    clock = Clock()
    silence = Silence("The box", clock)
    for _ in range(3):
        silence.grown()
    clock.now += 600
    assert silence.grown() is not None
    silence.end()
    assert silence.grown() is None


def test_of_a_service_that_answers_something_a_restart_is_advised_only_after_many_minutes():
    clock = Clock()
    silence = Silence("The service", clock)
    for _ in range(3):
        silence.grown(is_alive=True)
    clock.now += 600
    assert silence.grown(is_alive=True) == (BUSY, Level.BUSY)
    assert silence.grown()[1] is Level.ALARM
    clock.now += 301
    assert silence.grown(is_alive=True)[1] is Level.ALARM
