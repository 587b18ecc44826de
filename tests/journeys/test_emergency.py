"""Somebody who was narrowed breaks the glass of a real box: what opens, what is told, who looks."""

from __future__ import annotations

import asyncio
import json

import pytest

from edge.access.audit.entry import Event
from edge.access.audit.export import as_dicom
from edge.access.audit.messages import Messages
from edge.access.roles import Role
from edge.access.scope import Scope
from edge.access.sessions import Proved, Visitor
from edge.cache.admission import Source
from edge.dicom.instance import Origin
from tests import program, samples
from tests.access.people import COOKIE, GOOD
from tests.journeys import box as box_of
from tests.journeys.audited import entries
from tests.journeys.people import browsing

EMERGENCY = "/login/emergency"
WHY = "Roe^Jane bleeds, and her old MR is needed"
CT1 = Scope(studies_from=frozenset({"CT1"}))


def settings(folder):
    return box_of.settings(folder, http={"tls": "auto"})


async def prepared(box):
    """Bert, who sees what CT1 sent; and a study that MR1 sent."""
    users = box.appliance.cache.users
    handed = await users.add("bert", Role.PHYSICIAN)
    await users.redeem(handed.code, GOOD)
    await users.change("bert", scope=CT1)
    (sample,) = samples.ct_series(1, rows=16, columns=16)
    source = Source(Origin.DIMSE, "MR1")
    await box.appliance.admission.store_instance(samples.chunks(sample.data), source)
    return sample.ref


def doors(ref):
    study = f"/dicom-web/studies/{ref.study_uid}"
    instance = f"{study}/series/{ref.series_uid}/instances/{ref.sop_uid}"
    wado = f"requestType=WADO&studyUID={ref.study_uid}&seriesUID={ref.series_uid}"
    return [
        f"{study}/metadata",
        study,
        f"{study}?accept=application/zip",
        f"{instance}/frames/1",
        f"{instance}/rendered",
        f"{study}/thumbnail",
        f"/wado?{wado}&objectUID={ref.sop_uid}",
        "/changefeed",
        "/api/v1/worklist",
        "/api/v1/procedures",
    ]


async def statuses(browser, ref):
    return {(await browser.get(path)).status_code for path in doors(ref)}


async def found(browser, ref):
    return ref.study_uid in (await browser.get("/dicom-web/studies")).text


async def test_the_glass_is_broken_and_everything_is_read_under_it(tmp_path, caplog):
    caplog.set_level("DEBUG", logger="edge")
    async with box_of.running(settings(tmp_path / "box")) as box, browsing(box) as bert:
        ref = await prepared(box)
        await bert.done("/login", {"name": "bert", "password": GOOD})
        assert await statuses(bert, ref) == {403, 404}
        assert not await found(bert, ref)
        refused = await entries(box, Event.REFUSED, user="bert")
        assert {entry.actor.emergency for entry in refused} == {""}

        name = (await bert.done(EMERGENCY, {"reason": WHY}))["emergency_id"]
        assert await statuses(bert, ref) == {200}
        assert await found(bert, ref)
        assert (await bert.post(f"/dicom-web/studies/{ref.study_uid}")).status_code == 404
        assert (await bert.get("/api/v1/emergencies")).status_code == 403
        status = (await bert.get("/api/v1/status")).json()
        assert status["emergencies"] == {"open": 1, "unseen": 0, "begun": 1}
        assert "Emergency access is open for 1 person." in status["sentence"]

        [start] = await entries(box, Event.OVERRIDE_STARTED)
        assert (start.reason, start.target) == (WHY, name)
        for event in (Event.ACCESSED, Event.SHOWN, Event.SENT, Event.EXPORTED, Event.QUERIED):
            marked = await entries(box, event, emergency=name)
            assert {entry.actor.name for entry in marked} == {"bert"}

        assert (await bert.http.delete(EMERGENCY)).json()["is_open"] is False
        assert await statuses(bert, ref) == {403, 404}
        text = "".join(as_dicom(await entries(box, emergency=name), Messages("box", "EDGE")))
        assert text.count('csd-code="110127"') == text.count('csd-code="110138"') == 1
        assert text.count('type="Emergency Override"') >= 6
    assert "Jane" not in "\n".join(one.getMessage() for one in caplog.records)


async def test_it_outlives_a_restart_ends_with_the_log_out_and_waits_for_an_admin(tmp_path):
    configuration = settings(tmp_path / "box")
    async with box_of.running(configuration) as box, browsing(box) as bert:
        path = doors(await prepared(box))[0]
        await bert.done("/login", {"name": "bert", "password": GOOD})
        name = (await bert.done(EMERGENCY, {"reason": WHY}))["emergency_id"]
        headers = {"Cookie": f"{COOKIE}={bert.secret}"}
    async with box_of.running(configuration) as box, browsing(box) as browser:
        assert (await browser.get(path, headers=headers)).status_code == 200
        assert (await browser.post("/logout", headers=headers)).status_code == 200
        assert (await browser.get(path, headers=headers)).status_code == 401
        [end] = await entries(box, Event.OVERRIDE_STOPPED)
        assert (end.reason, end.target) == ("the session ended", name)

        cache = box.appliance.cache
        assert "1 emergency access waits for an admin" in (await cache.status()).sentence
        await cache.users.redeem((await cache.users.add("anna", Role.ADMIN)).code, GOOD + "!")
        visitor = Visitor("127.0.0.1", "")
        secret, _ = await cache.sessions.open("anna", Role.ADMIN, Proved.PASSKEY, visitor)
        admin = {"Cookie": f"{COOKIE}={secret}"}
        answer = await browser.get("/api/v1/emergencies", headers=admin)
        assert answer.json()["emergencies"][0]["reason"] == WHY
        answer = await browser.post(f"/api/v1/emergencies/{name}", headers=admin)
        assert answer.json()["seen_by"] == "anna"
        assert (await cache.status()).emergencies.unseen == 0
        [looked] = await entries(box, Event.USER, user="anna")
        assert looked.what == "POST /api/v1/emergencies/{id}"


async def test_the_reason_is_readable_nowhere_on_the_disk(tmp_path):
    async with box_of.running(settings(tmp_path / "box")) as box, browsing(box) as bert:
        await prepared(box)
        await bert.done("/login", {"name": "bert", "password": GOOD})
        await bert.done(EMERGENCY, {"reason": WHY})
    files = [path for path in (tmp_path / "box").rglob("*") if path.is_file()]
    contents = await asyncio.to_thread(lambda: [path.read_bytes() for path in files])
    assert contents
    assert not any(b"Roe^Jane" in content for content in contents)


@pytest.mark.parametrize("what", ["logout", "disable"])
async def test_an_admin_ends_it_from_the_command_line(tmp_path, what, run_edge):
    async with box_of.running(settings(tmp_path / "box")) as box, browsing(box) as bert:
        ref = await prepared(box)
        await bert.done("/login", {"name": "bert", "password": GOOD})
        begun = await bert.done(EMERGENCY, {"reason": WHY})
        assert (await bert.get(doors(ref)[0])).status_code == 200
        await run_edge(box, "user", what, "bert")
        [end] = await entries(box, Event.OVERRIDE_STOPPED)
        assert end.reason == "the session ended"
        assert (await bert.get(doors(ref)[0])).status_code == 401
        [one] = json.loads(await run_edge(box, "user", "emergencies", "--json"))
        assert (one["emergency_id"], one["reason"]) == (begun["emergency_id"], WHY)
        shown = await run_edge(box, "user", "emergencies")
        assert "NOT LOOKED AT" in shown
        assert WHY in shown
        await run_edge(box, "user", "looked", one["emergency_id"])
        assert "at the machine" in await run_edge(box, "user", "emergencies")
        shown = await run_edge(box, "audit", "search", "--emergency", one["emergency_id"])
        assert WHY in shown
        assert f"under     emergency access {one['emergency_id']}" in shown


@pytest.fixture
def run_edge(tmp_path):
    """A command on the machine of a box that runs; what it prints."""
    path = tmp_path / "edge.toml"
    path.write_text(
        f'[appliance]\nname = "box"\ndata_dir = "{tmp_path / "box"}"\n'
        '[dimse]\nlisten = "127.0.0.1:0"\n[http]\nlisten = "127.0.0.1:0"\n'
    )

    async def run(_box, *words):
        done = await asyncio.to_thread(program.run, *words, "--config", path)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run
