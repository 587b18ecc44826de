"""Looking after people in a real browser: an invitation, a key on paper, a glass that is broken."""

from __future__ import annotations

import contextlib

import pytest
import pytest_asyncio
from playwright.async_api import expect

from edge.access.roles import Role
from edge.access.scope import Scope
from tests import samples
from tests.browser.pages import PATIENCE, Complaints, overflow, settled, violations
from tests.browser.scene import PASSWORD, clinic

pytestmark = pytest.mark.asyncio(loop_scope="module")

PHONE = {"width": 320, "height": 700}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def scene(tmp_path_factory):
    async with clinic(tmp_path_factory.mktemp("clinic"), cloud="none") as made:
        await made.store(0)
        yield made


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def keeper(scene):
    return await scene.cookie("keeper", Role.ADMIN)


@contextlib.asynccontextmanager
async def opened(browser, scene, path, cookie=None, *, excused=(), **options):
    complaints = Complaints(scene.base, excused=excused)
    context = await browser.new_context(locale="en", **options)
    try:
        context.set_default_timeout(PATIENCE * 1000)
        if cookie is not None:
            await context.add_cookies([cookie])
        page = await context.new_page()
        complaints.watch(page)
        await page.goto(scene.base + path)
        await settled(page)
        yield page
    finally:
        await context.close()
    assert complaints.found == []


async def test_somebody_is_invited_and_gets_in_with_the_code(module_browser, scene, keeper):
    async with opened(module_browser, scene, "/people", keeper, viewport=PHONE) as page:
        await page.click("#invite")
        await page.fill("dialog [name=display_name]", "Nadia, night shift")
        await page.fill("dialog [name=name]", "nadia")
        await page.select_option("dialog [name=role]", "technologist")
        assert await violations(page) == []
        await page.click("dialog .button:not([type])")
        code = await page.inner_text(".handed")
        await expect(page.locator("dialog .qr")).to_be_visible()
        assert await overflow(page) == ""
        assert await violations(page) == []
        await page.click("dialog .plain")
        await expect(page.locator("#users [data-name=nadia]")).to_contain_text("invited")
        await expect(page.get_by_text(code)).to_have_count(0)
    async with opened(module_browser, scene, f"/welcome#code={code}") as page:
        assert await page.input_value("#redeem-form [name=code]") == code
        assert "code" not in page.url
        await page.fill("#redeem-form [name=password]", PASSWORD)
        await page.fill("#redeem-form [name=again]", PASSWORD)
        await page.click("#redeem-form button")
        await page.wait_for_selector("#side", state="attached")


async def test_a_person_is_narrowed_kept_out_and_removed(module_browser, scene, keeper):
    await scene.user("oskar", Role.PHYSICIAN)
    async with opened(module_browser, scene, "/people", keeper) as page:
        row = page.locator("#users [data-name=oskar]")
        await row.get_by_role("button").click()
        await page.click("dialog summary")
        await page.fill("dialog [name=studies_from]", "CT1, MR2")
        await page.get_by_role("button", name="Save").click()
        await expect(row).to_contain_text("studies from CT1, MR2")
        found = await scene.box.cache.users.find("oskar")
        assert found.scope.studies_from == {"CT1", "MR2"}
        await row.get_by_role("button").click()
        await page.get_by_role("button", name="Keep out").click()
        await page.locator("dialog .button.danger").click()
        await expect(row).to_contain_text("kept out")
        await row.get_by_role("button").click()
        await page.get_by_role("button", name="Remove").click()
        await page.fill("dialog input", "oskar")
        await page.locator("dialog .button.danger").click()
        await expect(row).to_have_count(0)


ONE_AFTER_THE_OTHER = """async () => {
    const module = document.querySelector('script[type=module]').src.replace(/[^/]+$/, 'dialog.js');
    const { confirm, open } = await import(module);
    const first = open({ title: "Oskar", body: [] });
    first.close();
    const asked = confirm({ title: "Sure?", action: "Yes", act: async () => {} });
    const titles = [...document.querySelectorAll("dialog h2")].map((title) => title.textContent);
    document.querySelector("dialog form").requestSubmit();
    return [titles, await asked, document.querySelectorAll("dialog").length];
}"""


async def test_a_question_takes_the_place_of_the_dialog_that_led_to_it(
    module_browser, scene, keeper
):
    async with opened(module_browser, scene, "/people", keeper) as page:
        # A closed dialog hears of it later: till then there would be two, with one title's id.
        assert await page.evaluate(ONE_AFTER_THE_OTHER) == [["Sure?"], True, 0]


async def test_a_token_is_shown_once_and_revoked(module_browser, scene, keeper):
    async with opened(module_browser, scene, "/tokens", keeper) as page:
        await page.click("#make")
        await page.fill("dialog [name=name]", "CT gateway")
        await page.click("dialog .button:not([type])")
        secret = await page.inner_text(".handed")
        await page.click("dialog .plain")
        await expect(page.locator("#tokens")).to_contain_text("CT gateway")
        await expect(page.locator("#tokens")).to_contain_text("not used yet")
        await expect(page.locator("dialog")).to_have_count(0)
        assert secret not in await page.content()
        await page.get_by_role("button", name="Revoke CT gateway").click()
        await page.locator("dialog .button.danger").click()
        await expect(page.locator("#tokens li")).to_have_count(0)


async def test_the_record_is_searched_and_proved(module_browser, scene, keeper):
    async with opened(module_browser, scene, "/audit", keeper) as page:
        await page.wait_for_selector("#entries tr")
        await page.fill("#filters [name=user]", "nobody of that name")
        await page.click("#filters .button:not([type])")
        await expect(page.locator("#no-entries")).to_be_visible()
        await page.click("#filters [type=reset]")
        await page.wait_for_selector("#entries tr")
        await page.locator("#entries button").first.click()
        await expect(page.locator("dialog .entry-facts")).to_be_visible()
        assert await violations(page) == []
        await page.click("dialog .plain")
        await page.click("#check")
        await expect(page.locator("dialog")).to_contain_text("as it was written")


async def test_a_recovery_key_holds_once_it_was_typed_back(module_browser, scene, keeper):
    excused = ("409",)
    async with opened(
        module_browser, scene, "/backup", keeper, viewport=PHONE, excused=excused
    ) as page:
        await page.click("#make-key")
        await expect(page.locator(".key-groups li")).to_have_count(9)
        groups = await page.locator(".key-groups li").all_inner_texts()
        assert await overflow(page) == ""
        await page.emulate_media(media="print")
        assert await page.locator("main").is_hidden()
        assert await page.locator("#paper li").first.is_visible()
        assert await page.locator("#paper .paper-key li").all_inner_texts() == groups
        await page.emulate_media(media="screen")
        await page.get_by_role("button", name="I have it on paper").click()
        await page.fill("dialog textarea", " ".join(groups[:8]))
        await page.click("dialog .button:not([type])")
        await expect(page.locator("dialog .problem")).to_be_visible()
        await page.fill("dialog textarea", " ".join(groups))
        await page.click("dialog .button:not([type])")
        await expect(page.locator("#key-state")).to_contain_text("there is one")
        await expect(page.locator("#paper")).to_have_count(0)
        await expect(page.locator("#download")).to_be_visible()


async def test_the_key_of_a_disk_stands_on_the_sheet_and_is_shown_again(
    module_browser, scene, keeper
):
    disk = [f"{group}" * 8 for group in range(1, 10)]

    async def has_one(route):
        answer = await route.fetch()
        said = await answer.json()
        await route.fulfill(
            response=answer, json={**said, "disk": True} if "made" in said else said
        )

    async with opened(module_browser, scene, "/backup", keeper, viewport=PHONE) as page:
        await expect(page.locator("#key-state .badge")).to_be_visible()
        await expect(page.locator("#disk-key")).to_be_hidden()
        await page.route("**/api/v1/keys/recovery", has_one)
        await page.route("**/api/v1/keys/disk", lambda route: route.fulfill(json={"groups": disk}))
        await page.reload()
        await page.click("#show-disk-key")
        assert await page.locator(".key-groups li").all_inner_texts() == disk
        assert await overflow(page) == ""
        await page.emulate_media(media="print")
        assert await page.locator("#paper .paper-key li").all_inner_texts() == disk
        await page.emulate_media(media="screen")
        assert await violations(page) == []
        await page.click("dialog .plain")
        await expect(page.locator("#paper")).to_have_count(0)
        if await page.locator("#renew-key").is_visible():
            await page.click("#renew-key")
            await page.click("dialog .button:not([type])")
        else:
            await page.click("#make-key")
        await expect(page.locator(".key-groups")).to_have_count(2)
        assert await page.locator(".key-groups").nth(1).locator("li").all_inner_texts() == disk
        await page.emulate_media(media="print")
        sheet = page.locator("#paper .paper-key").nth(1).locator("li")
        assert await sheet.all_inner_texts() == disk


async def test_the_glass_is_broken_seen_ended_and_looked_at(module_browser, scene, keeper):
    cookie = await scene.cookie("night", Role.PHYSICIAN)
    await scene.box.cache.users.change("night", scope=Scope(studies_from=frozenset({"MR9"})))
    scene.box.cache.sessions.forget()
    # A study that they may not see is not found.
    async with opened(module_browser, scene, "/studies", cookie, excused=("404",)) as page:
        # What is kept from them is no study that there is not, and the way out is beside it.
        await expect(page.locator("#narrowed")).to_contain_text(
            "You see only studies that came from MR9."
        )
        await expect(page.locator("#studies .empty")).to_have_text(
            "None of the studies that you may see is like that."
        )
        assert await violations(page) == []
        await page.goto(f"{scene.base}/")
        await expect(page.locator("#no-arrivals")).to_have_text(
            "Nothing that you may see came in of late."
        )
        await page.goto(f"{scene.base}/studies/{samples.sample_uid('page', 0)}")
        await expect(page.locator("#problem")).not_to_contain_text("POST")
        await page.locator("#narrowed").get_by_role("link", name="Emergency access").click()
        await page.wait_for_url("**/emergency")
        await settled(page)
        assert await violations(page) == []
        await page.fill("[name=reason]", "The patient bleeds")
        async with page.expect_navigation():
            await page.click("#glass-form .button.danger")
        await settled(page)
        await expect(page.locator("#glass")).to_be_visible()
        assert await violations(page) == []
        async with page.expect_navigation():
            await page.click("#glass-end")
        await expect(page.locator("#glass")).to_have_count(0)
    async with opened(module_browser, scene, "/people", keeper) as page:
        await expect(page.locator("#emergencies")).to_contain_text("The patient bleeds")
        await page.get_by_role("button", name="I looked at it").click()
        await page.locator("dialog .button:not([type])").click()
        await expect(page.locator("#emergencies")).to_contain_text("looked at by keeper")
