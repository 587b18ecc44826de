"""A box is set up in a real browser: from the code on its console to an image in a cloud."""

from __future__ import annotations

import asyncio
import re

import pytest
from playwright.async_api import async_playwright, expect
from pynetdicom import AE
from pynetdicom.sop_class import Verification

from tests.browser.conftest import CHROMIUM, WORDS
from tests.browser.pages import PATIENCE, Complaints
from tests.fakes.edge import EdgeServer
from tests.journeys.service import Installation
from tests.ports import free_port

UNASKED = ("401", "403", "409", "503", "ERR_CONNECTION", "ERR_EMPTY", "ERR_INCOMPLETE")
"""The box begins anew in between, and a browser says so in its console."""


@pytest.fixture
async def cloud(tmp_path):
    server = EdgeServer(tmp_path / "cloud")
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
async def box(tmp_path):
    """A box that nobody has set up."""
    made = Installation(tmp_path / "new")
    made.dimse_port, made.http_port = free_port(), free_port()
    made.configuration.write_text(
        f"""
        [appliance]
        data_dir = "{made.data}"
        [keys]
        path = "{made.key}"
        [http]
        listen = "127.0.0.1:{made.http_port}"
        tls = "off"
        [access]
        admins_need_second_factor = false
        [cache]
        reserve_bytes = 0
        """
    )
    own = f'[dimse]\nlisten = "127.0.0.1:{made.dimse_port}"\n'
    (made.data / "settings.toml").write_text(own)
    await made.start()
    yield made
    made.kill()


@pytest.fixture
async def page(box):
    if not await asyncio.to_thread(CHROMIUM.exists):
        pytest.skip("there is no Chromium: apt-get install chromium")
    base = f"http://localhost:{box.http_port}"
    complaints = Complaints(base, excused=UNASKED)
    async with async_playwright() as playwright:
        chromium = await playwright.chromium.launch(executable_path=CHROMIUM, args=WORDS)
        context = await chromium.new_context(locale="en", timezone_id="Europe/Dublin")
        context.set_default_timeout(PATIENCE * 1000)
        shown = await context.new_page()
        complaints.watch(shown)
        await shown.goto(f"{base}/setup")
        yield shown
        await chromium.close()
    assert complaints.found == []


def echo(port):
    """A device tests its connection; whether it was let in."""
    ae = AE("CT1")
    ae.add_requested_context(Verification)
    association = ae.associate("127.0.0.1", port, ae_title="EDGE")
    if not association.is_established:
        return False
    status = association.send_c_echo()
    association.release()
    return status.Status == 0


async def test_a_box_is_set_up_from_its_code_to_an_image_there_and_back(box, cloud, page):
    made = await box.run("user", "first-code")
    code = re.search(r"\w{4}(?:-\w{4}){3}", made.out)[0]

    # The code makes the first admin.
    await page.get_by_label("Code", exact=True).fill(code)
    await page.get_by_label("Name to log in with").fill("grace")
    await page.get_by_label("New password").fill("seven quiet lamps")
    await page.get_by_label("The same again").fill("seven quiet lamps")
    await page.get_by_role("button", name="Begin").click()

    # Clinic.
    await page.get_by_label("Name of the clinic").fill("St. Brigid Clinic")
    assert await page.get_by_label("Time zone").input_value() == "Europe/Dublin"
    await page.get_by_role("button", name="Go on").click()

    # Network.
    await expect(page.get_by_role("heading", name="Is it on the network?")).to_be_visible()
    await expect(page.locator("#looks > li")).to_have_count(4)
    await page.locator("#stage-network").get_by_role("button", name="Go on").click()

    # Cloud: a wrong token is told, the right one goes on.
    await page.locator("[name=url]").fill(cloud.dicomweb)
    await page.get_by_label("What proves who we are").select_option("bearer")
    await page.locator("[name=token]").fill("wrong")
    await page.get_by_role("button", name="Test it, and go on").click()
    await expect(page.locator("#cloud-form > .problem")).to_be_visible()
    await page.locator("[name=token]").fill(cloud.token)
    await page.get_by_role("button", name="Test it, and go on").click()

    # Recovery key: later.
    await expect(page.get_by_role("heading", name="The recovery key")).to_be_visible()
    await page.locator("#stage-recovery").get_by_role("button", name="Later").click()

    # The first device calls, is let in, and calls again.
    await expect(page.locator("#ae-title")).to_have_text("EDGE")
    await expect(page.locator("#port")).to_have_text(str(box.dimse_port))
    assert not await asyncio.to_thread(echo, box.dimse_port)
    await expect(page.get_by_text("CT1 called from 127.0.0.1.")).to_be_visible()
    await page.get_by_role("button", name="Let it in").click()
    await expect(page.get_by_text("CT1 may send images now.")).to_be_visible()
    assert await asyncio.to_thread(echo, box.dimse_port)
    await expect(page.get_by_text("CT1 called, and all went well.")).to_be_visible()
    await page.locator("#device-next").click()

    # A test image.
    await page.get_by_role("button", name="Send it").click()
    await expect(page.get_by_text("It comes back unchanged")).to_be_visible()
    await page.locator("#image-next").click()

    # What is missing is told, and nothing else.
    await expect(page.get_by_role("heading", name="Nearly done")).to_be_visible()
    await expect(page.locator("#missing > li")).to_have_count(1)
    await expect(page.locator("#missing")).to_contain_text("recovery key")
