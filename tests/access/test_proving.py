"""Passwords as they are offered: nothing tells apart what is wrong."""

from __future__ import annotations

import statistics
import time

import pytest

from edge.access.passwords import Cost, Passwords
from edge.access.proving import Proving
from edge.access.roles import Role
from edge.access.throttle import Limit, Throttle
from edge.errors import TooManyAttempts
from tests.access.people import CHEAP, GOOD, OTHER

AT = "10.0.0.7"


async def outcome(world, name, password, address=AT):
    try:
        row, _ = await world.proving.check("log-in", name, password, address)
    except TooManyAttempts:
        return "wait"
    return row is not None


async def test_a_right_password_is_that_of_an_active_user(world):
    await world.user("bert")
    row, _ = await world.proving.check("log-in", "BERT ", GOOD, AT)
    assert row.name == "bert"


async def test_names_that_are_nobodys_are_slowed_down_as_those_of_users(world):
    await world.user("bert")
    said = {}
    for name in ("bert", "nobody"):
        said[name] = [
            await outcome(world, name, f"wrong {number}", f"10.0.{len(name)}.{number}")
            for number in range(8)
        ]
    assert said["bert"] == said["nobody"] == [False] * 6 + ["wait"] * 2


async def test_a_hash_is_compared_whoever_is_asked_for(world):
    await world.user("bert")
    await world.users.add("carla", Role.VIEWER)
    await world.user("dora")
    await world.users.change("dora", disabled=True)
    before = world.passwords.count
    for number, name in enumerate(("bert", "nobody", "carla", "dora", "no\nname"), 1):
        assert not await outcome(world, name, OTHER)
        assert world.passwords.count == before + number


async def test_a_disabled_user_learns_nothing_from_a_right_password(world):
    await world.user("dora")
    await world.users.change("dora", disabled=True)
    assert not await outcome(world, "dora", GOOD)


async def test_a_hash_of_another_cost_is_replaced_at_a_log_in(world):
    world.passwords._cost = Cost(memory_kib=32, iterations=1)
    await world.user("bert")
    world.passwords._cost = CHEAP
    row, _ = await world.proving.check("log-in", "bert", GOOD, AT)
    await world.proving.renew_hash(row, GOOD)
    [(kept,)] = await world.database.read("SELECT password FROM users")
    assert kept.startswith(CHEAP.beginning)
    assert await outcome(world, "bert", GOOD)
    before = world.passwords.count
    row, _ = await world.proving.check("log-in", "bert", GOOD, AT)
    await world.proving.renew_hash(row, GOOD)
    assert world.passwords.count == before + 1


async def test_where_users_were_is_kept_of_the_last_few_places(world):
    await world.user("bert")
    for number in range(12):
        row, attempt = await world.proving.check("log-in", "bert", GOOD, f"10.0.0.{number}")
        attempt.succeeded()
        await world.proving.note(row, f"10.0.0.{number}")
    [(known,)] = await world.database.read("SELECT known_from FROM users")
    assert known.split() == [f"10.0.0.{number}" for number in range(11, 3, -1)]


async def test_a_stranger_does_not_lock_out_who_was_here_before(world):
    await world.user("bert")
    row, attempt = await world.proving.check("log-in", "bert", GOOD, AT)
    attempt.succeeded()
    await world.proving.note(row, AT)
    for number in range(10):
        last = await outcome(world, "bert", f"wrong {number}", f"10.9.9.{number}")
    assert last == "wait"
    assert await outcome(world, "bert", GOOD, "10.9.9.99") == "wait"
    assert await outcome(world, "bert", GOOD, AT) is True


@pytest.mark.alone
async def test_timing_a_name_that_is_nobodys_takes_as_long_as_a_users(world):
    """Medians of many, in turns; the hash is a real one's, cut down to some milliseconds."""
    passwords = Passwords(Cost(memory_kib=4096, iterations=2))
    world.passwords = world.users._passwords = passwords
    await world.user("bert")
    limits = {kind: Limit(free=10**6) for kind in ("name", "address", "known", "token")}
    proving = Proving(world.database, passwords, Throttle(limits))
    took = {"bert": [], "nobody": []}
    for number in range(150):
        for name, times in took.items():
            began = time.perf_counter()
            row, _ = await proving.check("log-in", name, f"wrong {number}", AT)
            times.append(time.perf_counter() - began)
            assert row is None
    known, unknown = map(statistics.median, took.values())
    assert abs(known - unknown) < 0.25 * max(known, unknown)
