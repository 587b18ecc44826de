"""What came, became safe and was refused is counted as it happens, and stays when it goes."""

from __future__ import annotations

import time

from edge.dicom.instance import Custody, Origin
from edge.index import history, lookup
from edge.index.custody import Primary
from edge.index.history import QUARTER, Quarter

PRIMARY = Primary()


async def settle(database, sop_uid, custody, now):
    row = await lookup.find_one(database, sop_uid)
    await database.write(lambda db: PRIMARY.settle(db, row.instance_id, custody, "words", 0.0, now))


async def test_what_comes_is_counted_in_the_quarter_in_which_it_came(database, new_instance, put):
    await put(new_instance(), new_instance(), now=10 * QUARTER + 1.0)
    await put(new_instance(), now=11 * QUARTER + 0.0)
    await put(new_instance(origin=Origin.CLOUD), now=11 * QUARTER + 1.0)
    found = await history.since(database, 0)
    assert found == [Quarter(10, 2, 2000, 0, 0, 0), Quarter(11, 1, 1000, 0, 0, 0)]
    assert await history.since(database, 11) == found[1:]


async def test_the_same_once_more_counts_once(database, new_instance, put):
    one = new_instance()
    await put(one, one, now=QUARTER * 3.0)
    assert await history.since(database, 0) == [Quarter(3, 1, 1000, 0, 0, 0)]


async def test_it_is_safe_once_the_archive_was_seen_to_have_it(database, new_instance, put):
    one = new_instance()
    await put(one, now=QUARTER * 3.0)
    sop = one.ref.sop_uid
    await settle(database, sop, Custody.ACKNOWLEDGED, QUARTER * 4.0)
    await settle(database, sop, Custody.VERIFIED, QUARTER * 5.0)
    await settle(database, sop, Custody.VERIFIED, QUARTER * 6.0)
    assert await history.since(database, 4) == [Quarter(5, 0, 0, 1, 1000, 0)]


async def test_what_is_refused_counts_when_it_is(database, new_instance, put):
    one = new_instance()
    await put(one, now=QUARTER * 3.0)
    before = int(time.time()) // QUARTER
    await settle(database, one.ref.sop_uid, Custody.REFUSED, time.time())
    (quarter,) = await history.since(database, 4)
    assert quarter.refused == 1
    assert before <= quarter.number <= int(time.time()) // QUARTER


async def test_the_history_stays_when_the_images_go(database, new_instance, put):
    await put(new_instance(), now=QUARTER * 3.0)
    await database.write(lambda db: db.execute("DELETE FROM instances"))
    assert await history.since(database, 0) == [Quarter(3, 1, 1000, 0, 0, 0)]


async def test_of_long_ago_nothing_is_kept(database, new_instance, put):
    def fill(db):
        rows = [(number,) for number in range(38_400)]
        db.executemany("INSERT INTO history (quarter, came) VALUES (?, 1)", rows[:1])
        db.execute("DROP TRIGGER history_kept")
        db.executemany("INSERT INTO history (quarter, came) VALUES (?, 1)", rows[1:])

    (trigger,) = await database.read("SELECT sql FROM sqlite_master WHERE name = 'history_kept'")
    await database.write(fill)
    await database.write(lambda db: db.execute(trigger[0]))
    await put(new_instance(), now=QUARTER * 40_000.0)
    found = await history.since(database, 0)
    assert (len(found), found[0].number, found[-1].number) == (38_400, 1, 40_000)
