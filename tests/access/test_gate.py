"""The proof in the headers becomes an identity, or nothing does."""

from __future__ import annotations

import base64

import pytest

from edge.access.gate import Gate
from edge.access.roles import Role
from edge.access.tokens import Tokens
from edge.errors import AccessDenied
from edge.index.database import Database
from edge.index.tokens import TokenTable


def basic(text):
    return f"Basic {base64.b64encode(text.encode()).decode()}"


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


async def test_a_viewer_that_knows_only_basic_sends_the_token_as_its_password(tokens):
    secret = await tokens.create(Role.VIEWER, "a viewer")
    gate = Gate(tokens, required=True)
    for user in ("", "doctor"):
        identity = await gate.authorise({"Authorization": basic(f"{user}:{secret}")})
        assert identity.name == "a viewer"


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": ""},
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer "},
        {"Authorization": "Bearer edge_" + "x" * 43},
        {"Authorization": basic("user:pass")},
        {"Authorization": basic("edge_" + "x" * 43)},
        {"Authorization": "Basic ÿ"},
        {"Authorization": "Basic /w=="},
        {"Authorization": "edge_" + "x" * 43},
        {"Authorization": "Bearer \x00"},
    ],
)
async def test_nothing_else_does(tokens, headers):
    await tokens.create(Role.ADMIN, "somebody")
    with pytest.raises(AccessDenied) as caught:
        await Gate(tokens, required=True).authorise(headers)
    assert not caught.value.known
    assert "Bearer TOKEN" in caught.value.hint


async def test_a_laboratory_without_a_gate_lets_everybody_in(tokens):
    identity = await Gate(tokens, required=False).authorise({})
    assert identity.role is Role.ADMIN
