"""A study that only a real Orthanc has: the list says so, and a person has it brought here."""

from __future__ import annotations

import io

import pydicom
import pytest
from playwright.async_api import expect

from edge.access.roles import Role
from tests.browser import phantoms
from tests.browser.screen import PATIENCE, Screen, logged_in
from tests.fakes import orthanc
from tests.fakes.orthanc import Orthanc
from tests.journeys import box
from tests.journeys.line import line_to

pytestmark = pytest.mark.skipif(bool(orthanc.missing()), reason=orthanc.missing())
SLICES = 6


@pytest.fixture
async def running(tmp_path):
    """A box that knows what the cloud has, and has nothing itself."""
    with Orthanc(tmp_path / "orthanc") as cloud:
        for data in phantoms.ct(SLICES):
            cloud.store(data)
        async with (
            line_to(cloud) as line,
            box.running(box.settings(tmp_path / "box", line)) as started,
        ):
            yield started


async def test_what_only_the_cloud_has_is_said_so_and_fetched(running, visit):
    (first, *_) = phantoms.ct(1)
    study = pydicom.dcmread(io.BytesIO(first), stop_before_pixels=True).StudyInstanceUID

    async def listed():
        return await running.viewer.search("/studies", StudyInstanceUID=study)

    await running.until(listed, "the sweep finds the study")
    base = f"http://127.0.0.1:{running.appliance.http_port}"
    context = await visit()
    await logged_in(running.appliance, context, base, Role.VIEWER)
    screen = Screen(await context.new_page(), base)
    page = screen.page
    await screen.goto("/studies?here=not")
    row = page.locator("#studies .grid-row:not(.waits)")
    await expect(row).to_have_count(1)
    await expect(row).to_contain_text("in the cloud only")
    await expect(row).to_contain_text("Safe in the cloud")
    assert not running.files(), "looking at the list fetched something"
    await row.locator("a").click()
    await page.click("#fetch")
    await expect(page.locator("dialog")).to_contain_text(f"{SLICES} images come from the cloud")
    await page.click("dialog .button:not(.quiet)")
    await expect(page.locator("#fetch")).to_be_hidden(timeout=PATIENCE)
    await expect(page.locator("#series .picture img")).to_have_count(1, timeout=PATIENCE)
    rows = await running.rows("SELECT count(*) FROM instances WHERE availability = 'ONLINE'")
    assert rows[0][0] == SLICES
    assert screen.faults == []
