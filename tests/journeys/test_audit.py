"""Who did what stands in the record: over every door, as a clinic would ask for it."""

from __future__ import annotations

import pytest

from edge.access.audit.entry import Event, Outcome
from edge.access.roles import Role
from tests import samples
from tests.journeys import box as boxes
from tests.journeys.audited import entries, running
from tests.journeys.modality import dcmsend

COUNT = 5


@pytest.fixture
def study(tmp_path):
    return samples.write_series(tmp_path / "study", COUNT, seed=4, rows=32, columns=32)


async def store(box, study):
    async with await box.client(Role.TECHNOLOGIST) as sender:
        await sender.store(*(path.read_bytes() for path in study))


async def study_of(box):
    [found] = await box.viewer.search("/studies")
    return found["0020000D"]["Value"][0]


async def test_who_looks_at_a_study_is_in_the_record_once_and_not_for_each_image(tmp_path, study):
    async with running(tmp_path) as box:
        await dcmsend(box.dimse_port, *study)
        uid = await study_of(box)
        found = await box.viewer.search(
            f"/studies/{uid}/instances", includefield="00100020,00100010"
        )
        for one in found:
            series, sop = one["0020000E"]["Value"][0], one["00080018"]["Value"][0]
            path = f"/studies/{uid}/series/{series}/instances/{sop}"
            for frame in ("frames/1", "rendered", "metadata"):
                assert (await box.viewer.http.get(f"{path}/{frame}")).status_code == 200
        [looked] = await entries(box, Event.ACCESSED)
        actor, about = looked.actor, looked.about
        assert (actor.name, actor.role, actor.proof) == (
            "the viewer of a journey",
            "physician",
            "token",
        )
        assert actor.address == "127.0.0.1"
        assert (about.study_uid, about.patient_id) == (uid, found[0]["00100020"]["Value"][0])
        assert about.patient_name == found[0]["00100010"]["Value"][0]["Alphabetic"]
    async with running(tmp_path) as box:  # what was under way is told of at the end
        looked = await entries(box, Event.ACCESSED, least=2)
        assert [(one.times, one.instances) for one in looked] == [(1, 0), (16, COUNT)]


async def test_a_search_for_a_name_is_in_the_record_and_nowhere_else(tmp_path, study, caplog):
    async with running(tmp_path) as box:
        await box.viewer.search("/studies", PatientName="Verysecret^Name")
        [asked] = await entries(box, Event.QUERIED)
        assert asked.query == "PatientName=Verysecret^Name"
        [by_name] = await entries(box, patient="verysecret")
        assert by_name == asked
    assert "Verysecret" not in caplog.text
    for path in (tmp_path / "box").rglob("*"):
        if path.is_file():
            assert b"Verysecret" not in path.read_bytes(), path


async def test_whole_instances_that_leave_are_told_of_before_and_after(tmp_path, study):
    async with running(tmp_path) as box:
        await dcmsend(box.dimse_port, *study)
        uid = await study_of(box)
        assert len(await box.viewer.instances(f"/studies/{uid}")) == COUNT
        [begun] = await entries(box, Event.SENDING)
        [sent] = await entries(box, Event.SENT)
        assert begun.number < sent.number
        assert (sent.about.study_uid, sent.instances) == (uid, COUNT)
        assert sum(sent.sop_classes.values()) == COUNT
        archive = {"Accept": "application/zip"}
        assert (await box.viewer.http.get(f"/studies/{uid}", headers=archive)).status_code == 200
        [exported] = await entries(box, Event.EXPORTED)
        assert exported.instances == COUNT


async def test_who_stores_over_the_web_is_in_the_record(tmp_path, study):
    async with running(tmp_path) as box:
        await store(box, study)
        [received] = await entries(box, Event.RECEIVED, user="journey technologist")
        assert (received.instances, received.outcome) == (COUNT, Outcome.SUCCESS)
        assert received.about.study_uid == await study_of(box)


async def test_a_deletion_names_whose_study_it_was(tmp_path, study):
    async with running(tmp_path) as box:
        await dcmsend(box.dimse_port, *study)
        uid = await study_of(box)
        async with await box.client(Role.ADMIN) as keeper:
            answer = await keeper.http.delete(f"/studies/{uid}", params={"only-copy": "maybe"})
            assert answer.status_code == 400
            answer = await keeper.http.delete(f"/studies/{uid}", params={"only-copy": "true"})
            assert answer.status_code == 204
        begun = await entries(box, Event.DELETING)
        refused, deleted = await entries(box, Event.DELETED)
        assert len(begun) == 2
        assert (refused.outcome, refused.reason) == (
            Outcome.REFUSED,
            "only-copy must be true or false",
        )
        assert (deleted.outcome, deleted.actor.role) == (Outcome.SUCCESS, "admin")
        assert deleted.detail["only-copy"] == "true"
        assert deleted.about.patient_id  # though the index knows it no more


async def test_who_is_turned_away_is_in_the_record(tmp_path):
    async with running(tmp_path) as box:
        await box.appliance.cache.users.add("nurse", Role.VIEWER)
        async with boxes.at_the_door(box.appliance, "edge_wrong") as stranger:
            for _ in range(20):
                assert (await stranger.http.get("/studies")).status_code in (401, 429)
            answer = await stranger.http.get("/studies", auth=("nurse", "guess"), headers={})
            assert answer.status_code in (401, 429)
        async with await box.client(Role.VIEWER) as viewer:
            assert (await viewer.http.delete("/studies/1.2.3")).status_code == 403
        stranger, nurse, viewer = await entries(box, Event.REFUSED, least=3)
        assert (stranger.actor.name, stranger.actor.address) == ("", "127.0.0.1")
        assert nurse.actor.name == "nurse"
        assert (viewer.actor.role, viewer.what) == ("viewer", "DELETE /dicom-web/studies/{study}")
        assert all(one.outcome is Outcome.REFUSED for one in (stranger, nurse, viewer))


async def test_what_an_admin_changes_is_on_the_disk_before_the_answer(tmp_path):
    async with running(tmp_path) as box:
        async with await box.client(Role.ADMIN) as admin:
            peer = {"ae_title": "CT1", "host": "10.0.0.9", "port": 104, "may": ["store"]}
            answer = await admin.http.post("../api/v1/peers", json=peer)
            assert answer.status_code == 200, answer.text
            [changed] = await entries(box, Event.NETWORK)
            assert changed.what == "POST /api/v1/peers"
            assert changed.detail["ae_title"] == "CT1"
            assert changed.detail["may"] == '["store"]'
            answer = await admin.http.get("../api/v1/audit", params={"user": "journey admin"})
        found = answer.json()["entries"]
        # Reading the record is the last thing that is in it.
        assert [one["event"] for one in found] == ["record read", "network configured"]
        async with await box.client(Role.PHYSICIAN) as curious:
            assert (await curious.http.get("../api/v1/audit")).status_code == 403


async def test_starts_and_stops_are_in_the_record_with_the_configuration(tmp_path):
    for count in (1, 2):
        async with running(tmp_path) as box:
            found = await entries(box, Event.STARTED, least=count)
    stopped = await entries(box, Event.STOPPED)
    assert len(found) == len(stopped) == 2
    assert len({one.detail["configuration"] for one in found}) == 1
    assert found[0].detail["version"]


async def test_who_logs_in_and_out_and_who_tries_is_in_the_record(tmp_path):
    async with running(tmp_path) as box:
        handed = await box.appliance.cache.users.add("nurse", Role.TECHNOLOGIST, "A nurse")
        password = "long enough for anybody 9"
        async with boxes.at_the_door(box.appliance, "") as browser:
            browser.http.headers.pop("Authorization")
            browser.http.headers["Origin"] = f"http://127.0.0.1:{box.appliance.http_port}"
            said = {"code": handed.code, "password": password}
            answer = await browser.http.post("../login/redeem", json=said)
            assert answer.status_code == 200, answer.text
            assert (await browser.http.post("../logout", json={})).status_code == 200
            browser.http.cookies.clear()
            said = {"name": "nurse", "password": "wrong"}
            assert (await browser.http.post("../login", json=said)).status_code == 401
            said = {"name": "nurse", "password": password}
            assert (await browser.http.post("../login", json=said)).status_code == 200
            assert (await browser.http.get("/studies")).status_code == 200
        made, came, left, wrong, again, *_ = await entries(box, least=6, user="nurse")
        assert (made.event, made.what) == (Event.USER, "/login/redeem")
        assert (came.event, came.actor.role) == (Event.LOGGED_IN, "technologist")
        assert (left.event, left.actor.proof) == (Event.LOGGED_OUT, "session")
        assert left.actor.token
        assert (wrong.event, wrong.outcome) == (Event.LOGGED_IN, Outcome.REFUSED)
        assert (wrong.actor.name, wrong.actor.role) == ("nurse", "")
        assert (again.event, again.actor.proof) == (Event.LOGGED_IN, "password")
        assert (await entries(box, Event.QUERIED, user="nurse"))[0].actor.proof == "session"
    for path in (tmp_path / "box").rglob("*"):
        if path.is_file():
            assert password.encode() not in path.read_bytes(), path
