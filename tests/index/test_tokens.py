"""Rows of tokens."""

from __future__ import annotations

from dataclasses import replace

import pytest

from edge.index.connection import connect
from edge.index.database import Database
from edge.index.tokens import TokenRow, TokenTable, ending, salvage
from tests.index.conftest import KEY
from tests.index.test_migrations import FIRST

ROW = TokenRow("a1", "viewer", "Reading room", 5.0, 500.0, '{"ae_title":"CT1"}')


async def test_a_token_is_found_by_its_digest_until_it_is_deleted(database):
    table = TokenTable(database)
    await table.insert(ROW, b"digest")
    assert await table.find(b"digest") == ROW
    assert await table.find(b"another") is None
    assert await table.delete("a1")
    assert not await table.delete("a1")
    assert await table.all() == []


async def test_no_two_tokens_have_one_digest(database):
    table = TokenTable(database)
    await table.insert(ROW, b"digest")
    with pytest.raises(Exception, match="UNIQUE"):
        await table.insert(replace(ROW, token_id="a2"), b"digest")


async def test_tokens_are_salvaged_from_an_index_into_the_next(tmp_path):
    async with Database(tmp_path / "old.db", KEY) as database:
        table = TokenTable(database)
        await table.insert(ROW, b"digest")
        await table.used([("a1", "2026-11-29", "192.168.7.9")])
    async with Database(tmp_path / "new.db", KEY) as database:
        await TokenTable(database).restore(salvage(tmp_path / "old.db", KEY))
        assert await TokenTable(database).find(b"digest") == replace(
            ROW, used_day="2026-11-29", used_from="192.168.7.9"
        )


def test_nothing_is_salvaged_from_rubbish(tmp_path):
    (tmp_path / "old.db").write_bytes(b"rubbish" * 1000)
    assert salvage(tmp_path / "old.db", KEY) is None


async def test_tokens_are_salvaged_from_an_index_of_an_earlier_version(tmp_path):
    path = tmp_path / "old.db"
    path.touch()
    db = connect(path, KEY, cache_kib=1024)
    db.executescript(f"BEGIN; {FIRST.read_text()} PRAGMA user_version = 1; COMMIT;")
    db.execute("INSERT INTO tokens VALUES ('a1', x'00', 'viewer', 'Reading room', 5.0)")
    db.close()
    async with Database(tmp_path / "new.db", KEY) as database:
        await TokenTable(database).restore(salvage(path, KEY))
        found = await TokenTable(database).find(b"\0")
        assert found == TokenRow("a1", "viewer", "Reading room", 5.0)


async def test_a_token_of_before_goes_on_without_an_end(tmp_path):
    path = tmp_path / "old.db"
    path.touch()
    db = connect(path, KEY, cache_kib=1024)
    db.executescript(f"BEGIN; {FIRST.read_text()} PRAGMA user_version = 1; COMMIT;")
    db.execute("INSERT INTO tokens VALUES ('a1', x'00', 'viewer', 'Reading room', 5.0)")
    db.close()
    async with Database(path, KEY) as database:
        found = await TokenTable(database).find(b"\0")
        assert (found.expires, found.scope, found.used_day) == (None, "{}", "")


async def test_uses_of_a_token_that_was_revoked_bring_it_not_back(database):
    table = TokenTable(database)
    await table.insert(ROW, b"digest")
    await table.delete("a1")
    await table.used([("a1", "2026-11-29", "192.168.7.9")])
    assert await table.all() == []


async def test_those_that_end_before_a_moment_are_named_the_first_ahead(database):
    table = TokenTable(database)
    for name, expires in (("later", 30.0), ("never", None), ("soon", 10.0), ("far", 99.0)):
        await table.insert(replace(ROW, token_id=name, expires=expires), name.encode())
    assert [row.token_id for row in await ending(database, 40.0)] == ["soon", "later"]
