"""The page of updates in a real browser."""

from __future__ import annotations

import asyncio
import contextlib

import pytest
import pytest_asyncio
from playwright.async_api import expect

from edge.access.roles import Role
from edge.updates.journal import Deed, Trial
from tests.browser.offer import offered
from tests.browser.pages import PATIENCE, Complaints, overflow, settled, violations

pytestmark = pytest.mark.asyncio(loop_scope="module")

PHONE = {"width": 320, "height": 700}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def scene(tmp_path_factory):
    async with offered(tmp_path_factory.mktemp("clinic")) as made:
        yield made


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def keeper(scene):
    return await scene.cookie("keeper", Role.ADMIN)


@contextlib.asynccontextmanager
async def opened(browser, scene, cookie, *, excused=(), locale="en", **options):
    complaints = Complaints(scene.base, excused=excused)
    context = await browser.new_context(locale=locale, **options)
    try:
        context.set_default_timeout(PATIENCE * 1000)
        await context.add_cookies([cookie])
        page = await context.new_page()
        complaints.watch(page)
        await page.goto(scene.base + "/update")
        await settled(page)
        yield page
    finally:
        await context.close()
    assert complaints.found == []


async def test_an_update_is_found_installed_and_cancelled(module_browser, scene, keeper):
    async with opened(module_browser, scene, keeper, viewport=PHONE) as page:
        title = page.locator("#state-title")
        await expect(title).to_have_text("Version 1.0 runs, and no newer one is known")
        await expect(page.locator("#no-history")).to_be_visible()
        assert await violations(page) == []
        await page.click("#look")
        await expect(title).to_have_text("Version 1.1 can be had")
        await expect(page.locator("#notes")).to_contain_text("Quicker lists.")
        await expect(page.locator("#about")).to_contain_text("mends a weakness")
        assert await overflow(page) == ""
        await page.click("#install")
        await expect(page.locator("dialog")).to_contain_text("version 1.0 comes back by itself")
        assert await violations(page) == []
        await page.click("dialog .button:not([type])")
        await expect(title).to_have_text("Version 1.1 is being written")
        await expect(page.locator("#history li")).to_have_count(2)
        await page.click("#cancel")
        await expect(title).to_have_text("Version 1.1 is here")
        await expect(page.locator("#history li").first).to_contain_text("cancelled")
        assert await asyncio.to_thread(scene.box.updater._folder.order) is None


async def test_a_box_that_went_back_says_so(module_browser, scene, keeper):
    folder = scene.box.updater._folder
    await asyncio.to_thread(folder.write_trial, Trial(version="1.1", before="1.0", boot_id="first"))
    async with opened(module_browser, scene, keeper) as page:
        title = page.locator("#state-title")
        await expect(title).to_have_text("Version 1.1 has to prove itself")
        await expect(page.locator("#install")).to_be_hidden()
        await asyncio.to_thread(
            folder.note, Deed.BAD, "1.1", before="1.0", why="images: they are not drawn"
        )
        await asyncio.to_thread(
            folder.note, Deed.WENT_BACK, "1.1", before="1.0", why="images: they are not drawn"
        )
        await asyncio.to_thread(folder.drop_trial)
        banner = page.locator("#failure")
        await expect(banner).to_contain_text("the version from before runs again")
        await expect(banner).to_contain_text("images: they are not drawn")
        await page.click("#install")
        await expect(page.locator("dialog")).to_contain_text("It has failed here before.")


async def test_it_reads_from_right_to_left(module_browser, scene, keeper):
    async with opened(module_browser, scene, keeper, locale="ar", viewport=PHONE) as page:
        assert await page.get_attribute("html", "dir") == "rtl"
        await expect(page.locator("#notes")).to_have_text("قوائم أسرع.")
        assert await overflow(page) == ""
