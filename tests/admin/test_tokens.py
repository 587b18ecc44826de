"""Tokens over the admin API."""

from __future__ import annotations

from operator import itemgetter

import pytest
from aiohttp.test_utils import TestClient, TestServer

from edge.access.acts import Act, Service
from edge.access.gate import Gate
from edge.access.roles import Identity, Proof, Role
from edge.access.scope import Scope
from edge.access.tokens import Tokens
from edge.admin import api
from edge.admin.tokens import token_routes
from edge.dicomweb.middleware import IDENTITY, access
from edge.dicomweb.root import create_root
from edge.index.database import Database
from edge.index.tokens import TokenTable

PATH = "/api/v1/tokens"


@pytest.fixture
async def tokens(tmp_path):
    async with Database(tmp_path / "index.db", bytes(32)) as database:
        yield Tokens(TokenTable(database))


@pytest.fixture
async def client(tokens):
    """Over the real gate, beside which somebody logged in."""
    gate = Gate(tokens, required=True)

    async def authorise(headers, address):
        if "X-Logged-In" in headers:
            return Identity("anna", Role.ADMIN, proof=Proof.SESSION, session_id="s")
        return await gate.authorise(headers, address)

    door = api.create_application(
        status=None,
        identity=None,
        middlewares=[access(authorise, Service.ADMIN)],
        routes=token_routes(tokens, itemgetter(IDENTITY)),
    )
    async with TestClient(TestServer(create_root({"/api/v1": door}))) as opened:
        yield opened


@pytest.fixture
async def admin():
    """The headers of an admin who logged in."""
    return {"X-Logged-In": "1"}


def bearer(secret):
    return {"Authorization": f"Bearer {secret}"}


async def test_a_token_is_made_used_listed_and_revoked(client, admin, tokens):
    wish = {"role": "service", "name": "CT gateway", "days": 30, "services": ["dicomweb"]}
    wish |= {"acts": ["store"], "ae_title": "CT1", "networks": ["192.168.7.0/24"]}
    wish |= {"studies_from": ["CT1", "CT2"]}
    async with client.post(PATH, json=wish, headers=admin) as answer:
        assert answer.status == 200
        assert answer.headers["Cache-Control"] == "no-store"
        made = await answer.json()
    identity = await tokens.verify(made["secret"], "192.168.7.9")
    assert (identity.name, identity.role, identity.sender) == ("CT gateway", Role.SERVICE, "CT1")
    async with client.get(PATH, headers=admin) as answer:
        text = await answer.text()
        (token,) = await answer.json()
    assert made["secret"] not in text
    assert {name: token[name] for name in wish if name != "days"} == {
        name: said for name, said in wish.items() if name != "days"
    }
    assert (token["ended"], token["used_from"]) == (False, "192.168.7.9")
    assert 29 * 86400 < token["expires"] - token["created"] < 31 * 86400
    asked = {"token_id": made["token_id"]}
    async with client.delete(PATH, params=asked, headers=admin) as answer:
        assert await answer.json() == {"revoked": True}
    async with client.delete(PATH, params=asked, headers=admin) as answer:
        assert await answer.json() == {"revoked": False}
    assert await tokens.verify(made["secret"], "192.168.7.9") is None


@pytest.mark.parametrize("role", [role for role in Role if role is not Role.ADMIN])
async def test_nobody_else_sees_makes_or_revokes_one(client, tokens, role):
    headers = bearer(await tokens.create(role, "somebody"))
    for method in ("GET", "POST", "DELETE"):
        async with client.request(method, PATH, headers=headers) as answer:
            assert answer.status == 403, method
    assert len(await tokens.list()) == 1


@pytest.mark.parametrize(
    ("wish", "status"),
    [
        ({"role": "king"}, 400),
        ({"name": ""}, 400),
        ({"name": "two\nlines"}, 400),
        ({"name": "\u202eevil"}, 409),
        ({"days": 0}, 400),
        ({"days": 3651}, 400),
        ({"services": ["moon"]}, 400),
        ({"networks": ["everywhere"]}, 409),
        ({"ae_title": "x" * 17}, 409),
        ({"role": "viewer", "acts": ["delete"]}, 409),
        ({"secret": "mine"}, 400),
    ],
)
async def test_what_can_not_be_meant_is_refused(client, admin, tokens, wish, status):
    wish = {"role": "viewer", "name": "x", **wish}
    async with client.post(PATH, json=wish, headers=admin) as answer:
        assert answer.status == status
    assert await tokens.list() == ()


async def test_a_token_of_an_admin_for_something_else_does_not_get_in_here(client, tokens):
    scope = Scope(services=frozenset({Service.DICOMWEB}))
    headers = bearer(await tokens.create(Role.ADMIN, "images", scope=scope))
    async with client.get(PATH, headers=headers) as answer:
        assert answer.status == 403
        assert "for dicomweb only" in (await answer.json())["detail"]


@pytest.mark.parametrize("acts", [(), (Act.ADMINISTER,)], ids=["whole", "narrowed"])
async def test_a_stolen_token_makes_itself_no_successor(client, tokens, acts):
    """Neither a twin nor a narrower one: revoked, it would live on in that."""
    stolen = await tokens.issue(Role.ADMIN, "stolen", scope=Scope(acts=frozenset(acts)))
    headers = bearer(stolen.secret)
    for wish in (
        {"role": "admin", "acts": list(acts), "days": 365},
        {"role": "admin", "acts": ["administer"], "days": 1},
        {"role": "viewer", "services": ["dicomweb"], "days": 0.01},
    ):
        async with client.post(PATH, json={"name": "twin", **wish}, headers=headers) as answer:
            assert answer.status == 403
            assert "no token makes another" in (await answer.json())["detail"]
    assert [one.token_id for one in await tokens.list()] == [stolen.info.token_id]
    async with client.get(PATH, headers=headers) as answer:
        assert (await answer.json())[0]["used_from"] == "127.0.0.1"
    asked = {"token_id": stolen.info.token_id}
    async with client.delete(PATH, params=asked, headers=headers) as answer:
        assert await answer.json() == {"revoked": True}


async def test_a_token_that_is_not_valid_gets_one_answer_whatever_is_wrong_with_it(client, tokens):
    ended = await tokens.create(Role.ADMIN, "ended", days=1e-9)
    elsewhere = await tokens.create(Role.ADMIN, "x", scope=Scope(networks=("192.0.2.1",)))
    made = await tokens.issue(Role.ADMIN, "revoked")
    await tokens.revoke(made.info.token_id)
    answers = set()
    for secret in (ended, elsewhere, made.secret, "edge_" + "A" * 43):
        async with client.get(PATH, headers=bearer(secret)) as answer:
            document = await answer.json()
            del document["request_id"]
            challenges = tuple(answer.headers.getall("WWW-Authenticate"))
            answers.add((answer.status, challenges, str(document)))
    [(status, challenges, _)] = answers
    assert status == 401
    assert challenges == (
        'Bearer realm="edge", error="invalid_token"',
        'Basic realm="edge", charset="UTF-8"',
    )
    async with client.get(PATH) as answer:
        assert answer.headers.getall("WWW-Authenticate")[0] == 'Bearer realm="edge"'
