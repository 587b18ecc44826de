"""Emergency access over HTTP: everybody's own, and what admins see of all."""

from __future__ import annotations

import asyncio
from operator import itemgetter

import pytest
from aiohttp.test_utils import TestClient, TestServer

from edge.access.audit.entry import Event
from edge.access.audit.folder import AuditFolder
from edge.access.audit.recorder import Audit
from edge.access.audit.search import Asked, search
from edge.access.emergencies import Emergencies
from edge.access.emergency import BreakGlass
from edge.access.roles import Identity, Proof, Role
from edge.access.scope import Scope
from edge.admin import api
from edge.admin.emergency import emergency_routes, own_emergency_routes
from edge.admin.entrance import Entrance
from edge.admin.login import log_in_routes
from edge.crypto.sealed import Algorithm
from edge.dicomweb.hosts import OwnNames
from edge.dicomweb.middleware import IDENTITY, access
from edge.dicomweb.root import create_root
from edge.index.audit import AuditTable
from tests.access.people import COOKIE, GOOD, basic
from tests.admin.browser import OUR_PAGE, log_in

PATH = "/login/emergency"
WHY = "Roe^Jane bleeds, and her old CT is needed"
CT1 = Scope(studies_from=frozenset({"CT1"}))


@pytest.fixture
async def audit(tmp_path, world):
    folder = AuditFolder(tmp_path / "audit", bytes(32), Algorithm.AES_256_GCM)
    async with Audit(folder, AuditTable(world.database), clock=world.clock) as opened:
        yield opened


@pytest.fixture
async def glass(world, audit):
    return BreakGlass(
        world.database, world.sessions, world.factors, audit, world.settings, clock=world.clock
    )


@pytest.fixture
async def page(world, glass):
    """A browser, and an admin's program beside it, at the API."""

    async def authorise(headers, _address):
        proof = Proof(headers.get("X-Proof", "session"))
        return Identity("anna", Role(headers.get("X-Role", "admin")), proof=proof)

    emergencies = Emergencies(world.database, clock=world.clock)
    door = api.create_application(
        status=None,
        identity=None,
        middlewares=[access(authorise)],
        routes=emergency_routes(emergencies, itemgetter(IDENTITY)),
    )
    root = create_root({"/api/v1": door}, names=OwnNames(["box.local"]))
    entrance = Entrance(world.gate, world.login, world.sessions, cookie=COOKIE, tls=True)
    root.add_routes([*log_in_routes(entrance), *own_emergency_routes(entrance, glass)])
    await world.user("bert", Role.PHYSICIAN)
    await world.users.change("bert", scope=CT1)
    async with TestClient(TestServer(root), headers=OUR_PAGE) as client:
        yield client


async def test_it_is_begun_shown_and_ended(page, world):
    headers = await log_in(page)
    answer = await page.get(PATH, headers=headers)
    assert answer.headers["Cache-Control"] == "no-store"
    shut = {
        "is_possible": True,
        "is_open": False,
        "minutes": 60,
        "emergency_id": "",
        "until": None,
    }
    assert await answer.json() == shut
    answer = await page.post(PATH, json={"reason": WHY}, headers=headers)
    assert answer.status == 200
    assert "Set-Cookie" not in answer.headers
    begun = await answer.json()
    assert (begun["is_open"], begun["until"]) == (True, world.clock.now + 3600)
    assert await (await page.get(PATH, headers=headers)).json() == begun
    answer = await page.post(PATH, json={"reason": WHY}, headers=headers)
    assert answer.status == 409
    assert await (await page.delete(PATH, headers=headers)).json() == shut
    assert await (await page.delete(PATH, headers=headers)).json() == shut


async def test_nobody_who_is_not_logged_in_gets_to_it(page):
    for call in (page.get, page.delete):
        assert (await call(PATH)).status == 401
    assert (await page.post(PATH, json={"reason": WHY})).status == 401


async def test_no_proof_but_a_session_is_one(page, world):
    """Neither a token, nor name and password sent with the request."""
    secret = await world.tokens.create(Role.PHYSICIAN, "a viewer", scope=CT1)
    answer = await page.post(
        PATH, json={"reason": WHY}, headers={"Authorization": f"Bearer {secret}"}
    )
    assert answer.status == 401
    answer = await page.post(PATH, json={"reason": WHY}, headers=basic("bert", GOOD))
    assert answer.status == 401


@pytest.mark.parametrize(
    "body",
    ["", "{}", '{"reason": 1}', '{"reason": "' + "x" * 3000 + '"}', '{"reason": "x", "y": 1}'],
)
async def test_what_can_not_be_understood_opens_nothing(page, body):
    headers = await log_in(page)
    json = {"Content-Type": "application/json"}
    assert (await page.post(PATH, data=body, headers=headers | json)).status == 400
    assert (await page.post(PATH, data=f'{{"reason": "{WHY}"}}', headers=headers)).status == 400
    assert not (await (await page.get(PATH, headers=headers)).json())["is_open"]


async def test_a_browser_that_was_left_alone_is_asked_for_the_password(page, world):
    headers = await log_in(page)
    world.clock.now += 601
    answer = await page.post(PATH, json={"reason": WHY}, headers=headers)
    assert answer.status == 403
    assert "Jane" not in await answer.text()
    answer = await page.post(PATH, json={"reason": WHY, "password": GOOD}, headers=headers)
    assert (await answer.json())["is_open"]


async def test_admins_see_them_with_the_reason_and_say_that_they_looked(page, world):
    headers = await log_in(page)
    begun = await (await page.post(PATH, json={"reason": WHY}, headers=headers)).json()
    listed = await page.get("/api/v1/emergencies")
    [one] = (await listed.json())["emergencies"]
    assert (one["name"], one["reason"], one["ended"], one["seen"]) == ("bert", WHY, None, None)
    path = f"/api/v1/emergencies/{begun['emergency_id']}"
    assert (await page.post(path, json={})).status == 409  # it is open
    await page.delete(PATH, headers=headers)
    assert (await page.post(path, json={}, headers={"X-Proof": "token"})).status == 403
    assert (await page.post("/api/v1/emergencies/0123456789ab", json={})).status == 409
    assert (await page.post(path, json={"looked": False})).status == 400
    seen = await (await page.post(path, json={"looked": True})).json()
    assert (seen["seen_by"], seen["seen"]) == ("anna", world.clock.now)


@pytest.mark.parametrize("role", [str(role) for role in Role if role is not Role.ADMIN])
async def test_nobody_but_admins_sees_reasons_or_takes_an_alarm_back(page, role):
    headers = {"X-Role": role}
    assert (await page.get("/api/v1/emergencies", headers=headers)).status == 403
    path = "/api/v1/emergencies/0123456789ab"
    assert (await page.post(path, json={}, headers=headers)).status == 403


async def test_logging_out_ends_it(page, glass, audit):
    headers = await log_in(page)
    await page.post(PATH, json={"reason": WHY}, headers=headers)
    assert await glass.look()
    await page.post("/logout", headers=headers)
    assert not await glass.look()
    asked = Asked(event=Event.OVERRIDE_STOPPED)
    [entry] = await asyncio.to_thread(search, audit.folder, asked, 9)
    assert entry.reason == "the session ended"
