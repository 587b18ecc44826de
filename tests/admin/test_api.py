"""Health for monitors, status for those who may see it."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from edge import config, others
from edge.access.roles import Identity, Role
from edge.access.scope import Scope
from edge.admin import api
from edge.cache.reading_status import read_status
from edge.index.database import Database
from edge.index.summary import WaitingStudy


@pytest.fixture
async def parts():
    return {"dimse": "running", "push": "running"}


@pytest.fixture
async def client(tmp_path, parts):
    passed, who = [], [Identity("anna", Role.VIEWER)]

    @web.middleware
    async def noted(request, handler):
        passed.append(request.path)
        return await handler(request)

    async def free_bytes():
        return 10**12

    async def status():
        found = await read_status(settings, database, disk, parts)
        return replace(found, line=replace(found.line, studies=(WaitingStudy("1.2.3", 4, 5),)))

    settings = config.Config(cloud=config.Cloud((others.Archive("cloud", "https://cloud"),)))
    disk = SimpleNamespace(free_bytes=free_bytes)
    async with Database(tmp_path / "index.db", bytes(32)) as database:
        application = web.Application()
        application.add_routes(api.health_routes(lambda: parts))
        application.add_subapp(
            "/api/v1",
            api.create_application(
                status=status,
                identity=lambda _: who[0],
                middlewares=[noted],
            ),
        )
        async with TestClient(TestServer(application)) as opened:
            opened.passed, opened.who = passed, who
            yield opened


async def test_who_is_narrowed_to_some_studies_is_not_told_which_wait(client):
    document = await (await client.get("/api/v1/status")).json()
    assert [study["study_uid"] for study in document["line"]["studies"]] == ["1.2.3"]
    client.who[0] = Identity("bert", Role.PHYSICIAN, scope=Scope(studies_from=frozenset({"CT1"})))
    document = await (await client.get("/api/v1/status")).json()
    assert document["line"]["studies"] == []


async def test_health_is_open_and_says_little(client):
    answer = await client.get("/healthz")
    assert (answer.status, await answer.json()) == (200, {"alive": True})
    assert client.passed == []


async def test_it_is_ready_when_every_part_runs(client, parts):
    answer = await client.get("/readyz")
    assert answer.status == 200
    assert (await answer.json())["ready"] is True
    parts["push"] = "failed: OSError, starts again in 1 s"
    answer = await client.get("/readyz")
    assert answer.status == 503
    assert (await answer.json())["parts"]["push"] == "failed"  # and to strangers no more


async def test_status_is_behind_the_gate(client):
    answer = await client.get("/api/v1/status")
    document = await answer.json()
    assert client.passed == ["/api/v1/status"]
    assert document["studies_only_here"] == 0
    assert document["parts"] == {"dimse": "running", "push": "running"}
    assert document["running"] is True
    assert document["sentence"] == "Nothing is here yet; the archive was not reached yet."
