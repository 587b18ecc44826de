"""An archive that writes its files anew to correct a patient has what we have, and no conflict."""

from __future__ import annotations

import asyncio

import pytest

from edge import others
from edge.sync.corrections import CORRECTED
from tests import samples
from tests.journeys.modality import dcmsend
from tests.journeys.test_edits import edit, history, patient, until_found
from tests.journeys.viewer import Part10, as_sent

SLICES = 4
"""Of 128 KiB each."""


@pytest.fixture
def open_follower(open_box, cloud):
    """The box follows what Orthanc tells of its changes."""
    user, password = cloud.auth
    auth = others.Auth("basic", user=user, password=password)
    archive = others.Archive("cloud", cloud.dicomweb, "orthanc", auth=auth)

    def start(**sections):
        sync = {"feed_seconds": 0.2, "sweep_minutes": 60, "verify": "all"}
        return open_box((archive,), sync=sync, **sections)

    return start


@pytest.fixture
def send(tmp_path):
    async def call(box, seed):
        folder = tmp_path / str(seed)
        paths = samples.write_series(folder, SLICES, rows=256, columns=256, seed=seed)
        assert await dcmsend(box.dimse_port, *paths) == {"Success": SLICES}
        await box.until_verified(SLICES)
        await box.until(lambda: followed(box), "the feed is followed")
        return f"/studies/{samples.sample_uid(seed, 'study')}", paths

    return call


async def later(cloud, patient_id, **replaced):
    """Correct a patient, when the archive's clock is surely beyond what was seen last.

    It tells the time of changes without fractions, so what differs by less says nothing.
    """
    await asyncio.sleep(4.5)
    await asyncio.to_thread(edit, cloud, patient_id, **replaced)


async def followed(box):
    return await box.rows("SELECT 1 FROM cursors WHERE name LIKE 'feed:%'")


async def digests(box):
    return set(await box.rows("SELECT instance_id, archive, digest FROM corrected"))


async def until_corrected(box, before=frozenset(), count=SLICES):
    async def seen():
        return len(await digests(box) - before) == count

    await box.until(seen, "what the archive wrote anew is met")
    await box.until_verified(SLICES)


async def test_a_correction_is_no_conflict_and_what_comes_back_is_corrected(
    cloud, open_follower, send, caplog
):
    caplog.set_level("INFO")
    async with open_follower() as box:
        study, paths = await send(box, 301)
        await later(cloud, "SYN-000301", PatientID="X1", PatientName="Synthetic^Corrected")
        await until_corrected(box)
        assert set(await box.rows("SELECT reason FROM instances")) == {(CORRECTED,)}
        await until_found(box, 1, PatientID="X1", PatientName="Synthetic^Corrected")
        assert {patient(it)[0] for it in await box.viewer.metadata(study)} == {"X1"}
        assert await box.viewer.instances(study) == as_sent(paths)
        assert (await box.appliance.cache.disputes.conflicts()).total == 0

        # Corrected once more, and looked at for another reason.
        before = await digests(box)
        await later(cloud, "X1", PatientID="X2")
        await until_corrected(box, before)
        await until_found(box, 1, PatientID="X2")
        known = await digests(box)
        await box.appliance.cache.database.write(
            lambda db: db.execute("UPDATE instances SET custody = 'ACKNOWLEDGED'")
        )
        box.appliance.changes.wake()
        await box.until_verified(SLICES)
        assert await digests(box) == known
        assert len(await history(box, study)) == 2
    said = [it.getMessage() for it in caplog.records if it.name.startswith("edge")]
    assert "other bytes" not in str(said)
    assert "X1" not in str(said)
    assert "wrote instances anew" in str(said)

    async with open_follower(cache={"max_bytes": 300_000}) as box:

        async def evicted():
            return await box.rows("SELECT 1 FROM instances WHERE availability = 'NEARLINE'")

        await box.until(evicted, "what the archive has makes room")
        back = await box.viewer.instances(study)
        assert back.keys() == as_sent(paths).keys()
        assert back != as_sent(paths)
        assert await box.custody() == {"VERIFIED": SLICES}
        assert {patient(it)[0] for it in await box.viewer.metadata(study)} == {"X2"}
        assert (await box.summary()).quarantined == 0


async def test_a_correction_that_is_taken_back_leaves_what_came_in(cloud, open_follower, send):
    async with open_follower() as box:
        study, paths = await send(box, 302)
        [name] = {patient(it)[1] for it in await box.viewer.metadata(study)}
        await later(cloud, "SYN-000302", PatientID="X1", PatientName="Synthetic^Wrong")
        await until_corrected(box)
        await until_found(box, 1, PatientID="X1")
        await later(cloud, "X1", PatientID="SYN-000302", PatientName=name)
        await until_found(box, 1, PatientID="SYN-000302", PatientName=name)
        await box.until_verified(SLICES)
        assert await box.rows("SELECT count(*) FROM overlays") == [(0,)]
        assert await box.viewer.instances(study) == as_sent(paths)


async def test_another_pixel_beside_a_correction_is_a_conflict(cloud, open_follower, send):
    async with open_follower() as box:
        study, paths = await send(box, 303)
        await later(cloud, "SYN-000303", PatientID="X1")
        await until_corrected(box)
        chosen, *_ = cloud.request("GET", "/instances").json()
        theirs = cloud.request("GET", f"/instances/{chosen}/file").content
        changed = theirs[:-1] + bytes([theirs[-1] ^ 1])
        cloud.request("DELETE", f"/instances/{chosen}")
        cloud.store(changed)
        sop_uid = Part10.of(changed).sop_uid
        await box.appliance.cache.database.write(
            lambda db: db.execute("UPDATE instances SET custody = 'ACKNOWLEDGED'")
        )
        box.appliance.changes.wake()

        async def settled():
            return await box.custody() == {"VERIFIED": SLICES - 1, "CONFLICT": 1}

        await box.until(settled, "the pixel is met")
        assert await box.custody_of(sop_uid) == "CONFLICT"
        assert await box.viewer.instances(study) == as_sent(paths)
