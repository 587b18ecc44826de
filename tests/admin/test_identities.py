"""``/api/v1/identities``: what admins see of people of a provider, and may do about them."""

from __future__ import annotations

from operator import itemgetter

import pytest
from aiohttp.test_utils import TestClient, TestServer

from edge.access.acts import Act
from edge.access.oidc.people import ProviderPeople
from edge.access.roles import Identity, Proof, Role
from edge.access.scope import ANYTHING, Scope
from edge.admin import api
from edge.admin.identities import identity_routes
from edge.admin.users import user_routes
from edge.dicomweb.middleware import IDENTITY, access
from edge.dicomweb.root import create_root
from edge.errors import AccessDenied
from edge.index.database import Database
from tests.access.oidc.conftest import Way
from tests.access.oidc.provider import FakeProvider
from tests.access.people import World

PATH = "/api/v1/identities"


@pytest.fixture
async def way(tmp_path):
    async with FakeProvider() as fake, Database(tmp_path / "i.db", bytes(32)) as database:
        yield Way(fake, World(database))


@pytest.fixture
async def client(way):
    async def authorise(headers, _address):
        proof = Proof(headers.get("X-Proof", "session"))
        scope = Scope(acts=frozenset({Act.ADMINISTER})) if "X-Narrow" in headers else ANYTHING
        return Identity("someone", Role(headers.get("X-Role", "admin")), proof=proof, scope=scope)

    people, sessions = ProviderPeople(way.world.database), way.world.sessions
    door = api.create_application(
        status=None,
        identity=None,
        middlewares=[access(authorise)],
        routes=[
            *identity_routes(people, sessions, itemgetter(IDENTITY)),
            *user_routes(way.world.users, sessions, itemgetter(IDENTITY)),
        ],
    )
    async with TestClient(TestServer(create_root({"/api/v1": door}))) as opened:
        yield opened


async def test_somebody_is_listed_kept_out_let_in_and_forgotten(client, way):
    opened = await way.enter()
    [one] = (await (await client.get(PATH)).json())["identities"]
    assert one == {
        "name": "oidc:anna",
        "display_name": "Anna",
        "issuer": way.fake.issuer,
        "role": "physician",
        "state": "active",
        "vouched": way.clock.now,
        "narrowed": {"services": [], "acts": [], "studies_from": [], "networks": []},
    }
    answer = await client.post(f"{PATH}/oidc:anna", json={"disabled": True})
    assert (await answer.json())["state"] == "disabled"
    assert await way.world.sessions.verify(opened.secret) is None
    with pytest.raises(AccessDenied, match="let you in no more"):
        await way.enter()
    assert await way.world.sessions.list() == ()
    await client.post(f"{PATH}/oidc:anna", json={"disabled": False})
    assert await way.world.sessions.verify(opened.secret) is None
    opened = await way.enter()
    assert await (await client.delete(f"{PATH}/oidc:anna")).json() == {"removed": True}
    assert await way.world.sessions.verify(opened.secret) is None
    assert await (await client.delete(f"{PATH}/oidc:anna")).json() == {"removed": False}


async def test_where_they_are_logged_in_is_seen_and_ended_as_that_of_users(client, way):
    opened = await way.enter()
    path = "/api/v1/users/oidc:anna/sessions"
    [one] = (await (await client.get(path)).json())["sessions"]
    assert (one["session_id"], one["issuer"]) == (opened.session.session_id, way.fake.issuer)
    assert await (await client.delete(path)).json() == {"ended": 1}
    assert await way.world.sessions.verify(opened.secret) is None


@pytest.mark.parametrize("group", ["grp-it", ""], ids=["an admin", "anybody"])
async def test_a_stolen_token_changes_nobody(client, way, group):
    if group:
        way.fake.people["sub-anna"]["groups"] = [group]
        way.fake.extra = {"amr": ["mfa"]}
    await way.enter()
    for answer in (
        await client.post(
            f"{PATH}/oidc:anna", json={"disabled": True}, headers={"X-Proof": "token"}
        ),
        await client.delete(f"{PATH}/oidc:anna", headers={"X-Proof": "token"}),
        await client.get(PATH, headers={"X-Role": "physician"}),
        await client.delete(f"{PATH}/oidc:nobody", headers={"X-Narrow": "1"}),
    ):
        assert answer.status == 403


async def test_nobody_of_that_name(client):
    answer = await client.post(f"{PATH}/oidc:nobody", json={"disabled": True})
    assert answer.status == 409
    assert "nobody of that name" in (await answer.json())["detail"]


async def test_somebody_is_narrowed_here_and_stays_so_at_the_next_log_in(client, way):
    opened = await way.enter()
    wish = {"studies_from": ["CT1"], "services": [], "acts": [], "networks": []}
    answer = await client.post(f"{PATH}/oidc:anna", json={"narrowed": wish})
    assert (await answer.json())["narrowed"] == wish
    scope = Scope(studies_from=frozenset({"CT1"}))
    assert (await way.world.sessions.verify(opened.secret)).scope == scope
    again = await way.enter()
    assert (await way.world.sessions.verify(again.secret)).scope == scope
    await client.post(f"{PATH}/oidc:anna", json={"narrowed": {}})
    assert (await way.world.sessions.verify(again.secret)).scope == ANYTHING
    assert (await client.post(f"{PATH}/oidc:anna", json={})).status == 409
    answer = await client.post(f"{PATH}/oidc:nobody", json={"narrowed": wish})
    assert answer.status == 409
    answer = await client.post(f"{PATH}/oidc:anna", json={"narrowed": {"acts": ["administer"]}})
    assert answer.status == 409
    assert "would open nothing" in (await answer.json())["detail"]
