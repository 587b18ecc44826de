"""Logging in at a real identity provider, by its own pages, in a real browser."""

from __future__ import annotations

import asyncio
import contextlib
import re
from urllib.parse import urlencode

import pytest
from playwright.async_api import Error

from edge import config, others
from edge.access.audit.entry import Event, Outcome
from edge.access.audit.search import Asked, search
from edge.app import Appliance
from tests.access.oidc.glewlwyd import CLIENT_ID, CLIENT_SECRET, IS_HERE, PAGES, Glewlwyd
from tests.browser.conftest import OWN_NAME
from tests.ports import free_port

pytestmark = pytest.mark.skipif(
    not (IS_HERE and PAGES.is_dir()), reason="there is no glewlwyd here"
)

PATIENCE = 60.0
PASSWORD = "quiet lamps"


@pytest.fixture
async def place(tmp_path):
    """A box, where it is, and its provider."""
    port = free_port()
    base = f"https://{OWN_NAME}:{port}"
    (tmp_path / "provider").mkdir()
    async with contextlib.AsyncExitStack() as stack:
        back = f"{base}/login/oidc/back"
        provider = await stack.enter_async_context(
            Glewlwyd(tmp_path / "provider", free_port(), back)
        )
        loaded = config.Config(
            appliance=config.Appliance(data_dir=tmp_path / "box"),
            dimse=config.Dimse(listen="127.0.0.1:0"),
            http=config.Http(listen=f"127.0.0.1:{port}", names=(OWN_NAME,)),
            access=config.Access(
                oidc=others.Oidc(
                    issuer=provider.issuer,
                    client_id=CLIENT_ID,
                    client_secret=CLIENT_SECRET,
                    roles={"grp-radiology": "physician"},
                    recheck_minutes=1.0,
                )
            ),
        )
        box = await stack.enter_async_context(Appliance(loaded))
        yield box, base, provider


async def log_in(page, base):
    """Somebody logs in there, after a slip, and agrees; the box's page at the end."""
    await page.goto(f"{base}/login/oidc")
    await page.fill("#username", "bert")
    for password in ("a wrong one", PASSWORD):
        await page.fill("#password", password)
        async with page.expect_response(re.compile("/api/auth/$")) as answered:
            await page.keyboard.press("Enter")
        assert (await answered.value).status == (200 if password == PASSWORD else 401)
    await page.get_by_role("button", name="Grant access").click()
    async with page.expect_response(re.compile("/login/oidc/back")) as answered:
        await page.get_by_role("button", name="Continue").click()
    return await answered.value


async def cookies_of(context):
    return {one["name"]: one for one in await context.cookies() if OWN_NAME in one["domain"]}


async def status_of(page, url):
    """What who types the address gets."""
    try:
        answer = await page.goto(url)
    except Error as error:
        # Nobody is there to answer when it asks for name and password.
        assert "ERR_INVALID_AUTH_CREDENTIALS" in error.message  # noqa: PT017
        return 401
    return answer.status


async def entries(box, asked):
    return await asyncio.to_thread(search, box.cache.audit.folder, asked, 100)


async def until_recorded(box, asked):
    async with asyncio.timeout(PATIENCE):
        while not (found := await entries(box, asked)):  # noqa: ASYNC110 - read from the disk
            await asyncio.sleep(0.2)
    return found[0]


async def test_somebody_logs_in_by_the_providers_own_pages_until_they_have_no_group_there(
    place, visit
):
    box, base, provider = place
    context = await visit()
    page = await context.new_page()
    answer = await log_in(page, base)
    assert answer.status == 200
    await page.wait_for_url(f"{base}/")  # it goes on by itself
    held = await cookies_of(context)
    assert held.keys() == {"__Host-edge"}  # that of the log-in under way is gone
    cookie = held["__Host-edge"]
    assert (cookie["httpOnly"], cookie["secure"], cookie["sameSite"]) == (True, True, "Strict")
    assert await page.evaluate("document.cookie") == ""
    answer = await page.goto(f"{base}/login")
    who = await answer.json()
    assert (who["name"], who["role"], who["proved"]) == ("oidc:bert", "physician", "provider")
    assert await status_of(page, f"{base}/api/v1/status") == 200
    assert await status_of(page, f"{base}/api/v1/users") == 403

    await provider.change("bert", groups=[])
    await box.cache.database.write(
        lambda db: db.execute("UPDATE identities SET vouched = vouched - 60")
    )
    out = await until_recorded(box, Asked(user="oidc:bert", event=Event.LOGGED_OUT))
    assert (out.target, out.actor.name) == ("oidc:bert", "edge")
    async with asyncio.timeout(PATIENCE):
        while await status_of(page, f"{base}/api/v1/status") != 401:  # noqa: ASYNC110 - as above
            await asyncio.sleep(0.2)
    page = await context.new_page()
    await page.goto(f"{base}/login/oidc")
    await page.get_by_role("button", name="Continue").click()
    await page.wait_for_url(re.compile("/login/oidc/back"))
    text = await page.inner_text("body")
    assert "Not logged in" in text
    assert "no role on this box" in text
    refused = await until_recorded(box, Asked(event=Event.LOGGED_IN, failed=True))
    assert refused.outcome is Outcome.REFUSED


async def test_plants_anothers_code_and_the_browser_is_logged_in_as_nobody(place, visit, stranger):
    """A stranger began a log-in, stopped before its end, and leads somebody's browser there."""
    box, base, provider = place
    thief = await visit()
    begun = await (await thief.new_page()).goto(f"{base}/login/oidc")
    start = begun.request.redirected_from
    while start.redirected_from is not None and "/api/oidc/auth?" not in start.url:
        start = start.redirected_from
    code = await provider.log_in(start.url)
    link = f"{base}/login/oidc/back?" + urlencode(code)
    stranger.html = f'<a id="link" href="{link.replace("&", "&amp;")}">x</a>'
    context = await visit()
    page = await context.new_page()
    for has_begun in (False, True):
        if has_begun:
            await page.goto(f"{base}/login/oidc")
        await page.goto(stranger.url("evil.test"))
        async with page.expect_navigation() as led:
            await page.click("#link")
        assert (await led.value).status == 403
        assert "Not logged in" in await page.inner_text("body")
        assert "__Host-edge" not in await cookies_of(context)
    assert await box.cache.sessions.list(issuer=None) == ()
