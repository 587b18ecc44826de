"""One writer with group commit, on a real encrypted file."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest

from edge.errors import SecretError, StorageFull
from edge.index import lookup
from edge.index.ballast import Ballast
from edge.index.connection import suspicion
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


def no_room_while(ballast):
    """A write that needs more room than there is, until the ballast is gone."""

    def call(db):
        pages = db.execute("PRAGMA page_count").fetchone()[0]
        db.execute(f"PRAGMA max_page_count = {pages if ballast.exists() else 2**30}")
        db.execute("INSERT INTO cursors VALUES ('large', ?)", ("x" * 100_000,))
        return "done"

    return call


async def test_a_disk_that_is_full_costs_the_ballast_and_nobody_an_error(tmp_path):
    path = tmp_path / "ballast"
    async with Database(tmp_path / "index.db", KEY, ballast=Ballast(path, 1024 * 1024)) as database:
        assert path.exists()

        def other(number):
            return lambda db: db.execute("INSERT INTO cursors VALUES (?, '')", (str(number),))

        await asyncio.gather(
            *(database.write(other(n)) for n in range(5)),
            database.write(no_room_while(path)),
            *(database.write(other(n)) for n in range(5, 10)),
        )
        assert await database.read("SELECT count(*) FROM cursors") == [(11,)]
        assert database.missing_ballast == 1024 * 1024
        await database.write(lambda _: None)
        assert path.exists()
        assert database.missing_ballast == 0


async def test_a_disk_that_is_full_is_said_as_such_when_there_is_no_ballast(database, tmp_path):
    (tmp_path / "no room").touch()
    with pytest.raises(StorageFull):
        await database.write(no_room_while(tmp_path / "no room"))
    await database.write(lambda db: db.execute("PRAGMA max_page_count = 1000000").fetchone())
    await database.write(lambda db: db.execute("INSERT INTO cursors VALUES ('a', '1')"))


def damage_a_page(path, count=1):
    """Change a bit in each of the last pages."""
    content = bytearray(path.read_bytes())
    for page in range(1, count + 1):
        content[-4096 * page + 100] ^= 1
    path.write_bytes(content)


async def filled(tmp_path):
    async with Database(tmp_path / "index.db", KEY) as database:
        await database.write(
            lambda db: db.executemany(
                "INSERT INTO cursors VALUES (?, ?)", [(str(n), "x" * 3000) for n in range(300)]
            )
        )


async def test_every_page_is_authenticated_before_anything_else(tmp_path):
    await filled(tmp_path)
    async with Database(tmp_path / "index.db", KEY, checked=True):
        pass
    damage_a_page(tmp_path / "index.db")
    with pytest.raises(DatabaseBroken):
        async with Database(tmp_path / "index.db", KEY, checked=True):
            pass


async def test_damage_that_is_met_while_it_is_in_use_is_made_known_and_looked_into(tmp_path):
    await filled(tmp_path)
    path = tmp_path / "index.db"
    async with Database(path, KEY) as database:
        damage_a_page(path, 200)
        with pytest.raises(DatabaseBroken):
            await database.read("SELECT sum(length(value)) FROM cursors")
        assert database.broken.is_set()
    assert suspicion(path).exists()
    with pytest.raises(DatabaseBroken):
        async with Database(path, KEY, checked=True):
            pass


async def test_a_writer_that_meets_damage_says_so_and_goes_on_answering(tmp_path):
    await filled(tmp_path)
    async with Database(tmp_path / "index.db", KEY) as database:
        damage_a_page(tmp_path / "index.db", 200)
        for _ in range(3):
            with pytest.raises(DatabaseBroken):
                await database.write(lambda db: db.execute("UPDATE cursors SET value = 'y'"))
        assert database.broken.is_set()


async def test_a_suspicion_that_is_not_confirmed_is_dropped(tmp_path):
    await filled(tmp_path)
    suspicion(tmp_path / "index.db").touch()
    async with Database(tmp_path / "index.db", KEY, checked=True):
        pass
    assert not suspicion(tmp_path / "index.db").exists()


ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n"


async def test_a_quick_question_waits_for_no_search_and_an_abandoned_search_ends(database):
    async with asyncio.timeout(60):
        searches = [asyncio.ensure_future(database.scan(ENDLESS)) for _ in range(20)]
        await asyncio.sleep(0.1)
        assert await database.read("SELECT 1") == [(1,)]
        for search in searches:
            search.cancel()
        await asyncio.wait(searches)
        assert await database.scan("SELECT 2") == [(2,)]


async def test_what_is_made_of_rows_takes_one_thread_however_much_it_is(database):
    running, most = 0, 0

    def work(number):
        nonlocal running, most
        running += 1
        most = max(most, running)
        time.sleep(0.002)
        running -= 1
        return number

    made = await asyncio.gather(*(database.compute(work, number) for number in range(30)))
    assert made == list(range(30))
    assert most == 1


async def test_a_page_of_metadata_waits_behind_searches_and_intake_does_not(
    database, put, new_instance
):
    await put(new_instance())
    async with asyncio.timeout(60):
        searches = [asyncio.ensure_future(database.scan(ENDLESS)) for _ in range(2)]
        await asyncio.sleep(0.05)
        page = asyncio.ensure_future(lookup.documents(database, [1], 1000))
        assert await lookup.key_of_study(database, "1.2.3") == bytes(16)
        assert not page.done()
        for search in searches:
            search.cancel()
        assert len(await page) == 1


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
