"""Rows of emergency accesses: one to a session, kept for a year, and not lost with the index."""

from __future__ import annotations

import asyncio

import pytest

from edge.index import emergencies, sessions, snapshot
from edge.index.database import Database
from edge.index.emergencies import EmergencyRow
from edge.index.sessions import SessionRow

YEAR = 366 * 86400.0


@pytest.fixture
async def database(tmp_path):
    async with Database(tmp_path / "index.db", bytes(32)) as opened:
        await opened.write(begin_session)
        yield opened


def begin_session(db):
    row = SessionRow(b"d", "s1", "bert", "", "physician", "password", 0, 0, 1e12, "", "")
    sessions.put(db, row, most=20, now=0, idle_since=-1)


def emergency(name="e1", session="s1", began=10.0):
    said = "bert", "", "physician", "", "session", "a reason", began, began + 3600
    return EmergencyRow(name, session, *said)


async def begin(database, *said):
    return await database.write(lambda db: emergencies.put(db, emergency(*said)))


async def test_one_is_open_for_a_session_that_there_is(database):
    assert await begin(database)
    assert not await begin(database, "e2")
    assert not await begin(database, "e3", "none")
    held = await sessions.find(database, b"d")
    assert (held.emergency, held.emergency_began, held.emergency_until) == ("e1", 10.0, 3610.0)
    assert await database.write(lambda db: emergencies.end(db, "e1", 20.0, "by hand"))
    assert not await database.write(lambda db: emergencies.end(db, "e1", 30.0, "again"))
    assert (await sessions.find(database, b"d")).emergency == ""
    assert await begin(database, "e2", "s1", 30.0)
    first, second = await emergencies.rows(database)
    assert (second.ended, second.why_ended) == (20.0, "by hand")
    assert first.ended == 0


async def test_what_nobody_looked_at_or_the_record_lacks_is_kept(database):
    for name in ("e1", "e2", "e3"):
        await begin(database, name)
        await database.write(lambda db, name=name: emergencies.end(db, name, 20.0, "by hand"))
    await database.write(lambda db: emergencies.mark_told(db, "e1"))
    await database.write(lambda db: emergencies.mark_seen(db, "e1", 30.0, "anna"))
    await database.write(lambda db: emergencies.mark_seen(db, "e2", 30.0, "anna"))
    await database.write(lambda db: emergencies.mark_told(db, "e3"))
    await begin(database, "e4", "s1", 20.0 + YEAR + 1)
    assert {row.emergency_id for row in await emergencies.rows(database)} == {"e2", "e3", "e4"}
    assert {row.emergency_id for row in await emergencies.rows(database, untold=True)} == {
        "e2",
        "e4",
    }


async def test_an_alarm_outlives_its_index(database, tmp_path):
    await begin(database)
    await database.write(lambda db: emergencies.end(db, "e1", 20.0, "by hand"))
    path = tmp_path / "index.db"
    tables = await asyncio.to_thread(snapshot.salvage, path, bytes(32), emergencies.KEPT)
    async with Database(tmp_path / "new.db", bytes(32)) as fresh:
        await fresh.write(lambda db: snapshot.fill_all(db, tables))
        assert await emergencies.counts(fresh) == (0, 1, 1)
