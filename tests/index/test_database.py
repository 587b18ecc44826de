"""One writer with group commit, on a real encrypted file."""

from __future__ import annotations

import asyncio
import threading

import pytest

from edge.errors import SecretError
from edge.index.database import Database, DatabaseBroken

KEY = bytes(32)


async def test_what_was_written_is_read_at_once_and_after_a_restart(tmp_path):
    async with Database(tmp_path / "index.db", KEY) as database:
        assert database.created
        await database.write(lambda db: db.execute("INSERT INTO cursors VALUES ('a', '1')"))
        assert await database.read("SELECT value FROM cursors") == [("1",)]
    async with Database(tmp_path / "index.db", KEY) as database:
        assert not database.created
        assert await database.read("SELECT value FROM cursors") == [("1",)]


async def test_writes_at_the_same_time_share_commits_and_all_happen(database):
    def insert(number):
        return lambda db: db.execute("INSERT INTO cursors VALUES (?, '')", (str(number),)).rowcount

    results = await asyncio.gather(*(database.write(insert(n)) for n in range(2000)))
    assert results == [1] * 2000
    assert await database.read("SELECT count(*) FROM cursors") == [(2000,)]


async def test_a_write_that_fails_takes_nothing_of_the_others_with_it(database):
    def good(number):
        return lambda db: db.execute("INSERT INTO cursors VALUES (?, '')", (str(number),)).rowcount

    def bad(db):
        db.execute("INSERT INTO cursors VALUES ('half', '')")
        raise ValueError("on purpose")

    results = await asyncio.gather(
        *(database.write(bad if n % 3 == 0 else good(n)) for n in range(30)),
        return_exceptions=True,
    )
    assert sum(isinstance(result, ValueError) for result in results) == 10
    assert await database.read("SELECT count(*) FROM cursors") == [(20,)]


async def test_nothing_of_the_content_can_be_read_from_the_files(tmp_path):
    async with Database(tmp_path / "index.db", KEY) as database:
        await database.write(
            lambda db: db.execute("INSERT INTO cursors VALUES ('PATIENTNAME', 'SECRET')")
        )
        for path in tmp_path.iterdir():
            content = path.read_bytes()
            assert b"PATIENTNAME" not in content
            assert b"SQLite format" not in content
    assert (tmp_path / "index.db").stat().st_mode & 0o077 == 0


async def test_another_key_opens_nothing(tmp_path):
    async with Database(tmp_path / "index.db", KEY):
        pass
    with pytest.raises(DatabaseBroken):
        async with Database(tmp_path / "index.db", b"x" * 32):
            pass


async def test_a_damaged_file_is_recognised(tmp_path):
    (tmp_path / "index.db").write_bytes(b"rubbish" * 2000)
    with pytest.raises(DatabaseBroken):
        async with Database(tmp_path / "index.db", KEY):
            pass


async def test_a_file_of_a_newer_version_is_refused(tmp_path):
    async with Database(tmp_path / "index.db", KEY) as database:
        await database.write(lambda db: db.execute("PRAGMA user_version = 99"))
    with pytest.raises(SecretError, match="newer version"):
        async with Database(tmp_path / "index.db", KEY):
            pass


async def test_readers_do_not_wait_for_a_writer(database):
    entered, release = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    def slow(db):
        loop.call_soon_threadsafe(entered.set)
        asyncio.run_coroutine_threadsafe(release.wait(), loop).result(10)

    writing = asyncio.ensure_future(database.write(slow))
    await entered.wait()
    assert await asyncio.wait_for(database.read("SELECT 1"), 5) == [(1,)]
    release.set()
    await writing


async def test_opening_that_is_cut_short_leaves_no_thread(tmp_path):
    before = set(threading.enumerate())
    for delay in (0, 0.001, 0.003, 0.01, 0.03):
        opening = asyncio.ensure_future(Database(tmp_path / "index.db", KEY).__aenter__())
        await asyncio.sleep(delay)
        if opening.cancel():
            with pytest.raises(asyncio.CancelledError):
                await opening
        else:
            await opening.result().__aexit__(None, None, None)
    for thread in set(threading.enumerate()) - before:
        if not thread.name.startswith("asyncio"):  # the loop's own workers
            await asyncio.to_thread(thread.join, 5)
            assert not thread.is_alive()
