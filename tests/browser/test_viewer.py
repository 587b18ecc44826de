"""OHIF, as it is served, in a real browser: what it opens, and that it asks nobody else."""

from __future__ import annotations

import io

import numpy as np
import pydicom
import pytest
import pytest_asyncio

from edge import config
from edge.access.roles import Role
from edge.app import Appliance
from edge.cache.admission import Source
from edge.dicom.instance import Origin
from edge.viewer.package import CONTENTS
from edge.viewer.shelf import folder_of
from tests.browser import phantoms
from tests.browser.conftest import OWN_NAME
from tests.browser.screen import Screen, difference, logged_in

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.skipif(
        not (folder_of(config.Page()) / CONTENTS).exists(), reason="scripts/viewer makes it"
    ),
]
KINDS = ("ct", "mr", "us", "cr", "mg", "pdf", "sr", "seg")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def box(tmp_path_factory):
    """One that has a study of each kind."""
    loaded = config.Config(
        appliance=config.Appliance(data_dir=tmp_path_factory.mktemp("viewer") / "box"),
        dimse=config.Dimse(listen="127.0.0.1:0"),
        http=config.Http(listen="127.0.0.1:0", names=(OWN_NAME,)),
    )
    async with Appliance(loaded) as started:
        yield started


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def studies(box):
    """Kind -> the instances of its study."""
    stored = {}
    for kind in KINDS:
        stored[kind] = []
        for data in getattr(phantoms, kind)():

            async def pieces(data=data):
                yield data

            await box.admission.store_instance(pieces(), Source(Origin.DICOMWEB, "test"))
            dataset = pydicom.dcmread(io.BytesIO(data), stop_before_pixels=True)
            stored[kind].append(dataset)
    return stored


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def context(box, module_browser):
    """The browser of somebody who is logged in."""
    made = await module_browser.new_context(ignore_https_errors=True)
    await logged_in(box, made, f"https://{OWN_NAME}:{box.http_port}")
    yield made
    await made.close()


@pytest_asyncio.fixture(loop_scope="module")
async def screen(box, context):
    page = await context.new_page()
    made = Screen(page, f"https://{OWN_NAME}:{box.http_port}")
    yield made
    await page.close()
    assert made.faults == []


def path_of(dataset) -> str:
    return (
        f"/dicom-web/studies/{dataset.StudyInstanceUID}/series/{dataset.SeriesInstanceUID}"
        f"/instances/{dataset.SOPInstanceUID}"
    )


async def opened(screen, instances):
    """Open a study as the list of studies does."""
    study = instances[0].StudyInstanceUID
    await screen.goto(f"/viewer/open?study={study}")
    await screen.page.wait_for_url(f"**/viewer/viewer?StudyInstanceUIDs={study}")


async def test_a_ct_is_shown_with_the_pixels_that_the_box_renders(screen, studies):
    slices = studies["ct"]
    await opened(screen, slices)
    rendered = [await screen.picture(f"{path_of(one)}/frames/1/rendered") for one in slices]

    async def shown() -> int:
        far = [difference(await screen.canvas(), one) for one in rendered]
        assert min(far) <= 2, far
        return far.index(min(far))

    first = await shown()
    assert first in (0, len(slices) - 1)
    # Whose images they are is said at once, by name.
    name = str(slices[0].PatientName.family_name)
    await screen.page.get_by_text(name).first.wait_for(state="visible")
    await screen.page.locator("canvas.cornerstone-canvas").first.hover()
    await screen.page.mouse.wheel(0, 100)

    async def turned() -> bool:
        return await shown() != first

    await screen.until(turned)
    assert abs(await shown() - first) == 1


@pytest.mark.parametrize("kind", ["cr", "mg"])
async def test_a_radiograph_is_shown(screen, studies, kind):
    await opened(screen, studies[kind])
    rendered = await screen.picture(f"{path_of(studies[kind][0])}/frames/1/rendered")
    assert difference(await screen.canvas(), rendered) <= 2


async def test_syntaxes_that_need_webassembly_are_decoded(screen, studies):
    """JPEG 2000 and JPEG-LS, in workers that make code; RLE beside them is the same image."""
    images = studies["mr"]
    await opened(screen, images)
    await screen.canvas()
    for one in images[1:]:
        await screen.page.locator("canvas.cornerstone-canvas").first.evaluate(
            "canvas => canvas.getContext('2d').clearRect(0, 0, canvas.width, canvas.height)"
        )
        await screen.page.get_by_text(one.SeriesDescription[:12]).last.dblclick()
        await screen.canvas()


async def test_a_cine_is_played(screen, studies):
    await opened(screen, studies["us"])
    before = (await screen.canvas()).tobytes()
    await screen.page.locator("canvas.cornerstone-canvas").first.hover()
    await screen.page.mouse.wheel(0, 100)

    async def moved() -> bool:
        return (await screen.canvas()).tobytes() != before

    await screen.until(moved)


async def test_a_segmentation_is_laid_over_its_images(screen, studies):
    await opened(screen, studies["seg"])
    before = await screen.canvas()
    assert (before[:, :, 0] == before[:, :, 1]).all()
    await screen.page.get_by_text("Outlined", exact=True).last.dblclick()

    async def coloured() -> bool:
        now = await screen.canvas()
        return bool((now[:, :, 0] != now[:, :, 1]).any())

    await screen.until(coloured)


async def test_a_report_is_shown(screen, studies):
    await opened(screen, studies["sr"])
    await screen.see("text=Section Heading")


async def test_a_pdf_is_shown_by_the_browser(screen, studies):
    await opened(screen, studies["pdf"])
    await screen.see('object[type="application/pdf"][data^="blob:"]')

    async def viewed() -> bool:
        return any("extension" in frame.url for frame in screen.page.frames)

    await screen.until(viewed)


async def test_the_list_of_studies_is_here_too(screen, studies):
    await screen.goto("/viewer/")
    await screen.see("text=PH-THORAX")


async def test_whoever_is_not_logged_in_is_led_to_the_log_in(box, context):
    stranger = await context.browser.new_context(ignore_https_errors=True)
    page = await stranger.new_page()
    asked = f"/viewer/viewer?StudyInstanceUIDs={phantoms.uid('Thorax')}"
    base = f"https://{OWN_NAME}:{box.http_port}"
    await page.goto(f"{base}{asked}")
    assert page.url.startswith(f"{base}/")
    assert "/viewer/viewer" not in page.url.partition("?")[0]
    assert "to=%2Fviewer%2Fviewer" in page.url
    await stranger.close()


VIEWS = """
() => {
    // Twelve numbers in three rows of four, looked at in the ways that segmentations are.
    const lists = { uint8: [] };
    for (const number of [-1, 0, 1, 2]) {
        lists.uint8.push(edgeViews("uint8", number, lists.uint8));
    }
    const data = Uint8Array.from({ length: 12 }, (_, one) => one);
    const view = lists.uint8[3](data, [3, 4], [4, 1], 0);
    const rows = (of) => Array.from({ length: of.shape[0] }, (_, row) =>
        Array.from({ length: of.shape[1] }, (_, column) => of.get(row, column)));
    const written = lists.uint8[3](new Uint8Array(4), [2, 2], [2, 1], 0);
    written.set(1, 0, 7);
    const line = view.pick(1, null);
    return {
        whole: rows(view), upside: rows(view.step(-1, 1)), mirrored: rows(view.step(1, -1)),
        turned: rows(view.transpose(1, 0)), part: rows(view.lo(1, 1).hi(2, 2)),
        thinned: rows(view.step(2, 2)), line: [0, 1, 2, 3].map((one) => line.get(one)),
        one: view.pick(2, 3).get(), written: [...written.data], size: view.size,
        order: view.order, dtype: view.dtype, dimension: view.dimension,
    };
}
"""


async def test_views_of_arrays_are_what_they_are_elsewhere(screen):
    """`start.js` has them in the place of code that is made while it runs."""
    await screen.goto("/viewer/")
    found = await screen.page.evaluate(VIEWS)
    whole = np.arange(12).reshape(3, 4)
    assert found["whole"] == whole.tolist()
    assert found["upside"] == whole[::-1].tolist()
    assert found["mirrored"] == whole[:, ::-1].tolist()
    assert found["turned"] == whole.T.tolist()
    assert found["part"] == whole[1:3, 1:3].tolist()
    assert found["thinned"] == whole[::2, ::2].tolist()
    assert found["line"] == whole[1].tolist()
    assert found["one"] == 11
    assert found["written"] == [0, 0, 7, 0]
    assert (found["size"], found["order"]) == (12, [1, 0])
    assert (found["dtype"], found["dimension"]) == ("uint8", 2)


PHONES = ({"width": 390, "height": 844}, {"width": 844, "height": 390})


@pytest.mark.parametrize("size", PHONES, ids=("upright", "on its side"))
async def test_a_phone_opens_the_simple_view_and_may_go_on_to_ohif(
    box, module_browser, studies, size
):
    """OHIF's bars leave no room for an image there."""
    base = f"https://{OWN_NAME}:{box.http_port}"
    phone = await module_browser.new_context(
        ignore_https_errors=True, viewport=size, has_touch=True, is_mobile=True
    )
    try:
        await logged_in(
            box, phone, base, Role.PHYSICIAN if size["width"] < 400 else Role.TECHNOLOGIST
        )
        screen = Screen(await phone.new_page(), base)
        await screen.goto(f"/viewer/open?study={studies['ct'][0].StudyInstanceUID}")
        await screen.see("#picture")
        assert "/viewer/plain" in screen.page.url
        await screen.page.click("#full")
        await screen.page.wait_for_url("**/viewer/viewer?**")
    finally:
        await phone.close()
