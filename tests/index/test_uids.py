"""Every column of the index that has UIDs is looked through."""

from __future__ import annotations

import pytest

from edge.index import uids
from edge.index.database import Database
from edge.index.uids import uids_behind


@pytest.fixture
async def database(tmp_path):
    async with Database(tmp_path / "index.db", bytes(32)) as opened:
        yield opened


def note(db, sop_uid, note_uid):
    db.execute("INSERT INTO rejections VALUES (?, ?, '113001', 1.0)", (sop_uid, note_uid))


async def test_what_is_in_any_table_is_found_and_nothing_else(database, monkeypatch):
    monkeypatch.setattr(uids, "_PAGE", 3)
    for number in range(8):
        await database.write(lambda db, number=number: note(db, f"1.2.{number}", "1.3"))
    wanted = ["<1.2.0>", "<1.2.7>", "<1.3>", "<1.4>"]
    assert await uids_behind(database, wanted, lambda uid: f"<{uid}>") == {
        "<1.2.0>": {"1.2.0": "sop"},
        "<1.2.7>": {"1.2.7": "sop"},
        "<1.3>": {"1.3": "note"},
        "<1.4>": {},
    }


async def test_two_that_share_a_reference_are_both_told(database):
    await database.write(lambda db: note(db, "1.2.1", "1.3"))
    await database.write(lambda db: note(db, "1.2.2", "1.3"))
    found = await uids_behind(database, ["same"], lambda uid: "same" if "1.2" in uid else "other")
    assert found == {"same": {"1.2.1": "sop", "1.2.2": "sop"}}
