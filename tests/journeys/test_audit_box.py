"""What nobody asked for at a door stands in the record, too: the archive's acts, and media."""

from __future__ import annotations

import asyncio
import shutil

import pytest

from edge.access.audit.entry import BOX, Event, Kind
from edge.access.roles import Role
from tests import samples
from tests.journeys import box as boxes
from tests.journeys.audited import entries, running
from tests.journeys.modality import dcmsend
from tests.journeys.test_delete import settings as with_feed

COUNT = 3
PATIENT = "SYN-000093"


@pytest.fixture
def study(tmp_path):
    return samples.write_series(tmp_path / "study", COUNT, seed=93, rows=32, columns=32)


@pytest.fixture
def uid():
    return samples.sample_uid(93, "study")


def delete_there(cloud, uid):
    """One of two studies: an archive that has nothing any more is not believed at once."""
    [other] = samples.ct_series(1, seed=94, rows=32, columns=32)
    cloud.store(other.data)
    wish = {"Level": "Study", "Query": {"StudyInstanceUID": uid}}
    found = cloud.request("POST", "/tools/find", json=wish).json()
    cloud.request("POST", "/tools/bulk-delete", json={"Resources": found})


async def test_what_goes_to_the_archive_and_what_it_deletes(cloud, tmp_path, study, uid):
    async with boxes.running(with_feed(tmp_path / "box", cloud)) as box:
        await dcmsend(box.dimse_port, *study)
        await box.until_verified(COUNT)
        [sent] = await entries(box, Event.SENT)
        assert (sent.actor, sent.target) == (BOX, "cloud")
        assert (sent.about.study_uid, sent.about.patient_id) == (uid, PATIENT)
        await asyncio.to_thread(delete_there, cloud, uid)
        gone = await entries(box, Event.DELETED)
        assert {one.actor.name for one in gone} == {"cloud"}
        assert {one.actor.kind for one in gone} == {Kind.ARCHIVE}
        assert {one.what for one in gone} == {"put into the trash"}
        assert gone[0].about.patient_id == PATIENT
        # A person does not want to wait; what is erased then is in the record before it is.
        async with await box.client(Role.ADMIN) as admin:
            wish = {"study_uid": uid, "decision": "empty", "confirmed": True}
            answer = await admin.http.post("../api/v1/trash", json=wish)
            assert answer.status_code == 200, answer.text
        *_, erased = await entries(box, Event.DELETED, least=len(gone) + 1)
        assert (erased.actor, erased.what) == (BOX, "erased from the trash")
        assert erased.about.patient_id == PATIENT


async def test_what_is_deleted_there_for_us_and_what_comes_from_there(cloud, tmp_path, study, uid):
    for path in study:
        await asyncio.to_thread(cloud.store, path.read_bytes())
    async with boxes.running(with_feed(tmp_path / "box", cloud)) as box:
        assert len(await box.viewer.instances(f"/studies/{uid}")) == COUNT
        [fetched] = await entries(box, Event.RECEIVED)
        assert (fetched.actor, fetched.target) == (BOX, "cloud")
        assert fetched.about.study_uid == uid
        async with await box.client(Role.ADMIN) as keeper:
            path = f"/studies/{uid}?archive=true&only-copy=true"
            assert (await keeper.http.delete(path)).status_code == 204
        # Either may be written first: the answer is not waited for there, nor that here.
        told = {(one.what, one.target) for one in await entries(box, Event.DELETED, least=2)}
        assert told == {("the study", ""), ("deleted in the archive", "cloud")}


async def test_what_comes_by_the_drop_folder(tmp_path, study, uid):
    drop = tmp_path / "drop"
    drop.mkdir()
    sections = {"dropfolder": {"path": drop, "settle_seconds": 0.1}}
    async with running(tmp_path, **sections) as box:
        for path in study:
            shutil.copy(path, drop)
        [taken] = await entries(box, Event.IMPORTED)
        assert (taken.actor.name, taken.actor.kind) == ("drop folder", Kind.MACHINE)
        assert taken.about.study_uid == uid
