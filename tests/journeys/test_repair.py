"""What an archive refuses or has otherwise is listed, decided with one command, and put right."""

from __future__ import annotations

import asyncio
import io
import json
import time
from types import SimpleNamespace

import numpy as np
import pydicom
import pytest

from edge.access.roles import Role
from edge.cache.disputes import Query
from edge.cloud.orthanc import OrthancArchive
from tests import samples
from tests.fakes.archive import FakeArchive, Refusal
from tests.journeys.modality import dcmsend
from tests.journeys.service import Installation
from tests.journeys.test_conflict import with_other_pixels, write
from tests.journeys.viewer import Part10, Viewer, as_sent

EXPLICIT, RLE = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.5"
REFUSED_SYNTAX = Refusal(0x0122, "not in this transfer syntax")
NO_PATIENT = Refusal(0xA900, "no Patient ID")


@pytest.fixture
async def strict():
    """An archive with rules, as the box is configured for it."""
    async with FakeArchive() as archive:
        yield archive


def only(*syntaxes):
    def rule(dataset):
        return None if dataset.file_meta.TransferSyntaxUID in syntaxes else REFUSED_SYNTAX

    return rule


def wants_patient_id(dataset):
    return None if dataset.get("PatientID") else NO_PATIENT


def way_to(archive):
    return SimpleNamespace(auth=("edge", "a password of the tests"), dicomweb=archive.url)


def api(box, name):
    return f"http://127.0.0.1:{box.appliance.http_port}/api/v1/sync/{name}"


async def until_custody(box, **custodies):
    async def settled():
        return await box.custody() == custodies

    await box.until(settled, f"custody {custodies}")


def without_patient_id(paths):
    for path in paths:
        dataset = pydicom.dcmread(path)
        dataset.PatientID = ""
        dataset.save_as(path)
    return paths


async def test_what_is_refused_for_its_transfer_syntax_is_sent_as_a_copy(
    strict, open_box, tmp_path, caplog
):
    paths = samples.write_series(tmp_path / "ct", 3, rows=32, columns=32, seed=601)
    study = samples.sample_uid(601, "study")
    strict.rule = only(RLE)
    async with open_box(way_to(strict)) as box:
        assert await dcmsend(box.dimse_port, *paths) == {"Success": 3}
        await until_custody(box, REFUSED=3)
        disputes = box.appliance.cache.disputes
        listed = await disputes.dead_letters()
        assert listed.total == 3
        assert "not in this transfer syntax" in listed.items[0].reason
        assert listed.items[0].tries == 1
        outcome = await disputes.transcode(Query(study_uid=study), "rle")
        assert (outcome.done, outcome.refused) == (3, [])
        box.appliance.changes.wake()
        await until_custody(box, VERIFIED=3)

        # The archive has the same pixels, in the transfer syntax that its file meta names.
        for path in paths:
            ours = pydicom.dcmread(path)
            held = strict.instances[ours.SOPInstanceUID]
            theirs = pydicom.dcmread(io.BytesIO(held.part10))
            assert theirs.file_meta.TransferSyntaxUID == RLE
            assert np.array_equal(ours.pixel_array, theirs.pixel_array)
            assert theirs.PatientID == ours.PatientID
        # What is here keeps its bytes, and is never evicted: they are nowhere else.
        assert await box.viewer.instances(f"/studies/{study}") == as_sent(paths)
        assert (await box.summary()).remedied == 3
        assert (await disputes.dead_letters()).total == 0
    async with open_box(way_to(strict), cache={"max_bytes": 10}) as box:
        await asyncio.sleep(2.5)
        assert (await box.summary()).instances_online == 3
        assert await box.custody() == {"VERIFIED": 3}
        assert str(pydicom.dcmread(paths[0]).PatientName) not in caplog.text
        keeper = await box.client(Role.ADMIN)
        async with keeper:
            answer = await keeper.http.delete(f"/studies/{study}")
        assert answer.status_code == 409, "its bytes are nowhere else"


async def test_a_missing_attribute_is_supplied_in_the_copy_alone(strict, open_box, tmp_path):
    paths = without_patient_id(
        samples.write_series(tmp_path / "ct", 2, rows=32, columns=32, seed=602)
    )
    study = samples.sample_uid(602, "study")
    strict.rule = wants_patient_id
    async with open_box(way_to(strict)) as box:
        assert await dcmsend(box.dimse_port, *paths) == {"Success": 2}
        await until_custody(box, REFUSED=2)
        disputes = box.appliance.cache.disputes
        outcome = await disputes.supply(Query(study_uid=study), "PatientID=SAMPLE-4711")
        assert outcome.done == 2
        box.appliance.changes.wake()
        await until_custody(box, VERIFIED=2)
        for path in paths:
            ours = pydicom.dcmread(path)
            theirs = pydicom.dcmread(io.BytesIO(strict.instances[ours.SOPInstanceUID].part10))
            assert theirs.PatientID == "SAMPLE-4711"
            assert theirs.file_meta.TransferSyntaxUID == ours.file_meta.TransferSyntaxUID
            assert np.array_equal(ours.pixel_array, theirs.pixel_array)
        assert await box.viewer.instances(f"/studies/{study}") == as_sent(paths)


async def test_who_gives_up_is_believed_until_that_is_taken_back(strict, open_box, tmp_path):
    paths = samples.write_series(tmp_path / "ct", 1, rows=32, columns=32, seed=603)
    sop_uid = Part10.at(paths[0]).sop_uid
    strict.rule = only(RLE)
    async with open_box(way_to(strict)) as box:
        assert await dcmsend(box.dimse_port, *paths) == {"Success": 1}
        await until_custody(box, REFUSED=1)
        async with await box.client(Role.TECHNOLOGIST) as technologist:
            answer = await technologist.http.post(
                api(box, "dead-letters"),
                json={"decision": "give-up", "sop_uids": [sop_uid], "reason": "a phantom"},
            )
        assert answer.json() == {"done": 1, "unchanged": 0, "refused": []}
        status = await box.appliance.status()
        assert status.sentence == "1 study exists only here."
        assert (status.summary.given_up, status.summary.custody) == (1, {"REFUSED": 1})

        strict.rule = only(EXPLICIT)
        async with await box.client(Role.PHYSICIAN) as physician:
            answer = await physician.http.post(
                api(box, "dead-letters"),
                json={"decision": "retry", "sop_uids": [sop_uid]},
            )
        assert answer.json()["done"] == 1
        await until_custody(box, VERIFIED=1)


async def eventually(seconds, condition):
    deadline = time.monotonic() + seconds
    while not await condition():
        assert time.monotonic() < deadline, "it did not come to pass"
        await asyncio.sleep(0.05)


def listed_are(installation, count):
    async def condition():
        ran = await installation.run("sync", "list", "--json")
        assert ran.status == 0, ran.err
        return json.loads(ran.out)["dead_letters"]["total"] == count

    return condition


async def test_the_command_decides_while_the_service_runs(strict, tmp_path):
    installation = Installation(tmp_path)
    installation.cloud = way_to(strict)
    installation.configure()
    strict.rule = only(RLE)
    paths = samples.write_series(tmp_path / "ct", 2, rows=32, columns=32, seed=604)
    try:
        await installation.start()
        assert await dcmsend(installation.dimse_port, *paths) == {"Success": 2}

        await eventually(60, listed_are(installation, 2))
        plain = await installation.run("sync", "list")
        assert "not in this transfer syntax" in plain.out
        assert "choices   retry, transcode, supply, give-up" in plain.out

        vague = await installation.run("sync", "retry")
        assert (vague.status, vague.out) == (2, "")
        wrong = await installation.run("sync", "transcode", "--all", "--transfer-syntax", "jpeg")
        assert wrong.status == 1
        assert "name one of explicit, implicit" in wrong.err
        unknown = await installation.run("sync", "retry", "1.2.3")
        assert unknown.status == 1
        assert "1.2.3: it is not here" in unknown.err

        async def arrived():
            return len(strict.instances) == 2

        done = await installation.run("sync", "transcode", "--all", "--transfer-syntax", "rle")
        assert done.status == 0, done.err
        assert "edge: transcode: 2 images" in done.err
        await eventually(10, arrived)
        again = await installation.run("sync", "transcode", "--all", "--transfer-syntax", "rle")
        assert again.status == 0
        assert "transcode: none of these waits for it" in again.err
        assert (await installation.stop()).status == 0
    finally:
        installation.kill()


async def test_the_command_exchanges_and_throws_away_while_the_service_runs(tmp_path):
    installation = Installation(tmp_path)
    first, second = write(tmp_path, 605)
    study = f"/studies/{samples.sample_uid(605, 'study')}"
    try:
        await installation.start()
        for path in (first, second):
            assert await dcmsend(installation.dimse_port, path) == {"Success": 1}
        made = await installation.run("token", "create", "--role", "viewer")
        base = f"http://127.0.0.1:{installation.http_port}/dicom-web"
        bearer = {"Authorization": f"Bearer {made.out.strip()}"}
        async with Viewer(base, headers=bearer) as viewer:
            assert await viewer.instances(study) == as_sent([first])
            listed = await installation.run("sync", "list")
            assert "in quarantine here" in listed.out
            assert "choices   keep-kept, keep-other" in listed.out
            swapped = await installation.run("sync", "keep-other", "--all")
            assert swapped.status == 0, swapped.err
            assert await viewer.instances(study) == as_sent([second])
            unsaid = await installation.run("sync", "keep-kept", "--all")
            assert unsaid.status == 1
            assert "say --yes" in unsaid.err
            said = await installation.run("sync", "keep-kept", "--all", "--yes")
            assert said.status == 0, said.err
            assert await viewer.instances(study) == as_sent([second])
        state = json.loads((await installation.run("status", "--json")).out)
        assert state["quarantined"] == 0
        assert len(list((installation.data / "objects").glob("*/*"))) == 1
        assert (await installation.stop()).status == 0
    finally:
        installation.kill()


# Conflicts with the archive, which is a real Orthanc ---------------------------------------------


async def in_conflict(cloud, box, tmp_path, seed):
    """Ours and theirs, under one UID; the box has found it out."""
    ours, theirs = write(tmp_path, seed)
    await box.until_online()
    cloud.store(theirs.read_bytes())
    assert await dcmsend(box.dimse_port, ours) == {"Success": 1}
    await until_custody(box, CONFLICT=1)
    [conflict] = (await box.appliance.cache.disputes.conflicts()).items
    assert (conflict.kind, conflict.decision) == ("archive", "")
    assert conflict.kept.digest != conflict.other.digest != ""
    assert conflict.other.transfer_syntax == EXPLICIT
    assert conflict.other.size > 2048
    return ours, theirs, Query((conflict.sop_uid,))


async def test_the_archives_bytes_are_taken_and_ours_kept_aside(cloud, line, open_box, tmp_path):
    async with open_box(line) as box:
        ours, theirs, query = await in_conflict(cloud, box, tmp_path, 611)
        disputes = box.appliance.cache.disputes
        assert (await disputes.keep_both(query)).done == 1
        assert (await disputes.keep_archive(query)).done == 1
        box.appliance.changes.wake()
        await until_custody(box, VERIFIED=1)
        study = f"/studies/{samples.sample_uid(611, 'study')}"
        [shown] = (await box.viewer.instances(study)).values()
        [sent] = as_sent([theirs]).values()
        assert shown.dataset == sent.dataset
        [aside] = (await disputes.conflicts()).items
        assert (aside.kind, aside.other.peer) == ("quarantine", "MODALITY")
        assert len(box.files()) == 2

        # And back: nothing was lost. The archive has other bytes then, which is found out again.
        assert (await disputes.keep_other(query)).done == 1
        box.appliance.changes.wake()
        await until_custody(box, CONFLICT=1)
        assert await box.viewer.instances(study) == as_sent([ours])
    # Files are marked as the rows say, also for a rebuild.
    async with open_box(line) as box:
        assert await box.custody() == {"CONFLICT": 1}
        assert (await box.summary()).quarantined == 1


async def test_ours_are_thrown_away_by_who_may_delete_and_that_is_the_end_of_it(
    cloud, line, open_box, tmp_path
):
    async with open_box(line) as box:
        _, theirs, _ = await in_conflict(cloud, box, tmp_path, 615)
        wish = {"decision": "keep-archive", "all": True, "confirmed": True}
        for role, status in ((Role.TECHNOLOGIST, 403), (Role.ADMIN, 200)):
            async with await box.client(role) as one:
                api = str(one.http.base_url).replace("/dicom-web", "/api/v1")
                answer = await one.http.post(f"{api}sync/conflicts", json=wish)
                assert answer.status_code == status
        await until_custody(box, VERIFIED=1)
        study = f"/studies/{samples.sample_uid(615, 'study')}"
        [shown] = (await box.viewer.instances(study)).values()
        [sent] = as_sent([theirs]).values()
        assert shown.dataset == sent.dataset
        assert (await box.appliance.cache.disputes.conflicts()).total == 0

        async def gone():
            return len(box.files()) == 1

        await box.until(gone, "the other one is deleted")
        assert (await box.appliance.status()).sentence == "Everything is safe in the cloud."


async def test_an_archive_that_deletes_gets_ours(cloud, line, open_box, tmp_path, monkeypatch):
    def as_orthanc(settings, way):
        return OrthancArchive(settings, way=way)

    monkeypatch.setattr("edge.cloud.shut.archive_of", as_orthanc)
    async with open_box(cloud) as box:
        ours, _, query = await in_conflict(cloud, box, tmp_path, 612)
        disputes = box.appliance.cache.disputes
        assert (await disputes.keep_ours(query)).done == 1
        box.appliance.changes.wake()
        await until_custody(box, VERIFIED=1)
        [name] = cloud.request("GET", "/instances").json()
        held = cloud.request("GET", f"/instances/{name}/file").content
        assert pydicom.dcmread(io.BytesIO(held)).PixelData == pydicom.dcmread(ours).PixelData
        # Theirs lies here until somebody throws it away.
        assert (await box.summary()).quarantined == 1
        assert len(box.files()) == 2
        refused = await ask(box, Role.PHYSICIAN, query, decision="keep-kept", confirmed=True)
        assert refused.status_code == 403
        unconfirmed = await ask(box, Role.ADMIN, query, decision="keep-kept")
        assert unconfirmed.status_code == 409
        thrown = await ask(box, Role.ADMIN, query, decision="keep-kept", confirmed=True)
        assert thrown.json() == {"done": 1, "unchanged": 0, "refused": []}
        again = await ask(box, Role.ADMIN, query, decision="keep-kept", confirmed=True)
        assert again.json() == {"done": 0, "unchanged": 1, "refused": []}
        assert len(box.files()) == 1
        assert not (await box.summary()).quarantined


async def test_an_archive_that_deletes_nothing_keeps_its_bytes(cloud, line, open_box, tmp_path):
    async with open_box(line) as box:
        ours, theirs, query = await in_conflict(cloud, box, tmp_path, 613)
        disputes = box.appliance.cache.disputes
        assert (await disputes.keep_ours(query)).done == 1
        box.appliance.changes.wake()

        async def ended():
            found = (await disputes.conflicts()).items
            return any("does not delete" in one.note for one in found)

        await box.until(ended, "why it could not be done is told")
        assert await box.custody() == {"CONFLICT": 1}
        [name] = cloud.request("GET", "/instances").json()
        held = cloud.request("GET", f"/instances/{name}/file").content
        assert pydicom.dcmread(io.BytesIO(held)).PixelData == pydicom.dcmread(theirs).PixelData
        study = f"/studies/{samples.sample_uid(613, 'study')}"
        assert await box.viewer.instances(study) == as_sent([ours])


async def test_what_changed_in_the_archive_since_the_decision_is_not_taken(
    cloud, line, open_box, tmp_path
):
    async with open_box(line) as box:
        _, theirs, query = await in_conflict(cloud, box, tmp_path, 614)
        line.cut()
        await box.appliance.cache.disputes.keep_archive(query)
        [name] = cloud.request("GET", "/instances").json()
        cloud.request("DELETE", f"/instances/{name}")
        cloud.store(with_other_pixels(theirs.read_bytes()))
        line.restore()
        box.appliance.changes.wake()

        async def ended():
            found = (await box.appliance.cache.disputes.conflicts()).items
            return any("other bytes now" in one.note for one in found)

        await box.until(ended, "the change is noticed")
        assert await box.custody() == {"CONFLICT": 1}


async def ask(box, role, query, **decision):
    async with await box.client(role) as client:
        return await client.http.post(
            api(box, "conflicts"), json={"sop_uids": list(query.sop_uids), **decision}
        )
