"""Challenges: of one use, one purpose and a short life, and nothing is kept of them."""

from __future__ import annotations

import pytest

from edge.access.challenges import Challenges
from tests.access.people import Clock


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def challenges(clock):
    return Challenges(clock=clock)


def test_a_challenge_is_met_once(challenges):
    one = challenges.new("log in")
    assert challenges.holds(one, "log in")
    assert challenges.meet(one, "log in")
    assert not challenges.holds(one, "log in")
    assert not challenges.meet(one, "log in")


def test_no_two_are_alike(challenges):
    assert len({challenges.new("log in") for _ in range(100)}) == 100


def test_a_challenge_is_for_one_purpose(challenges):
    assert not challenges.meet(challenges.new("log in"), "make one")


def test_a_challenge_ends(challenges, clock):
    one = challenges.new("log in")
    clock.now += 300
    assert not challenges.meet(one, "log in")


@pytest.mark.parametrize("wrong", [b"", b"x", bytes(56), bytes(57), b"x" * 10_000])
def test_what_was_not_given_out_is_none(challenges, wrong):
    assert not challenges.holds(wrong, "log in")


def test_a_challenge_with_one_bit_changed_is_none(challenges):
    one = challenges.new("log in")
    for at in range(len(one)):
        changed = bytearray(one)
        changed[at] ^= 1
        assert not challenges.holds(bytes(changed), "log in")


def test_those_of_another_process_are_none(challenges, clock):
    assert not challenges.holds(Challenges(clock=clock).new("log in"), "log in")


def test_a_crowd_that_asks_takes_no_memory_and_those_met_are_forgotten(challenges, clock):
    for _ in range(1000):
        challenges.new("log in")
    assert not challenges._met
    for _ in range(100):
        challenges.meet(challenges.new("log in"), "log in")
        clock.now += 30
    assert len(challenges._met) <= 11
