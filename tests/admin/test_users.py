"""People over the admin API."""

from __future__ import annotations

from operator import itemgetter

import pytest
from aiohttp.test_utils import TestClient, TestServer

from edge.access.acts import Act
from edge.access.roles import Identity, Proof, Role
from edge.access.scope import ANYTHING, Scope
from edge.access.sessions import Proved
from edge.admin import api
from edge.admin.users import user_routes
from edge.dicomweb.middleware import IDENTITY, access
from edge.dicomweb.root import create_root
from tests.access.people import GOOD, HERE, OTHER


@pytest.fixture
async def client(world):
    async def authorise(headers, address):
        proof = Proof(headers.get("X-Proof", "session"))
        scope = Scope(acts=frozenset({Act.ADMINISTER})) if "X-Narrow" in headers else ANYTHING
        return Identity("someone", Role(headers.get("X-Role", "admin")), proof=proof, scope=scope)

    door = api.create_application(
        status=None,
        identity=None,
        middlewares=[access(authorise)],
        routes=user_routes(world.users, world.sessions, itemgetter(IDENTITY)),
    )
    async with TestClient(TestServer(create_root({"/api/v1": door}))) as opened:
        yield opened


async def test_somebody_is_invited_listed_and_removed(client, world):
    said = {"name": "bert", "role": "technologist", "display_name": "Bert, CT"}
    answer = await client.post("/api/v1/users", json=said)
    assert answer.headers["Cache-Control"] == "no-store"
    handed = await answer.json()
    assert handed["name"] == "bert"
    assert handed["link"].endswith(f"/welcome#code={handed['code']}")
    assert handed["picture"].startswith("<svg")
    await world.users.redeem(handed["code"], GOOD)
    listed = await (await client.get("/api/v1/users")).json()
    [user] = listed["users"]
    assert (user["name"], user["role"], user["state"]) == ("bert", "technologist", "active")
    assert (user["second_factors"], user["code_until"], user["last_seen"]) == ([], None, None)
    assert "password" not in user
    answer = await client.delete("/api/v1/users/bert")
    assert await answer.json() == {"removed": True}
    answer = await client.delete("/api/v1/users/bert")
    assert await answer.json() == {"removed": False}


async def test_a_name_is_taken_as_people_type_it_and_what_it_may_have_is_said_in_words(client):
    answer = await client.post("/api/v1/users", json={"name": " Bob ", "role": "viewer"})
    assert (answer.status, (await answer.json())["name"]) == (200, "bob")
    for name in ("Doctor Who", "José", ".bob"):
        answer = await client.post("/api/v1/users", json={"name": name, "role": "viewer"})
        assert answer.status == 409
        said = await answer.text()
        assert "that can't be a name to log in with" in said
        assert "no spaces" in said
        assert "regex" not in said


async def test_a_reset_gives_a_code_and_changes_hold_at_once(client, world):
    await world.user("bert")
    secret, _ = await world.sessions.open("bert", Role.VIEWER, Proved.PASSWORD, HERE)
    answer = await client.post("/api/v1/users/bert", json={"role": "physician"})
    assert (await answer.json())["role"] == "physician"
    assert (await world.sessions.verify(secret)).role is Role.PHYSICIAN
    handed = await (await client.post("/api/v1/users/bert/reset", json={})).json()
    assert await world.sessions.verify(secret) is None
    await world.users.redeem(handed["code"], OTHER)
    answer = await client.post("/api/v1/users/bert", json={"disabled": True})
    assert (await answer.json())["state"] == "disabled"


async def test_what_can_not_be_is_said_with_the_reason(client, world):
    await world.user("anna", Role.ADMIN)
    for answer in (
        await client.delete("/api/v1/users/anna"),
        await client.post("/api/v1/users/anna", json={"disabled": True}),
    ):
        assert answer.status == 409
        assert "last active admin" in (await answer.json())["detail"]
    answer = await client.post("/api/v1/users/nobody", json={"disabled": True})
    assert answer.status == 409
    answer = await client.post("/api/v1/users", json={"name": "anna", "role": "viewer"})
    assert answer.status == 409


@pytest.mark.parametrize(
    "said", [{}, {"name": "bert"}, {"name": "B\nert", "role": "viewer"}, {"name": "b", "role": "x"}]
)
async def test_what_can_not_be_understood_is_refused(client, said):
    assert (await client.post("/api/v1/users", json=said)).status == 400


async def test_sessions_are_listed_and_ended(client, world):
    await world.user("bert")
    opened = [
        await world.sessions.open("bert", Role.VIEWER, Proved.PASSWORD, HERE) for _ in range(3)
    ]
    listed = await (await client.get("/api/v1/users/bert/sessions")).json()
    assert {one["session_id"] for one in listed["sessions"]} == {it[1].session_id for it in opened}
    assert all(secret not in str(listed) for secret, _ in opened)
    one = opened[0][1].session_id
    answer = await client.delete("/api/v1/users/bert/sessions", params={"session_id": one})
    assert await answer.json() == {"ended": 1}
    answer = await client.delete("/api/v1/users/bert/sessions")
    assert await answer.json() == {"ended": 2}


CHANGES = (
    ("POST", "/users", {"name": "eve", "role": "admin"}),
    ("POST", "/users", {"name": "eve", "role": "physician"}),
    ("POST", "/users/bert", {"role": "admin"}),
    ("POST", "/users/bert", {"role": "technologist"}),
    ("POST", "/users/bert/reset", {}),
    ("DELETE", "/users/bert", None),
    ("DELETE", "/users/bert/sessions", None),
    ("POST", "/users/anna", {"display_name": "Eve"}),
    ("POST", "/users/anna/reset", {}),
    ("DELETE", "/users/anna", None),
    ("DELETE", "/users/anna/sessions", None),
)


@pytest.mark.parametrize(
    "headers",
    [{"X-Proof": "token"}, {"X-Proof": "token", "X-Narrow": "1"}, {"X-Narrow": "1"}],
    ids=["token", "narrowed token", "narrowed person"],
)
async def test_a_stolen_token_invites_resets_and_changes_nobody(client, world, headers):
    await world.user("anna", Role.ADMIN)
    await world.user("more", Role.ADMIN)
    await world.user("bert")
    opened = await world.sessions.open("bert", Role.VIEWER, Proved.PASSWORD, HERE)
    before = await world.users.list()
    for method, path, said in CHANGES:
        answer = await client.request(method, f"/api/v1{path}", json=said, headers=headers)
        assert answer.status == 403, path
        assert "code" not in await answer.json()
    assert await world.users.list() == before
    assert await world.sessions.verify(opened[0])
    assert (await client.get("/api/v1/users", headers=headers)).status == 200


@pytest.mark.parametrize("role", [str(role) for role in Role if role is not Role.ADMIN])
async def test_nobody_but_admins_may_any_of_it(client, world, role):
    await world.user("bert")
    headers = {"X-Role": role}
    for method, path, said in (
        ("GET", "/users", None),
        ("POST", "/users", {"name": "eve", "role": "admin"}),
        ("POST", "/users/bert", {"role": "admin"}),
        ("DELETE", "/users/bert", None),
        ("POST", "/users/bert/reset", {}),
        ("GET", "/users/bert/sessions", None),
        ("DELETE", "/users/bert/sessions", None),
    ):
        answer = await client.request(method, f"/api/v1{path}", json=said, headers=headers)
        assert answer.status == 403, path
    [user] = await world.users.list()
    assert (user.name, user.role) == ("bert", Role.VIEWER)


async def test_somebody_is_narrowed_and_let_go_at_once(client, world):
    await world.user("bert")
    secret, _ = await world.sessions.open("bert", Role.VIEWER, Proved.PASSWORD, HERE)
    wish = {"studies_from": ["CT1"], "services": ["dicomweb"], "acts": [], "networks": []}
    answer = await client.post("/api/v1/users/bert", json={"narrowed": wish})
    assert (await answer.json())["narrowed"] == wish
    scope = (await world.sessions.verify(secret)).scope
    assert scope == Scope(studies_from=frozenset({"CT1"}), services=frozenset({"dicomweb"}))
    await client.post("/api/v1/users/bert", json={"display_name": "Bert"})
    assert (await world.sessions.verify(secret)).scope == scope
    await client.post("/api/v1/users/bert", json={"narrowed": {}})
    assert (await world.sessions.verify(secret)).scope == ANYTHING


@pytest.mark.parametrize(
    ("wish", "status"),
    [
        ({"networks": ["nowhere"]}, 409),
        ({"studies_from": [""]}, 409),
        ({"studies_from": ["x"] * 65}, 400),
        ({"services": ["none"]}, 400),
        ({"ae_title": "CT1"}, 400),
    ],
)
async def test_what_narrows_nobody_is_refused(client, world, wish, status):
    await world.user("bert")
    answer = await client.post("/api/v1/users/bert", json={"narrowed": wish})
    assert answer.status == status
    assert (await world.users.find("bert")).scope == ANYTHING
