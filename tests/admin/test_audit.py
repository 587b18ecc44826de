"""The audit over the admin API: what a check found, and that somebody knows of it."""

from __future__ import annotations

import pytest
from aiohttp.test_utils import TestClient, TestServer

from edge.access.audit.damage import Damages
from edge.access.audit.entry import Actor, Entry, Event
from edge.access.audit.folder import EMPTY, AuditFolder
from edge.access.roles import Identity, Role
from edge.admin import api
from edge.admin.audit import audit_routes
from edge.crypto.sealed import Algorithm
from edge.dicomweb.middleware import access
from edge.dicomweb.root import create_root
from edge.errors import StorageFull

pytestmark = pytest.mark.blocks  # the tests look into the files

DAY = 86400.0


class Memory:
    """What the index would remember."""

    def __init__(self):
        self.kept = ""
        self.is_full = False

    async def damage(self):
        return self.kept

    async def set_damage(self, text):
        if self.is_full:
            raise StorageFull("the disk is full")
        self.kept = text


@pytest.fixture
def memory():
    return Memory()


@pytest.fixture
def folder(tmp_path):
    """Six segments of one entry each."""
    now = [1_800_000_000.0]
    made = AuditFolder(tmp_path / "audit", bytes(32), Algorithm.AES_256_GCM, clock=lambda: now[0])
    for _ in range(6):
        made.append([Entry(at=now[0], event=Event.ACCESSED, actor=Actor("ada")).to_bytes()])
        now[0] += 8 * DAY
    return made


@pytest.fixture
async def client(folder, memory):
    async def authorise(headers, address):
        return Identity("someone", Role.ADMIN)

    door = api.create_application(
        status=None,
        identity=None,
        middlewares=[access(authorise)],
        routes=audit_routes(folder, lambda: EMPTY, None, Damages(memory)),
    )
    async with TestClient(TestServer(create_root({"/api/v1": door}))) as opened:
        yield opened


def lose(folder, number):
    next(one for one in folder.segments() if one.number == number).path.unlink()


async def check(client):
    return await (await client.get("/api/v1/audit/check")).json()


async def see(client, flaws):
    answer = await client.post("/api/v1/audit/seen", json={"flaws": flaws})
    return answer.status, await answer.json()


async def test_who_knows_of_all_that_was_found_ends_the_alarm(client, folder):
    lose(folder, 3)
    found = await check(client)
    assert found["is_alarm"]
    assert len(found["flaws"]) == len(found["findings"])
    assert await see(client, found["flaws"]) == (200, {"is_alarm": False})
    assert not (await check(client))["is_alarm"]


async def test_more_under_the_same_name_is_an_alarm_again(client, folder):
    """Of segments that are gone, neither the first nor the last entry is known."""
    lose(folder, 1)
    await see(client, (await check(client))["flaws"])
    lose(folder, 2)
    found = await check(client)
    assert [one["fault"] for one in found["findings"]] == ["removed"]
    assert found["is_alarm"]


async def test_what_is_found_while_somebody_reads_what_was_found_stays_an_alarm(client, folder):
    lose(folder, 3)
    found = await check(client)
    lose(folder, 5)
    assert (await check(client))["is_alarm"]
    assert await see(client, found["flaws"]) == (200, {"is_alarm": True})
    assert (await check(client))["is_alarm"]


async def test_what_can_not_be_kept_is_not_said_to_be_done(client, folder, memory):
    lose(folder, 3)
    found = await check(client)
    memory.is_full = True
    assert (await see(client, found["flaws"]))[0] == 507
    memory.is_full = False
    assert (await check(client))["is_alarm"]


@pytest.mark.parametrize("flaws", [[], ["x"], ["0" * 33], None])
async def test_nobody_knows_of_nothing(client, flaws):
    assert (await see(client, flaws))[0] == 400
