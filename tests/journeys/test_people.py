"""People, from the first code to an image: over a real service, with TLS."""

from __future__ import annotations

import asyncio
import json
import statistics
import time
from functools import partial

import pytest

from edge import entering
from edge.access.audit.entry import Event
from edge.access.roles import Role
from edge.access.throttle import Throttle
from tests import program
from tests.access.authenticator import Authenticator
from tests.access.people import GOOD, OTHER, basic
from tests.journeys import box as box_of
from tests.journeys.audited import entries
from tests.journeys.people import browsing, code_of
from tests.samples import ct_series

ADMIN = "a hundred white horses"
STUDIES = "/dicom-web/studies"


def settings(folder):
    return box_of.settings(folder, http={"tls": "auto"})


@pytest.fixture
async def box(tmp_path):
    async with box_of.running(settings(tmp_path / "box")) as running:
        yield running


async def invite(box, name, role=Role.VIEWER, password=GOOD):
    """Somebody who has redeemed their code."""
    handed = await box.appliance.cache.users.add(name, role)
    await box.appliance.cache.users.redeem(handed.code, password)


async def stored(browser, file):
    """The answer to STOW-RS."""
    body = b"--x\r\nContent-Type: application/dicom\r\n\r\n" + file + b"\r\n--x--"
    kind = 'multipart/related; type="application/dicom"; boundary=x'
    headers = {"Content-Type": kind, "Accept": "application/dicom+json"}
    return (await browser.http.post(STUDIES, content=body, headers=headers)).status_code


async def test_the_page_of_a_new_box_says_that_a_stick_makes_it_one_that_is_gone(box):
    """Before anybody sets it up: then it is too late."""
    said = "stolen or burnt? Then set nothing up here"
    async with browsing(box) as anybody:
        text = (await anybody.get("/welcome", headers={"Accept-Language": "en"})).text
        assert said in text
        assert "After theft or fire" in text
        first = (await box.appliance.cache.users.first_code()).code
        await anybody.done("/login/redeem", {"code": first, "password": ADMIN, "name": "Anna"})
        assert said not in (await anybody.get("/welcome")).text


async def test_from_the_first_code_to_an_image(box, tmp_path, caplog):
    caplog.set_level("DEBUG", logger="edge")
    first = (await box.appliance.cache.users.first_code()).code
    async with browsing(box) as admin, browsing(box) as technologist:
        # The first admin comes in by the code, and can do nothing but enrol.
        said = {"code": first, "password": ADMIN, "name": "Anna", "display_name": "Dr. Anna"}
        who = await admin.done("/login/redeem", said)
        assert (who["name"], who["role"], who["second_factor_needed"]) == ("anna", "admin", True)
        for path in ("/api/v1/status", "/api/v1/users", STUDIES, "/changefeed"):
            answer = await admin.get(path)
            assert answer.status_code == 403, path
            assert "second factor" in answer.json()["detail"]
        assert (await admin.post("/login/redeem", said)).status_code == 401
        planted = admin.secret
        secret, recovery = await admin.enrol_app()
        assert admin.secret != planted
        assert (await admin.get("/api/v1/status")).status_code == 200

        # A technologist is invited, comes in, stores and searches.
        invited = {"name": "bert", "role": "technologist", "display_name": "Bert, CT"}
        handed = await admin.done("/api/v1/users", invited)
        await technologist.done("/login/redeem", {"code": handed["code"], "password": GOOD})
        (sample,) = ct_series(1, rows=16, columns=16)
        assert await stored(technologist, sample.data) == 200
        found = await technologist.get(f"{STUDIES}/{sample.ref.study_uid}/metadata")
        assert found.status_code == 200
        assert (await technologist.get("/api/v1/users")).status_code == 403

        # A viewer that knows only user and password.
        async with browsing(box) as viewer:
            answer = await viewer.get(STUDIES, headers=basic("bert", GOOD))
            assert [one["0020000D"]["Value"] for one in answer.json()] == [[sample.ref.study_uid]]
            for wrong in (basic("bert", OTHER), basic("anna", ADMIN), basic("nobody", GOOD)):
                assert (await viewer.get(STUDIES, headers=wrong)).status_code == 401

        # A page of somebody else's has the technologist's browser send what changes something.
        for site in ("cross-site", "same-site"):
            answer = await technologist.post("/logout", headers={"Sec-Fetch-Site": site})
            assert answer.status_code == 403
        assert (await technologist.get("/login")).json()["name"] == "bert"

        # The admin logs out, and needs both to come back.
        await admin.done("/logout")
        assert (await admin.get("/api/v1/status")).status_code == 401
        more = await admin.done("/login", {"name": "anna", "password": ADMIN})
        assert more == {"logged_in": False, "second_factors": ["totp", "recovery-code"]}
        second = {"name": "anna", "password": ADMIN, "second": code_of(secret, 1)}
        await admin.done("/login", second)
        shown = [technologist.secret, admin.secret, handed["code"], first, *recovery]
    hidden = [ADMIN, GOOD, secret.hex(), second["second"], *shown]
    said = [one.getMessage() for one in caplog.records if one.name.startswith("edge")]
    assert [one for one in hidden if one in "\n".join(said)] == []
    assert await asyncio.to_thread(found_on_disk, tmp_path, [*hidden, "Dr. Anna", "Bert, CT"]) == []
    for event, names in ((Event.LOGGED_IN, {"anna", "bert"}), (Event.LOGGED_OUT, {"anna"})):
        assert names <= {one.actor.name for one in await entries(box, event, least=len(names))}


def found_on_disk(folder, texts):
    files = [path.read_bytes() for path in folder.rglob("*") if path.is_file()]
    assert files
    return [text for text in texts if any(text.encode() in content for content in files)]


async def test_a_passkey_is_enough_alone(box):
    await invite(box, "anna", Role.ADMIN, ADMIN)
    device = Authenticator()
    async with browsing(box) as browser:
        await browser.done("/login", {"name": "anna", "password": ADMIN})
        assert (await browser.get("/api/v1/status")).status_code == 403
        options = await browser.done("/login/passkeys/begin")
        assert options["rp"]["id"] == "localhost"
        made = {"credential": device.make(options, browser.origin), "label": "my key"}
        who = await browser.done("/login/passkeys", made)
        assert len(who["recovery_codes"]) == 10
        assert (await browser.get("/api/v1/status")).status_code == 200
    async with browsing(box) as browser:
        options = await browser.done("/login/passkey/begin")
        said = {"credential": device.answer(options, browser.origin)}
        who = await browser.done("/login/passkey", said)
        assert (who["name"], who["proved"]) == ("anna", "passkey")
        assert (await browser.get("/api/v1/status")).status_code == 200
        assert (await browser.post("/login/passkey", said)).status_code == 401
        elsewhere = device.answer(await browser.done("/login/passkey/begin"), "https://evil")
        answer = await browser.post("/login/passkey", {"credential": elsewhere})
        assert answer.status_code == 401


@pytest.fixture
def no_time_passes(monkeypatch):
    """For who counts attempts: on a slow machine one takes as long as it must be waited for."""
    monkeypatch.setattr(entering, "Throttle", partial(Throttle, clock=lambda: 1000.0))


async def test_brute_force_is_slowed_down_and_keeps_out_nobody_who_was_here(no_time_passes, box):
    await invite(box, "bert")
    async with browsing(box) as bert, browsing(box, "127.0.0.2") as stranger:
        await bert.done("/login", {"name": "bert", "password": GOOD})
        said = []
        for number in range(8):
            wrong = {"name": "bert", "password": f"wrong {number}"}
            said.append((await stranger.post("/login", wrong)).status_code)
        assert said == [401] * 6 + [429] * 2
        answer = await stranger.post("/login", {"name": "bert", "password": GOOD})
        assert answer.status_code == 429
        assert int(answer.headers["Retry-After"]) >= 1
        assert (await stranger.get(STUDIES, headers=basic("bert", OTHER))).status_code == 429
        # The user is at work, and comes back.
        assert (await bert.get(STUDIES)).status_code == 200
        assert (await bert.get(STUDIES, headers=basic("bert", GOOD))).status_code == 200
        await bert.done("/login", {"name": "bert", "password": GOOD})
        # Names that nobody has are slowed down alike.
        async with browsing(box, "127.0.0.3") as other:
            nobody = [
                (await other.post("/login", {"name": "nobody", "password": f"{n}"})).status_code
                for n in range(8)
            ]
        assert nobody == said


async def test_session_fixation_what_a_browser_had_before_is_worth_nothing(box):
    await invite(box, "bert")
    async with browsing(box) as browser:
        planted = "A" * 43
        browser.http.cookies.set("__Host-edge", planted, domain="localhost.local", path="/")
        answer = await browser.post("/login", {"name": "bert", "password": GOOD})
        [flags] = answer.headers.get_list("set-cookie")
        value, *rest = (part.strip() for part in flags.split(";"))
        assert sorted(rest) == ["HttpOnly", "Path=/", "SameSite=Strict", "Secure"]
        secret = value.removeprefix("__Host-edge=")
        assert secret != planted
    async with browsing(box) as other:
        for cookie, status in ((planted, 401), (secret, 200)):
            headers = {"Cookie": f"__Host-edge={cookie}"}
            assert (await other.get("/login", headers=headers)).status_code == status


async def test_a_session_outlives_a_restart_and_ends_with_the_password(tmp_path):
    configuration = settings(tmp_path / "box")
    async with box_of.running(configuration) as box:
        await invite(box, "bert")
        async with browsing(box) as browser:
            await browser.done("/login", {"name": "bert", "password": GOOD})
            secret = browser.secret
    async with box_of.running(configuration) as box, browsing(box) as browser:
        headers = {"Cookie": f"__Host-edge={secret}"}
        assert (await browser.get(STUDIES, headers=headers)).status_code == 200
        said = {"password": GOOD, "new_password": OTHER}
        answer = await browser.post("/login/password", said, headers=headers)
        assert answer.status_code == 200
        browser.http.cookies.clear()
        assert (await browser.get(STUDIES, headers=headers)).status_code == 401
        await browser.done("/login", {"name": "bert", "password": OTHER})


@pytest.mark.alone
async def test_whom_a_command_disables_is_out_within_seconds(box, tmp_path):
    await invite(box, "bert", Role.TECHNOLOGIST)
    file = tmp_path / "edge.toml"
    file.write_text(f'[appliance]\nname = "box"\ndata_dir = "{box.appliance.cache.folder}"\n')

    async def command(*words):
        done = await asyncio.to_thread(program.run, "user", *words, "--config", file)
        assert done.returncode == 0, done.stderr
        return done.stdout

    async with browsing(box) as browser:
        await browser.done("/login", {"name": "bert", "password": GOOD})
        [session] = json.loads(await command("sessions", "--json"))
        assert (session["name"], session["address"]) == ("bert", "127.0.0.1")
        assert (await browser.get(STUDIES, headers=basic("bert", GOOD))).status_code == 200
        await command("disable", "bert")
        for proof in ({}, basic("bert", GOOD)):

            async def out(proof=proof):
                return (await browser.get(STUDIES, headers=proof)).status_code == 401

            await box.until(out, "bert is out", seconds=5)


async def test_a_crowd_of_viewers_with_one_password_costs_one_hash(box):
    await invite(box, "bert")
    hashes = 0
    fits = box.appliance.cache.passwords.fits

    async def counted(*arguments):
        nonlocal hashes
        hashes += 1
        return await fits(*arguments)

    box.appliance.cache.passwords.fits = counted
    async with browsing(box) as viewer:
        for _ in range(3):
            crowd = (viewer.get(STUDIES, headers=basic("bert", GOOD)) for _ in range(60))
            assert {answer.status_code for answer in await asyncio.gather(*crowd)} == {200}
    assert hashes == 1


async def test_many_who_log_in_at_once_all_come_in(box):
    names = [f"user{number}" for number in range(12)]
    for name in names:
        await invite(box, name)
    async with browsing(box) as browser:
        answers = await asyncio.gather(
            *(browser.post("/login", {"name": name, "password": GOOD}) for name in names)
        )
        assert {answer.status_code for answer in answers} == {200}
        assert {answer.json()["name"] for answer in answers} == set(names)
        cookies = {answer.headers["set-cookie"] for answer in answers}
    assert len(cookies) == len(names)


@pytest.mark.alone
async def test_timing_names_that_nobody_has_take_as_long_as_those_of_users(box):
    """Medians of many over HTTP, in turns: one try of each name, few from each address."""
    took = {"user": [], "nobody": []}
    for number in range(18):
        await invite(box, f"user{number}")
    for number in range(18):
        async with browsing(box, f"127.0.1.{1 + number // 6}") as stranger:
            await stranger.get("/login")
            for kind, times in took.items():
                wrong = {"name": f"{kind}{number}", "password": OTHER}
                began = time.perf_counter()
                assert (await stranger.post("/login", wrong)).status_code == 401
                times.append(time.perf_counter() - began)
    known, unknown = (statistics.median(times) for times in took.values())
    assert abs(known - unknown) < 0.4 * max(known, unknown)
