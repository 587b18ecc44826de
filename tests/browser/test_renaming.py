"""A box is renamed in a browser that was told to accept its first certificate, and no other.

As a technician's is: a person pressed "go on all the same" once, at the first page. The browser of
the other tests accepts every certificate, and would see nothing of what is tested here.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import time

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from playwright.async_api import Error, async_playwright, expect

from tests.browser.conftest import CHROMIUM, WORDS
from tests.browser.pages import PATIENCE, Complaints, overflow, settled, violations
from tests.journeys.service import Installation

UNASKED = ("401", "503", "ERR_CONNECTION", "ERR_EMPTY", "ERR_INCOMPLETE", "ERR_SOCKET")
"""The box begins anew in between, and a browser says so in its console."""
BEGIN = """async (body) => {
    const headers = {"Content-Type": "application/json"};
    return (await fetch("/login/redeem", {method: "POST", headers, body})).status;
}"""
ANSWERS = "**/api/v1/settings"


@pytest.fixture
async def box(tmp_path):
    """A new box with a certificate of its own."""
    people = "[access]\nadmins_need_second_factor = false\n"
    made = Installation.as_new(tmp_path, host="0.0.0.0", tls="auto", more=people)
    await made.start()
    yield made
    made.kill()


def key_in(box):
    """Of the certificate that the box has now, as Chromium knows it."""
    certificate = x509.load_pem_x509_certificates((box.data / "tls" / "server.pem").read_bytes())[0]
    key = certificate.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return base64.b64encode(hashlib.sha256(key).digest()).decode()


@pytest.fixture
async def first_key(box):
    """Of its first certificate."""
    return key_in(box)


@pytest.fixture
async def context(box, first_key):
    """A browser that accepts that alone."""
    if not CHROMIUM.exists():
        pytest.skip("there is no Chromium: apt-get install chromium")
    words = [*WORDS, f"--ignore-certificate-errors-spki-list={first_key}"]
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=words)
        made = await browser.new_context(locale="en", timezone_id="Europe/Dublin")
        made.set_default_timeout(PATIENCE * 1000)
        yield made
        await browser.close()


@pytest.fixture
async def enter(box, context):
    """Opens a page of the box, by a name, as its first person."""
    watched = []

    async def at(host, path):
        base = f"https://{host}:{box.http_port}"
        complaints, page = Complaints(base, excused=UNASKED), await context.new_page()
        code = await box.first_code()
        await page.goto(f"{base}/setup")
        body = f'{{"code": "{code}", "name": "grace", "password": "seven quiet lamps"}}'
        assert await page.evaluate(BEGIN, body) == 200
        complaints.watch(page)
        watched.append(complaints)
        await page.goto(f"{base}{path}")
        await settled(page)
        return page

    yield at
    assert [one.found for one in watched] == [[]] * len(watched)


async def is_readable(page):
    assert await violations(page) == []
    size = page.viewport_size
    await page.set_viewport_size({"width": 320, "height": 640})
    assert await overflow(page) == ""
    await page.set_viewport_size(size)


async def name_the_clinic(page):
    await expect(page.get_by_role("heading", name="Where does it stand?")).to_be_focused()
    await page.get_by_label("Name of the clinic").fill("St. Brigid")
    await page.locator("#stage-clinic").get_by_role("button", name="Go on").click()


async def test_who_names_the_clinic_goes_on_in_the_same_browser(box, context, enter, first_key):
    page = await enter("edge.local", "/setup")
    await name_the_clinic(page)
    await expect(page.get_by_role("heading", name="Is it on the network?")).to_be_focused()
    moved = page.locator("#moved")
    new = f"https://st-brigid.local:{box.http_port}/setup"
    await expect(moved.get_by_role("link")).to_have_attribute("href", new)
    await expect(moved).to_contain_text("edge.local is answered for 4 hours yet.")
    await is_readable(page)

    # It is another certificate indeed, and this browser does not take it.
    assert key_in(box) != first_key
    stranger = await context.new_page()
    with pytest.raises(Error, match="ERR_CERT_AUTHORITY_INVALID"):
        await stranger.goto(new)
    # The former name holds for new connections, too.
    await page.reload()
    await settled(page)
    await expect(moved).to_be_visible()


async def test_settings_that_rename_the_box_are_followed_by_who_came_by_its_address(
    box, enter, first_key
):
    page = await enter("127.0.0.1", "/settings")
    await page.locator("[id='appliance.name']").fill("St. Brigid")
    await page.get_by_role("button", name="Apply…").click()
    await page.get_by_role("dialog").get_by_role("button", name="Apply").click()
    await expect(page.get_by_text("The changes are in force.")).to_be_visible()
    assert key_in(box) != first_key
    await expect(page.locator("#moved")).to_contain_text("the certificate that you know is shown")
    await is_readable(page)


async def is_renamed(box, first_key):
    """Wait until it has begun anew with its new name."""
    async with asyncio.timeout(PATIENCE), httpx.AsyncClient(verify=False) as client:
        while True:
            with contextlib.suppress(httpx.HTTPError):
                said = await client.get(f"https://127.0.0.1:{box.http_port}/readyz")
                if said.is_success and key_in(box) != first_key:
                    return
            await asyncio.sleep(0.05)


async def test_a_page_that_hears_nothing_any_more_ends_with_what_to_do(box, enter, first_key):
    page = await enter("edge.local", "/setup")
    await page.clock.install()
    await page.reload()
    await settled(page)

    async def is_gone(route):
        # What is asked before the change, and the change, are answered.
        if route.request.headers.get("x-edge-unattended"):
            await route.abort("connectionrefused")
        else:
            await route.fallback()

    await page.route(ANSWERS, is_gone)
    await name_the_clinic(page)
    problem = page.locator("#clinic-form .problem")
    await expect(page.locator("#clinic-wait")).to_be_visible()
    ends = time.monotonic() + PATIENCE
    while not await problem.is_visible() and time.monotonic() < ends:
        await page.clock.run_for(10_000)
    await expect(problem).to_contain_text("the box does not answer here any more")
    await expect(page.locator("#clinic-wait")).to_be_hidden()
    there = f"https://st-brigid.local:{box.http_port}/setup"
    await expect(problem.get_by_role("link", name="https")).to_have_attribute("href", there)
    await is_readable(page)
    await page.unroute(ANSWERS)
    await is_renamed(box, first_key)
    await problem.get_by_role("link", name="Open this page anew").click()
    await settled(page)
    await expect(page.get_by_label("Name of the clinic")).to_have_value("St. Brigid")
