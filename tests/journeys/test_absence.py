"""An Orthanc has something no more: deleted there, lost, or everything at once."""

from __future__ import annotations

import pytest

from edge.access.roles import Role
from tests import samples
from tests.journeys.modality import dcmsend
from tests.journeys.viewer import as_sent

COUNT = 3
SWEEPS = {"sweep_minutes": 0.01}


@pytest.fixture
def studies(tmp_path):
    """Study Instance UID -> files, of five studies."""
    return {
        samples.sample_uid(seed, "study"): samples.write_series(
            tmp_path / str(seed), COUNT, rows=32, columns=32, seed=seed
        )
        for seed in range(81, 86)
    }


async def bring(box, studies):
    for number, paths in enumerate(studies.values(), 1):
        assert await dcmsend(box.dimse_port, *paths) == {"Success": COUNT}
        await box.until_verified(number * COUNT)


async def until_swept(box, times):
    """Wait for so many sweeps more, whose absences were examined."""
    ((before,),) = await box.rows("SELECT coalesce(max(number), 1) FROM sweeps")

    async def swept() -> bool:
        rows = await box.rows("SELECT examined FROM sweeps")
        return bool(rows) and rows[0][0] >= before + times

    await box.until(swept, "sweeps")


async def found(box):
    return {one["0020000D"]["Value"][0] for one in await box.viewer.search("/studies")}


async def instances_of(box, uid):
    return await box.rows(
        "SELECT custody, availability, withheld FROM instances WHERE study_id ="
        " (SELECT id FROM studies WHERE study_uid = ?)",
        uid,
    )


def orthanc_id(cloud, level, uid):
    wanted = {"Level": level, "Query": {f"{level}InstanceUID": uid}}
    if level == "Instance":
        wanted["Query"] = {"SOPInstanceUID": uid}
    [found] = cloud.request("POST", "/tools/find", json=wanted).json()
    return found


async def test_what_was_deleted_in_the_cloud_is_in_the_trash_and_can_be_restored(
    cloud, open_box, studies
):
    async with open_box(cloud, sync=SWEEPS) as box:
        await bring(box, studies)
        await until_swept(box, 1)
        uid, paths = next(iter(studies.items()))
        cloud.request("DELETE", f"/studies/{orthanc_id(cloud, 'Study', uid)}")

        async def trashed() -> bool:
            return await instances_of(box, uid) == [("VERIFIED", "ONLINE", "TRASH")] * COUNT

        await box.until(trashed, "the deleted study in the trash")
        assert await found(box) == studies.keys() - {uid}
        assert len(cloud.sop_uids()) == 4 * COUNT
        sops = [
            row[0] for row in await box.rows("SELECT sop_uid FROM instances WHERE withheld<>''")
        ]
        assert await box.appliance.cache.trash.take_back(sops) == COUNT
        await box.until_verified(5 * COUNT)
        assert await box.viewer.instances(f"/studies/{uid}") == as_sent(paths)
        assert len(cloud.sop_uids()) == 5 * COUNT
        await until_swept(box, 3)
        assert await found(box) == studies.keys()


async def test_an_instance_that_the_cloud_lost_is_given_to_it_again(cloud, open_box, studies):
    async with open_box(cloud, sync=SWEEPS) as box:
        await bring(box, studies)
        await until_swept(box, 1)
        lost = cloud.sop_uids()[0]
        cloud.request("DELETE", f"/instances/{orthanc_id(cloud, 'Instance', lost)}")

        async def again() -> bool:
            return lost in cloud.sop_uids()

        await box.until(again, "the cloud has again what it lost")
        await box.until_verified(5 * COUNT)
        status = await box.appliance.status()
        assert status.archives[0].lost == 1
        assert status.summary.trashed == 0


async def test_a_review_notices_what_was_lost_without_any_sweep(cloud, open_box, studies):
    async with open_box(cloud, sync={"reverify_days": 1e-5}) as box:
        await bring(box, studies)
        lost = cloud.sop_uids()[0]
        cloud.request("DELETE", f"/instances/{orthanc_id(cloud, 'Instance', lost)}")

        async def again() -> bool:
            return lost in cloud.sop_uids()

        await box.until(again, "the cloud has again what it lost")
        await box.until_verified(5 * COUNT)


async def test_a_cloud_with_an_empty_database_changes_nothing_until_a_person_decides(
    cloud, open_box, studies
):
    async with open_box(cloud, sync=SWEEPS) as box:
        await bring(box, studies)
        await until_swept(box, 1)
        await cloud.stopped()
        await box.until_offline()
        await cloud.started()
        cloud.request(
            "POST",
            "/tools/bulk-delete",
            json={"Resources": cloud.request("GET", "/patients").json()},
        )

        async def held() -> bool:
            return (await box.summary()).absent == 5

        await box.until(held, "the absences are left to a person")
        await until_swept(box, 2)
        assert await found(box) == studies.keys()
        assert await box.custody() == {"VERIFIED": 5 * COUNT}
        said = (await box.appliance.status()).sentence
        assert "The archive has 5 studies less than before" in said
        assert said.endswith("5 studies may exist only here.")

        async with await box.client(Role.TECHNOLOGIST) as one:
            api = str(one.http.base_url).replace("/dicom-web", "/api/v1")
            listed = (await one.http.get(f"{api}sync/absent")).json()
            assert {each["study_uid"] for each in listed["items"]} == studies.keys()
            wish = {"decision": "accept-deletions", "all": True}
            assert (await one.http.post(f"{api}sync/absent", json=wish)).status_code == 403
            wish = {"decision": "send-again"}
            assert (await one.http.post(f"{api}sync/absent", json=wish)).status_code == 409
            answer = await one.http.post(f"{api}sync/absent", json=wish | {"all": True})
            assert answer.json() == {"done": 5}

        async def there() -> bool:
            return len(cloud.sop_uids()) == 5 * COUNT

        await box.until(there, "the cloud has everything again")
        await box.until_verified(5 * COUNT)
        assert (await box.summary()).absent == 0
