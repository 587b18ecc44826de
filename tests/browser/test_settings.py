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


TWO_ARCHIVES = """
[[cloud.archive]]
name = "mirror"
url = "http://127.0.0.1:9/dicom-web"
role = "copy"

[[cloud.archive]]
name = "cloud"
url = "https://healthcare.invalid/v1/dicomWeb"
kind = "google"
auth = { kind = "google", key_file = "KEY_FILE" }
"""


@pytest.fixture
def own():
    """What the box's own file says at first."""
    return ""


@pytest.fixture
async def box(tmp_path, own):
    """A box in a process of its own, whose address stays the same when it begins anew."""
    made = Installation(tmp_path)
    key_file = tmp_path / "key.json"
    key_file.write_text("{}")
    (made.data / "settings.toml").write_text(own.replace("KEY_FILE", str(key_file)))
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


async def test_what_somebody_else_changed_meanwhile_is_in_force_as_well(box, page):
    """Nothing begins anew for it, so there is nothing to wait for."""
    written = '[appliance]\ntime_zone = "Europe/Madrid"\n'
    await asyncio.to_thread((box.data / "settings.toml").write_text, written)
    await page.locator("[id='appliance.time_zone']").fill("Europe/Madrid")
    await page.get_by_role("button", name="Apply…").click()
    await page.get_by_role("dialog").get_by_role("button", name="Apply").click()
    await expect(page.get_by_text("The changes are in force.")).to_be_visible()


@pytest.mark.parametrize("own", [TWO_ARCHIVES])
async def test_an_archive_to_which_the_box_proves_itself_by_a_file_keeps_that(box, page):
    card = page.get_by_role("region", name="Cloud archives")
    # The primary one comes first, wherever it stands.
    await expect(card.get_by_role("listitem").first).to_contain_text("healthcare.invalid")
    await page.get_by_role("button", name="Change cloud").click()
    dialog = page.get_by_role("dialog")
    way = dialog.get_by_label("What proves who we are")
    await expect(way).to_have_value("google")
    await expect(way.locator("option:checked")).to_have_text("As on the machine")
    await dialog.get_by_role("button", name="Use it").click()
    await expect(dialog).to_have_count(0)
    await expect(page.get_by_role("button", name="Apply…")).to_be_hidden()


@pytest.mark.parametrize("own", [TWO_ARCHIVES])
async def test_a_box_is_set_up_with_its_primary_archive(box, page):
    await page.goto(f"http://localhost:{box.http_port}/setup#cloud")
    address = page.locator("#cloud-fields [name='url']")
    await expect(address).to_have_value("https://healthcare.invalid/v1/dicomWeb")
