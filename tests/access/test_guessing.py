"""Guessing gets slower, and nobody gets around that by having many addresses."""

from __future__ import annotations

import pytest

from edge.access import guessing
from edge.access.guessing import Guesses


class Clock:
    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def guesses(clock):
    return Guesses(clock=clock)


def test_the_first_mistakes_cost_nothing_and_then_each_costs_twice_as_long(guesses, clock):
    waits = []
    for _ in range(8):
        waits.append(guesses.wait("192.0.2.1"))
        clock.now += waits[-1]
        guesses.wrong("192.0.2.1")
    assert waits == [0, 0, 0, 1, 2, 4, 8, 16]
    assert guesses.wait("192.0.2.2") == 0


def test_nobody_waits_longer_than_five_minutes_or_after_an_hour(guesses, clock):
    for _ in range(15):
        clock.now += 300
        guesses.wrong("192.0.2.1")
    assert guesses.wait("192.0.2.1") == 300
    clock.now += 3600
    assert guesses.wait("192.0.2.1") == 0


def test_who_is_right_is_forgiven(guesses):
    for _ in range(5):
        guesses.wrong("192.0.2.1")
    guesses.right("192.0.2.1")
    assert guesses.wait("192.0.2.1") == 0


def test_many_addresses_together_are_slowed_down_too(guesses, clock):
    tried = 0
    for _ in range(3600):
        address = f"192.0.{tried // 250}.{tried % 250}"
        if guesses.wait(address) == 0:
            guesses.wrong(address)
            tried += 1
        clock.now += 1
    assert 20 < tried <= 20 + 3600 / 10


def test_the_addresses_of_one_ipv6_network_are_one(guesses):
    for n in range(4):
        guesses.wrong(f"2001:db8::{n}")
    assert guesses.wait("2001:db8::ffff") > 0
    assert guesses.wait("2001:db8:0:1::1") == 0
    for _ in range(4):
        guesses.wrong("::ffff:192.0.2.1")
    assert guesses.wait("192.0.2.1") > 0
    assert guesses.wait("fe80::1%eth0") == guesses.wait("not an address") == 0


def test_it_holds_no_more_addresses_than_it_may(guesses, clock, monkeypatch):
    monkeypatch.setattr(guessing, "_ADDRESSES", 10)
    for n in range(100):
        guesses.wrong(f"192.0.2.{n}")
    assert len(guesses._wrong) == 10
