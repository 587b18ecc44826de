"""The simple view in a real browser: pictures of the box, turned by keys, without OHIF."""

from __future__ import annotations

import io
from pathlib import Path

import pydicom
import pytest
from playwright.async_api import expect

from edge import config
from edge.app import Appliance
from edge.cache.admission import Source
from edge.dicom.instance import Origin
from tests.browser import phantoms
from tests.browser.pages import overflow, violations
from tests.browser.screen import Screen, logged_in


@pytest.fixture
async def box(tmp_path):
    """One without OHIF."""
    loaded = config.Config(
        appliance=config.Appliance(data_dir=tmp_path / "box"),
        dimse=config.Dimse(listen="127.0.0.1:0"),
        http=config.Http(listen="127.0.0.1:0", tls="off"),
        page=config.Page(viewer=Path("/nowhere")),
    )
    async with Appliance(loaded) as started:
        yield started


@pytest.fixture
async def screen(box, visit):
    base = f"http://127.0.0.1:{box.http_port}"
    context = await visit()
    await logged_in(box, context, base)
    made = Screen(await context.new_page(), base)
    yield made
    assert made.faults == []


async def store(box, files):
    for data in files:

        async def pieces(data=data):
            yield data

        await box.admission.store_instance(pieces(), Source(Origin.DICOMWEB, "test"))
    return pydicom.dcmread(io.BytesIO(files[0]), stop_before_pixels=True)


async def said(screen, text):
    await screen.page.wait_for_function(
        "text => document.getElementById('count').value === text", arg=text
    )


async def brightness(screen):
    """Of the picture that is shown."""
    await screen.page.wait_for_function("document.getElementById('picture').complete")
    return await screen.page.evaluate(
        """() => {
            const picture = document.getElementById("picture");
            const canvas = new OffscreenCanvas(64, 64);
            const context = canvas.getContext("2d");
            context.drawImage(picture, 0, 0, 64, 64);
            return context.getImageData(0, 0, 64, 64).data.reduce((sum, one) => sum + one, 0);
        }"""
    )


async def test_a_ct_is_looked_through_by_keys_and_in_other_windows(box, screen):
    first = await store(box, phantoms.ct(4))
    await screen.goto(f"/viewer/open?study={first.StudyInstanceUID}")
    await screen.page.wait_for_url("**/viewer/plain?study=*")
    await said(screen, "1 of 4")
    await screen.see("#picture")
    assert await screen.page.inner_text("h1") == "Phantom, Thorax"
    await screen.page.keyboard.press("ArrowRight")
    await said(screen, "2 of 4")
    await screen.page.keyboard.press("End")
    await said(screen, "4 of 4")
    await screen.page.keyboard.press("Home")
    await said(screen, "1 of 4")
    before = await brightness(screen)
    await screen.page.select_option("#window", "500,2000,linear")
    await screen.until(lambda: differs(screen, before))
    assert await screen.page.locator("#full").is_hidden()
    assert (
        await screen.page.inner_text("#what")
        == "PH-THORAX · 29 Feb 2024 · Thorax of a phantom · CT"
    )
    assert "4 images" in await screen.page.inner_text("#series")
    assert await screen.page.get_attribute("#back", "href") == f"/studies/{first.StudyInstanceUID}"
    await is_for_everybody(screen, f"/viewer/plain?study={first.StudyInstanceUID}", "#picture")
    await is_for_everybody(screen, "/viewer/open?study=1.2.3", "#said")


async def is_for_everybody(screen, path, shown):
    """In each width, light and dark, left to right and right to left."""
    for language in ("en", "ar"):
        cookie = {"name": "edge-language", "value": language, "url": screen.base}
        await screen.page.context.add_cookies([cookie])
        await screen.goto(path)
        await screen.see(shown)
        for width, scheme in ((320, "dark"), (820, "light"), (1440, "dark")):
            await screen.page.set_viewport_size({"width": width, "height": 700})
            await screen.page.emulate_media(color_scheme=scheme)
            assert await overflow(screen.page) == "", (language, width)
        assert await violations(screen.page) == [], language


async def differs(screen, before):
    return await brightness(screen) != before


async def test_a_cine_is_played_and_stopped(box, screen):
    first = await store(box, phantoms.us(6))
    await screen.goto(f"/viewer/plain?study={first.StudyInstanceUID}")
    await said(screen, "1 of 6")
    assert await screen.page.locator("#windows").is_hidden()
    await screen.page.click("#play")
    await said(screen, "4 of 6")
    await screen.page.click("#play")
    await screen.page.wait_for_function("document.getElementById('play').textContent === 'Play'")


async def test_a_report_is_a_page_in_the_page(box, screen):
    first = await store(box, phantoms.sr())
    await screen.goto(f"/viewer/plain?study={first.StudyInstanceUID}")
    await screen.see("#document")
    inside = screen.page.frame_locator("#document")
    await inside.get_by_text("Section Heading").first.wait_for()


async def test_a_study_that_is_not_here_is_said(box, screen):
    await screen.goto("/viewer/plain?study=1.2.3")
    await screen.see("text=This box does not know the study")
    await screen.goto("/viewer/open?study=1.2.3")
    await screen.see("text=This box does not know the study")


async def test_without_ohif_its_address_leads_to_the_simple_view(box, screen):
    first = await store(box, phantoms.cr())
    answer = await screen.goto(f"/viewer/viewer?StudyInstanceUIDs={first.StudyInstanceUID}")
    assert answer.status == 503
    # Chromium tells of the status of every page that is no success.
    screen.faults.clear()
    await screen.page.click("#plain")
    await said(screen, "1 of 1")


async def test_what_else_a_patient_has_is_beside_it(box, screen):
    first = await store(box, phantoms.ct(2))
    for data in phantoms.cr():
        other = pydicom.dcmread(io.BytesIO(data))
        other.PatientID, other.StudyDate = first.PatientID, "20231101"
        out = io.BytesIO()
        other.save_as(out, enforce_file_format=True)
        await store(box, [out.getvalue()])
    await store(box, phantoms.us(1))
    await screen.goto(f"/viewer/plain?study={first.StudyInstanceUID}")
    await screen.page.click("#others summary")
    found = screen.page.locator("#priors a")
    await expect(found).to_have_count(1)
    await expect(found).to_contain_text("1 Nov 2023")
    await found.click()
    await screen.page.wait_for_url(f"**study={other.StudyInstanceUID}")
    await said(screen, "1 of 1")
