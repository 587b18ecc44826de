"""The way to an archive, tested over the admin API: each step is told as it was taken."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import replace

import msgspec
import pytest
from aiohttp.test_utils import TestClient, TestServer

from edge.access.roles import Identity, Role
from edge.admin import api
from edge.admin.archives import archive_routes
from edge.cloud.findings import Finding, Step, Verdict
from edge.dicomweb.middleware import access
from edge.dicomweb.root import create_root
from edge.errors import ConfigError, DecisionRefused, SecretUnopened
from edge.others import Archive

NAME = Finding(Step.NAME, Verdict.PASSED, "it is 127.0.0.1", "", 1.0)
BACK = Finding(Step.RETRIEVE, Verdict.PASSED, "it gives the same back", "", 3.0)
CONNECT = Finding(Step.CONNECT, Verdict.FAILED, "nobody\nanswers", "is it on?", 2.0)


class Way:
    """A walk whose steps a test lets go."""

    def __init__(self):
        self.go = asyncio.Event()
        self.ended = asyncio.Event()
        self.error = None
        self.steps = [CONNECT]
        self.tried = []

    async def keep(self, archive, works):
        self.tried.append((archive.name, works))

    @asynccontextmanager
    async def walk(self, name):
        if name == "lost":
            raise SecretUnopened("a password is lost", hint="type it again")
        if name != "cloud":
            raise DecisionRefused("no archive is called so", hint="there are: cloud")
        try:
            yield self.findings()
        finally:
            self.ended.set()

    async def findings(self):
        yield NAME
        await self.go.wait()
        if self.error is not None:
            raise self.error
        for step in self.steps:
            yield step


@pytest.fixture
def way():
    return Way()


@pytest.fixture
async def client(way):
    async def authorise(headers, address):
        return Identity("someone", Role(headers.get("X-Role", "technologist")))

    door = api.create_application(
        status=None,
        identity=None,
        middlewares=[access(authorise)],
        routes=archive_routes(way.walk, [Archive("cloud", "http://127.0.0.1:9")], way.keep),
    )
    async with TestClient(TestServer(create_root({"/api/v1": door}))) as opened:
        yield opened


async def event(answer):
    kind, data = (await answer.content.readuntil(b"\n\n")).decode().strip().split("\n")
    return kind.removeprefix("event: "), msgspec.json.decode(data.removeprefix("data: "))


async def test_a_step_is_told_before_the_next_is_taken(client, way):
    async with client.post("/api/v1/archives/cloud/test") as answer:
        assert answer.content_type == "text/event-stream"
        kind, said = await event(answer)
        assert (kind, said["step"], said["verdict"]) == ("step", "name", "passed")
        way.go.set()
        _, said = await event(answer)
        assert (said["found"], said["hint"]) == ("nobody\nanswers", "is it on?")
        assert await event(answer) == ("end", {"works": False, "why": "", "hint": ""})
    assert way.ended.is_set()


async def test_a_certificate_that_can_not_be_used_is_said_at_the_end(client, way):
    way.error = ConfigError("there is no such file", hint="look")
    way.go.set()
    async with client.post("/api/v1/archives/cloud/test") as answer:
        await event(answer)
        assert await event(answer) == (
            "end",
            {"works": False, "why": "there is no such file", "hint": "look"},
        )


@pytest.mark.parametrize(
    ("steps", "works"),
    [
        ([BACK], True),
        ([CONNECT], False),
        ([replace(BACK, verdict=Verdict.FAILED)], False),
        ([BACK, replace(CONNECT, step=Step.DELETE)], False),
        ([], False),
    ],
    ids=["came back", "no way", "came back otherwise", "stays there", "none was sent"],
)
async def test_whether_a_test_image_came_back_is_kept_before_it_is_told(client, way, steps, works):
    way.steps = steps
    way.go.set()
    async with client.post("/api/v1/archives/cloud/test") as answer:
        await answer.read()
    assert way.tried == [("cloud", works)]


async def test_what_can_not_begin_is_an_answer_like_others(client):
    answer = await client.post("/api/v1/archives/nowhere/test")
    assert answer.status == 409
    assert (await answer.json())["hint"] == "there are: cloud"


async def test_a_secret_that_can_not_be_opened_is_an_answer_like_others(client):
    answer = await client.post("/api/v1/archives/lost/test")
    assert (answer.status, (await answer.json())["hint"]) == (409, "type it again")


@pytest.mark.parametrize("role", ["viewer", "service"])
async def test_it_is_for_who_may_decide(client, role):
    answer = await client.post("/api/v1/archives/cloud/test", headers={"X-Role": role})
    assert answer.status == 403
