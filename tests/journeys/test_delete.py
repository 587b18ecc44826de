"""A study is deleted: here, and if so wished in the cloud; and stays so until a device sends it."""

from __future__ import annotations

import dataclasses

import pytest

from edge.access.roles import Role
from tests import samples
from tests.journeys import box as boxes
from tests.journeys.modality import dcmsend

COUNT = 5


def settings(folder, cloud):
    usual = boxes.settings(folder, cloud, sync={"sweep_minutes": 0.01})
    [archive] = usual.cloud.archive
    archive = dataclasses.replace(archive, kind="orthanc")
    return dataclasses.replace(usual, cloud=dataclasses.replace(usual.cloud, archive=(archive,)))


@pytest.fixture
def study(tmp_path):
    return samples.write_series(tmp_path / "study", COUNT, seed=77, rows=32, columns=32)


async def delete(box, path, **parameters):
    async with await box.client(Role.ADMIN) as keeper:
        return (await keeper.http.delete(path, params=parameters)).status_code


async def found(box):
    return [one["0020000D"]["Value"][0] for one in await box.viewer.search("/studies")]


async def test_what_is_deleted_stays_so_until_a_device_sends_it_again(cloud, tmp_path, study):
    async with boxes.running(settings(tmp_path / "box", cloud)) as box:
        await dcmsend(box.dimse_port, *study)
        await box.until_verified(COUNT)
        [uid] = await found(box)
        assert await delete(box, f"/studies/{uid}") == 204
        assert await box.is_empty()
        assert (await box.viewer.http.get(f"/studies/{uid}/metadata")).status_code == 410

        async def swept() -> bool:
            """The sweep saw the study in the cloud, where it still is."""
            rows = await box.rows("SELECT count(*) FROM tombstones WHERE fingerprint <> ''")
            return rows == [(COUNT,)]

        await box.until(swept, "a sweep after the deletion")
        assert await box.is_empty()
        assert len(cloud.sop_uids()) == COUNT
        await dcmsend(box.dimse_port, *study)
        await box.until_verified(COUNT)
        assert await found(box) == [uid]


async def test_what_is_deleted_with_that_wish_goes_in_the_cloud_too(cloud, tmp_path, study):
    async with boxes.running(settings(tmp_path / "box", cloud)) as box:
        await dcmsend(box.dimse_port, *study)
        await box.until_verified(COUNT)
        [uid] = await found(box)
        cloud.stop()
        await box.until_offline()
        assert await delete(box, f"/studies/{uid}", archive="true") == 204
        assert await box.is_empty()
    cloud.start()
    # A restart forgets no wish.
    async with boxes.running(settings(tmp_path / "box", cloud)) as box:

        async def told() -> bool:
            return (await box.summary()).withdrawals == 0

        await box.until(told, "the cloud is told")
        assert cloud.sop_uids() == []
        assert await box.is_empty()


async def test_what_exists_only_here_is_deleted_only_if_that_is_said(cloud, tmp_path, study):
    async with boxes.running(settings(tmp_path / "box", cloud)) as box:
        cloud.stop()
        await dcmsend(box.dimse_port, *study)
        [uid] = await found(box)
        assert await delete(box, f"/studies/{uid}") == 409
        assert await found(box) == [uid]
        assert await delete(box, f"/studies/{uid}", **{"only-copy": "true"}) == 204
        assert await box.is_empty()
