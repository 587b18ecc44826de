"""Rows of people, and what a damaged index or a backup has of them."""

from __future__ import annotations

import asyncio

import pytest

from edge.index import snapshot, users
from edge.index.database import Database
from edge.index.users import PasskeyRow
from tests.index.conftest import KEY

PASSKEY = PasskeyRow(b"id", "anna", "my key", "box.local", b"key", 5, 1.0, 0.0)


def add(db, name="anna", role="admin", state="active"):
    return users.add(
        db,
        name=name,
        display_name="Anna",
        role=role,
        state=state,
        created=5.0,
        handle=name.encode(),
    )


@pytest.fixture
async def anna(database):
    assert await database.write(add)
    return database


async def test_somebody_is_found_with_what_is_theirs(anna):
    await anna.write(lambda db: users.put_passkey(db, PASSKEY, 5))
    await anna.write(lambda db: users.put_recovery_codes(db, "anna", [b"1", b"2"]))
    await anna.write(lambda db: users.put_code(db, "anna", b"code", 99.0))
    row = await users.find(anna, "anna")
    assert (row.role, row.state, row.password, row.created) == ("admin", "active", "", 5.0)
    assert (row.passkeys, row.recovery_codes, row.code_until) == (1, 2, 99.0)
    assert await users.all_users(anna) == [row]
    assert await users.find(anna, "bert") is None


async def test_a_name_is_taken_once(anna):
    assert not await anna.write(add)
    assert await anna.write(users.count) == 1


async def test_active_users_of_a_role(anna):
    await anna.write(lambda db: add(db, "bert", state="invited"))
    await anna.write(lambda db: add(db, "carla", role="viewer"))
    assert await anna.write(lambda db: users.active_of_role(db, "admin")) == ["anna"]
    assert await anna.write(lambda db: users.is_active(db, "anna"))
    assert not await anna.write(lambda db: users.is_active(db, "bert"))
    assert await anna.write(lambda db: users.state_of(db, "dora")) is None


async def test_who_is_removed_takes_everything_along(anna):
    await anna.write(lambda db: users.put_passkey(db, PASSKEY, 5))
    await anna.write(lambda db: users.put_recovery_codes(db, "anna", [b"1"]))
    await anna.write(lambda db: users.put_code(db, "anna", b"code", 99.0))
    assert await anna.write(lambda db: users.remove(db, "anna"))
    for table in ("users", "codes", "recovery_codes", "passkeys"):
        assert await anna.read(f"SELECT * FROM {table}") == []


async def test_a_code_holds_until_its_end_and_one_replaces_another(anna):
    await anna.write(lambda db: users.put_code(db, "anna", b"1", 10.0))
    assert await users.find_code(anna, b"1", 9.9) == "anna"
    assert await users.find_code(anna, b"1", 10.0) is None
    await anna.write(lambda db: users.put_code(db, "anna", b"2", 10.0))
    assert await anna.write(lambda db: users.code_of(db, b"1", 0.0)) is None
    assert await anna.write(lambda db: users.code_of(db, b"2", 0.0)) == "anna"
    await anna.write(lambda db: users.drop_code(db, "anna"))
    assert await users.find_code(anna, b"2", 0.0) is None


async def test_a_step_is_used_once_and_none_before_it(anna):
    await anna.write(lambda db: users.set_fields(db, "anna", totp=b"s"))
    used = [
        await anna.write(lambda db, step=step: users.use_step(db, "anna", b"s", step))
        for step in (5, 5, 4, 6)
    ]
    assert used == [True, False, False, True]
    assert not await anna.write(lambda db: users.use_step(db, "anna", b"another", 9))


async def test_a_recovery_code_is_used_once(anna):
    await anna.write(lambda db: users.put_recovery_codes(db, "anna", [b"1", b"2"]))
    assert await anna.write(lambda db: users.use_recovery_code(db, "anna", b"1"))
    assert not await anna.write(lambda db: users.use_recovery_code(db, "anna", b"1"))
    await anna.write(lambda db: users.put_recovery_codes(db, "anna", [b"3"]))
    assert not await anna.write(lambda db: users.use_recovery_code(db, "anna", b"2"))


async def test_a_passkey_counts_up(anna):
    assert await anna.write(lambda db: users.put_passkey(db, PASSKEY, 5))
    used = [
        await anna.write(lambda db, n=n: users.use_passkey(db, b"id", n, 7.0)) for n in (5, 6, 6, 0)
    ]
    assert used == [False, True, False, False]
    row = await users.find_passkey(anna, b"id")
    assert (row.sign_count, row.last_used) == (6, 7.0)
    assert await users.passkeys_of(anna, "anna") == [row]


async def test_a_passkey_that_does_not_count_is_taken_as_it_is(anna):
    row = PasskeyRow(b"id", "anna", "", "box", b"key", 0, 1.0, 0.0)
    await anna.write(lambda db: users.put_passkey(db, row, 5))
    for _ in range(2):
        assert await anna.write(lambda db: users.use_passkey(db, b"id", 0, 7.0))
    assert not await anna.write(lambda db: users.use_passkey(db, b"other", 0, 7.0))


async def test_a_passkey_is_known_once_and_of_so_many(anna):
    assert await anna.write(lambda db: users.put_passkey(db, PASSKEY, 1))
    assert not await anna.write(lambda db: users.put_passkey(db, PASSKEY, 5))
    other = PasskeyRow(b"id2", "anna", "", "box", b"key", 0, 1.0, 0.0)
    assert not await anna.write(lambda db: users.put_passkey(db, other, 1))
    assert not await anna.write(lambda db: users.remove_passkey(db, "bert", b"id"))
    assert await anna.write(lambda db: users.remove_passkey(db, "anna", b"id"))


async def test_what_somebody_can_prove(anna):
    assert not await anna.write(lambda db: users.can_prove(db, "anna"))
    await anna.write(lambda db: users.put_passkey(db, PASSKEY, 5))
    assert await anna.write(lambda db: users.can_prove(db, "anna"))
    await anna.write(lambda db: users.forget_factors(db, "anna"))
    await anna.write(lambda db: users.set_fields(db, "anna", password="x"))
    assert await anna.write(lambda db: users.can_prove(db, "anna"))
    assert not await anna.write(lambda db: users.can_prove(db, "nobody"))


async def test_a_hash_is_replaced_unless_it_changed_meanwhile(anna):
    await anna.write(lambda db: users.set_fields(db, "anna", password="a"))
    await anna.write(lambda db: users.replace_password(db, "anna", "b", "c"))
    assert (await users.find(anna, "anna")).password == "a"
    await anna.write(lambda db: users.replace_password(db, "anna", "a", "c"))
    assert (await users.find(anna, "anna")).password == "c"


async def fill(database):
    await database.write(add)
    await database.write(lambda db: users.set_fields(db, "anna", password="hash", totp=b"s"))
    await database.write(lambda db: users.put_passkey(db, PASSKEY, 5))
    await database.write(lambda db: users.put_recovery_codes(db, "anna", [b"1"]))
    await database.write(lambda db: users.put_code(db, "anna", b"code", 99.0))


async def test_users_are_salvaged_from_a_damaged_index_into_the_next(tmp_path):
    async with Database(tmp_path / "old.db", KEY) as database:
        await fill(database)
        before = await users.find(database, "anna")
    found = await asyncio.to_thread(snapshot.salvage, tmp_path / "old.db", KEY, users.KEPT)
    async with Database(tmp_path / "new.db", KEY) as database:
        await database.write(lambda db: snapshot.fill_all(db, found))
        after = await users.find(database, "anna")
        assert after.code_until is None
        assert (after.password, after.totp, after.passkeys, after.recovery_codes) == (
            before.password,
            before.totp,
            1,
            1,
        )


async def test_users_come_back_from_a_backup_without_codes_and_sessions(tmp_path):
    async with Database(tmp_path / "old.db", KEY) as database:
        await fill(database)
        taken = await asyncio.to_thread(snapshot.take, tmp_path / "old.db", KEY)
    assert not {"codes", "sessions"} & {table.name for table in taken.tables}
    async with Database(tmp_path / "new.db", KEY) as database:
        await database.write(lambda db: snapshot.restore(db, taken, 0.0))
        assert (await users.find(database, "anna")).passkeys == 1


def test_nothing_is_salvaged_from_rubbish(tmp_path):
    (tmp_path / "old.db").write_bytes(b"rubbish" * 1000)
    assert snapshot.salvage(tmp_path / "old.db", KEY, users.KEPT) is None
