"""The page of updates in a real browser."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import shutil

import msgspec
import pytest
import pytest_asyncio
from playwright.async_api import expect

from edge.access.roles import Role
from edge.updates.history import Deed
from edge.updates.journal import State, Trial
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
        await asyncio.to_thread(scene.box.updater._folder.write_share, "1.1", 0.43)
        await expect(page.locator("#state-note")).to_contain_text("Leave the power on. 43% of it")
        await expect(page.locator("#progress")).to_have_js_property("value", 0.43)
        assert await violations(page) == []
        await expect(page.locator("#history li")).to_have_count(2)
        await page.click("#cancel")
        await expect(title).to_have_text("Version 1.1 is here")
        await expect(page.locator("#history li").first).to_contain_text("cancelled")
        assert await asyncio.to_thread(scene.box.updater._folder.order) is None


async def test_a_box_that_went_back_says_so(module_browser, scene, keeper):
    folder = scene.box.updater._folder
    await scene.box.updater.look()
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
        await expect(banner).to_contain_text("Images: they are not drawn.")
        await page.click("#install")
        await expect(page.locator("dialog")).to_contain_text("It has failed here before.")


async def test_it_reads_from_right_to_left(module_browser, scene, keeper):
    await scene.box.updater.look()
    async with opened(module_browser, scene, keeper, locale="ar", viewport=PHONE) as page:
        assert await page.get_attribute("html", "dir") == "rtl"
        await expect(page.locator("#notes")).to_have_text("قوائم أسرع.")
        assert await overflow(page) == ""


@contextlib.asynccontextmanager
async def afresh(scene):
    """Version 1.0 runs, nothing is known, and nothing was done; the history it has."""
    updater, store = scene.box.updater, scene.shop
    await asyncio.to_thread(shutil.rmtree, updater._folder.path, ignore_errors=True)
    updater._kept.state = State()
    try:
        yield updater, store
    finally:
        store.status, store.cut_after = 0, None
        looking(scene)


def looking(scene, **more):
    """Means of the box, but for some."""
    updater = scene.box.updater
    means = dataclasses.replace(scene.means, **more)
    updater._means = updater._coming._means = updater._ordering._means = means


async def no_line(_):
    await asyncio.Event().wait()


TITLES = """() => {
    const title = document.getElementById("state-title");
    const told = [title.textContent];
    new MutationObserver(() => {
        if (told.at(-1) !== title.textContent) told.push(title.textContent);
    }).observe(title, { childList: true });
    return told;
}"""
"""What the page says from now on, for as long as it says so."""


async def later(page):
    """After two refreshes of the page, at least."""
    for _ in range(2):
        async with page.expect_response("**/api/v1/update"):
            pass


async def test_what_a_press_and_a_look_say_stays(module_browser, scene, keeper):
    async with (
        afresh(scene) as (_, store),
        opened(module_browser, scene, keeper, excused=("502", "503", "409")) as page,
    ):
        store.status = 503
        await page.click("#look")
        told = page.locator("#unlooked")
        await expect(told).to_contain_text("The server of updates answered 503 for http://127")
        await expect(told).to_contain_text("It is busy, or being restarted.")
        await expect(page.locator("#problem")).to_be_hidden()  # once is enough
        await later(page)
        await expect(told).to_be_visible()
        store.status = 0
        await page.click("#look")
        await expect(told).to_be_hidden()
        other = json.dumps({"version": "7.0", "again": False})
        await page.route(
            "**/api/v1/update/download", lambda route: route.continue_(post_data=other)
        )
        await page.click("#download")
        problem = page.locator("#problem")
        await expect(problem).to_contain_text("No update to 7.0 is known.")
        await later(page)
        await expect(problem).to_be_visible()


async def test_an_answer_that_a_wish_overtook_is_not_shown(module_browser, scene, keeper):
    async with afresh(scene), opened(module_browser, scene, keeper) as page:
        await page.click("#look")
        title = page.locator("#state-title")
        await expect(title).to_have_text("Version 1.1 can be had")
        held, go_on = asyncio.Event(), asyncio.Event()

        async def late(route):
            answer = await route.fetch()
            held.set()
            await go_on.wait()
            await route.fulfill(response=answer)

        await page.route("**/api/v1/update", late, times=1)
        await held.wait()
        looking(scene, wait_open=no_line)
        await page.click("#download")
        await expect(title).to_have_text("Version 1.1 is on its way")
        told = await page.evaluate_handle(TITLES)
        go_on.set()
        await later(page)
        assert await told.evaluate("told => told.join()") == "Version 1.1 is on its way"
        await page.click("#cancel")
        await expect(page.locator("#cancel")).to_be_hidden()


async def test_a_failed_one_is_tried_again_by_a_button(module_browser, scene, keeper):
    async with (
        afresh(scene) as (updater, _),
        opened(module_browser, scene, keeper, viewport=PHONE) as page,
    ):
        await page.click("#look")
        why = "the part root of the update is damaged"
        await asyncio.to_thread(updater._folder.note, Deed.UNUSABLE, "1.1", why=why)
        banner = page.locator("#failure")
        await expect(banner).to_contain_text(
            "Nothing was changed. The part root of the update is damaged. It is not tried again"
        )
        await expect(page.locator("#install")).to_have_text("Try it again")
        await later(page)
        assert await violations(page) == []
        assert await overflow(page) == ""
        looking(scene, wait_open=no_line)
        await page.click("#download")  # this is no dead end, either
        await expect(page.locator("#state-title")).to_have_text("Version 1.1 is on its way")
        await expect(banner).to_be_hidden()
        looking(scene)
        await page.click("#cancel")
        await page.click("#install")
        await expect(page.locator("dialog")).to_contain_text("It has failed here before.")
        await page.click("dialog .button:not([type])")
        await expect(page.locator("#state-title")).to_have_text("Version 1.1 is being written")
        await page.click("#cancel")
        await expect(page.locator("#cancel")).to_be_hidden()


async def test_a_wish_to_install_is_seen_and_the_keyboard_stays(module_browser, scene, keeper):
    async with (
        afresh(scene),
        opened(module_browser, scene, keeper) as page,
    ):
        await page.click("#look")
        await expect(page.locator("#install")).to_be_visible()
        looking(scene, wait_open=no_line)
        await page.focus("#install")
        await page.keyboard.press("Enter")
        await expect(page.locator("dialog")).to_be_visible()
        await page.focus("dialog .button:not([type])")
        await page.keyboard.press("Enter")
        await expect(page.locator("#state-title")).to_have_text(
            "Version 1.1 is on its way, and will be installed"
        )
        await expect(page.locator("#install")).to_be_hidden()
        await expect(page.locator("#cancel")).to_be_focused()
        await page.keyboard.press("Enter")
        await expect(page.locator("#install")).to_be_focused()


async def test_a_newer_one_is_told_though_an_older_one_is_here(module_browser, scene, keeper):
    async with (
        afresh(scene) as (updater, _),
        opened(module_browser, scene, keeper) as page,
    ):
        title = page.locator("#state-title")
        await page.click("#look")
        await page.click("#download")
        await expect(title).to_have_text("Version 1.1 is here")
        newer = msgspec.structs.replace(updater._kept.state.ready, version="1.2", security=True)
        await updater._kept.change(offered=newer)
        await expect(title).to_have_text("Version 1.2 can be had; 1.1 is here")
        await expect(page.locator("#about")).to_contain_text("mends a weakness")
        looking(scene, is_quiet=lambda: False)
        await updater.install("1.1", by="anna")
        await expect(title).to_have_text("Version 1.1 waits for a quiet moment")
        await expect(page.locator("#newer")).to_contain_text("Version 1.2 can be had, too.")
        await expect(page.locator("#newer")).to_contain_text("mends a weakness")
        await updater.cancel(by="anna")


async def test_what_was_done_fits_a_telephone_and_has_its_colours(module_browser, scene, keeper):
    async with (
        afresh(scene) as (updater, _),
        opened(module_browser, scene, keeper, viewport=PHONE) as page,
    ):
        for deed in Deed:
            version = "" if deed is Deed.REFUSED else "1.1"
            await asyncio.to_thread(updater._folder.note, deed, version, why="that is no update")
        rows = page.locator("#history li")
        await expect(rows).to_have_count(len(Deed))
        stick = rows.filter(has=page.locator(".who", has_text="A stick"))
        await expect(stick).to_contain_text("That is no update.")
        for badge in await page.locator("#history .badge").all():
            inside, card = await badge.bounding_box(), await rows.first.bounding_box()
            assert inside["x"] + inside["width"] <= card["x"] + card["width"] + 0.5
        for words in ("cancelled", "to be written"):
            badge = rows.locator(f".badge:text-is('{words}')")
            assert await badge.get_attribute("data-level") is None
    async with opened(module_browser, scene, keeper, locale="fr", viewport=PHONE) as page:
        word = await page.locator("#history .badge:text-is('inutilisable')").bounding_box()
        assert word["height"] < 40  # it is not broken
    async with opened(module_browser, scene, keeper) as page:
        await expect(page.locator("#history li")).to_have_count(len(Deed))
        await asyncio.to_thread(updater._folder.note, Deed.BAD, "1.1", why="images")
        await expect(page.locator("#failure")).to_be_visible()
        banner = await page.locator("#failure").bounding_box()
        card = await page.locator("section.card").first.bounding_box()
        assert (banner["x"], banner["width"]) == (card["x"], card["width"])


async def test_a_name_is_no_word_that_begins_a_sentence(module_browser, scene, keeper):
    async with opened(module_browser, scene, keeper) as page:
        source = await page.evaluate("document.querySelector('script[type=module]').src")
        said = await page.evaluate(
            """async ([source, texts]) => {
                const { sentence } = await import(new URL("dom.js", source).href);
                return texts.map(sentence);
            }""",
            [source, ["https://x.invalid is none", "x.edgeupdate: it is none", "that is none", ""]],
        )
        assert said == [
            "https://x.invalid is none.",
            "x.edgeupdate: it is none.",
            "That is none.",
            "",
        ]
