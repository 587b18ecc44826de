"""Rows of sessions."""

from __future__ import annotations

from dataclasses import replace

from edge.index import sessions, users
from edge.index.sessions import SessionRow

ROW = SessionRow(
    b"d1", "s1", "anna", "", "viewer", "password", 1.0, 1.0, 100.0, "10.0.0.1", "a browser"
)


async def put(database, row, most=20, now=1.0, idle_since=0.0):
    await database.write(
        lambda db: sessions.put(db, row, most=most, now=now, idle_since=idle_since)
    )


async def test_a_session_is_found_with_its_user_as_they_are_now(database):
    await put(database, ROW)
    held = await sessions.find(database, b"d1")
    assert (held.row, held.role, held.state) == (ROW, "viewer", "")
    await database.write(
        lambda db: users.add(
            db,
            name="anna",
            display_name="Anna",
            role="admin",
            state="active",
            created=1.0,
            handle=b"h",
        )
    )
    held = await sessions.find(database, b"d1")
    assert (held.display_name, held.role, held.state) == ("Anna", "admin", "active")
    assert await sessions.find(database, b"d2") is None


async def test_whom_an_issuer_vouches_for_is_no_user_of_the_same_name(database):
    await put(database, ROW)
    await put(database, replace(ROW, digest=b"d2", session_id="s2", issuer="idp"))
    assert [held.row.session_id for held in await sessions.all_sessions(database, "anna", "")] == [
        "s1"
    ]
    assert len(await sessions.all_sessions(database, None, "")) == 2
    assert await database.write(lambda db: sessions.end(db, "s1", "anna", "idp")) == 0
    assert await database.write(lambda db: sessions.end_all(db, "anna", "idp")) == 1
    assert await database.write(lambda db: sessions.end(db, "s1", "anna", "")) == 1


async def test_what_is_over_goes_and_so_does_the_least_used_of_too_many(database):
    await put(database, replace(ROW, digest=b"old", session_id="old", until=5.0))
    await put(database, replace(ROW, digest=b"idle", session_id="idle", used=0.5))
    for number in range(4):
        row = replace(ROW, digest=bytes([number]), session_id=str(number), used=10.0 + number)
        await put(database, row, most=2, now=5.0, idle_since=0.5)
    left = await sessions.all_sessions(database, "anna", "")
    assert [held.row.session_id for held in left] == ["3", "2"]


async def test_the_last_use_only_moves_on(database):
    await put(database, ROW)
    for used in (5.0, 3.0):
        await database.write(lambda db, used=used: sessions.touch(db, b"d1", used))
    assert (await sessions.find(database, b"d1")).row.used == 5.0
