"""People, tokens, record, log, backup, emergencies and help: what their pages and routes give."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import logging
import zipfile
from xml.etree import ElementTree as ET

import httpx
import pytest
import pytest_asyncio

from edge import opening
from edge.access.audit.entry import Event
from edge.access.audit.search import Asked, search
from edge.access.roles import Role
from edge.access.scope import Scope
from edge.cache.disk_paper import DiskPaper
from edge.logs import recent
from edge.machine.disk_key import groups_of
from edge.machine.places import Places
from edge.pages import acceptance
from edge.pages.acceptance import CHECKS
from edge.pages.audit import EVENTS
from edge.pages.help import ENTERING, SECTIONS
from edge.pages.table import PAGES
from edge.updates.machine import Place
from tests.browser.scene import PATIENTS

pytestmark = pytest.mark.asyncio(loop_scope="module")

OUR_PAGE = {"Sec-Fetch-Site": "same-origin"}
WHY = "The patient bleeds, and the old images are needed"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def ask(scene, cookies):
    """Asks the API as a page does."""
    async with httpx.AsyncClient(base_url=scene.base, trust_env=False, timeout=30) as client:

        async def send(method, path, role=Role.ADMIN, *, cookie=None, **more):
            headers = OUR_PAGE | (cookie or cookies[role])
            return await client.request(method, path, headers=headers, **more)

        yield send


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def narrowed(scene):
    """The cookie of a physician who sees only what came from one device."""
    cookie = await scene.cookie("night", Role.PHYSICIAN)
    await scene.box.cache.users.change("night", scope=Scope(studies_from=frozenset({"MR9"})))
    scene.box.cache.sessions.forget()
    return {"Cookie": f"{cookie['name']}={cookie['value']}"}


async def recorded(scene, event):
    return await asyncio.to_thread(search, scene.box.cache.audit.folder, Asked(event=event), 100)


# The record ---------------------------------------------------------------------------------------


async def test_every_event_has_a_name_that_people_understand():
    assert set(EVENTS) == set(Event)
    assert len(set(EVENTS.values())) == len(Event)


async def test_the_record_is_a_table_or_messages_of_dicom(scene, ask):
    answer = await ask("GET", "/api/v1/audit/export?event=log-in&format=csv")
    assert answer.status_code == 200
    assert answer.headers["Content-Disposition"].startswith('attachment; filename="audit-')
    assert answer.headers["Cache-Control"] == "no-store"
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert {row["event"] for row in rows} <= {"log-in"}
    answer = await ask("GET", "/api/v1/audit/export?format=dicom")
    assert answer.headers["Content-Type"].startswith("application/xml")
    assert len(ET.fromstring(answer.text)) > 1
    answer = await ask("GET", "/api/v1/audit/export?format=json&user=a-admin")
    assert all(json.loads(line) for line in answer.text.splitlines())
    looks = await recorded(scene, Event.READ_RECORD)
    [told, *_] = [one for one in looks if "export" in one.what]
    assert told.actor.name == "a-admin"


async def test_the_record_is_proved(ask):
    found = (await ask("GET", "/api/v1/audit/check")).json()
    assert found["sound"]
    assert found["entries"] > 0
    assert found["findings"] == []


async def test_only_admins_look_at_the_record_the_log_and_what_is_given_away(ask):
    paths = "audit/export audit/check logs support backup keys/recovery".split()
    for role in set(Role) - {Role.ADMIN}:
        for path in paths:
            assert (await ask("GET", f"/api/v1/{path}", role)).status_code == 403, (role, path)


# The log and the bundle ---------------------------------------------------------------------------


async def test_lines_of_the_log_are_found_by_how_grave_they_are_and_what_they_say(ask):
    kept = recent()
    for level, text in (
        (logging.WARNING, "a mild word of a page"),
        (logging.ERROR, "a grave word of a page"),
    ):
        kept.handle(logging.LogRecord("edge.test", level, "file", 1, text, (), None))
    found = (await ask("GET", "/api/v1/logs?level=WARNING")).json()
    assert [line["text"] for line in found["lines"]][-2:] == [
        "a mild word of a page",
        "a grave word of a page",
    ]
    found = (await ask("GET", "/api/v1/logs?level=ERROR&text=GRAVE+word+of+a+page")).json()
    assert [line["text"] for line in found["lines"]] == ["a grave word of a page"]
    again = (await ask("GET", f"/api/v1/logs?after={found['last']}")).json()
    assert again["lines"] == []
    assert again["last"] == found["last"]


async def test_the_bundle_names_no_patient(ask):
    answer = await ask("GET", "/api/v1/support")
    assert answer.headers["Content-Type"] == "application/zip"
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        text = "".join(archive.read(name).decode() for name in archive.namelist())
        assert json.loads(archive.read("status.json"))["studies"] == 3
    for name, patient_id, *_ in PATIENTS:
        assert name.partition("^")[0] not in text
        assert patient_id not in text


# Backup -------------------------------------------------------------------------------------------


async def test_a_recovery_key_is_made_shown_once_and_typed_back(scene, ask, browse, cookies):
    none = {"made": None, "trouble": "", "disk": False}
    assert (await ask("GET", "/api/v1/keys/recovery")).json() == none
    assert (await ask("POST", "/api/v1/keys/disk", json={})).status_code == 409
    refused = await ask("GET", "/api/v1/backup")
    assert refused.status_code == 409
    shown = (await ask("POST", "/api/v1/keys/recovery", json={})).json()
    assert len(shown["groups"]) == 9
    assert shown["picture"].startswith("<svg")
    wrong = await ask("POST", "/api/v1/keys/recovery/typed", json={"key": "AAAA"})
    assert wrong.status_code == 409
    typed = {"key": " ".join(shown["groups"])}
    made = (await ask("POST", "/api/v1/keys/recovery/typed", json=typed)).json()["made"]
    assert (await ask("GET", "/api/v1/keys/recovery")).json()["made"] == made
    answer = await ask("GET", "/api/v1/backup")
    assert answer.content.startswith(b"EDGEBKUP")
    assert answer.headers["Content-Disposition"].endswith('.edge"')
    for entry in await recorded(scene, Event.KEY):
        assert shown["groups"][4] not in str(entry)
    text = (await browse("/backup", cookies[Role.ADMIN])).text
    assert shown["groups"][4] not in text


async def test_no_token_makes_a_recovery_key(scene, ask):
    secret = await scene.box.cache.tokens.create(Role.ADMIN, "gateway")
    cookie = {"Authorization": f"Bearer {secret}"}
    answer = await ask("POST", "/api/v1/keys/recovery", cookie=cookie, json={"renew": True})
    assert answer.status_code == 403


# Emergencies --------------------------------------------------------------------------------------


async def test_who_was_narrowed_is_led_to_break_the_glass_and_nobody_else(
    browse, cookies, narrowed
):
    assert 'href="/emergency"' in (await browse("/", narrowed)).text
    for role in Role:
        assert 'href="/emergency"' not in (await browse("/", cookies[role])).text
        assert "glass-form" not in (await browse("/emergency", cookies[role])).text
    assert "glass-form" in (await browse("/emergency", narrowed)).text
    nobody = await browse("/emergency")
    assert nobody.status_code == 200
    assert "glass-form" not in nobody.text
    assert "/welcome?to=/emergency" in nobody.text


async def test_while_it_is_open_every_page_says_so(browse, ask, narrowed):
    begun = await ask("POST", "/login/emergency", cookie=narrowed, json={"reason": WHY})
    assert begun.status_code == 200, begun.text
    for path in ("/", "/studies", "/help"):
        assert 'id="glass"' in (await browse(path, narrowed)).text
    for path in ("/viewer/open?study=1.2", "/viewer/plain?study=1.2"):
        text = (await browse(path, narrowed)).text
        assert 'class="edge-glass"' in text
        assert "Emergency access is open until" in text
    assert WHY not in (await browse("/", narrowed)).text
    found = (await ask("GET", "/api/v1/emergencies")).json()["emergencies"]
    assert [one["reason"] for one in found] == [WHY]
    await ask("DELETE", "/login/emergency", cookie=narrowed)
    assert 'id="glass"' not in (await browse("/", narrowed)).text
    assert "edge-glass" not in (await browse("/viewer/plain?study=1.2", narrowed)).text
    looked = await ask(
        "POST", f"/api/v1/emergencies/{found[0]['emergency_id']}", json={"looked": True}
    )
    assert looked.json()["seen_by"] == "a-admin"


async def test_admins_read_on_the_first_page_that_one_is_open(browse, cookies, ask, narrowed):
    words = "Emergency access is open for 1 person now."

    async def until(is_shown):  # what was read a moment ago may be shown once more
        async with asyncio.timeout(60):
            while (words in (await browse("/", cookies[Role.ADMIN])).text) != is_shown:
                pass

    await until(False)
    begun = await ask("POST", "/login/emergency", cookie=narrowed, json={"reason": WHY})
    assert begun.status_code == 200, begun.text
    try:
        await until(True)
        assert words not in (await browse("/", cookies[Role.VIEWER])).text
    finally:
        await ask("DELETE", "/login/emergency", cookie=narrowed)


# Handing over -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("tpm2\n", "in the TPM"),
        ("stick\n", "on a stick"),
        ("recovery\n", "in the TPM, which did not give it"),
        ("other\n", ""),
        (None, ""),
    ],
)
async def test_the_protocol_says_where_the_key_of_the_disk_is(tmp_path, key, words):
    if key is not None:
        await asyncio.to_thread((tmp_path / "key").write_text, key)
    said = await asyncio.to_thread(acceptance.disk_key_of, Places(own_disk=tmp_path))
    assert said.startswith(words)
    assert bool(said) == bool(words)


async def test_the_acceptance_protocol_says_how_the_box_is_and_leaves_the_rest_to_people(
    scene, browse, cookies, monkeypatch, tmp_path
):
    release = tmp_path / "os-release"
    release.write_text("IMAGE_ID=edge\nIMAGE_VERSION=0.1.0.202611301455\n")
    monkeypatch.setattr(acceptance, "HERE", Place(os_release=release))
    own_disk = tmp_path / "edge-disk"
    own_disk.mkdir()
    (own_disk / "key").write_text("esp\n")
    monkeypatch.setattr(acceptance, "Places", lambda: Places(own_disk=own_disk))
    asked = []
    monkeypatch.setattr(acceptance, "page_found", lambda *said: asked.append(said) or said[-1])
    text = (await browse("/acceptance", cookies[Role.ADMIN])).text
    [(places, page_by, _)] = asked
    assert (places.own_disk, page_by) == (own_disk, scene.loaded.http.interface)
    assert "St. Brigid Clinic" in text
    listen = scene.loaded.http.listen
    assert f"http://{listen}/" in text  # and not as the browser called it
    assert scene.base not in text
    assert "none is set up" in text
    assert "0.1.0.202611301455" in text
    assert "on the disk itself: whoever takes the disk has it, too" in text
    assert text.count('class="tick"') == len(CHECKS)
    assert "may send images: that is for laboratories" in text
    for name, patient_id, *_ in PATIENTS:
        assert name.partition("^")[0] not in text
        assert patient_id not in text


async def test_the_protocol_says_whether_the_recovery_key_of_the_disk_was_shown(
    scene, browse, cookies, monkeypatch, tmp_path
):
    places = Places.under(tmp_path)
    monkeypatch.setattr(acceptance, "Places", lambda: places)
    monkeypatch.setattr(opening, "groups_of", lambda _: groups_of(places))
    admin = cookies[Role.ADMIN]
    assert "Recovery key of the disk" not in (await browse("/acceptance", admin)).text
    places.disk_key.parent.mkdir(parents=True)
    await asyncio.to_thread(places.disk_key.write_text, "ABCDEFGH " * 9)
    await told(browse, admin, "there is one, and nobody was shown it: print it on the page Backup")
    await DiskPaper(scene.box.cache.database, lambda: groups_of(places)).show()
    await told(browse, admin, "there is one, and it was shown so as to be printed")


async def told(browse, admin, words):
    """The state of the box is read once in a while."""
    async with asyncio.timeout(60):
        while words not in (await browse("/acceptance", admin)).text:  # noqa: ASYNC110
            await asyncio.sleep(0.05)


# Help ---------------------------------------------------------------------------------------------


async def test_every_page_has_help_and_nobody_reads_of_pages_that_are_not_theirs(browse, cookies):
    told = {name for name, *_ in SECTIONS}
    assert {page.name for page in PAGES if page.act is not None} - {"help"} <= told
    for role in Role:
        text = (await browse("/help", cookies[role])).text
        for name, _, _, act, _ in SECTIONS:
            if name != "emergency":
                assert (f'id="{name}"' in text) == role.may(act), (role, name)


async def test_who_is_not_logged_in_reads_how_one_gets_in_and_of_no_page(browse):
    text = (await browse("/help")).text
    assert all(f'id="{name}"' in text for name, *_ in ENTERING)
    own = {name for name, *_ in ENTERING}
    assert not any(f'id="{name}"' in text for name, *_ in SECTIONS if name not in own)
    assert 'href="/help"' in (await browse("/welcome")).text


async def test_every_page_leads_to_its_own_help(browse, cookies):
    for page in PAGES:
        if page.group:
            text = (await browse(page.path, cookies[Role.ADMIN])).text
            assert f'href="/help#{page.name}"' in text
