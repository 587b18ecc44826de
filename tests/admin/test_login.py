"""``/login`` over HTTP: cookies, answers and what they say."""

from __future__ import annotations

import pytest

from edge.access.gate import Gate
from edge.access.roles import Role
from tests.access.people import COOKIE, GOOD, OTHER
from tests.admin.browser import log_in, secret_of, serve


async def test_logging_in_says_who_it_is_and_sets_the_cookie(browser, world):
    await world.user("bert")
    answer = await browser.post("/login", json={"name": "Bert", "password": GOOD})
    assert answer.status == 200
    said = await answer.json()
    assert (said["name"], said["role"], said["proved"]) == ("bert", "viewer", "password")
    assert said["until"] == world.clock.now + 12 * 3600
    assert said["idle_until"] == world.clock.now + 30 * 60
    assert not said["second_factor_needed"]
    assert answer.headers["Cache-Control"] == "no-store"


async def test_cookie_flags(browser, world):
    await world.user("bert")
    answer = await browser.post("/login", json={"name": "bert", "password": GOOD})
    [header] = answer.headers.getall("Set-Cookie")
    flags = {flag.strip() for flag in header.split(";")[1:]}
    assert flags == {"HttpOnly", "Path=/", "SameSite=Strict", "Secure"}
    assert len(secret_of(answer)) == 43


async def test_cookie_flags_without_tls_there_is_no_secure_that_would_keep_it_out(world):
    await world.user("bert")
    async with serve(world, tls=False) as browser:
        answer = await browser.post("/login", json={"name": "bert", "password": GOOD})
        [header] = answer.headers.getall("Set-Cookie")
    assert "Secure" not in header
    assert "HttpOnly" in header
    assert "SameSite=Strict" in header


async def test_who_am_i(browser, world):
    await world.user("bert")
    assert (await browser.get("/login")).status == 401
    headers = await log_in(browser)
    said = await (await browser.get("/login", headers=headers)).json()
    assert said["name"] == "bert"


async def test_session_fixation_a_planted_cookie_is_not_taken_up(browser, world):
    await world.user("bert")
    planted = "A" * 43
    answer = await browser.post(
        "/login",
        json={"name": "bert", "password": GOOD},
        headers={"Cookie": f"{COOKIE}={planted}"},
    )
    assert secret_of(answer) != planted
    assert (await browser.get("/login", headers={"Cookie": f"{COOKIE}={planted}"})).status == 401


async def test_what_is_wrong_is_answered_alike_and_sets_no_cookie(browser, world):
    await world.user("bert")
    said = []
    for name in ("bert", "nobody"):
        answer = await browser.post("/login", json={"name": name, "password": OTHER})
        assert answer.status == 401
        assert "Set-Cookie" not in answer.headers
        problem = await answer.json()
        problem.pop("request_id")
        said.append((problem, sorted(set(answer.headers) - {"X-Request-ID", "Date"})))
    assert said[0] == said[1]


async def test_brute_force_is_told_how_long_to_wait(browser, world):
    await world.user("bert")
    for number in range(7):
        answer = await browser.post("/login", json={"name": "bert", "password": f"wrong {number}"})
    assert answer.status == 429
    assert answer.headers["Retry-After"] == "1"
    assert "WWW-Authenticate" not in answer.headers


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", ""])
async def test_login_csrf_what_a_form_can_send_is_not_taken(browser, world, content_type):
    await world.user("bert")
    answer = await browser.post(
        "/login",
        data=f'{{"name": "bert", "password": "{GOOD}"}}',
        headers={"Content-Type": content_type} if content_type else {},
        skip_auto_headers=["Content-Type"],
    )
    assert answer.status == 400
    assert "Set-Cookie" not in answer.headers


@pytest.mark.parametrize(
    "body", ["", "[]", "{}", '{"name": 1, "password": 2}', '{"name": "a"}', "\x00", "[" * 10_000]
)
async def test_what_can_not_be_understood_is_no_defect(browser, body):
    headers = {"Content-Type": "application/json"}
    for path in ("/login", "/login/redeem"):
        assert (await browser.post(path, data=body, headers=headers)).status == 400


async def test_the_first_admin_comes_in_by_a_code(browser, world):
    handed = await world.users.first_code()
    said = {"code": handed.code, "password": GOOD, "name": "anna", "display_name": "Dr. Anna"}
    answer = await browser.post("/login/redeem", json=said)
    assert answer.status == 200
    who = await answer.json()
    assert (who["name"], who["role"], who["second_factor_needed"]) == ("anna", "admin", True)
    assert secret_of(answer)
    assert (await browser.post("/login/redeem", json=said)).status == 401


async def test_a_password_that_may_not_be_is_said_with_the_reason(browser, world):
    handed = await world.users.first_code()
    said = {"code": handed.code, "password": "password123", "name": "anna"}
    answer = await browser.post("/login/redeem", json=said)
    assert answer.status == 409
    assert "guessed first" in (await answer.json())["detail"]


async def test_who_must_log_in_after_a_reset_gets_no_cookie(browser, world):
    await world.user("bert")
    await world.database.write(lambda db: db.execute("UPDATE users SET totp = x'00'"))
    handed = await world.users.reset("bert")
    answer = await browser.post("/login/redeem", json={"code": handed.code, "password": OTHER})
    assert await answer.json() == {"logged_in": False, "second_factors": []}
    assert "Set-Cookie" not in answer.headers


async def test_another_password(browser, world):
    await world.user("bert")
    headers = await log_in(browser)
    said = {"password": GOOD, "new_password": OTHER}
    assert (await browser.post("/login/password", json=said)).status == 401
    wrong = said | {"password": OTHER}
    assert (await browser.post("/login/password", json=wrong, headers=headers)).status == 401
    answer = await browser.post("/login/password", json=said, headers=headers)
    assert answer.status == 200
    after = {"Cookie": f"{COOKIE}={secret_of(answer)}"}
    assert (await browser.get("/login", headers=headers)).status == 401
    assert (await browser.get("/login", headers=after)).status == 200


async def test_logging_out_takes_the_cookie_away(browser, world):
    await world.user("bert")
    headers = await log_in(browser)
    answer = await browser.post("/logout", headers=headers)
    [header] = answer.headers.getall("Set-Cookie")
    assert f'{COOKIE}=""; HttpOnly; Max-Age=0; Path=/; SameSite=Strict; Secure' == header
    assert (await browser.get("/login", headers=headers)).status == 401
    assert (await browser.post("/logout")).status == 200


async def test_own_sessions_are_listed_and_ended(browser, world):
    await world.user("bert")
    await world.user("anna")
    one, two = await log_in(browser), await log_in(browser)
    await log_in(browser, "anna")
    said = await (await browser.get("/login/sessions", headers=one)).json()
    assert len(said["sessions"]) == 2
    [other] = [it["session_id"] for it in said["sessions"] if it["session_id"] != said["this"]]
    [annas] = await world.sessions.list("anna")
    path = "/login/sessions"
    assert (await browser.delete(f"{path}/{other}")).status == 401
    ended = await browser.delete(f"{path}/{annas.session_id}", headers=one)
    assert await ended.json() == {"ended": 0}
    ended = await browser.delete(f"{path}/{other}", headers=one)
    assert await ended.json() == {"ended": 1}
    assert (await browser.get("/login", headers=two)).status == 401
    assert (await browser.get("/login", headers=one)).status == 200


async def test_where_nobody_needs_to_log_in_everybody_is_in(world):
    gate = Gate(world.tokens, required=False)
    async with serve(world, gate) as browser:
        said = await (await browser.get("/login")).json()
    assert (said["name"], said["role"], said["until"]) == ("anyone", "admin", None)


async def test_a_page_can_ask_without_keeping_the_session(browser, world):
    await world.user("bert")
    headers = await log_in(browser)
    for _ in range(30):
        world.clock.now += 60
        answer = await browser.get("/login", headers=headers | {"X-Edge-Unattended": "1"})
    assert answer.status == 401


async def test_a_limited_session_can_log_out_and_change_its_password(browser, world):
    await world.user("anna", Role.ADMIN)
    headers = await log_in(browser, "anna")
    said = await (await browser.get("/login", headers=headers)).json()
    assert said["second_factor_needed"]
    said = {"password": GOOD, "new_password": OTHER}
    answer = await browser.post("/login/password", json=said, headers=headers)
    assert (await answer.json())["second_factor_needed"]
