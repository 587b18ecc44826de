import asyncio

import pytest

from edge.cache import strangers as module
from edge.cache.strangers import MOST, MOST_OF_A_HOST, Strangers
from edge.index import peers
from edge.index.database import Database


class Clock:
    now = 1000.0

    def __call__(self):
        self.now += 1
        return self.now


@pytest.fixture
async def database(tmp_path):
    async with Database(tmp_path / "index.db", bytes(32)) as opened:
        yield opened


def note(strangers, title, host, **fields):
    said = {"called": "EDGE", "services": "storage", "why": "no peer"} | fields
    strangers.note(title, host, **said)


async def test_one_that_calls_again_is_counted_and_keeps_its_first_time(database):
    strangers = Strangers(database, Clock())
    note(strangers, "CT9", "10.0.0.9", called="EDGE1")
    note(strangers, "CT9", "10.0.0.9", services="query")
    (one,) = strangers.all()
    assert (one.calls, one.first_seen, one.last_seen) == (2, 1001, 1002)
    assert (one.called, one.services) == ("EDGE", "query")
    await strangers.write()
    assert await peers.all_strangers(database) == [one]


async def test_the_list_survives_a_restart(database):
    before = Strangers(database, Clock())
    note(before, "CT9", "10.0.0.9")
    await before.write()
    after = Strangers(database, Clock())
    await after.reload()
    note(after, "CT9", "10.0.0.9")
    assert [one.calls for one in after.all()] == [2]


async def test_a_flood_of_titles_from_one_host_keeps_no_other_off_the_list(database):
    strangers = Strangers(database, Clock())
    note(strangers, "CT9", "10.0.0.9")
    for number in range(5000):
        note(strangers, f"X{number}", "10.0.0.66")
    await strangers.write()
    rows = await peers.all_strangers(database)
    assert len(rows) == 1 + MOST_OF_A_HOST
    assert rows[-1].ae_title == "CT9"
    assert rows[0].ae_title == "X4999"


async def test_addresses_of_one_ipv6_network_are_one_host(database):
    strangers = Strangers(database, Clock())
    for number in range(100):
        note(strangers, "X", f"fd00:0:0:1::{number:x}")
    note(strangers, "X", "fd00:0:0:2::1")
    assert len(strangers.all()) == MOST_OF_A_HOST + 1


async def test_a_flood_from_many_hosts_is_bounded_in_memory_and_in_the_index(database):
    strangers = Strangers(database, Clock())
    for number in range(2000):
        note(strangers, "X", f"10.0.{number // 250}.{number % 250}")
        if number % 500 == 0:
            await strangers.write()
    await strangers.write()
    assert len(strangers.all()) == MOST
    assert len(await peers.all_strangers(database)) == MOST


async def test_a_flood_is_written_now_and_then(database, monkeypatch):
    monkeypatch.setattr(module, "PAUSE", 60.0)
    written = []

    def counting(db, seen, gone):
        written.append(len(list(seen)))

    monkeypatch.setattr(module.peers, "write_strangers", counting)
    strangers = Strangers(database, Clock())
    running = asyncio.ensure_future(strangers.run())
    for _ in range(50):
        note(strangers, "X", "10.0.0.66")
        await asyncio.sleep(0.002)
    running.cancel()
    assert len(written) == 1


async def test_what_could_not_be_written_is_written_later(database, monkeypatch):
    strangers = Strangers(database, Clock())
    note(strangers, "CT9", "10.0.0.9")
    with monkeypatch.context() as patch:
        patch.setattr(module.peers, "write_strangers", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            await strangers.write()
    await strangers.write()
    assert len(await peers.all_strangers(database)) == 1


async def test_who_was_forgotten_by_another_process_is_forgotten_here(database):
    strangers = Strangers(database, Clock())
    note(strangers, "CT9", "10.0.0.9")
    await strangers.write()
    await database.write(lambda db: peers.forget(db, "CT9"))
    await strangers.reload()
    assert strangers.all() == []
