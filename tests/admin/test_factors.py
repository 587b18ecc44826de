"""Second factors over HTTP."""

from __future__ import annotations

from base64 import b32decode

from edge.access.roles import Role
from tests.access.people import GOOD
from tests.admin.browser import cookie_of, log_in


async def enrol(browser, world, headers):
    """Enrol an app; what the browser sends then, its secret, and the answer."""
    answer = await browser.post("/login/totp/begin", json={}, headers=headers)
    assert answer.status == 200
    said = await answer.json()
    assert said["uri"].startswith("otpauth://totp/")
    assert said["picture"].startswith("<svg")
    secret = b32decode(said["secret"])
    answer = await browser.post("/login/totp", json={"code": world.code(secret)}, headers=headers)
    assert answer.status == 200
    world.clock.now += 60
    return cookie_of(answer), secret, await answer.json()


async def test_an_app_is_enrolled_and_asked_for(browser, world):
    await world.user("anna", Role.ADMIN)
    before = await log_in(browser, "anna")
    after, secret, said = await enrol(browser, world, before)
    assert not said["second_factor_needed"]
    assert len(said["recovery_codes"]) == 10
    assert (await browser.get("/login", headers=before)).status == 401
    who = await (await browser.get("/login", headers=after)).json()
    assert (who["proved"], who["recovery_codes"]) == ("password and totp", [])

    answer = await browser.post("/login", json={"name": "anna", "password": GOOD})
    assert answer.status == 200
    assert await answer.json() == {
        "logged_in": False,
        "second_factors": ["totp", "recovery-code"],
    }
    assert "Set-Cookie" not in answer.headers
    wrong = {"name": "anna", "password": GOOD, "second": "000000"}
    assert (await browser.post("/login", json=wrong)).status == 401
    assert await log_in(browser, "anna", second=world.code(secret))
    assert await log_in(browser, "anna", second=said["recovery_codes"][3])


async def test_what_is_shown_once_is_kept_by_nobody(browser, world):
    await world.user("bert")
    headers = await log_in(browser)
    answer = await browser.post("/login/totp/begin", json={}, headers=headers)
    assert answer.headers["Cache-Control"] == "no-store"


async def test_an_app_is_removed_and_codes_are_made_anew(browser, world):
    await world.user("bert")
    headers, _, said = await enrol(browser, world, await log_in(browser))
    answer = await browser.post("/login/recovery-codes", json={}, headers=headers)
    fresh = (await answer.json())["recovery_codes"]
    assert not set(fresh) & set(said["recovery_codes"])
    answer = await browser.post("/login/totp/remove", json={}, headers=headers)
    assert await answer.json() == {"removed": True}
    assert await log_in(browser)


async def test_a_browser_that_was_left_alone_must_say_the_password(browser, world):
    await world.user("bert")
    headers, _, _ = await enrol(browser, world, await log_in(browser))
    world.clock.now += 700
    for path in ("/login/totp/begin", "/login/totp/remove", "/login/recovery-codes"):
        assert (await browser.post(path, json={}, headers=headers)).status == 403
        said = {"password": GOOD}
        assert (await browser.post(path, json=said, headers=headers)).status in (200, 409)


async def test_nobody_enrols_for_somebody_else(browser, world):
    await world.user("bert")
    for path in ("/login/totp/begin", "/login/totp/remove", "/login/recovery-codes"):
        assert (await browser.post(path, json={})).status == 401
    assert (await browser.post("/login/totp", json={"code": "000000"})).status == 401


async def test_a_code_that_is_none_is_said_so(browser, world):
    await world.user("bert")
    headers = await log_in(browser)
    await browser.post("/login/totp/begin", json={}, headers=headers)
    answer = await browser.post("/login/totp", json={"code": "000000"}, headers=headers)
    assert answer.status == 409
    assert "clock" in (await answer.json())["hint"]
