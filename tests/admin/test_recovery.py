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
from edge.cache.disk_paper import DiskPaper
from edge.cache.recovery_key import RecoveryPaper
from edge.crypto.keys import KeyRing
from edge.crypto.providers import FileKeyProvider
from edge.dicomweb.middleware import IDENTITY, access
from edge.dicomweb.root import create_root
from edge.index.database import Database

AT_HOME = Scope(networks=("127.0.0.0/8",))
KEY = {"key": "AAAA"}


@pytest.fixture
async def ask(tmp_path):
    async with Database(tmp_path / "index.db", bytes(32)) as database:
        keys = await asyncio.to_thread(
            KeyRing, tmp_path / "keys.db", FileKeyProvider(tmp_path / "root.key")
        )
        asking = SimpleNamespace(identity=None, disk=[])

        async def authorise(_headers, _address):
            return asking.identity

        routes = recovery_routes(
            RecoveryPaper(tmp_path, keys),
            None,
            lambda request: request[IDENTITY],
            "box",
            DiskPaper(database, lambda: asking.disk),
        )
        door = api.create_application(
            status=None, identity=None, middlewares=[access(authorise)], routes=routes
        )
        async with TestServer(create_root({"/api/v1": door})) as server, ClientSession() as session:

            async def send(path, body, proof=Proof.SESSION, scope=ANYTHING):
                asking.identity = Identity("keeper", Role.ADMIN, proof=proof, scope=scope)
                url = server.make_url(f"/api/v1/keys{path}")
                async with session.post(url, json=body) as answer:
                    return answer.status, await answer.json()

            send.box = asking
            yield send
        keys.close()


async def test_no_token_and_nobody_who_was_narrowed_makes_a_recovery_key(ask):
    makes, sees = "makes a recovery key", "sees the recovery key of the disk"
    tried = (("/recovery", {}, makes), ("/recovery/typed", KEY, makes), ("/disk", {}, sees))
    for path, body, does in tried:
        status, said = await ask(path, body, proof=Proof.TOKEN)
        assert (status, said["detail"]) == (403, f"no token {does}")
        status, said = await ask(path, body, scope=AT_HOME)
        narrowed = f"keeper was narrowed: nobody who was {does}"
        assert (status, said["detail"]) == (403, narrowed)
    status, said = await ask("/recovery", {})
    assert status == 200
    assert len(said["groups"]) == 9


async def test_the_key_of_a_disk_is_shown_as_often_as_needed_where_there_is_one(ask):
    status, said = await ask("/disk", {})
    assert (status, said["detail"]) == (409, "the disk of this machine has no recovery key")
    ask.box.disk = ["ABCDEFGH"] * 9
    for _ in range(2):
        assert await ask("/disk", {}) == (200, {"groups": ["ABCDEFGH"] * 9})
