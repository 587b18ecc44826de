"""The association doctor over the admin API."""

from __future__ import annotations

import pytest
from aiohttp.test_utils import TestClient, TestServer

from edge.access.roles import Identity, Role
from edge.admin import api
from edge.admin.doctor import doctor_routes
from edge.cache.associations import Change, Diagnosis, Direction, PeerState, Side, Trouble
from edge.dicomweb.middleware import access
from edge.dicomweb.root import create_root

TROUBLE = Trouble(
    Direction.IN,
    "CT1",
    "10.0.0.1",
    "lost",
    "",
    is_known=True,
    called="EDGE",
    implementation="V1",
    what="it broke",
    changes=(Change(Side.DEVICE, "mend it"),),
    contexts=(),
    first_seen=1.0,
    last_seen=2.0,
    times=3,
)
STATE = PeerState("CT1", "CT", "10.0.0.1", 1.0, None, None)


@pytest.fixture
async def client():
    async def authorise(headers, address):
        return Identity("someone", Role(headers.get("X-Role", "admin")))

    async def examine(name):
        return Diagnosis((STATE,), (TROUBLE,)) if name in ("", "CT") else Diagnosis((), (), False)

    door = api.create_application(
        status=None, identity=None, middlewares=[access(authorise)], routes=doctor_routes(examine)
    )
    async with TestClient(TestServer(create_root({"/api/v1": door}))) as opened:
        yield opened


@pytest.mark.parametrize("query", ["", "?peer=CT"])
async def test_trouble_is_told_with_what_to_change_on_which_side(client, query):
    document = await (await client.get(f"/api/v1/peers/doctor{query}")).json()
    assert document["is_known"] is True
    (trouble,) = document["troubles"]
    assert (trouble["what"], trouble["times"], trouble["direction"]) == ("it broke", 3, "in")
    assert trouble["changes"] == [{"side": "device", "what": "mend it"}]
    (peer,) = document["peers"]
    assert (peer["ae_title"], peer["called"], peer["missing"]) == ("CT1", 1.0, None)


async def test_nobody_of_that_name_is_an_answer_that_says_so(client):
    document = await (await client.get("/api/v1/peers/doctor?peer=MR7")).json()
    assert document == {"peers": [], "troubles": [], "is_known": False}


async def test_only_admins_may_ask(client):
    headers = {"X-Role": "technologist"}
    assert (await client.get("/api/v1/peers/doctor", headers=headers)).status == 403
    assert (await client.get("/api/v1/peers/doctor?nobody=1")).status == 400
