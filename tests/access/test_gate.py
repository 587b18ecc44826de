"""The proof in the headers becomes an identity, or nothing does."""

from __future__ import annotations

import pytest

from edge.access.gate import Gate
from edge.access.roles import Role
from edge.access.tokens import Tokens
from edge.errors import AccessDenied
from edge.index.database import Database
from edge.index.tokens import TokenTable


@pytest.fixture
async def tokens(tmp_path):
    async with Database(tmp_path / "index.db", bytes(32)) as database:
        yield Tokens(TokenTable(database), remember_seconds=0)


async def test_a_token_opens_the_gate_until_it_is_revoked(tokens):
    secret = await tokens.create(Role.VIEWER, "a viewer")
    gate = Gate(tokens, required=True)
    for scheme in ("Bearer", "bearer"):
        identity = await gate.authorise({"Authorization": f"{scheme} {secret}"})
        assert (identity.name, identity.role) == ("a viewer", Role.VIEWER)
    (token,) = await tokens.list()
    assert await tokens.revoke(token.token_id)
    with pytest.raises(AccessDenied, match="not valid"):
        await gate.authorise({"Authorization": f"Bearer {secret}"})


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": ""},
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer "},
        {"Authorization": "Bearer edge_" + "x" * 43},
        {"Authorization": "Basic dXNlcjpwYXNz"},
        {"Authorization": "edge_" + "x" * 43},
        {"Authorization": "Bearer \x00"},
    ],
)
async def test_nothing_else_does(tokens, headers):
    await tokens.create(Role.ADMIN, "somebody")
    with pytest.raises(AccessDenied) as caught:
        await Gate(tokens, required=True).authorise(headers)
    assert not caught.value.known


async def test_a_laboratory_without_a_gate_lets_everybody_in(tokens):
    identity = await Gate(tokens, required=False).authorise({})
    assert identity.role is Role.ADMIN
