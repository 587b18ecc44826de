"""A box is locked from afar by its admins, and by nobody else."""

from __future__ import annotations

from operator import itemgetter

import pytest
from aiohttp.test_utils import TestClient, TestServer

from edge.access.acts import Service
from edge.access.roles import Identity, Role
from edge.admin import api
from edge.admin.keys import key_routes
from edge.admin.local_keys import LockAsked
from edge.dicomweb.middleware import IDENTITY, access
from edge.dicomweb.root import create_root
from edge.errors import AccessDenied, DecisionRefused


@pytest.fixture
def asked():
    return []


@pytest.fixture
def left():
    """What could not be destroyed."""
    return [""]


@pytest.fixture
async def client(asked, left):
    """Whoever sends a role as a token has it."""

    async def authorise(headers, address):
        token = headers.get("Authorization", "").removeprefix("Bearer ")
        if token not in list(Role):
            raise AccessDenied("who?")
        return Identity("Ada", Role(token))

    async def lock(what):
        asked.append(what)
        if not what.force:
            raise DecisionRefused("there is no recovery key", hint="make one")
        return left[0]

    routes = key_routes(lock, itemgetter(IDENTITY))
    door = api.create_application(
        status=None, identity=None, middlewares=[access(authorise, Service.ADMIN)], routes=routes
    )
    async with TestClient(TestServer(create_root({"/api/v1": door}))) as client:
        yield client


async def post(client, role, **what):
    headers = {"Authorization": f"Bearer {role}"}
    answer = await client.post("/api/v1/keys/lock", json=what, headers=headers)
    return answer.status, await answer.json()


async def test_an_admin_locks_the_box(client, asked):
    status, answer = await post(client, Role.ADMIN, confirmed=True, force=True)
    assert (status, answer) == (200, {"locked": True, "not_destroyed": ""})
    assert asked == [LockAsked("Ada over the network", force=True)]


async def test_the_answer_says_what_could_not_be_destroyed(client, left):
    left[0] = "/media/key/root.key: Read-only file system"
    status, answer = await post(client, Role.ADMIN, confirmed=True, force=True)
    assert (status, answer) == (200, {"locked": True, "not_destroyed": left[0]})


@pytest.mark.parametrize("role", [*(role for role in Role if role is not Role.ADMIN), "nobody"])
async def test_nobody_else_does(client, asked, role):
    status, _ = await post(client, role, confirmed=True, force=True)
    assert status in (401, 403)
    assert asked == []


async def test_it_is_not_locked_by_mistake_and_a_refusal_is_told(client, asked):
    status, answer = await post(client, Role.ADMIN)
    assert (status, asked) == (409, [])
    assert "confirmed" in answer["hint"]
    status, answer = await post(client, Role.ADMIN, confirmed=True)
    assert (status, answer["detail"]) == (409, "there is no recovery key")
    assert (await post(client, Role.ADMIN, confirmed="yes"))[0] == 400
