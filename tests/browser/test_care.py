"""Sync, worklist and devices in a real browser: what waits is seen, and decided, also by keys."""

from __future__ import annotations

import asyncio
import contextlib
import re

import pydicom
import pytest
import pytest_asyncio
from playwright.async_api import expect
from pydicom.filebase import DicomBytesIO

from edge import config, others
from edge.access.roles import Role
from edge.cache.admission import Source
from edge.dicom.instance import Origin
from tests import samples
from tests.browser.pages import PATIENCE, Complaints, overflow, settled, violations
from tests.browser.scene import clinic, files
from tests.browser.worries import bad_day

pytestmark = pytest.mark.asyncio(loop_scope="module")

LONG = PATIENCE * 1000
PARTS = {
    "/sync": "queue letters conflicts absences trash line history told".split(),
    "/worklist": "steps expected procedures arrivals sources".split(),
    "/peers": "known strangers doctor".split(),
}
VIEWS = [("light", "en"), ("dark", "ar")]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def scene(tmp_path_factory):
    """A clinic whose archive does not answer; it learns who calls, and its line has hours."""
    async with clinic(
        tmp_path_factory.mktemp("care"),
        cloud="down",
        dimse=config.Dimse(
            listen="127.0.0.1:0", unknown_peers="learn", peer=(others.Peer("CT1", "127.0.0.1"),)
        ),
        sync=config.Sync(calendar=("mon-fri 08:00-18:00 2000 kbps", "mon-fri 12:00-13:00 off")),
    ) as made:
        for number in range(4):
            await made.store(number)
        yield made


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def keeper(scene):
    """The cookie of an admin."""
    return await scene.cookie("keeper", Role.ADMIN)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def worried(tmp_path_factory):
    """A box on which everything waits for a person, and the cookie of an admin."""
    async with bad_day(tmp_path_factory.mktemp("worries")) as made:
        yield made, await made.cookie("keeper", Role.ADMIN)


@pytest_asyncio.fixture(loop_scope="module")
async def visit(module_browser):
    """Opens a page of a box; nothing that it complains of is let pass."""
    async with contextlib.AsyncExitStack() as stack:
        watched = []

        async def go(scene, path, cookie, *, size=(1200, 900), excused=(), **options):
            complaints = Complaints(scene.base, excused=excused)
            watched.append(complaints)
            viewport = dict(zip(("width", "height"), size, strict=True))
            context = await module_browser.new_context(viewport=viewport, locale="en", **options)
            stack.push_async_callback(context.close)
            await context.add_cookies([cookie])
            page = await context.new_page()
            complaints.watch(page)
            await page.goto(scene.base + path)
            await settled(page)
            return page

        yield go
        assert [one.found for one in watched if one.found] == []


async def custody(scene, study_uid, state, reason=""):
    """What the archive said of a study."""
    sql = (
        "UPDATE instances SET custody = ?, reason = ?, retry_at = 0 WHERE study_id ="
        " (SELECT id FROM studies WHERE study_uid = ?)"
    )
    await scene.box.cache.database.write(lambda db: db.execute(sql, (state, reason, study_uid)))
    scene.box.cache.changes.wake()


def row(page, part, text):
    return page.locator(f"#{part} > li", has_text=text)


async def decide(page, action):
    """Press the dialog's own button, and see it go."""
    await page.locator("dialog .actions button", has_text=action).last.click()
    await expect(page.locator("dialog")).to_have_count(0, timeout=LONG)


# Sync ---------------------------------------------------------------------------------------------


async def test_a_study_is_let_go_first(visit, scene, keeper):
    page = await visit(scene, "/sync", keeper)
    await expect(page.locator("#queue > li")).to_have_count(4, timeout=LONG)
    last = page.locator("#queue > li").last
    name = await last.locator(".who").inner_text()
    await last.get_by_role("button", name="Send first").click()
    first = page.locator("#queue > li").first
    await expect(first.locator(".who")).to_have_text(name, timeout=LONG)
    await expect(first).to_contain_text("goes first")
    await first.get_by_role("button", name="Not first any more").click()
    await expect(page.locator("#queue > li").last.locator(".who")).to_have_text(name, timeout=LONG)


async def test_what_comes_in_stands_in_the_queue_without_reloading(visit, scene, keeper):
    page = await visit(scene, "/sync", keeper)
    await expect(page.locator("#queue > li")).to_have_count(4, timeout=LONG)
    await scene.store(5)
    await expect(row(page, "queue", "Tanaka")).to_be_visible(timeout=LONG)


async def test_the_archives_words_stand_with_what_it_refuses_and_it_is_offered_again(
    visit, scene, keeper
):
    uid = samples.sample_uid("page", 1)
    await custody(scene, uid, "REFUSED", "A700 out of resources")
    page = await visit(scene, "/sync", keeper)
    # Where somebody has to decide, the page opens, as soon as the box has looked at its state.
    async with asyncio.timeout(PATIENCE):
        while await page.get_attribute("#tab-letters", "aria-selected") != "true":
            await page.reload()
    letter = row(page, "letters", "Lindqvist").first
    await expect(letter).to_contain_text("A700 out of resources", timeout=LONG)
    await letter.get_by_role("button", name="Give it up").click()
    await page.fill("dialog [name=reason]", "a test of the vendor")
    await decide(page, "Give it up")
    await expect(row(page, "letters", "Lindqvist")).to_have_count(1, timeout=LONG)
    await page.click("#letters-given-up")
    given_up = row(page, "letters", "a test of the vendor")
    await given_up.get_by_role("button", name="Offer it again").click()
    await page.check("dialog [name=study]")
    await decide(page, "Offer it again")
    await expect(page.locator("#letters-empty")).to_be_visible(timeout=LONG)
    await expect(page.locator("[data-count=letters]")).to_be_hidden(timeout=LONG)


async def test_a_refusal_of_the_box_is_said_where_it_was_asked(visit, scene, keeper):
    uid = samples.sample_uid("page", 1)
    await custody(scene, uid, "REFUSED", "no Patient ID")
    page = await visit(scene, "/sync#letters", keeper)
    letter = row(page, "letters", "Lindqvist").first
    await letter.get_by_role("button", name="Add what it lacks").click()
    await page.fill("dialog [name=keyword]", "PatientID")
    await page.fill("dialog [name=value]", "4711")
    await page.locator("dialog .actions button").last.click()
    await expect(page.locator("dialog .problem")).to_be_visible(timeout=LONG)
    await page.keyboard.press("Escape")
    await custody(scene, uid, "EDGE_ONLY")


async def test_two_under_one_uid_stand_side_by_side_and_the_other_is_chosen(visit, scene, keeper):
    await scene.store(2)
    dataset = pydicom.dcmread(DicomBytesIO(files(2)[0]))
    dataset.PatientComments = "another"
    out = DicomBytesIO()
    dataset.save_as(out, enforce_file_format=True)
    with contextlib.suppress(Exception):
        source = Source(Origin.DIMSE, "US2")
        await scene.box.admission.store_instance(samples.chunks(out.getvalue()), source)
    page = await visit(scene, "/sync#conflicts", keeper)
    conflict = row(page, "conflicts", "Haddad")
    await expect(conflict.locator(".side-of")).to_have_count(2, timeout=LONG)
    await expect(conflict.locator(".side-of").first).to_contain_text("CT1")
    await expect(conflict.locator(".side-of").last).to_contain_text("US2")
    await conflict.get_by_role("button", name="Show the other one").click()
    await decide(page, "Show the other one")
    await expect(conflict.locator(".side-of").first).to_contain_text("US2", timeout=LONG)
    await conflict.get_by_role("button", name="Keep the one that is shown").click()
    await decide(page, "Keep the one that is shown")
    await expect(page.locator("#conflicts-empty")).to_be_visible(timeout=LONG)


async def test_who_may_not_delete_is_not_offered_it(visit, scene):
    cookie = await scene.cookie("tech", Role.TECHNOLOGIST)
    page = await visit(scene, "/sync#trash", cookie)
    await expect(page.locator("#trash-empty")).to_be_visible(timeout=LONG)
    assert await page.locator("[data-deletes]").count() == 0


async def test_the_way_to_an_archive_is_tested_step_by_step_and_says_where_it_ends(
    visit, scene, keeper
):
    page = await visit(scene, "/sync#line", keeper)
    await page.get_by_role("button", name="Test it").click()
    steps = page.locator(".walk > li")
    await expect(steps.last).to_contain_text("does not work", timeout=LONG)
    await expect(steps).to_have_count(3)
    await expect(steps.nth(1)).to_contain_text("Connection")
    await expect(page.locator(".week svg")).to_have_count(14)


async def test_a_way_that_works_goes_there_and_back(visit, tmp_path):
    async with clinic(tmp_path, cloud="up") as made:
        cookie = await made.cookie("keeper", Role.ADMIN)
        page = await visit(made, "/sync#line", cookie)
        await page.get_by_role("button", name="Test it").click()
        await expect(page.locator(".walk .verdict")).to_contain_text(
            "works, there and back", timeout=LONG
        )
        await expect(page.locator(".walk > li")).to_have_count(11)
        await made.store(0)
        await page.click("#tab-history")
        await expect(page.locator("#chart rect.safe")).not_to_have_count(0)
        await expect(page.locator("#history-note")).to_contain_text(
            "12 images came in", timeout=LONG
        )
        await page.close()  # before the box ends, which it would complain of


async def test_the_history_is_a_chart_and_a_table_of_days(visit, scene, keeper):
    page = await visit(scene, "/sync#history", keeper)
    await expect(page.locator("#chart g.day")).to_have_count(30, timeout=LONG)
    await page.click("[data-days='14']")
    await expect(page.locator("#chart g.day")).to_have_count(14, timeout=LONG)
    await expect(page.locator("#history-table tbody tr")).to_have_count(14)
    await expect(page.locator("#chart svg")).to_have_attribute("aria-label", re.compile("came in"))


@pytest.mark.parametrize("path", list(PARTS))
async def test_keys_alone_go_through_the_parts(visit, scene, keeper, path):
    page = await visit(scene, path, keeper)
    names = PARTS[path]
    await page.focus(f"#tab-{names[0]}")
    await page.keyboard.press("ArrowRight")
    await expect(page.locator(f"#tab-{names[1]}")).to_be_focused()
    await expect(page.locator(f"#part-{names[1]}")).to_be_visible()
    await expect(page.locator(f"#part-{names[0]}")).to_be_hidden()
    await page.keyboard.press("End")
    await expect(page.locator(f"#tab-{names[-1]}")).to_be_focused()
    await expect(page).to_have_url(re.compile(f"#{names[-1]}$"))
    await page.keyboard.press("ArrowRight")
    await expect(page.locator(f"#tab-{names[0]}")).to_be_focused()


@pytest.mark.parametrize("path", list(PARTS))
async def test_every_part_is_whole_on_the_smallest_phone_and_for_every_ear(visit, worried, path):
    scene, keeper = worried
    page = await visit(scene, path, keeper, size=(320, 640))
    wrong = {}
    for theme, language in VIEWS:
        await page.emulate_media(color_scheme=theme)
        await page.context.add_cookies(
            [{"name": "edge-language", "value": language, "url": scene.base}]
        )
        await page.goto(scene.base + path)
        await settled(page)
        for name in PARTS[path]:
            await page.click(f"#tab-{name}")
            busy = page.locator(f"#part-{name} [aria-busy=true]")
            await expect(busy).to_have_count(0, timeout=LONG)
            found = [await overflow(page), *await violations(page)]
            if any(found):
                wrong[theme, language, name] = found
    assert wrong == {}


@pytest.mark.parametrize("path", ["/worklist", "/peers"])
async def test_what_has_to_be_filled_in_is_whole_on_the_smallest_phone(visit, worried, path):
    scene, keeper = worried
    page = await visit(scene, path, keeper, size=(320, 640))
    await page.click("#add")
    await expect(page.locator("dialog")).to_be_visible()
    inside = "(one) => one.scrollWidth <= one.clientWidth"
    assert await page.locator("dialog").evaluate(inside)
    assert [await overflow(page), *await violations(page)] == [""]


# Worklist -----------------------------------------------------------------------------------------


async def test_somebody_is_scheduled_and_taken_off_again(visit, scene, keeper):
    page = await visit(scene, "/worklist", keeper)
    await expect(page.locator("#steps-empty")).to_be_visible(timeout=LONG)
    await page.click("#add")
    for name, value in {
        "family": "O^Hara",
        "given": "Niamh",
        "patient_id": "P-9",
        "modality": "us",
        "station_ae_title": "US1",
        "time": "09:15",
        "description": "Abdomen",
    }.items():
        await page.fill(f"dialog [name={name}]", value)
    await decide(page, "Put on the list")
    step = row(page, "steps", "O Hara, Niamh")
    await expect(step).to_contain_text("09:15", timeout=LONG)
    await expect(step).to_contain_text("US1")
    await page.click("#day-after")
    await expect(page.locator("#steps-empty")).to_be_visible(timeout=LONG)
    await page.click("#day-all")
    await step.get_by_role("button", name="Take it off").click()
    await decide(page, "Take it off")
    await expect(page.locator("#steps-empty")).to_be_visible(timeout=LONG)


async def test_a_patient_is_announced_and_taken_back(visit, scene, keeper):
    page = await visit(scene, "/worklist#expected", keeper)
    await page.fill("#announce [name=patient_id]", "P-20417")
    await page.click("#announce button")
    one = row(page, "expected", "P-20417")
    await expect(one).to_contain_text("announced by keeper", timeout=LONG)
    await one.get_by_role("button", name="Take back").click()
    await decide(page, "Take back")
    await expect(page.locator("#expected-empty")).to_be_visible(timeout=LONG)


# Devices ------------------------------------------------------------------------------------------


async def test_who_called_and_may_not_is_let_in_called_and_forgotten(visit, scene, keeper):
    book = scene.box.cache.peers
    book.strangers.note("CT9", "127.0.0.1", called="EDGE", services="CT storage", why="no peer")
    page = await visit(scene, "/peers#strangers", keeper)
    await expect(page.locator("#part-strangers")).to_contain_text("The box is learning")
    stranger = row(page, "strangers", "CT9")
    await expect(stranger).to_contain_text("CT storage", timeout=LONG)
    await stranger.get_by_role("button", name="Let it in").click()
    await page.fill("dialog [name=name]", "Room 9")
    await page.check("dialog [name=may-query]")
    await decide(page, "Let it in")
    await expect(page.locator("#strangers-empty")).to_be_visible(timeout=LONG)
    await page.click("#tab-known")
    known = row(page, "known", "Room 9 (CT9)")
    await expect(known).to_contain_text("send images, search")
    await known.get_by_role("button", name="Call it").click()
    await expect(known.locator(".echoed")).to_contain_text("does not answer", timeout=LONG)
    await known.get_by_role("button", name="Forget").click()
    await decide(page, "Forget it")
    await expect(row(page, "known", "CT9")).to_have_count(0, timeout=LONG)


async def test_the_doctor_says_what_has_to_be_done(visit, scene, keeper):
    page = await visit(scene, "/peers#doctor", keeper)
    await expect(row(page, "states", "CT1")).to_contain_text("never heard", timeout=LONG)
    await page.fill("#doctor-form [name=peer]", "NOBODY")
    await page.keyboard.press("Enter")
    await expect(page.locator("#doctor-form .problem")).to_contain_text("no such device")
