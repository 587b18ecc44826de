"""A browser at ``/login``: what it sends by itself, and the cookie that it was given."""

from __future__ import annotations

from aiohttp.test_utils import TestClient, TestServer

from edge.admin.entrance import Entrance
from edge.admin.factors import factor_routes
from edge.admin.login import log_in_routes
from edge.admin.passkeys import passkey_routes
from edge.dicomweb.hosts import OwnNames
from edge.dicomweb.root import create_root
from tests.access.people import COOKIE, GOOD

OUR_PAGE = {"Sec-Fetch-Site": "same-origin"}


def serve(world, gate=None, *, tls=True):
    """All of ``/login``, below the root; to be entered."""
    root = create_root({}, names=OwnNames(["box.local"]))
    door = Entrance(gate or world.gate, world.login, world.sessions, cookie=COOKIE, tls=tls)
    root.add_routes([*log_in_routes(door), *factor_routes(door, world.factors)])
    root.add_routes(passkey_routes(door, world.passkeys))
    return TestClient(TestServer(root), headers=OUR_PAGE)


def secret_of(answer):
    """What the cookie says that an answer sets."""
    [header] = answer.headers.getall("Set-Cookie")
    name, _, value = header.partition(";")[0].partition("=")
    assert name == COOKIE
    return value


def cookie_of(answer):
    """What the browser sends from now on."""
    return {"Cookie": f"{COOKIE}={secret_of(answer)}"}


async def log_in(client, name="bert", password=GOOD, **more):
    """Log in; what the browser sends from now on."""
    answer = await client.post("/login", json={"name": name, "password": password, **more})
    assert answer.status == 200
    return cookie_of(answer)
