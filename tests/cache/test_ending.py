"""Tokens that end are spoken of in time."""

from __future__ import annotations

from edge.cache.ending import ending_tokens
from edge.index.tokens import TokenRow, TokenTable

DAY, NOW = 86400.0, 1_790_000_000.0


async def test_a_month_before_and_a_month_behind_its_end_a_token_is_named(cache):
    table = TokenTable(cache.database)
    for name, created, expires in (
        ("of a year, soon over", -336, 29),
        ("of a year, not yet", -334, 31),
        ("over", -400, -29),
        ("long over", -400, -31),
        ("of a week, new", 0, 7),
        ("of a week, nearly over", -6, 1),
    ):
        row = TokenRow(name, "viewer", name, NOW + created * DAY, NOW + expires * DAY)
        await table.insert(row, name.encode())
    await table.insert(TokenRow("without end", "viewer", "", NOW), b"x")
    found = await ending_tokens(cache.database, NOW)
    assert [(token.name, token.ended) for token in found] == [
        ("over", True),
        ("of a week, nearly over", False),
        ("of a year, soon over", False),
    ]
    assert found[0].sentence.startswith("Token over ended on 20")
    assert found[1].sentence.startswith("Token of a week, nearly over ends on 20")
