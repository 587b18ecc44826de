"""Rows of tokens."""

from __future__ import annotations

import pytest

from edge.index.database import Database
from edge.index.tokens import TokenRow, TokenTable, salvage
from tests.index.conftest import KEY


async def test_a_token_is_found_by_its_digest_until_it_is_deleted(database):
    table = TokenTable(database)
    await table.insert("a1", b"digest", "viewer", "Reading room", 5.0)
    assert await table.find(b"digest") == TokenRow("a1", "viewer", "Reading room", 5.0)
    assert await table.find(b"another") is None
    assert await table.delete("a1")
    assert not await table.delete("a1")
    assert await table.all() == []


async def test_no_two_tokens_have_one_digest(database):
    table = TokenTable(database)
    await table.insert("a1", b"digest", "viewer", "", 1.0)
    with pytest.raises(Exception, match="UNIQUE"):
        await table.insert("a2", b"digest", "admin", "", 2.0)


async def test_tokens_are_salvaged_from_an_index_into_the_next(tmp_path):
    async with Database(tmp_path / "old.db", KEY) as database:
        await TokenTable(database).insert("a1", b"digest", "viewer", "Reading room", 5.0)
    async with Database(tmp_path / "new.db", KEY) as database:
        await TokenTable(database).restore(salvage(tmp_path / "old.db", KEY))
        assert await TokenTable(database).find(b"digest") == TokenRow(
            "a1", "viewer", "Reading room", 5.0
        )


def test_nothing_is_salvaged_from_rubbish(tmp_path):
    (tmp_path / "old.db").write_bytes(b"rubbish" * 1000)
    assert salvage(tmp_path / "old.db", KEY) is None
