"""The box goes away, and comes back: the page says so, and goes on by itself."""

from __future__ import annotations

from playwright.async_api import expect

from edge.access.roles import Role
from tests.browser.pages import PATIENCE, settled
from tests.browser.scene import clinic


async def test_a_page_goes_on_by_itself_once_the_box_is_back(tmp_path, visit):
    async with clinic(tmp_path, cloud="none") as scene:
        await scene.store(0)
        context = await visit(locale="en")
        await context.add_cookies([await scene.cookie("nurse", Role.VIEWER)])
        page = await context.new_page()
        await page.goto(scene.base + "/")
        await settled(page)
        await expect(page.locator("#arrivals li")).to_have_count(1)
        await context.set_offline(True)
        # What is on its way is broken off, as by a cable that is pulled.
        await page.evaluate("window.dispatchEvent(new Event('offline'))")
        await expect(page.locator("#offline")).to_be_visible(timeout=PATIENCE * 1000)
        await expect(page.locator("#arrivals li")).to_have_count(1)
        await scene.store(1)
        await context.set_offline(False)
        await expect(page.locator("#arrivals li")).to_have_count(2, timeout=PATIENCE * 1000)
        await expect(page.locator("#offline")).to_be_hidden()
