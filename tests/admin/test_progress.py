"""The queue and the history over the admin API."""

from __future__ import annotations

import pytest
from aiohttp.test_utils import TestClient, TestServer

from edge.access.roles import Identity, Role
from edge.admin import api
from edge.admin.progress import progress_routes
from edge.cache.history import Day
from edge.cache.listing import Page
from edge.cache.queue import QueuedStudy, Underway
from edge.dicomweb.middleware import access
from edge.dicomweb.root import create_root

STUDY = QueuedStudy("1.2", "Novak^Petr", "P-1", ("CT",), "Head", "20261129", 1.0, 2, 3, 4, 3)


class Known:
    """What is asked for."""

    def __init__(self):
        self.asked = []

    async def page(self, *, limit, offset):
        self.asked.append((limit, offset))
        return Page(9, [Underway(STUDY, 7.0)])

    async def days(self, count):
        self.asked.append(count)
        return [Day("2026-11-29", came=1)]


@pytest.fixture
def known():
    return Known()


@pytest.fixture
async def client(known):
    async def authorise(headers, address):
        return Identity("someone", Role.VIEWER)

    door = api.create_application(
        status=None,
        identity=None,
        middlewares=[access(authorise)],
        routes=progress_routes(known, known),
    )
    async with TestClient(TestServer(create_root({"/api/v1": door}))) as opened:
        yield opened


async def test_who_waits_is_said_with_the_time_of_arrival(client, known):
    said = await (await client.get("/api/v1/sync/queue?limit=3&offset=6")).json()
    assert known.asked == [(3, 6)]
    assert said["total"] == 9
    assert said["items"][0]["eta"] == 7.0
    assert said["items"][0]["study"]["patient_name"] == "Novak^Petr"


async def test_days_are_as_many_as_were_asked_for(client, known):
    said = await (await client.get("/api/v1/sync/history?days=90")).json()
    assert known.asked == [90]
    assert said[0]["date"] == "2026-11-29"
    assert (said[0]["came"], said[0]["safe"]) == (1, 0)


@pytest.mark.parametrize("days", ["0", "367", "x", "-1"])
async def test_days_that_are_none_are_refused(client, days):
    assert (await client.get(f"/api/v1/sync/history?days={days}")).status == 400
