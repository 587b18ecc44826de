"""A list of 100,000 studies in a real browser: it scrolls, and finds as one types."""

from __future__ import annotations

import time

import pytest
from playwright.async_api import expect

from edge.access.roles import Role
from tests.browser.pages import settled
from tests.browser.scene import clinic

STUDIES = 100_000
FRAMES_PER_SECOND = 50
FOUND_SECONDS = 1.0
"""From the last letter; 150 ms of them are the pause behind it."""
FILL = (
    (
        "WITH RECURSIVE made (n) AS"
        f" (SELECT 1 UNION ALL SELECT n + 1 FROM made WHERE n < {STUDIES})"
        " INSERT INTO studies (study_uid, patient_id, birth_date, study_date, study_time,"
        " accession_number, description, modalities, created, series_count, instance_count)"
        " SELECT '2.25.' || (1000000000 + n), printf('L-%06d', n / 2), '19700101',"
        " strftime('%Y%m%d', '2016-01-01', '+' || (n * 7919 % 3650) || ' days'), '101112',"
        " printf('A%07d', n), 'Thorax, a long list', '\\CT\\', 0.0, 1, 10 FROM made"
    ),
    (
        "INSERT INTO study_attributes (study_id, attributes)"
        " SELECT id, json_object('00100010', json_object('vr', 'PN', 'Value', json_array("
        "json_object('Alphabetic', printf('Long^Patient%06d', id))))) FROM studies"
    ),
    (
        "INSERT INTO person_names (tag, kind, text, study_id)"
        " SELECT '00100010', 'WORD', printf('patient%06d', id), id FROM studies"
    ),
)
"""Rows as they are of what only an archive has, without a way in that would take minutes."""
SCROLL = """async () => {
    const body = document.querySelector("#studies .grid-body");
    const frame = () => new Promise((done) => requestAnimationFrame(done));
    const began = await frame();
    let frames = 0, now = began;
    while (now - began < 3000) {
        body.scrollTop += 90;
        now = await frame();
        frames += 1;
    }
    return frames / ((now - began) / 1000);
}"""


@pytest.mark.alone
async def test_a_hundred_thousand_studies_scroll_and_are_found(tmp_path, visit):
    async with clinic(tmp_path, cloud="none") as scene:
        await scene.box.cache.database.write(lambda db: [db.execute(one) for one in FILL] and None)
        context = await visit()
        await context.add_cookies([await scene.cookie("nurse", Role.VIEWER)])
        page = await context.new_page()
        await page.goto(f"{scene.base}/studies")
        await settled(page)
        rows = page.locator("#studies .grid-row:not(.waits)")
        await expect(page.locator("#found")).to_have_text("100,000 studies")
        await expect(rows.first).to_be_visible()
        rate = await page.evaluate(SCROLL)
        count = await page.locator("#studies .grid-row").count()
        print(f"{rate:.1f} frames per second, {count} rows in the page")
        assert rate >= FRAMES_PER_SECOND
        assert count < 60
        await page.focus("#studies .grid-body")
        await page.keyboard.press("End")
        await expect(page.locator(f"[aria-rowindex='{STUDIES + 1}'] .who a")).to_be_visible()
        for typed, found in (("patient054321", "1 study"), ("long A0012345", "1 study")):
            await page.fill("#q", "")
            await expect(page.locator("#found")).to_have_text("100,000 studies")
            began = time.monotonic()
            await page.fill("#q", typed)
            await expect(page.locator("#found")).to_have_text(found)
            took = time.monotonic() - began
            print(f"{typed!r} is found after {took:.2f} s")
            assert took < FOUND_SECONDS
