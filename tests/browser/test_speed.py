"""How soon something is to be read on an old PC, and how much goes over the wire for it."""

from __future__ import annotations

import pytest

from edge.access.roles import Role
from tests.browser.pages import settled
from tests.browser.scene import clinic

SLOWER = 4
"""An old PC against this machine."""
FIRST_CONTENT = 1000
"""Milliseconds."""
MOST_BYTES = 200_000


@pytest.mark.alone
async def test_the_first_page_is_there_within_a_second_on_an_old_pc(tmp_path, visit):
    async with clinic(tmp_path, cloud="none") as scene:
        for number in range(4):
            await scene.store(number)
        context = await visit()
        await context.add_cookies([await scene.cookie("nurse", Role.VIEWER)])
        page = await context.new_page()
        devtools = await context.new_cdp_session(page)
        await devtools.send("Emulation.setCPUThrottlingRate", {"rate": SLOWER})
        await devtools.send("Network.enable")
        sizes = []
        devtools.on("Network.loadingFinished", lambda it: sizes.append(it["encodedDataLength"]))
        await page.goto(scene.base + "/")  # the box reads its templates at the first request
        sizes.clear()
        await devtools.send("Network.setCacheDisabled", {"cacheDisabled": True})
        await page.goto(scene.base + "/")
        await settled(page)
        paint = await page.evaluate(
            "performance.getEntriesByName('first-contentful-paint')[0].startTime"
        )
        print(f"first content after {paint:.0f} ms, {sum(sizes) / 1000:.1f} kB")
        assert paint < FIRST_CONTENT
        assert 5_000 < sum(sizes) < MOST_BYTES
