"""The page of a locked box in a real browser: for people, without a script, for no other site."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

import pytest
from playwright.async_api import expect

from edge import config, locked
from edge.admin import unlocking_page
from edge.admin.local_keys import Opening, open_service, state_of_service
from edge.errors import Needs
from tests.browser.conftest import OWN_NAME
from tests.browser.pages import violations
from tests.journeys.locked import Locked
from tests.ports import free_port

GOOD = "seven herons over a wet field"
PATIENCE = 60.0
SIZES = {
    "phone": {"width": 320, "height": 640},
    "tablet": {"width": 820, "height": 1180},
    "old PC": {"width": 1280, "height": 720},
}
LEGIBLE, VISIBLE = 4.5, 3.0
"""WCAG 2.2, 1.4.3 and 1.4.11."""


@pytest.fixture
async def closed(tmp_path):
    """A box that waits for its passphrase: where it is, and its start."""
    port = free_port()
    settings = config.Config(
        appliance=config.Appliance(name="edge", data_dir=tmp_path / "box"),
        keys=config.Keys(provider="passphrase", grace_hours=0.0),
        dimse=config.Dimse(listen="127.0.0.1:0"),
        http=config.Http(listen=f"127.0.0.1:{port}", names=(OWN_NAME,)),
    )
    async with waiting(settings) as start:
        await asyncio.to_thread(open_service, tmp_path / "box", Opening(passphrase=GOOD))
        root = await start
    async with waiting(settings) as start:
        yield f"https://{OWN_NAME}:{port}/", start, root


@asynccontextmanager
async def waiting(settings):
    start = asyncio.create_task(locked.root_secret(settings))
    async with asyncio.timeout(PATIENCE):
        while await asyncio.to_thread(state_of_service, settings.appliance.data_dir) is None:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    try:
        yield start
    finally:
        start.cancel()
        await asyncio.wait([start])


class Seen:
    """What a browser tells of a page that nobody sees."""

    def __init__(self, page):
        self.wrong, self.asked = [], []
        page.on("pageerror", lambda error: self.wrong.append(str(error)))
        page.on("console", self._said)
        page.on("request", lambda request: self.asked.append(request.url))

    def _said(self, message):
        # What else is told: that a guess was refused, and that a box which opens does not answer.
        known = ("status of 4", "ERR_CONNECTION_REFUSED")
        if message.type in ("error", "warning") and not any(it in message.text for it in known):
            self.wrong.append(message.text)


async def send(page, passphrase):
    """Type it and press the button; the answer's status."""
    await page.fill("input[name=passphrase]", passphrase)
    async with page.expect_navigation() as sent:
        await page.click("button")
    return (await sent.value).status


async def test_the_passphrase_opens_the_box_with_scripts_turned_off(closed, visit):
    url, start, root = closed
    page = await (await visit(java_script_enabled=False)).new_page()
    seen = Seen(page)
    await page.goto(url)
    assert await page.get_by_role("alert").count() == 0
    assert await send(page, "not the passphrase") == 403
    assert await page.get_by_role("alert").inner_text() == "The passphrase is wrong."
    assert await page.input_value("input[name=passphrase]") == ""
    assert not start.done()
    assert await send(page, GOOD) == 200
    assert "The box is being opened." in await page.inner_text("main")
    assert await start == root
    assert seen.wrong == []
    assert {asked for asked in seen.asked if not asked.startswith(url)} == set()


async def test_who_guesses_is_told_how_long_to_wait_and_may_go_on_then(closed, visit):
    url, start, root = closed
    page = await (await visit()).new_page()
    await page.goto(url)
    statuses = []
    async with asyncio.timeout(PATIENCE):
        while 429 not in statuses:  # a slow machine waits by itself at first
            statuses.append(await send(page, f"guess {len(statuses)}"))
    assert statuses[:4] == [403] * 4
    assert statuses[4:-1] == [403] * len(statuses[4:-1])
    told = await page.get_by_role("alert").inner_text()
    assert told.startswith("Too many wrong tries. Wait ")
    assert await page.get_by_label("Passphrase").is_editable()
    async with asyncio.timeout(PATIENCE):
        while await send(page, GOOD) == 429:
            # A person reads the number, and waits so long.
            told = await page.get_by_role("alert").inner_text()
            await asyncio.sleep(float(told.split()[-2]))
    assert await start == root


async def test_the_keyboard_alone_opens_the_box(closed, visit):
    url, start, root = closed
    page = await (await visit()).new_page()
    await page.goto(url)
    field = page.get_by_label("Passphrase")
    await expect(field).to_be_focused()  # whoever comes to the page can begin
    await page.keyboard.type("not it")
    assert await field.input_value() == "not it"
    async with page.expect_navigation():
        await page.keyboard.press("Enter")
    described = await field.get_attribute("aria-describedby")
    assert await page.inner_text(f"#{described}") == "The passphrase is wrong."
    assert await field.get_attribute("aria-invalid") == "true"
    await expect(field).to_be_focused()
    await page.keyboard.type(GOOD)
    await page.keyboard.press("Tab")
    focused = page.locator(":focus-visible")
    assert await focused.inner_text() == "Open the box"
    assert await outline(focused) >= 2
    await page.keyboard.press("Shift+Tab")
    assert await field.input_value() == GOOD
    assert await outline(focused) >= 2
    await page.keyboard.press("Tab")
    async with page.expect_navigation():
        await page.keyboard.press("Space")
    assert await start == root


async def outline(place):
    """How wide the line around what has the focus is."""
    return await place.evaluate("it => parseFloat(getComputedStyle(it).outlineWidth)")


async def test_a_strangers_form_says_no_passphrase_for_its_reader(closed, visit, stranger):
    url, start, _ = closed
    stranger.html = (
        f"<form id=f method=post action='{url}unlock'>"
        f"<input name=passphrase value='{GOOD}'></form><script>f.submit()</script>"
    )
    page = await (await visit()).new_page()
    async with page.expect_response(f"{url}unlock") as answered:
        await page.goto(stranger.url("evil.test"))
    assert (await answered.value).status == 403
    assert not start.done()


async def test_a_strangers_page_shows_it_in_no_frame(closed, visit, stranger):
    url, _, _ = closed
    stranger.html = f"<iframe src='{url}'></iframe>"
    page = await (await visit()).new_page()
    await page.goto(stranger.url("evil.test"))
    (_, frame) = page.frames
    assert "This box is locked" not in await frame.content()


async def test_a_box_is_chosen_for_opened_locked_down_and_opened_again(tmp_path, visit):
    """All of it with the service as it is started; the page goes on by itself each time."""
    it = Locked(tmp_path, {"provider": "passphrase", "grace_hours": 0.0})
    it.configure(http_port=free_port())
    try:
        await it.run_up()
        page = await (await visit()).new_page()
        seen = Seen(page)
        await page.goto(f"http://127.0.0.1:{it.http_port}/")
        assert await page.locator("form").count() == 0  # nobody saw a code
        assert await it.unlock(GOOD) == (0, "edge: the box is open\n")
        for _ in range(2):
            await it.until_said("ready: DICOM")
            assert (await it.run("key", "lock")).status == 0
            await it.until_said("locked: DICOM")
            await page.goto(f"http://127.0.0.1:{it.http_port}/")
            assert await send(page, GOOD[1:]) == 403
            assert await send(page, GOOD) == 200
            async with page.expect_navigation(timeout=PATIENCE * 1000) as led:
                assert await page.inner_text("h1") == "Opening"
            answer = await led.value
            assert answer.status == 200
            assert answer.url == f"http://127.0.0.1:{it.http_port}/welcome"
            assert "This box is locked" not in await page.content()
        assert seen.wrong == []
        assert GOOD not in it.log.read_text()
    finally:
        it.kill()


PAGES = {
    "asks": unlocking_page.ask(""),
    "was told": unlocking_page.ask("Too many wrong tries. Wait 8 seconds."),
    "chooses": unlocking_page.choose("The two passphrases are not the same."),
    "waits for a server": unlocking_page.waits(Needs.SERVER, ""),
    "waits for a key": unlocking_page.waits(Needs.RECOVERY_KEY, ""),
    "opens": unlocking_page.opening(),
}


async def show(page, shown):
    """A page, as it looks, without a box behind it."""
    html = shown.replace(
        '<link rel="stylesheet" href="/unlock.css">', f"<style>{unlocking_page.STYLE}</style>"
    )
    await page.set_content(html.replace('http-equiv="refresh"', ""))


async def test_a_screen_reader_finds_all_of_it_named(visit):
    page = await (await visit()).new_page()
    for name, shown in PAGES.items():
        await show(page, shown)
        assert await violations(page) == [], name


@pytest.mark.parametrize("size", SIZES)
async def test_all_of_it_is_seen_and_can_be_touched_however_narrow_the_screen(visit, size):
    page = await (await visit(viewport=SIZES[size])).new_page()
    for name, shown in PAGES.items():
        await show(page, shown)
        wide = await page.evaluate("document.documentElement.scrollWidth - innerWidth")
        assert wide <= 0, name
        for place in await page.locator("input, button").all():
            box = await place.bounding_box()
            assert box["height"] >= 44, name
            assert box["x"] >= 0, name
            assert box["x"] + box["width"] <= SIZES[size]["width"], name
        for place in await page.locator("h1, p, label, input, button, code").all():
            assert await place.evaluate("it => parseFloat(getComputedStyle(it).fontSize)") >= 15, (
                name
            )


CONTRAST = """() => {
    const linear = value => value <= .04045 ? value / 12.92 : ((value + .055) / 1.055) ** 2.4;
    const light = colour => {
        const [red, green, blue] = colour.match(/[\\d.]+/g).map(part => linear(part / 255));
        return .2126 * red + .7152 * green + .0722 * blue;
    };
    const behind = it => {
        const found = getComputedStyle(it).backgroundColor;
        return /, 0\\)$/.test(found) && it.parentElement ? behind(it.parentElement) : found;
    };
    const ratio = (one, other) => {
        const [most, least] = [light(one), light(other)].sort((a, b) => b - a);
        return (most + .05) / (least + .05);
    };
    const texts = [...document.querySelectorAll("h1, p, label, button, code, a")].map(
        it => [it.textContent, ratio(getComputedStyle(it).color, behind(it))]);
    const fields = [...document.querySelectorAll("input")].map(
        it => [it.name, ratio(getComputedStyle(it).borderTopColor, behind(it.parentElement))]);
    return [texts, fields, light(getComputedStyle(document.body).backgroundColor)];
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_it_can_be_read_in_light_and_in_the_dark(visit, scheme):
    page = await (await visit(color_scheme=scheme)).new_page()
    for name, shown in PAGES.items():
        await show(page, shown)
        texts, fields, ground = await page.evaluate(CONTRAST)
        assert (ground > 0.5) is (scheme == "light")
        assert texts
        assert [text for text, ratio in texts if ratio < LEGIBLE] == [], name
        assert [field for field, ratio in fields if ratio < VISIBLE] == [], name
