"""The book of associations: repeats are one row, and no flood makes it long."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from edge.cache import associations as module
from edge.cache.associations import (
    FINE,
    MOST,
    MOST_OF_A_HOST,
    MOST_OF_A_PEER,
    MOST_OF_STRANGERS,
    Associations,
    Change,
    Direction,
    Finding,
    Other,
    RefusedContext,
    Side,
)
from edge.errors import StorageFull
from edge.index.database import Database

STRANGER = Other(Direction.IN, "X", "10.0.0.9")
CT1 = Other(Direction.IN, "CT1", "10.0.0.1", is_known=True, called="EDGE", implementation="V1")


class Clock:
    now = 1000.0

    def __call__(self):
        self.now += 1
        return self.now


@pytest.fixture
async def database(tmp_path):
    async with Database(tmp_path / "index.db", bytes(32)) as opened:
        yield opened


def finding(kind="lost", about="", **fields):
    return Finding(kind, "it broke", about=about, **fields)


async def test_a_row_has_all_that_was_found(database):
    book = Associations(database, Clock())
    changes = (Change(Side.BOX, "do this"), Change(Side.NETWORK, "or that"))
    contexts = (RefusedContext("CT Image Storage", "1.2", "no", ("JPEG",), ("RLE",)),)
    book.note(CT1, finding(about="C-STORE", changes=changes, contexts=contexts))
    (one,) = await book.all()
    assert (one.direction, one.ae_title, one.host) == (Direction.IN, "CT1", "10.0.0.1")
    assert (one.called, one.implementation, one.is_known) == ("EDGE", "V1", True)
    assert (one.kind, one.about, one.what) == ("lost", "C-STORE", "it broke")
    assert (one.changes, one.contexts) == (changes, contexts)


async def test_repeats_are_one_row_over_writes_and_restarts(database):
    book = Associations(database, Clock())
    book.note(CT1, finding())
    book.note(replace(CT1, implementation="V2"), finding())
    await book.write()
    book.note(CT1, finding())
    again = Associations(database, Clock())
    again._clock.now = 2000.0
    await again.reload()
    again.note(replace(CT1, implementation="V3"), finding())
    await again.write()
    (one,) = await book.all()
    assert (one.times, one.first_seen, one.last_seen) == (4, 1001, 2001)


async def test_one_host_keeps_no_other_off_the_book(database):
    book = Associations(database, Clock())
    book.note(STRANGER, finding())
    for number in range(2000):
        book.note(Other(Direction.IN, f"X{number}", "10.0.0.66"), finding())
    for number in range(2000):
        book.note(Other(Direction.IN, "X", f"fe80::{number:x}"), finding())
    rows = await book.all()
    assert len(rows) == 1 + 2 * MOST_OF_A_HOST
    assert "10.0.0.9" in [one.host for one in rows]


async def test_strangers_take_no_room_of_peers(database):
    book = Associations(database, Clock())
    book.note(CT1, finding())
    for number in range(2000):
        book.note(replace(STRANGER, host=f"10.1.{number >> 8}.{number & 255}"), finding())
    rows = await book.all()
    assert len(rows) == 1 + MOST_OF_STRANGERS
    assert rows[-1].ae_title == "CT1"
    assert rows[0].host == "10.1.7.207"


async def test_one_peer_takes_no_room_of_another(database):
    book = Associations(database, Clock())
    book.note(CT1, finding())
    for number in range(500):
        other = Other(Direction.IN, "ANY", f"10.1.{number}.1", is_known=True)
        book.note(other, finding())
    assert len(await book.all()) == 1 + MOST_OF_A_PEER
    for number in range(MOST - 10):
        book.note(Other(Direction.OUT, f"P{number}", "10.2.0.1:104", is_known=True), finding())
    rows = await book.all()
    assert len(rows) == MOST
    assert sum(one.ae_title == "ANY" for one in rows) == 9
    assert rows[-1].ae_title == "CT1"


async def test_trouble_goes_before_the_word_that_all_was_well(database):
    book = Associations(database, Clock())
    book.note(CT1, Finding(FINE, "all went well"))
    for number in range(100):
        book.note(CT1, finding(about=str(number)))
    rows = await book.all()
    assert len(rows) == MOST_OF_A_HOST
    assert rows[-1].kind == FINE


async def test_what_became_a_peer_leaves_the_strangers(database):
    book = Associations(database, Clock())
    book.note(replace(CT1, is_known=False), finding())
    await book.write()
    book.note(CT1, finding())
    for number in range(MOST_OF_STRANGERS + 10):
        book.note(replace(STRANGER, host=f"10.1.{number}.1"), finding())
    (one,) = [one for one in await book.all() if one.ae_title == "CT1"]
    assert (one.is_known, one.times) == (True, 2)


async def test_the_bound_holds_over_a_restart(database):
    before = Associations(database, Clock())
    for number in range(MOST_OF_A_HOST):
        before.note(CT1, finding(about=str(number)))
    await before.write()
    after = Associations(database, Clock())
    after._clock.now = 5000.0
    await after.reload()
    after.note(CT1, finding(about="new"))
    rows = await after.all()
    assert len(rows) == MOST_OF_A_HOST
    assert (rows[0].about, rows[-1].about) == ("new", "1")


async def test_what_is_old_is_forgotten(database):
    book = Associations(database, clock := Clock())
    book.note(STRANGER, finding())
    await book.write()
    clock.now += 91 * 86400
    book.note(CT1, finding())
    assert [one.ae_title for one in await book.all()] == ["CT1"]


async def test_texts_are_cut(database):
    book = Associations(database, Clock())
    long = "x" * 5000
    other = Other(Direction.IN, long, long, called=long, implementation=long)
    book.note(other, Finding("lost", long, about=long))
    (one,) = await book.all()
    texts = (one.ae_title, one.host, one.called, one.implementation, one.what, one.about)
    assert max(map(len, texts)) <= 600


async def test_what_can_not_be_written_now_is_written_later(database):
    class Full:
        full = True

        async def write(self, call):
            if self.full:
                raise StorageFull("full")
            return await database.write(call)

        async def read(self, *words):
            return await database.read(*words)

    book = Associations(Full(), Clock())
    book.note(CT1, finding())
    with pytest.raises(StorageFull):
        await book.write()
    book.note(CT1, finding())
    assert await book.all() == []
    book._database.full = False
    (one,) = await book.all()
    assert (one.times, one.first_seen, one.last_seen) == (2, 1001, 1003)


async def test_it_is_written_by_itself_at_once_and_at_the_end(database, monkeypatch):
    monkeypatch.setattr(module, "PAUSE", 60.0)
    book = Associations(database, Clock())
    reader = Associations(database)
    task = asyncio.create_task(book.run())
    book.note(CT1, finding())
    async with asyncio.timeout(5):
        while not await reader.all():  # noqa: ASYNC110 - it tells nobody
            await asyncio.sleep(0.01)
    book.note(STRANGER, finding())
    await asyncio.sleep(0.05)
    assert len(await reader.all()) == 1
    task.cancel()
    await asyncio.wait([task])
    assert len(await reader.all()) == 2


async def test_a_good_word_is_written_seldom(database):
    book = Associations(database, clock := Clock())
    book.note(CT1, Finding(FINE, "all went well"))
    assert book._noted.is_set()
    await book.write()
    book.note(CT1, Finding(FINE, "all went well"))
    assert not book._noted.is_set()
    clock.now += 60
    book.note(CT1, Finding(FINE, "all went well"))
    assert book._noted.is_set()
    (one,) = await book.all()
    assert one.times == 3
