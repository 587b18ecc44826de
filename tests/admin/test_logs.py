"""The last lines of the log over the admin API."""

from __future__ import annotations

import logging

import pytest
from aiohttp.test_utils import TestClient, TestServer

from edge.access.roles import Identity, Role
from edge.admin import api
from edge.admin.logs import log_routes
from edge.dicomweb.middleware import access
from edge.dicomweb.root import create_root
from edge.logs import Recent


@pytest.fixture
def kept():
    return Recent()


@pytest.fixture
async def client(kept):
    async def authorise(headers, address):
        return Identity("someone", Role.ADMIN)

    door = api.create_application(
        status=None, identity=None, middlewares=[access(authorise)], routes=log_routes(kept)
    )
    async with TestClient(TestServer(create_root({"/api/v1": door}))) as opened:
        yield opened


def say(kept, text):
    kept.handle(logging.LogRecord("edge.test", logging.INFO, "file", 1, text, (), None))


async def lines(client, after):
    document = await (await client.get(f"/api/v1/logs?after={after}")).json()
    return [line["text"] for line in document["lines"]], document["last"]


async def test_what_came_since_is_told_and_how_far_that_is(client, kept):
    assert await lines(client, 0) == ([], 0)
    say(kept, "one")
    say(kept, "two")
    assert await lines(client, 1) == (["two"], 2)
    assert await lines(client, 2) == ([], 2)


async def test_a_log_that_began_anew_says_how_far_it_is(client, kept):
    """Whoever followed the log of the process before sees by that to begin anew, too."""
    say(kept, "one")
    assert await lines(client, 9999) == ([], 1)
