"""The proof in the headers becomes an identity, or nothing does."""

from __future__ import annotations

import base64

import pytest

from edge.access.gate import Gate
from edge.access.roles import Proof, Role
from edge.access.tokens import Tokens
from edge.errors import AccessDenied, TooManyAttempts
from edge.index.database import Database
from edge.index.tokens import TokenTable
from tests.access.people import GOOD, HERE, OTHER


def basic(text):
    return {"Authorization": f"Basic {base64.b64encode(text.encode()).decode()}"}


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
        identity = await gate.authorise(basic(f"{user}:{secret}"))
        assert identity.name == "a viewer"


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": ""},
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer "},
        {"Authorization": "Bearer edge_" + "x" * 43},
        basic("user:pass"),
        basic("edge_" + "x" * 43),
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


async def test_name_and_password_of_a_user_open_the_gate(world):
    await world.user("bert")
    identity = await world.gate.authorise(basic("bert:" + GOOD), "10.0.0.7")
    assert (identity.name, identity.proof) == ("bert", Proof.PASSWORD)
    for wrong in (f"bert:{OTHER}", f"anna:{GOOD}", f":{GOOD}", "bert:", "bert"):
        with pytest.raises(AccessDenied):
            await world.gate.authorise(basic(wrong))


async def test_a_token_as_a_password_is_a_token_whoever_is_named(world):
    await world.user("bert")
    secret = await world.tokens.create(Role.SERVICE, "gateway")
    identity = await world.gate.authorise(basic(f"bert:{secret}"))
    assert (identity.name, identity.proof) == ("gateway", Proof.TOKEN)


async def test_the_cookie_of_a_session_opens_the_gate_until_it_ends(world):
    await world.user("bert")
    opened = await world.login.with_password("bert", GOOD, HERE)
    identity = await world.gate.authorise(world.cookie(opened.secret))
    assert (identity.name, identity.proof) == ("bert", Proof.SESSION)
    await world.sessions.end_all("bert")
    with pytest.raises(AccessDenied):
        await world.gate.authorise(world.cookie(opened.secret))


async def test_where_a_proof_is_sent_a_cookie_does_not_count(world):
    await world.user("bert")
    opened = await world.login.with_password("bert", GOOD, HERE)
    for proof in ("Bearer nonsense", "Basic !", "Negotiate x", "Bearer"):
        headers = {"Authorization": proof, **world.cookie(opened.secret)}
        with pytest.raises(AccessDenied) as caught:
            await world.gate.authorise(headers)
        assert not caught.value.known


async def test_an_admin_without_a_second_factor_is_known_and_let_in_nowhere(world):
    await world.user("anna", Role.ADMIN)
    opened = await world.login.with_password("anna", GOOD, HERE)
    headers = world.cookie(opened.secret)
    with pytest.raises(AccessDenied, match="needs a second factor") as caught:
        await world.gate.authorise(headers)
    assert caught.value.known
    assert "/welcome" in caught.value.hint
    assert "POST /login/totp/begin" in caught.value.hint
    assert (await world.gate.session(headers)).is_limited


async def test_brute_force_tokens_that_are_none_are_told_to_wait_and_right_ones_pass(world):
    secret = await world.tokens.create(Role.VIEWER, "a viewer")
    denied = []
    for number in range(40):
        with pytest.raises(AccessDenied) as caught:
            await world.gate.authorise({"Authorization": f"Bearer edge_{number:043}"}, "10.0.0.7")
        denied.append(isinstance(caught.value, TooManyAttempts))
    assert not any(denied[:21])
    assert all(denied[21:])
    assert await world.gate.authorise({"Authorization": f"Bearer {secret}"}, "10.0.0.7")
    with pytest.raises(AccessDenied) as caught:
        await world.gate.authorise({"Authorization": "Bearer edge_" + "0" * 43}, "10.0.0.8")
    assert not isinstance(caught.value, TooManyAttempts)


async def test_brute_force_passwords_are_told_to_wait(world):
    await world.user("bert")
    for number in range(7):
        with pytest.raises(AccessDenied) as caught:
            await world.gate.authorise(basic(f"bert:wrong {number}"), "10.0.0.7")
    assert isinstance(caught.value, TooManyAttempts)
    assert caught.value.retry_after > 0
