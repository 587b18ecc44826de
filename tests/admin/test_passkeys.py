"""Passkeys over HTTP, as a browser and a device do it."""

from __future__ import annotations

import pytest

from edge.access.roles import Role
from tests.access.authenticator import Authenticator, text
from tests.admin.browser import cookie_of, log_in

CALLED = {"Host": "box.local:8443"}
ORIGIN = "https://box.local:8443"


@pytest.fixture
def device():
    return Authenticator()


async def enrol(browser, device, cookie, label="my key"):
    headers = cookie | CALLED
    answer = await browser.post("/login/passkeys/begin", json={}, headers=headers)
    assert answer.status == 200
    made = {"credential": device.make(await answer.json(), ORIGIN), "label": label}
    answer = await browser.post("/login/passkeys", json=made, headers=headers)
    assert answer.status == 200
    return cookie_of(answer), await answer.json()


async def use(browser, device, **wrong):
    answer = await browser.post("/login/passkey/begin", json={}, headers=CALLED)
    assert answer.status == 200
    said = {"credential": device.answer(await answer.json(), ORIGIN, **wrong)}
    return await browser.post("/login/passkey", json=said, headers=CALLED)


async def test_an_admin_enrols_a_passkey_and_comes_in_with_it(browser, world, device):
    await world.user("anna", Role.ADMIN)
    before = await log_in(browser, "anna")
    after, who = await enrol(browser, device, before)
    assert (who["proved"], who["second_factor_needed"]) == ("passkey", False)
    assert len(who["recovery_codes"]) == 10
    assert (await browser.get("/login", headers=before)).status == 401
    assert (await browser.get("/login", headers=after)).status == 200
    answer = await use(browser, device)
    assert answer.status == 200
    who = await answer.json()
    assert (who["name"], who["proved"], who["role"]) == ("anna", "passkey", "admin")
    assert answer.headers["Cache-Control"] == "no-store"
    assert cookie_of(answer)


async def test_a_wrong_answer_sets_no_cookie(browser, world, device):
    await world.user("bert")
    await enrol(browser, device, await log_in(browser))
    answer = await use(browser, device, signature=b"x" * 70)
    assert answer.status == 401
    assert "Set-Cookie" not in answer.headers


async def test_own_passkeys_are_listed_and_removed(browser, world, device):
    await world.user("bert")
    cookie, _ = await enrol(browser, device, await log_in(browser))
    listed = await (await browser.get("/login/passkeys", headers=cookie)).json()
    [one] = listed["passkeys"]
    assert (one["id"], one["label"], one["rp_id"]) == (
        text(device.credential_id),
        "my key",
        "box.local",
    )
    gone = await browser.post("/login/passkeys/remove", json={"id": one["id"]}, headers=cookie)
    assert await gone.json() == {"removed": True}
    gone = await browser.post("/login/passkeys/remove", json={"id": "é"}, headers=cookie)
    assert gone.status in (200, 400)


async def test_an_address_is_said_to_be_none_for_passkeys(browser, world):
    await world.user("bert")
    headers = await log_in(browser)
    for path, sent in (("/login/passkey/begin", {}), ("/login/passkeys/begin", headers)):
        answer = await browser.post(path, json={}, headers=sent)
        assert answer.status == 409
        assert "by an address" in (await answer.json())["detail"]


async def test_nobody_lists_or_makes_for_somebody_else(browser, device):
    assert (await browser.get("/login/passkeys")).status == 401
    for path, said in (
        ("/login/passkeys/begin", {}),
        ("/login/passkeys", {"credential": {}}),
        ("/login/passkeys/remove", {"id": "AA"}),
    ):
        assert (await browser.post(path, json=said, headers=CALLED)).status == 401


@pytest.mark.parametrize("said", [[], {"credential": []}, {"credential": {}, "more": 1}, None])
async def test_what_can_not_be_understood_is_no_defect(browser, said):
    assert (await browser.post("/login/passkey", json=said, headers=CALLED)).status == 400


async def test_hostile_answers_are_refused_and_no_defects(browser):
    for credential in ({}, {"id": 1, "response": 2}, {"response": {"clientDataJSON": "e30"}}):
        answer = await browser.post(
            "/login/passkey", json={"credential": credential}, headers=CALLED
        )
        assert answer.status == 401
