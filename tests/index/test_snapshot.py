"""What of an index only a backup can bring back."""

from __future__ import annotations

import asyncio
import time

import msgspec
import pytest

from edge.dicom.instance import Custody, InstanceRef
from edge.index import instances, remote, snapshot, tombstones
from edge.index.database import Database
from edge.index.tokens import Salvaged, TokenRow, TokenTable
from tests.index.conftest import KEY
from tests.index.rows import counters_are_true, listed

COLUMNS = ("token_id", "digest", "role", "name", "created")
GONE = InstanceRef("1.9", "1.9.1", "1.9.1.1")


async def take(tmp_path):
    return await asyncio.to_thread(snapshot.take, tmp_path / "index.db", KEY)


@pytest.fixture
async def again(tmp_path):
    """An index that is new."""
    async with Database(tmp_path / "again.db", KEY) as opened:
        yield opened


async def put(database, *new):
    for one in new:
        await database.write(lambda db, one=one: instances.put(db, one, time.time()))


async def states(database):
    rows = await database.read("SELECT sop_uid, availability, custody FROM instances ORDER BY id")
    return {sop: (availability, custody) for sop, availability, custody in rows}


async def test_tokens_and_tombstones_come_back_as_they_were(database, again, tmp_path):
    await TokenTable(database).insert(TokenRow("t1", "viewer", "Reading room", 5.0), b"d" * 32)
    await database.write(lambda db: tombstones.restore(db, [GONE], "record", 7.0, withdraw=True))
    taken = await take(tmp_path)
    assert taken.records == {"record"}
    assert await again.write(lambda db: snapshot.restore(db, taken, 0.0)) == 0
    for table in ("tokens", "tombstones"):
        rows = f"SELECT * FROM {table}"
        assert await again.read(rows) == await database.read(rows) != []
    assert await tombstones.is_deleted(again, (GONE.study_uid, None, GONE.sop_uid))


async def test_what_no_archive_has_is_named_as_lost_until_one_lists_it(
    database, again, tmp_path, new_instance
):
    name = {"t00100010": ("PN", {"Alphabetic": "NOBODY^REAL"})}
    await put(
        database,
        new_instance(sop="1.1", **name),
        new_instance(sop="1.2", custody=Custody.SENT),
        new_instance(sop="1.3", custody=Custody.ACKNOWLEDGED),
        new_instance(sop="1.4", custody=Custody.VERIFIED),
    )
    taken = await take(tmp_path)
    assert await again.write(lambda db: snapshot.restore(db, taken, 0.0)) == 2
    # What was proven is not believed: the archive itself says what it has now.
    assert await states(again) == {
        "1.1": ("UNAVAILABLE", "EDGE_ONLY"),
        "1.2": ("UNAVAILABLE", "EDGE_ONLY"),
        "1.3": ("NEARLINE", "ACKNOWLEDGED"),
    }
    [(attributes,)] = await again.read("SELECT attributes FROM study_attributes")
    assert "NOBODY^REAL" in attributes
    assert await counters_are_true(again)
    await again.write(lambda db: remote.learn(db, listed("1.2", "1.3", "1.4"), time.time()))
    assert await states(again) == {
        "1.1": ("UNAVAILABLE", "EDGE_ONLY"),
        "1.2": ("NEARLINE", "ACKNOWLEDGED"),
        "1.3": ("NEARLINE", "ACKNOWLEDGED"),
        "1.4": ("NEARLINE", "ACKNOWLEDGED"),
    }
    assert await counters_are_true(again)


async def test_what_was_lost_and_is_sent_again_takes_its_place(
    database, again, tmp_path, new_instance
):
    one = new_instance(sop="1.1")
    await put(database, one)
    taken = await take(tmp_path)
    await again.write(lambda db: snapshot.restore(db, taken, 0.0))
    await put(again, one)
    assert await states(again) == {"1.1": ("ONLINE", "EDGE_ONLY")}


async def test_other_bytes_that_were_kept_are_named(database, tmp_path, new_instance):
    await put(database, new_instance(sop="1.1"), new_instance(sop="1.1", content=b"other"))
    assert (await take(tmp_path)).quarantined == (("1.2.3", "1.2.3.1", "1.1"),)


async def test_it_is_of_one_commit_however_much_is_written_meanwhile(database, tmp_path):
    """Pairs are written together, and never seen apart."""
    table = TokenTable(database)

    async def write():
        for number in range(200):
            names = [f"{number}a", f"{number}b"]
            rows = tuple((name, name.encode(), "viewer", name, 0.0) for name in names)
            await table.restore(Salvaged(COLUMNS, rows))

    writing = asyncio.create_task(write())
    seen = set()
    while not writing.done():
        tokens = next(one for one in (await take(tmp_path)).tables if one.name == "tokens")
        seen.add(len(tokens.rows))
    await writing
    assert all(count % 2 == 0 for count in seen)
    assert len(seen) > 1


@pytest.mark.usefixtures("database")
async def test_columns_and_tables_of_another_version_are_left_out(again, tmp_path):
    columns = (*COLUMNS, "of_tomorrow")
    rows = (("t", b"d", "viewer", "n", 1.0, "x"),)
    tables = snapshot.Table("tokens", columns, rows), snapshot.Table("studies", ("id",), ((1,),))
    taken = msgspec.structs.replace(await take(tmp_path), tables=tables)
    await again.write(lambda db: snapshot.restore(db, taken, 0.0))
    assert await again.read(f"SELECT {', '.join(COLUMNS)} FROM tokens") == [rows[0][:5]]
    assert await again.read("SELECT * FROM studies") == []
