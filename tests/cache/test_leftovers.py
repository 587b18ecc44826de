"""What the drop folder could not delete is remembered in the index."""

import pytest

from edge.cache.leftovers import Leftover, Leftovers
from edge.index import leftovers as table
from edge.index.database import Database


def leftover(number, **changes):
    return Leftover(
        **{
            "device": 2,
            "inode": number,
            "size": 526_000,
            "mtime_ns": 1_795_000_000_123_456_789,
            "digest": bytes([number % 256]) * 32,
            "is_whole": bool(number % 2),
        }
        | changes
    )


@pytest.fixture
def database_at(tmp_path):
    return lambda: Database(tmp_path / "leftovers.db", bytes(32))


async def test_it_outlives_a_restart(database_at):
    noted = [leftover(1), leftover(2)]
    async with database_at() as database:
        await Leftovers(database).keep(noted)
    async with database_at() as database:
        assert sorted(await Leftovers(database).all(), key=lambda each: each.inode) == noted


async def test_what_is_forgotten_is_gone_and_nothing_else(database_at):
    async with database_at() as database:
        memory = Leftovers(database)
        await memory.report("trouble")
        await memory.keep([leftover(1), leftover(2)])
        await memory.forget([leftover(1), leftover(3)])
        assert await memory.all() == [leftover(2)]
        assert await table.trouble(database) == "trouble"


async def test_a_file_that_is_noted_again_is_one(database_at):
    async with database_at() as database:
        memory = Leftovers(database)
        for digest in (b"a" * 32, b"b" * 32):
            await memory.keep([leftover(1, digest=digest)])
        assert await memory.all() == [leftover(1, digest=b"b" * 32)]


async def test_of_too_many_the_oldest_are_forgotten(database_at, monkeypatch):
    monkeypatch.setattr(table, "LIMIT", 3)
    now = 1_000.0
    async with database_at() as database:
        memory = Leftovers(database, clock=lambda: now)
        await memory.report("trouble")
        for number in range(10, 15):
            now += 1
            await memory.keep([leftover(number)])
        assert [each.inode for each in await memory.all()] == [12, 13, 14]
        assert await table.trouble(database) == "trouble"


async def test_other_cursors_are_left_alone(database_at):
    async with database_at() as database:
        await database.write(lambda db: db.execute("INSERT INTO cursors VALUES ('feed', '7')"))
        memory = Leftovers(database)
        assert await memory.all() == []
        assert await table.trouble(database) == ""
