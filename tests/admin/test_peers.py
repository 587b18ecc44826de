"""Peers over the admin API."""

from __future__ import annotations

from operator import itemgetter
from pathlib import Path

import pytest
from aiohttp.test_utils import TestClient, TestServer

from edge.access.roles import Identity, Proof, Role
from edge.admin import api
from edge.admin.peers import peer_routes
from edge.cache.peers import PeerBook, Reached
from edge.config import Dimse
from edge.dicomweb.middleware import IDENTITY, access
from edge.dicomweb.root import create_root
from edge.index.database import Database
from edge.others import Peer

SETTINGS = Dimse(
    unknown_peers="learn",
    tls_ca=Path("/ca.pem"),
    peer=(Peer("CT1", "10.0.0.1", name="CT, ground floor"),),
)


@pytest.fixture
async def book(tmp_path):
    async with Database(tmp_path / "index.db", bytes(32)) as database:
        book = PeerBook(database, SETTINGS)
        book.strangers.note("CT9", "10.0.0.9", called="EDGE", services="storage", why="no peer")
        yield book


@pytest.fixture
async def client(book):
    async def authorise(headers, address):
        proof = Proof(headers.get("X-Proof", "session"))
        return Identity("someone", Role(headers.get("X-Role", "admin")), proof=proof)

    async def echo(name):
        return Reached(name, "10.0.0.1:104", works=False, found="no", hint="", milliseconds=1.0)

    door = api.create_application(
        status=None,
        identity=None,
        middlewares=[access(authorise)],
        routes=peer_routes(book, itemgetter(IDENTITY), echo),
    )
    async with TestClient(TestServer(create_root({"/api/v1": door}))) as opened:
        yield opened


@pytest.mark.parametrize("may", [["query"], ["store", "retrieve"], ["worklist"]])
async def test_a_stolen_token_lets_no_device_read_of_patients(client, book, may):
    headers = {"X-Proof": "token"}
    body = {"ae_title": "CT9", "may": may}
    answer = await client.post("/api/v1/peers", json=body, headers=headers)
    assert answer.status == 403
    assert "no token gives a peer the right" in (await answer.json())["detail"]
    assert book.approved == ()
    body["may"] = ["store", "commit"]
    assert (await client.post("/api/v1/peers", json=body, headers=headers)).status == 200


async def test_peers_and_strangers_are_listed(client):
    document = await (await client.get("/api/v1/peers")).json()
    (peer,) = document["peers"]
    assert (peer["ae_title"], peer["source"], peer["approved"]) == ("CT1", "configuration", None)
    assert peer["name"] == "CT, ground floor"
    (stranger,) = document["strangers"]
    assert (stranger["ae_title"], stranger["host"]) == ("CT9", "10.0.0.9")


async def test_one_click_approves_for_storing_from_where_it_called(client, book):
    answer = await client.post("/api/v1/peers", json={"ae_title": "CT9"})
    assert answer.status == 200
    approved = await answer.json()
    assert (approved["host"], approved["may"], approved["source"]) == (
        "10.0.0.9",
        ["store"],
        "someone",
    )
    assert book.in_force[-1] == Peer("CT9", "10.0.0.9")
    document = await (await client.get("/api/v1/peers")).json()
    assert [one["ae_title"] for one in document["peers"]] == ["CT1", "CT9"]
    assert document["strangers"] == []


async def test_more_is_approved_if_it_is_said(client, book):
    wish = {"ae_title": "WS", "host": "", "port": 11113, "may": ["query"], "tls": True}
    wish |= {"certificate": "ws.example", "max_associations": 2, "name": "Room 1"}
    assert (await client.post("/api/v1/peers", json=wish)).status == 200
    expected = Peer("WS", "", 11113, ("query",), "Room 1", True, "ws.example", 2)
    assert book.in_force[-1] == expected


@pytest.mark.parametrize(
    ("wish", "status"),
    [
        ({"ae_title": "CT1"}, 409),
        ({"ae_title": "NEVER"}, 409),
        ({"ae_title": "CT9", "host": "10.0.0.999"}, 409),
        ({"ae_title": "CT9", "may": ["everything"]}, 400),
        ({"ae_title": "CT9", "port": 0}, 400),
        ({"ae_title": "A\\B"}, 400),
        ({"ae_title": "CT9", "surprise": 1}, 400),
    ],
)
async def test_what_can_not_be_meant_is_refused(client, book, wish, status):
    answer = await client.post("/api/v1/peers", json=wish)
    assert answer.status == status
    assert (await answer.json())["detail"]
    assert book.approved == ()


async def test_who_is_forgotten_may_call_no_more(client, book):
    await client.post("/api/v1/peers", json={"ae_title": "CT9"})
    answer = await client.delete("/api/v1/peers", params={"ae_title": "CT9"})
    assert await answer.json() == {"forgotten": True, "configured": False}
    assert book.in_force == SETTINGS.peer
    answer = await client.delete("/api/v1/peers", params={"ae_title": "CT9"})
    assert await answer.json() == {"forgotten": False, "configured": False}
    book.strangers.note("CT1", "10.0.0.9", called="PACS", services="storage", why="no peer")
    answer = await client.delete("/api/v1/peers", params={"ae_title": "CT1"})
    assert await answer.json() == {"forgotten": True, "configured": True}
    assert (await client.delete("/api/v1/peers", params={"ae_title": "CT1"})).status == 409


async def test_the_way_back_is_tried(client):
    answer = await client.post("/api/v1/peers/CT1/echo")
    assert answer.status == 200
    document = await answer.json()
    assert (document["ae_title"], document["works"], document["found"]) == ("CT1", False, "no")


@pytest.mark.parametrize("role", [role for role in Role if role is not Role.ADMIN])
async def test_peers_are_for_admins_alone(client, book, role):
    headers = {"X-Role": str(role)}
    assert (await client.get("/api/v1/peers", headers=headers)).status == 403
    wish = {"ae_title": "CT9"}
    assert (await client.post("/api/v1/peers", json=wish, headers=headers)).status == 403
    assert (await client.delete("/api/v1/peers", params=wish, headers=headers)).status == 403
    assert (await client.post("/api/v1/peers/CT1/echo", headers=headers)).status == 403
    assert book.approved == ()
