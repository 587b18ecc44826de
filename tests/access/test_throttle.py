"""Guessing is slowed down, and nobody is shut out for ever."""

from __future__ import annotations

import pytest

from edge.access.throttle import Limit, Throttle, network_of
from edge.errors import TooManyAttempts
from tests.access.people import Clock

KNOWN = ("10.0.0.1",)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def throttle(clock):
    return Throttle(clock=clock)


def waits(throttle, name="anna", address="10.0.0.9", known_from=()):
    """Seconds to wait; 0 and a failure if none."""
    try:
        throttle.log_in(name, address, known_from)
    except TooManyAttempts as error:
        return error.retry_after
    return 0


def test_brute_force_each_failure_doubles_the_wait_up_to_a_cap(throttle, clock):
    assert [waits(throttle) for _ in range(6)] == [0] * 6
    expected = 1.0
    for _ in range(12):
        assert waits(throttle) == pytest.approx(expected)
        clock.now += expected
        assert waits(throttle) == 0
        expected = min(300.0, expected * 2)


def test_brute_force_a_day_brings_few_guesses(throttle, clock):
    end, guesses = clock.now + 86400, 0
    while clock.now < end:
        wait = waits(throttle)
        guesses += wait == 0
        clock.now += wait
    assert guesses < 320


def test_who_has_to_wait_does_not_wait_longer_for_asking(throttle, clock):
    for _ in range(6):
        waits(throttle)
    for _ in range(100):
        assert waits(throttle) <= 1.0


def test_an_hour_of_quiet_makes_up_for_it(throttle, clock):
    for _ in range(6):
        waits(throttle)
    clock.now += 3600
    assert [waits(throttle) for _ in range(6)] == [0] * 6


def test_success_forgets_what_failed_at_the_name(throttle):
    for _ in range(5):
        waits(throttle)
    throttle.log_in("anna", "10.0.0.9", ()).succeeded()
    assert [waits(throttle) for _ in range(6)] == [0] * 6


def test_own_success_does_not_free_who_guesses_at_others(throttle):
    for number in range(21):
        waits(throttle, name=f"n{number}")
        if number < 20:
            throttle.log_in("mallory", "10.0.0.9", ()).succeeded()
    with pytest.raises(TooManyAttempts):
        throttle.log_in("mallory", "10.0.0.9", ())


def test_what_was_no_failure_is_taken_back(throttle):
    for _ in range(100):
        throttle.log_in("anna", "10.0.0.9", ()).take_back()
    assert waits(throttle) == 0


def test_attempts_at_the_same_time_count_as_one_after_the_other(throttle):
    begun = [waits(throttle) == 0 for _ in range(100)]
    assert begun.count(True) == 6


def test_many_names_from_one_address_are_slowed_down(throttle):
    tried = [waits(throttle, name=f"n{number}") for number in range(22)]
    assert tried[:21] == [0] * 21
    assert tried[21] > 0


def test_many_addresses_at_one_name_are_slowed_down(throttle):
    tried = [waits(throttle, address=f"10.0.0.{number}") for number in range(7)]
    assert tried[:6] == [0] * 6
    assert tried[6] > 0


def test_a_stranger_does_not_shut_out_who_comes_from_where_they_were(throttle):
    while not waits(throttle, name="anna", address="10.0.0.66"):
        pass
    while not waits(throttle, name=str(object()), address="10.0.0.1"):
        pass
    assert waits(throttle, name="anna", address="10.0.0.1", known_from=KNOWN) == 0
    assert waits(throttle, name="anna", address="10.0.0.2", known_from=KNOWN) > 0


def test_who_guesses_from_a_known_place_is_slowed_down_too(throttle):
    tried = [waits(throttle, address="10.0.0.1", known_from=KNOWN) for _ in range(7)]
    assert tried[:6] == [0] * 6
    assert tried[6] > 0


def test_a_name_that_somebody_has_is_slowed_down_as_soon_as_one_that_nobody_has(throttle):
    known = [waits(throttle, "anna", "10.0.0.1", known_from=KNOWN) > 0 for _ in range(9)]
    nobody = [waits(throttle, "nobody", "10.0.0.2") > 0 for _ in range(9)]
    assert known == nobody


def test_who_guesses_at_those_who_log_in_there_guesses_at_others_no_more_often(throttle):
    for number in range(21):
        assert waits(throttle, f"n{number}", "10.0.0.1", known_from=KNOWN) == 0
    assert waits(throttle, "nobody", "10.0.0.1") > 0
    assert waits(throttle, "anna", "10.0.0.1", known_from=KNOWN) == 0


def test_a_network_of_ipv6_is_one_caller(throttle):
    tried = [
        waits(throttle, name=f"n{number}", address=f"2001:db8:0:1::{number:x}")
        for number in range(22)
    ]
    assert tried[21] > 0
    assert waits(throttle, name="n99", address="2001:db8:0:2::1") == 0


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("10.0.0.1", "10.0.0.1"),
        ("::ffff:10.0.0.1", "10.0.0.1"),
        ("2001:db8::1", "2001:db8::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
        ("nonsense", ""),
    ],
)
def test_what_counts_as_one_caller(address, network):
    assert network_of(address) == network


def test_strangers_fill_no_memory(clock):
    throttle = Throttle(clock=clock, most=100)
    for number in range(1000):
        waits(throttle, name=f"n{number}", address=f"10.{number // 250}.0.{number % 250}")
    assert max(len(counts) for counts in throttle._counts.values()) <= 101


def test_a_crowd_frees_nobody_who_guessed_before(clock):
    throttle = Throttle(clock=clock, most=100)
    while not waits(throttle, name="anna", address="10.0.0.66"):
        pass
    for number in range(300):
        waits(throttle, name=f"n{number}", address=f"10.1.{number // 250}.{number % 250}")
    assert waits(throttle, name="anna", address="10.9.9.9") > 0
    clock.now += 3600
    assert waits(throttle, name="somebody", address="10.8.8.8") == 0


def test_wrong_tokens_are_told_to_wait_and_log_nobody_out(throttle):
    for _ in range(21):
        throttle.wrong_token("10.0.0.9")
    with pytest.raises(TooManyAttempts):
        throttle.wrong_token("10.0.0.9")
    assert waits(throttle) == 0


def test_limits_can_be_others(clock):
    limits = {kind: Limit(free=1) for kind in ("name", "address", "known", "token")}
    throttle = Throttle(limits, clock=clock)
    assert [waits(throttle) > 0 for _ in range(3)] == [False, False, True]


def test_log_injection_names_and_addresses_stand_alone_in_the_line(throttle, caplog):
    for _ in range(7):
        waits(throttle)
    assert "5 attempts at the name anna failed" in caplog.text
