"""Somebody corrects a patient in the archive: the box shows it, and keeps what came as it came."""

from __future__ import annotations

import io
import zipfile

import pydicom
import pytest

from edge.cache.disputes import Query
from tests import samples
from tests.journeys.modality import dcmsend
from tests.journeys.viewer import JSON, as_sent

SWEEPING = {"sweep_minutes": 0.005}


def edit(cloud, patient_id, **replaced):
    """Correct all that the archive has of a patient; Orthanc writes its files anew for that."""
    patients = cloud.request("GET", "/patients?expand").json()
    [known] = [it["ID"] for it in patients if it["MainDicomTags"]["PatientID"] == patient_id]
    cloud.request(
        "POST",
        f"/patients/{known}/modify",
        json={
            "Replace": replaced,
            "Keep": ["StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"],
            "Force": True,
            "KeepSource": False,
        },
    )


@pytest.fixture
def send(tmp_path):
    """Sends a study of three slices to a box; its path, and the files."""

    async def call(box, seed, count=3):
        paths = samples.write_series(tmp_path / str(seed), count, rows=16, columns=16, seed=seed)
        assert await dcmsend(box.dimse_port, *paths) == {"Success": count}
        return f"/studies/{samples.sample_uid(seed, 'study')}", paths

    return call


async def until_found(box, count, **keys):
    async def found():
        return len(await box.viewer.search("/studies", **keys)) == count

    await box.until(found, f"{count} studies of {keys}")


def patient(attributes):
    return attributes["00100020"]["Value"][0], attributes["00100010"]["Value"][0]["Alphabetic"]


def bare(documents):
    """Without the URL of the pixels: the port is another one after a restart."""
    return [{tag: it for tag, it in one.items() if tag != "7FE00010"} for one in documents]


async def history(box, study):
    url = box.viewer.http.base_url.copy_with(path=f"/api/v1{study}/edits")
    answer = await box.viewer.http.get(url)
    assert answer.status_code == 200, answer.text
    return answer.json()["edits"]


async def test_a_merge_of_two_patients_in_the_archive(cloud, open_box, send, caplog):
    caplog.set_level("INFO")
    async with open_box(cloud, sync=SWEEPING) as box:
        study, paths = await send(box, 201)
        other, _ = await send(box, 202)
        await box.until_verified(6)
        before = await box.viewer.get(f"{study}/metadata", JSON)
        feed = box.viewer.http.base_url.copy_with(path="/changefeed/latest")
        last = (await box.viewer.http.get(feed)).json()["Sequence"]

        edit(cloud, "SYN-000201", PatientID="SYN-000202", PatientName="Synthetic^Merged")
        await until_found(box, 2, PatientID="SYN-000202")
        assert await box.viewer.search("/studies", PatientID="SYN-000201") == []
        [found] = await box.viewer.search("/studies", PatientName="synthetic^merged")
        assert patient(found) == ("SYN-000202", "Synthetic^Merged")
        for path in ("/instances", f"{study}/series", f"{study}/instances"):
            shown = await box.viewer.search(path, PatientID="SYN-000202", includefield="all")
            assert ("SYN-000202", "Synthetic^Merged") in {patient(it) for it in shown}

        # What describes the images says it, to whoever had it before, too.
        after = await box.viewer.http.get(
            f"{study}/metadata", headers={"Accept": JSON, "If-None-Match": before.headers["ETag"]}
        )
        assert after.status_code == 200
        assert {patient(it) for it in after.json()} == {("SYN-000202", "Synthetic^Merged")}
        accept = 'multipart/related; type="application/dicom+xml"'
        assert "SYN-000202" in (await box.viewer.get(f"{study}/metadata", accept)).text
        medium = await box.viewer.get(study, "application/zip")
        with zipfile.ZipFile(io.BytesIO(medium.content)) as files:
            directory = pydicom.dcmread(io.BytesIO(files.read("DICOMDIR")))
        assert directory.DirectoryRecordSequence[0].PatientID == "SYN-000202"
        feed = box.viewer.http.base_url.copy_with(path="/changefeed")
        changes = (await box.viewer.http.get(feed, params={"since": last})).json()
        assert [(it["Action"], patient(it["Metadata"])) for it in changes] == [
            ("update", ("SYN-000202", "Synthetic^Merged"))
        ] * 3

        # The images themselves are as they came.
        assert await box.viewer.instances(study) == as_sent(paths)
        assert await box.custody() == {"VERIFIED": 6}
        [one] = await history(box, study)
        assert (one["version"], one["archive"]) == (1, "cloud")
        assert patient(one["after"]) == ("SYN-000202", "Synthetic^Merged")
        assert one["before"]["00100020"]["Value"] == ["SYN-000201"]
        assert await history(box, other) == []
    said = [it.getMessage() for it in caplog.records if it.name.startswith("edge")]
    [line] = [it for it in said if "edited study" in it]
    assert line.endswith("version 1: PatientName, PatientID")
    assert "SYN-000202" not in str(said)


async def test_a_correction_that_is_undone_and_an_image_that_comes_late(cloud, open_box, send):
    async with open_box(cloud, sync=SWEEPING) as box:
        study, paths = await send(box, 203)
        await box.until_verified(3)
        before = bare(await box.viewer.metadata(study))
        edit(cloud, "SYN-000203", PatientID="X1", AccessionNumber="A-1")
        await until_found(box, 1, PatientID="X1", AccessionNumber="A-1")
        fingerprint = await box.rows("SELECT fingerprint FROM studies")

    # The archive is away: what comes now has the old values, and is shown with the new ones.
    cloud.stop()
    async with open_box(cloud, sync=SWEEPING) as box:
        _, paths = await send(box, 203, count=4)
        assert {it["00100020"]["Value"][0] for it in await box.viewer.metadata(study)} == {"X1"}
        assert await box.viewer.instances(study) == as_sent(paths)
        cloud.start()
        await box.until_verified(4)
        # To Orthanc it is a study of its own, of the patient that was, under the same UID.
        assert len(cloud.request("GET", "/dicom-web/studies").json()) == 2

        async def heard():
            return await box.rows("SELECT fingerprint FROM studies") != fingerprint

        await box.until(heard, "a sweep meets both")
        await until_found(box, 1, PatientID="X1")

        edit(cloud, "X1", PatientID="SYN-000203", AccessionNumber="SYN00000203")
        await until_found(box, 1, PatientID="SYN-000203", AccessionNumber="SYN00000203")
        assert bare(await box.viewer.metadata(study))[:3] == before
        assert [it["version"] for it in await history(box, study)] == [1, 2]
        assert await box.rows("SELECT count(*) FROM overlays") == [(0,)]


async def test_a_study_that_only_the_archive_has_is_shown_as_it_says_now(cloud, open_box, tmp_path):
    paths = samples.write_series(tmp_path / "204", 2, rows=16, columns=16, seed=204)
    for path in paths:
        cloud.store(path.read_bytes())
    study = f"/studies/{samples.sample_uid(204, 'study')}"
    async with open_box(cloud, sync=SWEEPING) as box:
        await until_found(box, 1, PatientID="SYN-000204")
        assert {patient(it)[0] for it in await box.viewer.metadata(study)} == {"SYN-000204"}
        edit(cloud, "SYN-000204", PatientID="X2")
        await until_found(box, 1, PatientID="X2")
        # Its metadata was kept before; nobody asks for it again.
        assert {patient(it)[0] for it in await box.viewer.metadata(study)} == {"X2"}
        fetched = await box.viewer.instances(study)
        assert len(fetched) == 2


async def test_what_the_archive_changed_otherwise_is_taken_by_one_decision(cloud, open_box, send):
    async with open_box(cloud, sync=SWEEPING) as box:
        study, paths = await send(box, 206)
        await box.until_verified(3)
        corrected = {"PatientID": "X4", "PatientName": "Synthetic^Corrected"}
        edit(cloud, "SYN-000206", **corrected, PatientComments="no demographics")
        await until_found(box, 1, PatientID="X4")
        before = await box.viewer.metadata(study)
        # Whenever these are verified again, for whatever reason.
        await box.appliance.cache.database.write(
            lambda db: db.execute("UPDATE instances SET custody = 'ACKNOWLEDGED'")
        )
        box.appliance.changes.wake()

        async def in_conflict():
            return await box.custody() == {"CONFLICT": 3}

        await box.until(in_conflict, "the archive's own files are met")
        disputes = box.appliance.cache.disputes
        found = (await disputes.conflicts()).items
        assert [it.edited for it in found] == [["PatientName", "PatientID"]] * 3
        assert {it.patient_id for it in found} == {"X4"}
        assert await box.viewer.instances(study) == as_sent(paths)

        study_uid = study.rpartition("/")[2]
        assert (await disputes.keep_archive(Query(study_uid=study_uid))).done == 3
        box.appliance.changes.wake()
        await box.until_verified(3)
        assert await box.viewer.instances(study) != as_sent(paths)
        assert list(map(patient, await box.viewer.metadata(study))) == list(map(patient, before))
        assert (await box.summary()).quarantined == 3
