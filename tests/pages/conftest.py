"""A box with its web page, and people of each role who look at it."""

from __future__ import annotations

import contextlib

import httpx
import pytest_asyncio

from edge.access.roles import Role
from tests.browser.scene import clinic


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def scene(tmp_path_factory):
    """A clinic with three studies and no cloud; one for a module."""
    async with clinic(tmp_path_factory.mktemp("clinic"), cloud="none") as made:
        for number in range(3):
            await made.store(number)
        yield made


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def cookies(scene):
    """Role -> the header that the browser of such a person sends."""
    found = {}
    for role in Role:
        cookie = await scene.cookie(f"a-{role}", role)
        found[role] = {"Cookie": f"{cookie['name']}={cookie['value']}"}
    return found


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browse(scene):
    """Gets a page as a browser does that goes there."""
    async with contextlib.AsyncExitStack() as stack:
        client = await stack.enter_async_context(
            httpx.AsyncClient(base_url=scene.base, trust_env=False, timeout=60)
        )

        async def get(path, cookie=None, **headers):
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            return await client.get(
                path, headers={"Sec-Fetch-Mode": "navigate", **(cookie or {}), **named}
            )

        yield get
