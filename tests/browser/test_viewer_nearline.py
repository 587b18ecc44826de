"""A study that only the cloud has, opened in a browser: it comes from a real Orthanc meanwhile."""

from __future__ import annotations

import io
from pathlib import Path

import pydicom
import pytest

from edge import config
from edge.viewer.package import CONTENTS
from edge.viewer.shelf import folder_of
from tests.browser import phantoms
from tests.browser.screen import PATIENCE, Screen, difference, logged_in
from tests.fakes import orthanc
from tests.fakes.orthanc import Orthanc
from tests.journeys import box
from tests.journeys.line import line_to

pytestmark = [
    pytest.mark.skipif(bool(orthanc.missing()), reason=orthanc.missing()),
    pytest.mark.skipif(
        not (folder_of(config.Page()) / CONTENTS).exists(), reason="scripts/viewer makes it"
    ),
]
SLICES = 6


@pytest.fixture(scope="module")
def cloud(tmp_path_factory):
    with Orthanc(tmp_path_factory.mktemp("orthanc")) as server:
        for data in phantoms.ct(SLICES):
            server.store(data)
        yield server


@pytest.fixture
async def line(cloud):
    async with line_to(cloud) as laid:
        yield laid


@pytest.fixture
def study():
    (first, *_) = phantoms.ct(1)
    return pydicom.dcmread(io.BytesIO(first), stop_before_pixels=True).StudyInstanceUID


@pytest.fixture
def start(tmp_path):
    """A box before that cloud; with OHIF, or without."""

    def begin(line, **page):
        return box.running(box.settings(tmp_path / "box", line, **({"page": page} if page else {})))

    return begin


async def found(running, study):
    """Wait until the box knows what the cloud has; nothing of it is here."""

    async def listed():
        return await running.viewer.search("/studies", StudyInstanceUID=study)

    await running.until(listed, "the sweep finds the study")
    assert not running.files()


async def screen_of(running, visit):
    base = f"http://127.0.0.1:{running.appliance.http_port}"
    context = await visit()
    await logged_in(running.appliance, context, base)
    return Screen(await context.new_page(), base)


async def until_here(running):
    async def here():
        rows = await running.rows("SELECT count(*) FROM instances WHERE availability = 'ONLINE'")
        return rows[0][0] == SLICES

    await running.until(here, "all of the study is here")


async def test_it_opens_in_ohif_and_the_rest_follows(start, line, visit, study):
    async with start(line) as running:
        await found(running, study)
        screen = await screen_of(running, visit)
        await screen.goto(f"/viewer/open?study={study}")
        await screen.page.wait_for_url("**/viewer/viewer?*", timeout=PATIENCE)
        canvas = await screen.canvas()
        await until_here(running)
        [series] = await running.viewer.search(f"/studies/{study}/series")
        path = f"/studies/{study}/series/{series['0020000E']['Value'][0]}/instances"
        listed = await running.viewer.search(path)
        first = min(listed, key=lambda one: one["00200013"]["Value"][0])
        rendered = f"/dicom-web{path}/{first['00080018']['Value'][0]}/frames/1/rendered"
        assert difference(canvas, await screen.picture(rendered)) <= 2
        assert screen.faults == []


async def test_without_the_line_it_waits_and_goes_on_by_itself(start, line, visit, study):
    async with start(line, viewer=Path("/nowhere")) as running:
        await found(running, study)
        line.cut()
        screen = await screen_of(running, visit)
        await screen.goto(f"/viewer/open?study={study}")
        await screen.see("text=and these images are only there")
        await screen.see("#now")
        line.restore()
        await screen.page.wait_for_url("**/viewer/plain?*", timeout=PATIENCE)
        await screen.page.wait_for_function(
            "text => document.getElementById('count').value === text", arg=f"1 of {SLICES}"
        )
        await screen.see("#picture")
        await until_here(running)


async def test_it_is_said_how_much_has_come_while_the_rest_does(start, line, visit, study):
    async with start(line, viewer=Path("/nowhere")) as running:
        await found(running, study)
        screen = await screen_of(running, visit)
        line.cut()
        await screen.goto(f"/viewer/plain?study={study}")
        await screen.see(f"text=Coming from the cloud: 0 of {SLICES} images are here")
        line.restore()
        await screen.page.locator(".edge-fetching").wait_for(state="detached", timeout=PATIENCE)
        await until_here(running)
