"""A service without tokens answers to its own names only."""

from __future__ import annotations

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from edge.dicomweb.hosts import only_called
from edge.dicomweb.middleware import errors


@pytest.fixture
async def client():
    async def answer(_request):
        return web.Response(text="images")

    application = web.Application(middlewares=[errors, only_called({"edge", "edge.local"})])
    application.router.add_get("/", answer)
    async with TestClient(TestServer(application)) as running:
        yield running


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "127.0.0.1:8443", "[::1]:8443", "localhost:80", "edge", "EDGE.local.", "edge:1"],
)
async def test_addresses_and_own_names_are_answered(client, host):
    answer = await client.get("/", headers={"Host": host})
    assert (answer.status, await answer.text()) == (200, "images")


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8443", "127.0.0.1.evil.example", "edge.evil.example", ""]
)
async def test_a_name_that_somebody_made_lead_here_is_refused(client, host):
    answer = await client.get("/", headers={"Host": host})
    assert answer.status == 421
    assert "images" not in await answer.text()
