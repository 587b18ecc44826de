"""The stream of what happens: first how it is, then what changes, to its end."""

from __future__ import annotations

import asyncio
import contextlib
import json

import httpx
import msgspec
import pytest

from edge.access.roles import Role
from edge.access.scope import Scope
from edge.admin.events import Told
from tests.browser.scene import clinic

PATIENCE = 60.0


@pytest.fixture
async def scene(tmp_path):
    async with clinic(tmp_path, cloud="none") as made:
        yield made


@contextlib.asynccontextmanager
async def listening(scene, headers):
    """The events of a stream, as (kind, data)."""
    async with (
        httpx.AsyncClient(base_url=scene.base, trust_env=False, timeout=PATIENCE) as client,
        client.stream("GET", "/api/v1/events", headers=headers) as answer,
    ):
        assert answer.status_code == 200
        assert answer.headers["Content-Type"] == "text/event-stream"
        yield read(answer)


async def read(answer):
    fields = {}
    async for line in answer.aiter_lines():
        name, _, value = line.partition(": ")
        if name in ("event", "id", "data"):
            fields[name] = value
        elif not line and fields:
            told, fields = msgspec.convert(fields, Told), {}  # as it is described
            yield told.event, json.loads(told.data)


async def bearer(scene, role=Role.VIEWER, **scope):
    token = await scene.box.cache.tokens.create(role, "listener", scope=Scope(**scope))
    return {"Authorization": f"Bearer {token}"}


async def first(events, kind, wanted=lambda data: True):
    async with asyncio.timeout(PATIENCE):
        async for found, data in events:
            if found == kind and wanted(data):
                return data
    raise AssertionError(f"the stream ended without {kind}")


async def test_it_tells_how_it_is_and_then_what_comes_in(scene):
    async with listening(scene, await bearer(scene)) as events:
        assert (await first(events, "state"))["studies"] == 0
        assert (await first(events, "arrivals"))["arrived"] == []
        uid = await scene.store(0, "CT1")
        told = await first(events, "arrivals", lambda data: data["arrived"])
        assert told["arrived"][0]["study_uid"] == uid
        assert told["arrived"][0]["sender"] == "CT1"
        assert (await first(events, "state", lambda data: data["studies"]))[
            "studies_only_here"
        ] == 1


async def test_who_is_logged_out_hears_no_more(scene):
    cookie = await scene.cookie("nurse", Role.VIEWER)
    headers = {"Cookie": f"{cookie['name']}={cookie['value']}", "Sec-Fetch-Site": "same-origin"}
    async with listening(scene, headers) as events:
        await first(events, "state")
        await scene.box.cache.sessions.end_all("nurse")
        await first(events, "end")


@pytest.mark.alone
@pytest.mark.parametrize("end", ["revoked", "logged out", "disabled"])
async def test_who_is_out_hears_no_more_as_soon_as_of_every_other_door(scene, end):
    headers, tokens = await bearer(scene), scene.box.cache.tokens
    if end != "revoked":
        cookie = await scene.cookie("nurse", Role.VIEWER)
        headers = {"Cookie": f"{cookie['name']}={cookie['value']}", "Sec-Fetch-Site": "same-origin"}
    async with listening(scene, headers) as events:
        await first(events, "state")
        began = asyncio.get_running_loop().time()
        if end == "revoked":
            [token] = [one for one in await tokens.list() if one.name == "listener"]
            assert await tokens.revoke(token.token_id)
        elif end == "logged out":
            await scene.box.cache.sessions.end_all("nurse")
        else:
            await scene.box.cache.users.change("nurse", disabled=True)
        await first(events, "end")
        # Two seconds are promised; the rest is for a machine that is busy.
        assert asyncio.get_running_loop().time() - began < 6.0


@pytest.mark.alone
async def test_it_ends_with_the_service(tmp_path):
    async with contextlib.AsyncExitStack() as stack:
        scene = await stack.enter_async_context(clinic(tmp_path, cloud="none"))
        headers = await bearer(scene)
        async with listening(scene, headers) as events:
            await first(events, "state")
            began = asyncio.get_running_loop().time()
            ending = asyncio.create_task(stack.aclose())
            await first(events, "end")
            await ending
            assert asyncio.get_running_loop().time() - began < 4.0  # no stream is waited for


async def test_who_was_narrowed_hears_of_their_studies_alone(scene):
    headers = await bearer(scene, studies_from=frozenset({"CT1"}))
    await scene.store(0, "CT1")
    await scene.store(1, "XRAY2")
    async with listening(scene, headers) as events:
        told = await first(events, "arrivals")
    assert [one["sender"] for one in told["arrived"]] == ["CT1"]
