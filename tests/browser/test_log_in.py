"""Every way to log in, as people go it: in a real browser, with the page alone."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import re
import time
from urllib.parse import urlencode, urlsplit

import pytest
import pytest_asyncio
from playwright.async_api import expect

from edge.access.roles import Role
from edge.access.totp import code_of
from tests.browser.pages import PATIENCE, Complaints, settled
from tests.browser.scene import PASSWORD, clinic

pytestmark = pytest.mark.asyncio(loop_scope="module")

STEP = 30
UNASKED = ("401", "403", "404")
"""A wrong try is answered so, or a way back to nowhere; the browser says that in its console."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def scene(tmp_path_factory):
    async with clinic(tmp_path_factory.mktemp("clinic"), cloud="none") as made:
        yield made


@contextlib.asynccontextmanager
async def opened(module_browser, scene):
    """Where one logs in; ``localhost``, for no passkey is made for an address."""
    base = scene.base.replace("127.0.0.1", "localhost")
    complaints = Complaints(base, excused=UNASKED)
    context = await module_browser.new_context(locale="en")
    try:
        context.set_default_timeout(PATIENCE * 1000)
        shown = await context.new_page()
        complaints.watch(shown)
        await shown.goto(f"{base}/welcome")
        await settled(shown)
        yield shown
    finally:
        await context.close()
    assert complaints.found == []


@pytest_asyncio.fixture(loop_scope="module")
async def page(module_browser, scene):
    async with opened(module_browser, scene) as shown:
        yield shown


async def say_password(page, name, password=PASSWORD):
    await page.fill("#password-form [name=name]", name)
    await page.fill("#password-form [name=password]", password)
    await page.click("#password-form button")


async def inside(page):
    """The page behind the log-in is there, and its buttons do something."""
    await page.wait_for_selector("#side", state="attached")
    await settled(page)


async def log_out(page):
    await page.click("#log-out")
    await page.wait_for_url("**/welcome")
    await settled(page)


def code_from(secret, later=0):
    """What an app shows that was given this."""
    key = base64.b32decode(secret.replace(" ", ""))
    return code_of(key, int(time.time()) // STEP + later)


async def test_a_wrong_password_is_said_and_the_right_one_lets_in(page, scene):
    await scene.user("carla", Role.VIEWER)
    await say_password(page, "carla", "not this one")
    problem = page.locator("#password-form .problem")
    await expect(problem).to_be_visible()
    await expect(problem).to_have_attribute("role", "alert")
    await say_password(page, "carla")
    await inside(page)


@pytest.mark.parametrize(
    "to",
    [
        "/.//evil.test/x",
        "//evil.test/x",
        "/viewer/%2e%2e/%2e%2e//evil.test/x",
        "https://evil.test/",
    ],
)
async def test_the_way_back_leads_to_this_box_alone(page, scene, to):
    name = f"wanda{to.count('/')}{len(to)}"
    await scene.user(name, Role.VIEWER)
    asked, base = [], scene.base.replace("127.0.0.1", "localhost")
    page.on("request", lambda request: asked.append(request.url))
    await page.goto(f"{base}/welcome?{urlencode({'to': to})}")
    await settled(page)
    await say_password(page, name)
    await page.wait_for_url(lambda url: "/welcome" not in url)
    assert page.url.startswith(f"{base}/")
    assert {f"{urlsplit(url).scheme}://{urlsplit(url).netloc}" for url in asked} == {base}


async def test_an_invitation_is_redeemed(page, scene):
    handed = await scene.box.cache.users.add("dora", Role.TECHNOLOGIST)
    await page.click("[data-go=step-redeem]")
    await page.fill("#redeem-form [name=code]", handed.code)
    await page.fill("#redeem-form [name=password]", PASSWORD)
    await page.fill("#redeem-form [name=again]", "something else")
    await page.click("#redeem-form button")
    await expect(page.locator("#redeem-form .problem")).to_contain_text("not the same")
    await page.fill("#redeem-form [name=again]", PASSWORD)
    await page.click("#redeem-form button")
    await inside(page)


async def test_an_admin_enrols_an_app_first_and_shows_a_code_from_then_on(page, scene):
    await scene.user("keeper", Role.ADMIN)
    await say_password(page, "keeper")
    await expect(page.locator("#step-enrol")).to_be_visible()
    await page.click("#enrol-app")
    # One without an address is complete, too; one that was drawn is so wide.
    await expect(page.locator("#qr")).not_to_have_js_property("naturalWidth", 0)
    await page.click("#step-app summary")
    await expect(page.locator("#secret")).not_to_be_empty()
    secret = await page.inner_text("#secret")
    await page.fill("#app-form [name=code]", code_from(secret))
    await page.click("#app-form button")
    codes = page.locator("#codes li")
    await expect(codes.first).to_be_visible()
    kept = await codes.all_inner_texts()
    assert len(kept) >= 8
    await page.click("#codes-kept")
    await inside(page)
    await log_out(page)
    await say_password(page, "keeper")
    await page.fill("[name=second]", code_from(secret, later=1))
    await page.click("#second-form button")
    await inside(page)
    await log_out(page)
    await say_password(page, "keeper")
    await page.fill("[name=second]", kept[0])
    await page.click("#second-form button")
    await inside(page)


async def test_a_passkey_is_made_and_lets_in_without_a_password(page, scene):
    devtools = await page.context.new_cdp_session(page)
    await devtools.send("WebAuthn.enable")
    options = {
        "protocol": "ctap2",
        "transport": "internal",
        "hasResidentKey": True,
        "hasUserVerification": True,
        "isUserVerified": True,
        "automaticPresenceSimulation": True,
    }
    await devtools.send("WebAuthn.addVirtualAuthenticator", {"options": options})
    await scene.user("ruth", Role.ADMIN)
    await say_password(page, "ruth")
    await page.click("#enrol-passkey")
    await expect(page.locator("#codes li").first).to_be_visible()
    await page.click("#codes-kept")
    await inside(page)
    await page.goto(re.sub(r"(://[^/]+).*", r"\1/account", page.url))
    await settled(page)
    await expect(page.locator("#passkeys li")).to_have_count(1)
    await log_out(page)
    await page.click("#passkey")
    await inside(page)


async def test_a_password_is_changed_and_others_are_out(page, scene):
    await scene.user("emil", Role.PHYSICIAN)
    elsewhere = await scene.box.cache.sessions.list("emil")
    assert elsewhere == ()
    await say_password(page, "emil")
    await inside(page)
    await page.goto(re.sub(r"(://[^/]+).*", r"\1/account", page.url))
    await settled(page)
    await page.fill("[name=password]", PASSWORD)
    await page.fill("[name=new_password]", "another nine words")
    await page.fill("[name=again]", "another nine words")
    await page.click("#password-form button")
    await expect(page.locator(".toast")).to_be_visible()
    await log_out(page)
    await say_password(page, "emil", "another nine words")
    await inside(page)


async def test_the_first_admin_is_made_by_the_code_of_the_console(module_browser, tmp_path):
    async with clinic(tmp_path, cloud="none") as fresh, opened(module_browser, fresh) as page:
        handed = await fresh.box.cache.users.first_code()
        await expect(page.get_by_role("link", name="Set up this box")).to_be_visible()
        await page.click("[data-go=step-redeem]")
        await page.click("#step-redeem summary")
        await page.fill("#redeem-form [name=code]", handed.code)
        await page.fill("#redeem-form [name=name]", "first")
        await page.fill("#redeem-form [name=display_name]", "The First")
        await page.fill("#redeem-form [name=password]", PASSWORD)
        await page.fill("#redeem-form [name=again]", PASSWORD)
        await page.click("#redeem-form button")
        await expect(page.locator("#step-enrol")).to_be_visible()
        await page.goto(page.url.replace("/welcome", "/"))
        await page.wait_for_url("**/welcome")
        await settled(page)
        await expect(page.locator("#step-enrol")).to_be_visible()


async def test_by_an_address_no_passkey_is_offered_but_the_names_by_which_one_can_be_made(
    module_browser, scene
):
    context = await module_browser.new_context(locale="en")
    try:
        page = await context.new_page()
        await page.goto(f"{scene.base}/welcome")
        assert scene.base.startswith("http://127.0.0.1:")
        await expect(page.locator("#passkey")).to_be_hidden()
        named = page.locator("#step-password .by-name a")
        # Without TLS, browsers make one for this name alone.
        await expect(named).to_have_text("localhost")
        to = await named.get_attribute("href")
        assert to == scene.base.replace("127.0.0.1", "localhost") + "/welcome"
    finally:
        await context.close()


async def test_what_somebody_does_not_have_is_not_offered_to_be_removed(module_browser, scene):
    cookie = await scene.cookie("plain", Role.VIEWER)
    context = await module_browser.new_context(locale="en")
    try:
        await context.add_cookies([cookie])
        page = await context.new_page()
        await page.goto(f"{scene.base}/account")
        await expect(page.locator("#add-app")).to_be_visible()
        await expect(page.locator("#remove-app")).to_be_hidden()
        await expect(page.locator("#new-codes")).to_be_hidden()
    finally:
        await context.close()


async def test_nobody_is_the_first_of_a_box_that_is_not_new(page, scene):
    await scene.user("second", Role.VIEWER)
    await page.reload()
    await settled(page)
    await page.get_by_role("button", name="I was given a code").click()
    await expect(page.locator("#redeem-form [name=code]")).to_be_visible()
    await expect(page.locator("#redeem-form [name=name]")).to_have_count(0)


async def test_nothing_is_sent_before_the_page_can(module_browser, scene):
    comes = asyncio.Event()

    async def late(route):
        await comes.wait()
        await route.continue_()

    context = await module_browser.new_context(locale="en")
    try:
        context.set_default_timeout(PATIENCE * 1000)
        page = await context.new_page()
        await context.route("**/*.js", late)
        await page.goto(f"{scene.base}/welcome", wait_until="commit")
        await expect(page.locator("#password-form button.wide").first).to_be_disabled()
        await page.fill("#password-form [name=name]", "nurse")
        await page.fill("#password-form [name=password]", PASSWORD)
        await page.press("#password-form [name=password]", "Enter")
        assert page.url == f"{scene.base}/welcome"
        comes.set()
        await expect(page.locator("#password-form button.wide").first).to_be_enabled()
        assert await page.input_value("#password-form [name=name]") == "nurse"
    finally:
        await context.close()
