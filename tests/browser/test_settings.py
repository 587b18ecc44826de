"""Settings in a real browser: tried as they are typed, and in force by themselves."""

from __future__ import annotations

import asyncio
import re
import time

import pytest
from playwright.async_api import expect

from tests.browser.pages import PATIENCE, Complaints, overflow, settled, violations
from tests.journeys.service import Installation
from tests.ports import free_port

UNASKED = ("503", "ERR_CONNECTION", "ERR_EMPTY", "ERR_INCOMPLETE", "ERR_SOCKET")
"""The box begins anew in between, and a browser says so in its console."""


@pytest.fixture
async def box(tmp_path):
    """A box in a process of its own, whose address stays the same when it begins anew."""
    made = Installation(tmp_path)
    made.dimse_port, made.http_port = free_port(), free_port()
    made.configuration.write_text(
        f"""
        [appliance]
        data_dir = "{made.data}"
        [keys]
        path = "{made.key}"
        [dimse]
        listen = "127.0.0.1:{made.dimse_port}"
        [http]
        listen = "127.0.0.1:{made.http_port}"
        tls = "off"
        [access]
        admins_need_second_factor = false
        """
    )
    await made.start()
    yield made
    made.kill()


@pytest.fixture
async def page(box, visit):
    """An admin's."""
    base = f"http://localhost:{box.http_port}"
    complaints = Complaints(base, excused=UNASKED)
    context = await visit(locale="en")
    context.set_default_timeout(PATIENCE * 1000)
    made = await box.run("user", "first-code")
    code = re.search(r"\w{4}(?:-\w{4}){3}", made.out)[0]
    asked = {"code": code, "name": "grace", "password": "seven quiet lamps"}
    answer = await context.request.post(f"{base}/login/redeem", data=asked)
    assert answer.ok, await answer.text()
    shown = await context.new_page()
    complaints.watch(shown)
    await shown.goto(f"{base}/settings")
    await settled(shown)
    yield shown
    assert complaints.found == []


async def test_settings_are_tried_as_they_are_typed_and_come_into_force(box, page):
    zone, sweep = (page.locator(f"[id='{key}']") for key in ("appliance.time_zone", "dimse.listen"))
    wrong = page.locator("[id='appliance.time_zone-problem']")
    apply = page.get_by_role("button", name="Apply…")

    # What the file of the machine says is told, with its line.
    await expect(sweep).to_be_disabled()
    await expect(page.get_by_text("edge.toml:7")).to_be_visible()

    # What can't be is told where it is typed, and led to from the foot of the page.
    await zone.fill("Atlantis")
    await expect(wrong).to_contain_text("not known")
    await expect(apply).to_be_disabled()
    await page.get_by_role("link", name="Look at “Time zone”").click()
    await expect(zone).to_be_focused()
    assert await violations(page) == []
    await page.set_viewport_size({"width": 320, "height": 640})
    assert await overflow(page) == ""

    # What can be is looked through, applied, and in force without another look at the page.
    await zone.fill("Europe/Madrid")
    await expect(wrong).to_be_hidden()
    await apply.click()
    await expect(page.get_by_text("becomes Europe/Madrid.")).to_be_visible()
    began = time.monotonic()
    await page.get_by_role("dialog").get_by_role("button", name="Apply").click()
    await expect(page.get_by_text("The changes are in force.")).to_be_visible()
    print(f"in force after {time.monotonic() - began:.1f} s")
    await expect(zone).to_have_value("Europe/Madrid")
    await expect(apply).to_be_hidden()
    written = await asyncio.to_thread((box.data / "settings.toml").read_text)
    assert 'time_zone = "Europe/Madrid"' in written
