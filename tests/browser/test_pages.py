"""Every page in a real browser: each width, light and dark, both directions, by eye and by ear."""

from __future__ import annotations

import asyncio
import contextlib
import time

import pytest
import pytest_asyncio
from playwright.async_api import expect

from edge.access.acts import Act
from edge.access.roles import Role
from edge.pages.page import Page
from edge.pages.table import PAGES
from tests import samples
from tests.browser.pages import PATIENCE, Complaints, overflow, settled, violations
from tests.browser.scene import PASSWORD, clinic, files

pytestmark = pytest.mark.asyncio(loop_scope="module")

WIDTHS = {"phone": (320, 640), "tablet": (820, 1180), "desk": (1440, 900)}
VIEWS = [
    ("phone", "light", "en", True),
    ("phone", "dark", "ar", False),
    ("tablet", "dark", "fr", False),
    ("tablet", "light", "ar", False),
    ("desk", "light", "es", False),
    ("desk", "dark", "ar", True),
]
"""Each width is seen light and dark, left to right and right to left; the checker of accessibility
looks at both colours, both directions, and the widths that differ the most. Nothing
moves in any."""
UNSEEN = """() => [...document.querySelectorAll(
    "a[href], button, input, select, textarea, summary, [tabindex='0']")]
    .filter((one) => one.checkVisibility({ visibilityProperty: true }) && !one.disabled)
    .filter((one) => {
        one.focus();
        const style = getComputedStyle(one);
        const is_seen = style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2;
        return document.activeElement === one && !is_seen;
    })
    .map((one) => `no focus is seen on ${one.outerHTML.slice(0, 120)}`)"""
"""What can have the focus of the keyboard without showing it."""
MOVING = """() => [...document.querySelectorAll("*")].filter((one) => {
    const style = getComputedStyle(one);
    return style.animationName !== "none" || parseFloat(style.transitionDuration) > 0;
}).map((one) => `moves: ${one.outerHTML.slice(0, 120)}`)"""
NO_PAGE = Page("/nowhere", "error", "There is none", Act.READ)
HELP_WITHIN = Page("/help", "help of somebody", "Help", Act.READ)
NOWHERE = ["//evil.test/", "https://evil.test/", "/\\evil.test", "javascript:x"]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def scene(tmp_path_factory):
    async with clinic(tmp_path_factory.mktemp("clinic"), cloud="none") as made:
        for number in range(4):
            await made.store(number)
        yield made


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def keeper(scene):
    """The cookie of an admin."""
    return await scene.cookie("keeper", Role.ADMIN)


@pytest_asyncio.fixture(loop_scope="module")
async def visit(module_browser, scene):
    """Opens a page of the box; nothing that it complains of is let pass."""
    complaints = Complaints(scene.base)
    async with contextlib.AsyncExitStack() as stack:

        async def go(path, cookie=None, *, view=("desk", "light", "en"), excused=(), **options):
            complaints.excused = excused
            width, theme, language = view
            context = await module_browser.new_context(
                viewport=size_of(width),
                color_scheme=theme,
                locale=language,
                **options,
            )
            stack.push_async_callback(context.close)
            if cookie is not None:
                await context.add_cookies([cookie])
            page = await context.new_page()
            complaints.watch(page)
            await page.goto(scene.base + path)
            await settled(page)
            return page

        yield go
    assert complaints.found == []


def size_of(width):
    return dict(zip(("width", "height"), WIDTHS[width], strict=True))


def path_of(page):
    return page.path.replace("{study_uid}", samples.sample_uid("page", 0))


@pytest.mark.parametrize("page", [*PAGES, NO_PAGE, HELP_WITHIN], ids=lambda page: page.name)
async def test_a_page_is_whole_and_open_to_everybody(visit, scene, keeper, page):
    shown = await visit("/nowhere", None if page.act is None else keeper, excused=("404",))
    wrong = {}
    for width, theme, language, is_checked in VIEWS:
        await shown.set_viewport_size(size_of(width))
        await shown.emulate_media(color_scheme=theme, reduced_motion="reduce")
        await shown.context.add_cookies(
            [{"name": "edge-language", "value": language, "url": scene.base}]
        )
        await shown.goto(scene.base + path_of(page))
        await settled(shown)
        direction = await shown.evaluate("getComputedStyle(document.body).direction")
        assert direction == ("rtl" if language == "ar" else "ltr")
        found = [await overflow(shown), *(await violations(shown) if is_checked else [])]
        if width == "desk":
            await shown.keyboard.press("Tab")  # What a script moves on shows as keys do.
            found += [*await shown.evaluate(UNSEEN), *await shown.evaluate(MOVING)]
        if any(found):
            wrong[width, theme, language] = found
    assert wrong == {}


async def test_colours_follow_the_device_and_then_the_choice(visit, keeper):
    page = await visit("/", keeper, view=("desk", "dark", "en"))
    ground = "getComputedStyle(document.body).backgroundColor"
    dark = await page.evaluate(ground)
    await page.click("[data-theme-choice=light]")
    light = await page.evaluate(ground)
    assert light != dark
    await page.reload()
    await settled(page)
    assert await page.evaluate(ground) == light


async def test_a_language_that_is_chosen_stays(visit, keeper):
    page = await visit("/", keeper)
    async with page.expect_navigation():
        await page.select_option("#language", "fr")
    await expect(page.locator("html")).to_have_attribute("lang", "fr")
    await page.goto(page.url + "studies")
    await expect(page.locator("html")).to_have_attribute("lang", "fr")


async def test_the_menu_of_a_phone_is_used_by_keys_alone(visit, keeper):
    page = await visit("/", keeper, view=("phone", "light", "en"))
    await page.focus("#menu-button")
    await page.keyboard.press("Enter")
    await expect(page.locator("#side nav")).to_be_visible()
    await expect(page.locator("#side :focus")).to_have_count(1)
    await page.keyboard.press("Escape")
    await expect(page.locator("#menu-button")).to_have_attribute("aria-expanded", "false")
    await expect(page.locator("#menu-button")).to_be_focused()


async def test_the_first_key_leads_past_the_navigation(visit, keeper):
    page = await visit("/", keeper)
    await page.keyboard.press("Tab")
    await expect(page.locator(":focus")).to_have_class("skip")
    await page.keyboard.press("Enter")
    await expect(page.locator("#main")).to_be_focused()


# What happens -------------------------------------------------------------------------------------


@pytest.mark.alone
async def test_a_study_that_comes_in_shows_within_a_second(visit, scene, keeper):
    page = await visit("/", keeper)
    number = await page.inner_text(".hero .number strong")
    data = files(7)
    began = time.monotonic()
    uid = await scene.store(7, "US1")
    stored = time.monotonic()
    await page.wait_for_selector(f'#arrivals li[data-uid="{uid}"]', timeout=PATIENCE * 1000)
    shown = time.monotonic()
    assert shown - stored < 1.0, f"{shown - stored:.2f} s after the last of it was stored"
    assert stored - began < PATIENCE
    grown = expect(page.locator(".hero .number strong"))
    await grown.not_to_have_text(number, timeout=PATIENCE * 1000)
    row = page.locator(f'#arrivals li[data-uid="{uid}"]')
    await expect(row).to_contain_text("Mwangi, Grace")
    await expect(row).to_contain_text(f"{len(data)} images", timeout=PATIENCE * 1000)


async def test_who_is_logged_out_elsewhere_is_led_out(visit, scene):
    cookie = await scene.cookie("leaves", Role.VIEWER)
    page = await visit("/", cookie, excused=("401",))
    await scene.box.cache.sessions.end_all("leaves")
    await page.wait_for_url("**/welcome**", timeout=PATIENCE * 1000)


async def test_a_page_left_open_keeps_no_session_alive(visit, scene):
    cookie = await scene.cookie("idle", Role.VIEWER)
    page = await visit("/", cookie)
    asked = []

    def note(request):
        asked.append(request)

    page.on("request", note)
    await scene.store(6)
    async with asyncio.timeout(PATIENCE):
        while not any("/page/state" in it.url for it in asked):
            await page.wait_for_timeout(50)
    for request in asked:
        assert (await request.all_headers()).get("x-edge-unattended") == "1", request.url


# Logging in ---------------------------------------------------------------------------------------


async def test_a_nurse_logs_in_where_she_wanted_to_go(visit, scene):
    await scene.user("nurse", Role.VIEWER)
    # What the page still asks for while she logs out is refused.
    page = await visit("/studies", excused=("401",))
    assert page.url == f"{scene.base}/welcome?to=/studies"
    await expect(page.locator("#password-form [name=name]")).to_be_focused()
    await page.keyboard.type("nurse")
    await page.keyboard.press("Tab")
    await page.keyboard.type(PASSWORD)
    await page.keyboard.press("Enter")
    await page.wait_for_url(f"{scene.base}/studies")
    await settled(page)
    await page.click("#log-out")
    await page.wait_for_url("**/welcome")
    assert await page.context.cookies() == []


@pytest.mark.parametrize("to", NOWHERE)
async def test_nobody_led_away_behind_the_log_in(visit, scene, to):
    name = f"led-{NOWHERE.index(to)}"
    await scene.user(name, Role.VIEWER)
    page = await visit(f"/welcome?to={to}")
    await page.fill("[name=name]", name)
    await page.fill("#password-form [name=password]", PASSWORD)
    await page.click("#password-form button")
    await page.wait_for_selector(".side", timeout=PATIENCE * 1000)
    assert page.url.startswith(f"{scene.base}/")
