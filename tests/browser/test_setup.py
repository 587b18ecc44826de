"""A new box is set up in a real browser, between a real device and archive: DCMTK and Orthanc.

From the code on its console to an image that was in the archive and came back, as a technician does
it: with the page and the keyboard alone, and with what the device says.
"""

from __future__ import annotations

import asyncio
import base64
import json
import time

import pytest
from playwright.async_api import expect

from edge.access.totp import code_of
from tests import samples
from tests.browser.pages import PATIENCE, Complaints, overflow, settled, violations
from tests.fakes.orthanc import Orthanc, missing
from tests.journeys.modality import dcmtk
from tests.journeys.service import Installation

pytestmark = pytest.mark.skipif(bool(missing()), reason=missing())

UNASKED = ("401", "403", "409", "503", "ERR_CONNECTION", "ERR_EMPTY", "ERR_INCOMPLETE")
"""The box begins anew in between, and a browser says so in its console."""
AUTHENTICATOR = {
    "protocol": "ctap2",
    "transport": "internal",
    "hasResidentKey": True,
    "hasUserVerification": True,
    "isUserVerified": True,
    "automaticPresenceSimulation": True,
}


@pytest.fixture
async def archive(tmp_path):
    server = await Orthanc(tmp_path / "archive").started()
    yield server
    await server.stopped()


@pytest.fixture
async def box(request, tmp_path):
    """A box that nobody has set up; a test may have its file name it."""
    made = Installation.as_new(tmp_path / "new", name=getattr(request, "param", ""))
    await made.start()
    yield made
    made.kill()


@pytest.fixture
async def page(box, visit):
    """A technician's."""
    base = f"http://localhost:{box.http_port}"
    complaints = Complaints(base, excused=UNASKED)
    context = await visit(locale="en", timezone_id="Europe/Dublin")
    context.set_default_timeout(PATIENCE * 1000)
    shown = await context.new_page()
    complaints.watch(shown)
    await shown.goto(f"{base}/setup")
    await settled(shown)
    yield shown
    assert complaints.found == []


async def reach(target):
    """Go there by the keyboard alone."""
    await expect(target).to_be_visible()
    await expect(target).to_be_enabled()
    for _ in range(60):
        if await target.evaluate("one => one === document.activeElement"):
            return
        await target.page.keyboard.press("Tab")
    raise AssertionError(f"{target} is not reached by the keyboard")


async def press(target):
    """Press a button, or follow a link."""
    await reach(target)
    await target.page.keyboard.press("Enter")


async def write(target, text):
    """Type into a field."""
    await reach(target)
    await target.page.keyboard.press("Control+A")
    await target.page.keyboard.type(text)


async def fits(page):
    """What is shown can be read by everybody, and on the smallest telephone."""
    assert await violations(page) == []
    size = page.viewport_size
    await page.set_viewport_size({"width": 320, "height": 640})
    assert await overflow(page) == ""
    await page.set_viewport_size(size)


async def become_admin(box, page, prove):
    """By the code of the console."""
    code = await box.first_code()
    await fits(page)
    await write(page.get_by_label("Code", exact=True), code)
    await write(page.get_by_label("Name to log in with"), "grace")
    await write(page.get_by_label("New password"), "seven quiet lamps")
    await write(page.get_by_label("The same again"), "seven quiet lamps")
    await press(page.get_by_role("button", name="Begin"))
    await prove(page)
    await press(page.get_by_role("button", name="I have them: go on"))


async def by_passkey(page):
    """Kept by the device."""
    devtools = await page.context.new_cdp_session(page)
    await devtools.send("WebAuthn.enable")
    await devtools.send("WebAuthn.addVirtualAuthenticator", {"options": AUTHENTICATOR})
    await press(page.get_by_role("button", name="Make a passkey on this device"))


async def by_app(page):
    """Of a telephone."""
    await press(page.get_by_role("button", name="Use an app that shows codes"))
    await expect(page.locator("#step-app")).to_be_visible()
    await expect(page.locator("#secret")).not_to_be_empty()
    key = base64.b32decode((await page.locator("#secret").text_content()).replace(" ", ""))
    await write(page.locator("#app-form [name=code]"), code_of(key, int(time.time()) // 30))
    await press(page.locator("#app-form .button"))


async def say_where_it_stands(page):
    """The time zone of who sets it up is proposed."""
    await expect(page.get_by_role("heading", name="Where does it stand?")).to_be_focused()
    await write(page.get_by_label("Name of the clinic"), "St. Brigid Clinic")
    await expect(page.get_by_label("Time zone")).to_have_value("Europe/Dublin")
    await expect(page.locator("#clinic-learns")).to_be_visible()
    await fits(page)
    # A city alone is no time zone; what is, is said.
    await write(page.get_by_label("Time zone"), "Dublin")
    await press(page.get_by_role("button", name="Go on"))
    await expect(page.get_by_label("Time zone")).to_be_focused()
    problem = page.locator("#clinic-form .problem")
    await expect(problem).to_contain_text("The box knows no time zone “Dublin”. Did you mean")
    await expect(problem).to_contain_text("Europe/Dublin")
    await expect(problem).not_to_contain_text("appliance.time_zone")
    await fits(page)
    await write(page.get_by_label("Time zone"), "Europe/Dublin")
    await press(page.get_by_role("button", name="Go on"))
    await expect(page.get_by_role("heading", name="Is it on the network?")).to_be_focused()
    await expect(page.locator("#looks > li")).to_have_count(4)
    await fits(page)
    await press(page.locator("#stage-network").get_by_role("button", name="Go on"))


async def connect_archive(archive, page):
    """An address in the clear and a wrong password are told where they fail; right ones go on."""
    await write(page.get_by_label("Address"), "http://archive.example/dicom-web")
    await press(page.get_by_role("button", name="Test it, and go on"))
    problem = page.locator("#cloud-fields .at-field")
    await expect(problem).to_contain_text("The address must begin with https")
    await expect(page.get_by_label("Address")).to_be_focused()
    await expect(page.locator("#cloud-steps > li")).to_have_count(0)
    await write(page.get_by_label("Address"), archive.dicomweb)
    await reach(page.locator("#cloud-form [name=kind]"))
    await page.keyboard.type("Orth")
    user, password = archive.auth
    await write(page.locator("#cloud-form [name=user]"), user)
    await write(page.locator("#cloud-form [name=password]"), "another")
    await press(page.get_by_role("button", name="Test it, and go on"))
    await expect(page.locator("#cloud-steps .verdict")).to_contain_text("does not work")
    await expect(page.locator("#cloud-form > .problem")).to_be_hidden()
    await expect(page.locator("#cloud-steps > [data-level=alarm]").first).to_contain_text("Log-in")
    await fits(page)
    await write(page.locator("#cloud-form [name=password]"), password)
    await press(page.get_by_role("button", name="Test it, and go on"))


async def try_archive_again(page):
    """Of what is set up already the result of the test stays until somebody goes on."""
    await expect(page.get_by_role("heading", name="The recovery key")).to_be_focused()
    await page.evaluate("location.hash = '#cloud'")
    await expect(page.get_by_role("heading", name="Where do images go?")).to_be_focused()
    await press(page.get_by_role("button", name="Test it, and go on"))
    await expect(page.locator("#cloud-next")).to_be_focused()
    await expect(page.locator("#cloud-steps .verdict")).to_contain_text("The way works")
    await fits(page)
    await press(page.locator("#cloud-next"))


async def keep_recovery_key(page):
    """It is shown once, and holds once it was typed back from the paper."""
    await press(page.get_by_role("button", name="Show the key"))
    await expect(page.locator("#groups > li")).to_have_count(9)
    groups = await page.locator("#groups > li").all_inner_texts()
    await fits(page)
    await press(page.get_by_role("button", name="I have it on paper"))
    await expect(page.locator("#groups > li")).to_have_count(0)
    await press(page.get_by_role("button", name="Back to the key"))
    await expect(page.locator("#groups > li")).to_have_text(groups)
    await press(page.get_by_role("button", name="I have it on paper"))
    await expect(page.locator("#groups > li")).to_have_count(0)
    typed = page.get_by_label("Type it from the paper")
    await write(typed, " ".join([*groups[1:], groups[0]]))
    await press(page.get_by_role("button", name="Compare, and go on"))
    await expect(page.locator("#recovery-form > .problem")).to_be_visible()
    await write(typed, " ".join(groups).lower())
    await press(page.get_by_role("button", name="Compare, and go on"))


async def connect_device(box, page):
    """What is wrong is said, be it let in or not; it is let in; it calls again."""
    await expect(page.locator("#ae-title")).to_have_text("EDGE")
    await expect(page.locator("#port")).to_have_text(str(box.dimse_port))
    await dcmtk("echoscu", box.dimse_port, called="WRONG", calling="CT1")
    news = page.locator("#device-news")
    advice = "It called the AE title WRONG. Enter EDGE there as the AE title of this box"
    await expect(news).to_contain_text(advice)
    assert not (await dcmtk("echoscu", box.dimse_port, calling="CT1")).has_succeeded
    await expect(news).to_contain_text("CT1 called from 127.0.0.1.")
    await fits(page)
    await press(page.get_by_role("button", name="Let it in"))
    await expect(page.get_by_text("CT1 may send images now, and nothing else")).to_be_visible()
    listed = json.loads((await box.run("peer", "list", "--json")).out)
    assert [one["may"] for one in listed["peers"]] == [["store"]]
    # What was wrong before is not said any more; what it calls wrongly is, without "Let it in".
    await expect(news.locator("[data-level=alarm]")).to_have_count(0)
    assert not (await dcmtk("echoscu", box.dimse_port, called="WRONG", calling="CT1")).has_succeeded
    await expect(news).to_contain_text("CT1 is let in, and has one thing to change.")
    await expect(news).to_contain_text(advice)
    await expect(news).not_to_contain_text("something is wrong")
    await expect(news).not_to_contain_text("may send images now")
    await expect(news.get_by_role("button")).to_have_count(0)
    await fits(page)
    assert (await dcmtk("echoscu", box.dimse_port, calling="CT1")).has_succeeded
    await expect(news).to_contain_text("CT1 called, and all went well.")
    await press(page.locator("#device-next"))


async def send_to_cloud(box, page, image, file):
    """As a device does it; until the box has verified it there."""
    await asyncio.to_thread(file.write_bytes, image.data)
    status = "fetch('/api/v1/status').then((answer) => answer.json())"

    async def verified():
        return (await page.evaluate(status))["custody"].get("VERIFIED", 0)

    before = await verified()
    assert (await dcmtk("dcmsend", box.dimse_port, file, calling="CT1")).has_succeeded
    async with asyncio.timeout(PATIENCE):
        while await verified() == before:  # noqa: ASYNC110 - it comes true in another process
            await asyncio.sleep(0.05)


async def test_a_box_is_set_up_from_its_code_to_an_image_there_and_back(
    box, archive, page, tmp_path
):
    began = time.monotonic()
    await become_admin(box, page, by_passkey)
    await say_where_it_stands(page)
    await connect_archive(archive, page)
    await try_archive_again(page)
    await keep_recovery_key(page)
    await connect_device(box, page)

    # What a device sent is no test image, also where it is safe in the cloud.
    first, second = samples.ct_series(2)
    await send_to_cloud(box, page, first, tmp_path / "first.dcm")
    await page.goto(f"http://localhost:{box.http_port}/setup#image")
    sent = page.locator("#steps [data-step=image]")
    primary = page.locator("#stage-image .actions .button:not(.quiet):visible")
    await expect(primary).to_have_text(["Send it"])
    await expect(sent).to_have_attribute("data-done", "no")

    # A made-up image there and back, and nothing is missing.
    await press(page.get_by_role("button", name="Send it"))
    await expect(page.locator("#image-steps").get_by_text("It comes back the same")).to_be_visible()
    await fits(page)
    await expect(primary).to_have_text(["Finish"])
    await expect(sent).to_have_attribute("data-done", "yes")
    # Another browser is told the same.
    await page.evaluate("sessionStorage.clear()")
    await page.reload()
    await expect(primary).to_have_text(["Finish"])
    await expect(sent).to_have_attribute("data-done", "yes")
    await press(page.locator("#image-next"))
    await expect(page.get_by_role("heading", name="The box is ready.")).to_be_visible()
    # It does not go on listing strangers.
    assert 'unknown_peers = "reject"' in (box.data / "settings.toml").read_text()
    await expect(page.locator("#missing > li")).to_have_count(0)
    await fits(page)
    assert time.monotonic() - began < 300

    # It is set up indeed: what the device sends is in the archive.
    await send_to_cloud(box, page, second, tmp_path / "second.dcm")
    await press(page.get_by_role("link", name="To the first page"))
    await expect(page.locator("#sentence")).to_have_text("Everything is safe in the cloud.")
    # A backup may be there, too: the settings changed at the end.
    assert second.ref.sop_uid in await asyncio.to_thread(archive.sop_uids)


@pytest.mark.parametrize("box", ["St. Brigid Clinic"], indirect=True)
async def test_what_the_file_fixes_is_shown_and_does_not_skip_a_step(box, page):
    await become_admin(box, page, by_app)
    await expect(page.get_by_role("heading", name="Where does it stand?")).to_be_focused()
    name = page.get_by_label("Name of the clinic")
    await expect(name).to_have_value("St. Brigid Clinic")
    await expect(name).to_be_disabled()
    await expect(page.locator("#clinic-form .badge")).to_contain_text("fixed by")
    await fits(page)
    await press(page.get_by_role("button", name="Go on"))
    await expect(page.get_by_role("heading", name="Is it on the network?")).to_be_focused()
