"""Updates over the API, as their page asks; who may, and what goes into the record."""

from __future__ import annotations

import asyncio

import httpx
import pytest
import pytest_asyncio

from edge import config
from edge.access.audit.entry import Event
from edge.access.audit.search import Asked, search
from edge.access.roles import Role
from edge.updates.history import Deed
from edge.updates.journal import Trial
from edge.updates.standing import Phase
from tests.updates.makers import Maker, place_of, shop

pytestmark = pytest.mark.asyncio(loop_scope="module")

OUR_PAGE = {"Sec-Fetch-Site": "same-origin"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def store(scene, tmp_path_factory):
    """A server of updates that the box asks, and a machine with slots below it."""
    folder = tmp_path_factory.mktemp("updates")
    maker = Maker(folder / "maker")
    async with shop(maker.folder) as opened:
        opened.maker = maker
        updater = scene.box.updater
        updater._settings = updater._coming._settings = config.Update(
            url=opened.url, keys=maker.keys, by_itself="look"
        )
        updater._place, updater._ordering._quiet = place_of(folder / "machine"), 1
        yield opened


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def ask(scene, store, cookies):
    async with httpx.AsyncClient(base_url=scene.base, trust_env=False, timeout=30) as client:

        async def send(method, path, role=Role.ADMIN, **more):
            headers = OUR_PAGE | cookies[role]
            return await client.request(method, f"/api/v1/update{path}", headers=headers, **more)

        yield send


async def until(ask, phase):
    for _ in range(400):
        if (now := (await ask("GET", "")).json())["phase"] == phase:
            return now
        await asyncio.sleep(0.05)
    raise AssertionError(now)


async def test_only_admins_see_or_want_any_of_it(ask):
    for role in set(Role) - {Role.ADMIN}:
        assert (await ask("GET", "", role)).status_code == 403
        assert (await ask("GET", "/history", role)).status_code == 403
        for act in ("look", "download", "install", "cancel"):
            assert (await ask("POST", f"/{act}", role, json={})).status_code == 403


async def test_an_update_is_found_fetched_ordered_and_cancelled_and_recorded(ask, scene, store):
    assert (await ask("POST", "/download", json={})).status_code == 409
    await asyncio.to_thread(store.maker.bundle, "1.1")
    store.list(("1.1", "x86-64", "1.1.edgeupdate"))
    found = (await ask("POST", "/look", json={})).json()
    assert (found["phase"], found["version"], found["running"]) == ("offered", "1.1", "1.0")
    assert found["found"]["notes"]["es"] == "Novedades de 1.1"
    answer = await ask("POST", "/download", json={"version": "7.0"})
    assert (answer.status_code, answer.json()["detail"]) == (409, "no update to 7.0 is known")
    assert (await ask("POST", "/download", json={"version": "../x"})).status_code == 400
    await ask("POST", "/download", json={"version": "1.1"})
    await until(ask, Phase.READY)
    await ask("POST", "/install", json={"version": "1.1"})
    await until(ask, Phase.WRITING)
    assert (await asyncio.to_thread(scene.box.updater._folder.order)).by == "a-admin"
    assert (await ask("POST", "/cancel", json={})).json()["phase"] == "ready"
    page = (await ask("GET", "/history?limit=2")).json()
    assert page["total"] == 3
    assert [(one["deed"], one["by"]) for one in page["entries"]] == [
        ("cancelled", "a-admin"),
        ("ordered", "a-admin"),
    ]
    asked = Asked(event=Event.SOFTWARE)
    for _ in range(200):
        told = await asyncio.to_thread(search, scene.box.cache.audit.folder, asked, 100)
        whats = {one.what for one in told}
        if "update cancelled" in whats:
            break
        await asyncio.sleep(0.05)
    assert {"POST /api/v1/update/install", "update ordered", "update cancelled"} <= whats


async def test_what_went_wrong_stands_on_the_first_page(ask, scene, store):
    folder = scene.box.updater._folder
    await asyncio.to_thread(store.maker.bundle, "1.1")
    store.list(("1.1", "x86-64", "1.1.edgeupdate"))
    await ask("POST", "/look", json={})
    await asyncio.to_thread(
        folder.note, Deed.BAD, "1.1", before="1.0", why="images: they are not drawn"
    )
    await asyncio.to_thread(folder.note, Deed.WENT_BACK, "1.1", before="1.0")
    failure = (await ask("GET", "")).json()["failure"]
    assert (failure["version"], failure["went_back"]) == ("1.1", True)
    assert failure["why"] == "images: they are not drawn"
    status = await scene.box.status()
    assert "Version 1.1 did not work here" in status.sentence
    refused = await ask("POST", "/install", json={"version": "1.1"})
    assert "1.1 has failed" in refused.json()["detail"]
    await asyncio.to_thread(folder.note, Deed.GOOD, "1.2", before="1.0")
    assert (await scene.box.status()).update == ""


async def test_a_trial_is_told_of_and_nothing_else_is_begun(ask, scene):
    folder = scene.box.updater._folder
    await asyncio.to_thread(folder.write_trial, Trial(version="1.1", before="1.0", boot_id="first"))
    try:
        assert (await ask("GET", "")).json()["phase"] == "trial"
        assert (await ask("POST", "/install", json={"again": True})).status_code == 409
    finally:
        await asyncio.to_thread(folder.drop_trial)


@pytest.mark.parametrize("language", ["en", "es", "fr", "ar"])
async def test_the_page_speaks_every_language(browse, cookies, language):
    answer = await browse("/update", cookies[Role.ADMIN], Accept_Language=language)
    assert answer.status_code == 200
    assert "EDGE-UPDATE" in answer.text
    words = {"en": "Update", "es": "Actualización", "fr": "Mise à jour", "ar": "التحديث"}
    assert f"<h1>{words[language]}</h1>" in answer.text
