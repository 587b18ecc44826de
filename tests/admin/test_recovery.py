"""Who may make a recovery key over the admin API."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest
from aiohttp import ClientSession
from aiohttp.test_utils import TestServer

from edge.access.roles import Identity, Proof, Role
from edge.access.scope import ANYTHING, Scope
from edge.admin import api
from edge.admin.recovery import recovery_routes
from edge.cache.recovery_key import RecoveryPaper
from edge.crypto.keys import KeyRing
from edge.crypto.providers import FileKeyProvider
from edge.dicomweb.middleware import IDENTITY, access
from edge.dicomweb.root import create_root

AT_HOME = Scope(networks=("127.0.0.0/8",))
KEY = {"key": "AAAA"}


@pytest.fixture
async def ask(tmp_path):
    keys = await asyncio.to_thread(
        KeyRing, tmp_path / "keys.db", FileKeyProvider(tmp_path / "root.key")
    )
    asking = SimpleNamespace(identity=None)

    async def authorise(_headers, _address):
        return asking.identity

    routes = recovery_routes(
        RecoveryPaper(tmp_path, keys), None, lambda request: request[IDENTITY], "box"
    )
    door = api.create_application(
        status=None, identity=None, middlewares=[access(authorise)], routes=routes
    )
    async with TestServer(create_root({"/api/v1": door})) as server, ClientSession() as session:

        async def send(path, body, proof=Proof.SESSION, scope=ANYTHING):
            asking.identity = Identity("keeper", Role.ADMIN, proof=proof, scope=scope)
            url = server.make_url(f"/api/v1/keys/recovery{path}")
            async with session.post(url, json=body) as answer:
                return answer.status, await answer.json()

        yield send
    keys.close()


async def test_no_token_and_nobody_who_was_narrowed_makes_a_recovery_key(ask):
    for path, body in (("", {}), ("/typed", KEY)):
        status, said = await ask(path, body, proof=Proof.TOKEN)
        assert (status, said["detail"]) == (403, "no token makes a recovery key")
        status, said = await ask(path, body, scope=AT_HOME)
        assert (status, said["detail"]) == (403, "keeper was narrowed, and makes no recovery key")
    status, said = await ask("", {})
    assert status == 200
    assert len(said["groups"]) == 9
