"""Name and password with each request."""

from __future__ import annotations

import asyncio

import pytest

from edge.access.roles import Identity, Proof, Role
from edge.config import Access
from edge.errors import TooManyAttempts
from tests.access.people import GOOD, OTHER, World

AT = "10.0.0.7"


async def test_name_and_password_say_who_it_is(world):
    await world.user("bert", Role.TECHNOLOGIST)
    identity = await world.basic.identity("Bert", GOOD, AT)
    assert identity == Identity("bert", Role.TECHNOLOGIST, proof=Proof.PASSWORD)


@pytest.mark.parametrize(
    ("name", "password"),
    [("bert", ""), ("bert", OTHER), ("anna", GOOD), ("", GOOD), ("be\nrt", GOOD), ("bert", "\0")],
)
async def test_nothing_else_does(world, name, password):
    await world.user("bert")
    assert await world.basic.identity(name, password, AT) is None


async def test_a_viewer_asking_hundreds_of_times_costs_one_hash(world):
    await world.user("bert")
    before = world.passwords.count
    for _ in range(300):
        assert await world.basic.identity("bert", GOOD, AT)
    assert world.passwords.count == before + 1
    world.clock.now += 299
    assert await world.basic.identity("bert", GOOD, AT)
    assert world.passwords.count == before + 1
    world.clock.now += 2
    assert await world.basic.identity("bert", GOOD, AT)
    assert world.passwords.count == before + 2


async def test_a_viewer_asking_for_many_things_at_once_costs_one_hash(world):
    await world.user("bert")
    before = world.passwords.count
    found = await asyncio.gather(*(world.basic.identity("bert", GOOD, AT) for _ in range(100)))
    assert all(found)
    assert world.passwords.count == before + 1
    assert not world.basic._turns


async def test_the_first_of_many_that_hangs_up_takes_nobody_with_it(world):
    await world.user("bert")
    crowd = [asyncio.ensure_future(world.basic.identity("bert", GOOD, AT)) for _ in range(5)]
    await asyncio.sleep(0)
    crowd[0].cancel()
    assert all(await asyncio.gather(*crowd[1:]))


async def test_who_is_disabled_or_reset_is_out_within_seconds(world):
    for change in (
        lambda: world.users.change("bert", disabled=True),
        lambda: world.users.reset("bert"),
        lambda: world.users.remove("bert"),
        lambda: world.users.set_password("bert", OTHER),
    ):
        await world.user("bert")
        assert await world.basic.identity("bert", GOOD, AT)
        await change()
        world.clock.now += 2
        assert await world.basic.identity("bert", GOOD, AT) is None
        if await world.users.find("bert"):
            await world.users.remove("bert")


async def test_another_role_holds_within_seconds(world):
    await world.user("bert")
    await world.basic.identity("bert", GOOD, AT)
    await world.users.change("bert", role=Role.PHYSICIAN)
    world.clock.now += 2
    assert (await world.basic.identity("bert", GOOD, AT)).role is Role.PHYSICIAN


async def test_who_needs_a_second_factor_must_log_in(world, database):
    await world.user("anna", Role.ADMIN)
    assert await world.basic.identity("anna", GOOD, AT) is None
    lax = World(database, Access(admins_need_second_factor=False))
    assert (await lax.basic.identity("anna", GOOD, AT)).role is Role.ADMIN


async def test_who_has_a_second_factor_must_log_in(world):
    await world.user("bert")
    await world.basic.identity("bert", GOOD, AT)
    await world.database.write(lambda db: db.execute("UPDATE users SET totp = x'00'"))
    world.clock.now += 2
    assert await world.basic.identity("bert", GOOD, AT) is None


async def test_a_right_password_that_is_not_enough_is_as_a_wrong_one(world):
    """Whoever guesses learns nothing from how often they may."""
    await world.user("anna", Role.ADMIN)
    await world.user("bert")

    async def tries(name, password):
        for number in range(1, 100):
            try:
                assert await world.basic.identity(name, password(number), AT) is None
            except TooManyAttempts:
                return number
        return None

    assert await tries("anna", lambda number: GOOD if number == 3 else f"wrong {number}") == 7


async def test_a_viewer_that_nobody_told_of_the_new_password_locks_nobody_out(world):
    await world.user("bert")
    assert await world.basic.identity("bert", GOOD, AT)
    await world.users.set_password("bert", OTHER)
    for _ in range(1000):
        world.clock.now += 3
        assert await world.basic.identity("bert", GOOD, AT) is None
    assert await world.basic.identity("bert", OTHER, AT)


async def test_a_wrong_password_sent_over_and_over_costs_one_hash(world):
    await world.user("bert")
    before = world.passwords.count
    for _ in range(100):
        assert await world.basic.identity("bert", OTHER, AT) is None
    assert world.passwords.count == before + 1


async def test_strangers_fill_no_memory(world):
    await world.user("bert")
    for number in range(1100):
        world.clock.now += 4000
        await world.basic.identity(f"n{number}", OTHER, f"10.0.{number // 250}.{number % 250}")
    assert len(world.proving._wrong) <= 1024
    assert not world.basic._right


async def test_passwords_are_not_remembered_as_they_are(world):
    await world.user("bert")
    await world.basic.identity("bert", GOOD, AT)
    await world.basic.identity("bert", OTHER, AT)
    memory = repr((world.basic._right, world.proving._wrong, world.basic._turns))
    assert GOOD not in memory
    assert OTHER not in memory
