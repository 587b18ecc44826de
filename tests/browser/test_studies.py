"""Studies in a real browser: found as one types, live, and what can be done with one."""

from __future__ import annotations

import asyncio
import io
import re
import shutil
import time
import zipfile

import pydicom
import pytest
import pytest_asyncio
from playwright.async_api import expect

from edge import config, others
from edge.access.roles import Role
from edge.viewer.package import CONTENTS
from edge.viewer.shelf import folder_of
from tests import samples
from tests.browser import phantoms
from tests.browser.pages import Complaints, settled
from tests.browser.scene import PATIENTS, clinic
from tests.browser.screen import Screen, difference
from tests.journeys.modality import dcmsend
from tests.ports import free_port

pytestmark = pytest.mark.asyncio(loop_scope="module")
UID = samples.sample_uid("page", 0)
OHIF = (folder_of(config.Page()) / CONTENTS).exists()
LIST = "#studies .grid-row:not(.waits)"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def scene(tmp_path_factory):
    """One box for all tests: what one adds or erases, no other counts."""
    gone = others.Peer("GONE", "127.0.0.1", port=free_port())
    dimse = config.Dimse(listen="127.0.0.1:0", unknown_peers="accept", peer=(gone,))
    folder = tmp_path_factory.mktemp("clinic")
    async with clinic(folder, cloud="none", dimse=dimse) as made:
        for number in range(6):
            await made.store(number)
        yield made


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def cookies(scene):
    return {role: await scene.cookie(f"a-{role}", role) for role in Role}


@pytest_asyncio.fixture(loop_scope="module")
async def look(scene, cookies, module_browser):
    """Opens a page as somebody of a role; nothing that it complains of is let pass."""
    complaints, contexts = Complaints(scene.base, excused=("503",)), []

    async def go(path, role=Role.ADMIN, **options):
        contexts.append(context := await module_browser.new_context(**options))
        await context.add_cookies([cookies[role]])
        page = await context.new_page()
        complaints.watch(page)
        await page.goto(scene.base + path)
        await settled(page)
        return page

    yield go
    for context in contexts:
        await context.close()
    assert complaints.found == []


async def test_a_list_narrows_as_one_types_and_the_address_says_to_what(look):
    page = await look("/studies")
    await expect(page.locator(LIST)).to_have_count(6)
    await page.keyboard.press("/")
    await page.keyboard.type("okafor ct")
    await expect(page.locator(LIST)).to_have_count(1)
    await expect(page.locator(f"{LIST} .who a")).to_have_text(["Okafor, Ada N"])
    await expect(page.locator("#found")).to_have_text("1 study")
    await expect(page).to_have_url(re.compile(r"/studies\?q=okafor\+ct$"))
    await page.click("#clear")
    await expect(page.locator(LIST)).to_have_count(6)
    await page.go_back()
    await expect(page.locator(LIST)).to_have_count(1)
    await expect(page.locator("#q")).to_have_value("okafor ct")


async def test_filters_are_of_the_address(look):
    page = await look("/studies?custody=only-here&modality=CT")
    await expect(page.locator(LIST)).to_have_count(2)
    await expect(page.locator("[data-custody=only-here]")).to_have_attribute("aria-pressed", "true")
    await expect(page.locator("#modality")).to_have_value("CT")
    await page.click("[data-pinned]")
    await expect(page.locator(LIST)).to_have_count(0)
    await expect(page.locator("#studies .empty")).to_be_visible()
    await expect(page).to_have_url(re.compile("pinned=true"))


async def test_what_did_not_get_to_a_device_says_why_in_ones_language_and_is_sent_again(look):
    page = await look(f"/studies/{UID}", Role.PHYSICIAN, locale="fr-FR")
    await page.click("#send")
    await page.click("dialog[open] form button:not([type])")
    row = page.locator("#sent > li")
    await expect(row).to_contain_text("été pris")
    await expect(row).to_contain_text("la destination est injoignable")
    await row.get_by_role("button", name="Renvoyer").click()
    await expect(row).to_have_count(2)
    await expect(row.first).to_contain_text("été pris")
    # What was sent again is so only once.
    await expect(row.get_by_role("button", name="Renvoyer")).to_have_count(1)


@pytest.mark.alone
@pytest.mark.skipif(shutil.which("dcmsend") is None, reason="there is no dcmsend: DCMTK has it")
async def test_a_study_that_was_sent_is_in_the_list_within_a_second_and_opens(
    look, scene, tmp_path
):
    [data] = phantoms.cr()
    sent = pydicom.dcmread(io.BytesIO(data), stop_before_pixels=True)
    (tmp_path / "sent.dcm").write_bytes(data)
    page = await look(f"/studies?q={sent.PatientID}", Role.VIEWER)
    await expect(page.locator("#studies .empty")).to_be_visible()
    await page.evaluate("window.stays = true")
    assert await dcmsend(scene.box.dimse_port, tmp_path) == {"Success": 1}
    began = time.monotonic()
    await expect(page.locator(LIST)).to_have_count(1)
    took = time.monotonic() - began
    print(f"in the list {took:.2f} s after the last word of dcmsend")
    assert took < 1.0
    assert await page.evaluate("window.stays"), "it was loaded anew"
    if not OHIF:
        pytest.skip("scripts/viewer makes OHIF")
    await page.click(f"{LIST} .who a")
    await expect(page.locator("#open")).to_be_visible()
    address = await page.get_attribute("#open", "href")
    screen = Screen(await page.context.new_page(), scene.base)
    await screen.goto(address)
    study, series = sent.StudyInstanceUID, sent.SeriesInstanceUID
    await screen.page.wait_for_url(f"**/viewer/viewer?StudyInstanceUIDs={study}")
    path = f"/dicom-web/studies/{study}/series/{series}/instances/{sent.SOPInstanceUID}"
    rendered = await screen.picture(f"{path}/frames/1/rendered")
    assert difference(await screen.canvas(), rendered) <= 2
    assert screen.faults == []


async def test_the_keyboard_alone_finds_and_opens(look):
    page = await look("/studies")
    await expect(page.locator(LIST).first).to_be_visible()
    await page.keyboard.press("/")
    await page.keyboard.type("haddad")
    # What is listed before the last letter counts goes once it does.
    await expect(page).to_have_url(re.compile(r"\?q=haddad$"))
    await expect(page.locator(LIST)).to_have_count(1)
    await page.keyboard.press("ArrowDown")
    await page.keyboard.press("Enter")
    await expect(page.locator("#name")).to_have_text("Haddad, Samira")


async def test_pictures_are_shown_of_what_is_here(look):
    page = await look("/studies", viewport={"width": 1280, "height": 1000})
    await expect(page.locator(f"{LIST} .picture img").nth(5)).to_be_visible()
    await page.goto(page.url + f"/{UID}")
    drawn = page.locator("#series .picture img")
    await expect(drawn).to_have_count(1)
    await expect(drawn).not_to_have_js_property("naturalWidth", 0)


async def test_a_study_is_pinned_and_let_go(look, scene):
    page = await look(f"/studies/{UID}", Role.PHYSICIAN)
    await expect(page.locator("#pin")).to_have_text("Pin")
    await page.click("#pin")
    await page.click("dialog .button:not(.quiet)")
    await expect(page.locator("#pin")).to_have_text("Pinned")
    assert [one.value for one in await scene.box.cache.pins.all()] == [UID]
    await page.click("#pin")
    await page.click("dialog .button:not(.quiet)")
    await expect(page.locator("#pin")).to_have_text("Pin")
    assert await scene.box.cache.pins.all() == []


async def test_an_answer_that_is_late_says_nothing_of_a_study_any_more(look):
    page = await look(f"/studies/{UID}", Role.PHYSICIAN)
    await expect(page.locator("#pin")).to_have_text("Pin")
    held, go_on = asyncio.get_running_loop().create_future(), asyncio.Event()

    async def late(route):
        answer = await route.fetch()
        held.set_result(route.request)
        await go_on.wait()
        await route.fulfill(response=answer)

    own = f"/api/v1/studies/{UID}"
    await page.route(f"**{own}", late, times=1)
    await page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    old = await held
    await page.click("#pin")
    await page.click("dialog .button:not(.quiet)")
    await expect(page.locator("#pin")).to_have_text("Pinned")
    async with page.expect_event("requestfinished", lambda one: one == old):
        go_on.set()
    await page.evaluate("own => fetch(own).then((answer) => answer.json())", own)
    await expect(page.locator("#pin")).to_have_text("Pinned")
    await page.click("#pin")
    await page.click("dialog .button:not(.quiet)")
    await expect(page.locator("#pin")).to_have_text("Pin")


async def test_what_is_on_its_way_is_looked_at_again_after_the_box_was_not_there(look):
    page = await look(f"/studies/{UID}", Role.PHYSICIAN)
    gift = {
        "number": 99,
        "peer": "GONE",
        "state": "sending",
        "instances": 4,
        "sent": 1,
        "failed": 0,
        "reason": "",
        "ended": None,
    }
    asked = []

    async def said(route):
        asked.append(len(asked))
        if len(asked) == 2:
            await route.fulfill(status=503, body="{}", content_type="application/json")
            return
        gift["sent"] = len(asked)
        await route.fulfill(json={"destinations": [], "sent": [gift]})

    await page.clock.install()
    await page.route("**/sending", said)
    await page.reload()
    await settled(page)
    row = page.locator("#sent > li")
    for text in ("1 of 4", "1 of 4", "3 of 4"):
        await expect(row).to_contain_text(text)
        async with page.expect_response("**/sending"):
            await page.clock.run_for(5000)
    assert len(asked) >= 4


async def test_a_study_is_downloaded_as_a_medium(look, tmp_path):
    page = await look(f"/studies/{UID}", Role.VIEWER)
    await page.click("#download")
    await expect(page.locator("dialog")).to_contain_text("not encrypted")
    async with page.expect_download() as waiting:
        await page.click("dialog .button:not(.quiet)")
    download = await waiting.value
    assert re.fullmatch(r"images-[0-9a-f]{8}\.zip", download.suggested_filename)
    target = tmp_path / "got.zip"
    await download.save_as(target)
    with zipfile.ZipFile(target) as archive:
        inside = archive.namelist()
    assert "DICOMDIR" in inside
    assert len([one for one in inside if one.startswith("DICOM/")]) == PATIENTS[0][5]


async def test_a_study_is_shared_by_a_link_until_that_is_ended(look, scene, module_browser):
    page = await look(f"/studies/{UID}", Role.PHYSICIAN)
    await page.click("#share")
    await page.fill("dialog [name=note]", "Dr. Aalto")
    await page.click("dialog .button:not(.quiet)")
    address = await page.input_value("dialog input[readonly]")
    assert address.startswith(f"{scene.base}/link#")
    await page.keyboard.press("Escape")
    await expect(page.locator("#links li")).to_contain_text("Dr. Aalto")
    guests = await module_browser.new_context()
    try:
        guest = await guests.new_page()
        await guest.goto(address)
        await settled(guest)
        await guest.click("#open")
        await guest.wait_for_url(f"{scene.base}/viewer/**")
        if OHIF:
            await Screen(guest, scene.base).canvas()
        await guest.goto(f"{scene.base}/viewer/plain?study={UID}")
        await expect(guest.locator("#picture")).to_be_visible()
        assert await guest.locator("a[href='/studies']").count() == 0
        await guest.goto(f"{scene.base}/studies")
        await expect(guest.locator(".grid-row")).to_have_count(0)
        await page.reload()
        await expect(page.locator("#links li")).to_contain_text("opened 1 time")
        await page.click("#links .button")
        await page.click("dialog .button:not(.quiet)")
        await expect(page.locator("#links-card")).to_be_hidden()
        await guest.goto(f"{scene.base}/viewer/plain?study={UID}")
        await guest.wait_for_url("**/welcome?to=**")
        await guest.goto(address)
        await settled(guest)
        await guest.click("#open")
        await expect(guest.locator("#problem")).to_contain_text("opens nothing any more")
    finally:
        await guests.close()


async def test_a_study_is_erased_once_that_is_understood(look, scene):
    uid = await scene.store(7)
    page = await look("/studies?q=mwangi")
    await expect(page.locator(LIST)).to_have_count(1)
    await page.goto(f"{scene.base}/studies/{uid}")
    await settled(page)
    await page.click("#erase")
    dialog = page.locator("dialog")
    await expect(dialog).to_contain_text("5 images of this study are erased")
    await expect(dialog).to_contain_text("gone for ever")
    await expect(dialog.locator(".danger")).to_be_disabled()
    await dialog.locator("input:not([type=radio])").fill("erase")
    await dialog.locator(".danger").click()
    await page.wait_for_url("**/studies")
    await page.fill("#q", "mwangi")
    await expect(page.locator("#studies .empty")).to_be_visible()


async def test_a_study_that_is_not_there_is_said_not_to_be(scene, cookies, module_browser):
    context = await module_browser.new_context()
    await context.add_cookies([cookies[Role.VIEWER]])
    page = await context.new_page()
    await page.goto(f"{scene.base}/studies/1.2.3.4")
    await expect(page.locator("#problem")).to_contain_text("no such study")
    await expect(page.locator("#study")).to_be_hidden()
    await context.close()


@pytest.mark.parametrize("width", [640, 820, 1000, 1280])
async def test_no_name_is_cut_in_the_list_while_there_is_room(look, width):
    page = await look("/studies", viewport={"width": width, "height": 900})
    names = page.locator(f"{LIST} .who .two > :first-child")
    await expect(names.nth(5)).to_be_visible()
    long = "all => all.forEach(one => one.firstElementChild.textContent = 'Patient900001, Maria')"
    await names.evaluate_all(long)
    cut = "all => all.filter(one => one.scrollWidth > one.clientWidth).map(one => one.textContent)"
    assert await names.evaluate_all(cut) == []
    tall = "all => all.filter(one => one.scrollHeight > one.clientHeight + 1).length"
    assert await names.evaluate_all(tall) == 0
