"""Many sites: boxes on one archive see each other's studies; a box is the archive of others."""

from __future__ import annotations

import asyncio

import pytest

from edge import others
from edge.access.roles import Role
from tests import samples
from tests.journeys.modality import dcmsend
from tests.journeys.viewer import as_sent
from tests.ports import free_port

SLICES = 3
OFTEN = {"sweep_minutes": 0.01}
AVAILABILITY = "00080056"


def write_study(folder, *, seed):
    """A study: its UID, its files, and what they are."""
    paths = samples.write_series(folder / str(seed), SLICES, rows=32, columns=32, seed=seed)
    return samples.sample_uid(seed, "study"), paths, as_sent(paths)


async def send(box, paths):
    assert await dcmsend(box.dimse_port, *paths) == {"Success": len(paths)}


async def until_nearline(box, uid):
    """It is found, with all of its instances, and none of them is here."""

    async def found():
        rows = await box.viewer.search("/studies", StudyInstanceUID=uid)
        return [row["00201208"]["Value"][0] for row in rows] == [SLICES]

    await box.until(found, "the sweep finds the study")
    [row] = await box.viewer.search("/studies", StudyInstanceUID=uid)
    assert row[AVAILABILITY]["Value"] == ["NEARLINE"]


async def until_custody(box, uid, custody):
    async def all_have_it():
        rows = await box.rows(
            "SELECT DISTINCT i.custody FROM instances i JOIN studies s ON s.id = i.study_id"
            " WHERE s.study_uid = ?",
            uid,
        )
        return rows == [(custody,)]

    await box.until(all_have_it, f"all of it is {custody}")


def orthanc(cloud):
    user, password = cloud.auth
    auth = others.Auth("basic", user=user, password=password)
    return (others.Archive("cloud", cloud.dicomweb, "orthanc", auth=auth),)


async def test_two_boxes_on_one_archive_see_and_open_each_others_studies(cloud, open_box, tmp_path):
    archives = orthanc(cloud)
    first, first_paths, first_sent = write_study(tmp_path, seed=701)
    second, second_paths, second_sent = write_study(tmp_path, seed=702)
    async with (
        open_box(archives, folder="a", sync=OFTEN) as a,
        open_box(archives, folder="b", sync=OFTEN) as b,
    ):
        await asyncio.gather(send(a, first_paths), send(b, second_paths))
        for box, uid, sent in ((b, first, first_sent), (a, second, second_sent)):
            await until_nearline(box, uid)
            assert await box.viewer.instances(f"/studies/{uid}") == sent
        for box in (a, b):
            await box.until_verified(2 * SLICES)
    assert cloud.sop_uids() == sorted(first_sent | second_sent)


async def test_what_one_box_has_the_archive_delete_no_box_brings_back(cloud, open_box, tmp_path):
    archives = orthanc(cloud)
    opened, paths, sent = write_study(tmp_path, seed=703)
    unopened, more_paths, more_sent = write_study(tmp_path, seed=704)
    kept, others_paths, others_sent = write_study(tmp_path, seed=705)
    async with (
        open_box(archives, folder="a", sync=OFTEN) as a,
        open_box(archives, folder="b", sync=OFTEN) as b,
    ):
        await send(a, [*paths, *more_paths, *others_paths])
        await a.until_verified(3 * SLICES)
        for uid in (opened, unopened):
            await until_nearline(b, uid)
        assert await b.viewer.instances(f"/studies/{opened}") == sent

        async with await a.client(Role.ADMIN) as admin:
            for uid in (opened, unopened):
                url = f"http://127.0.0.1:{a.appliance.http_port}/dicom-web/studies/{uid}"
                answer = await admin.http.delete(url, params={"archive": "true"})
                assert answer.status_code < 300, answer.text

        async def gone():
            return await asyncio.to_thread(cloud.sop_uids) == sorted(others_sent)

        await a.until(gone, "the archive has deleted it")
        # Sweeps go on, and a new study shows that they do.
        new, new_paths, new_sent = write_study(tmp_path, seed=706)
        await send(b, new_paths)
        await until_nearline(a, new)
        for uid in (opened, unopened):
            assert not await a.viewer.search("/studies", StudyInstanceUID=uid)
        assert await a.viewer.instances(f"/studies/{kept}") == others_sent
        assert await asyncio.to_thread(cloud.sop_uids) == sorted(others_sent | new_sent)
        assert more_sent.keys().isdisjoint(others_sent | new_sent)


# Hub and spoke -----------------------------------------------------------------------------------


@pytest.fixture
def open_hub(cloud, open_box):
    """Starts the hub, whose archive is Orthanc; again and again, on one port."""
    port = free_port()

    def start():
        http = {"listen": f"127.0.0.1:{port}"}
        return open_box(orthanc(cloud), folder="hub", sync=OFTEN, http=http)

    return start


async def archive_at(hub, role=Role.SERVICE):
    auth = others.Auth("bearer", token=await hub.token(role))
    url = f"http://127.0.0.1:{hub.appliance.http_port}/dicom-web"
    return (others.Archive("hub", url, auth=auth),)


async def test_what_a_spoke_takes_in_is_verified_at_both_levels_and_seen_at_another_spoke(
    cloud, open_box, open_hub, tmp_path
):
    uid, paths, sent = write_study(tmp_path, seed=711)
    async with (
        open_hub() as hub,
        open_box(await archive_at(hub), folder="one", sync=OFTEN) as one,
        open_box(await archive_at(hub), folder="two", sync=OFTEN) as two,
    ):
        await send(one, paths)
        for box in (one, hub):
            await until_custody(box, uid, "VERIFIED")
        assert await asyncio.to_thread(cloud.sop_uids) == sorted(sent)
        await until_nearline(two, uid)
        assert await two.viewer.instances(f"/studies/{uid}") == sent


async def test_a_spoke_opens_what_only_the_archive_behind_the_hub_has(
    cloud, open_box, open_hub, tmp_path
):
    uid, paths, sent = write_study(tmp_path, seed=712)
    for path in paths:
        await asyncio.to_thread(cloud.store, path.read_bytes())
    async with (
        open_hub() as hub,
        open_box(await archive_at(hub), folder="one", sync=OFTEN) as one,
    ):
        await until_nearline(one, uid)
        assert await one.viewer.instances(f"/studies/{uid}") == sent
        for box in (one, hub):
            await until_custody(box, uid, "VERIFIED")


async def test_while_the_hub_is_down_a_spoke_goes_on_and_then_all_arrives_once(
    cloud, open_box, open_hub, tmp_path
):
    before, before_paths, before_sent = write_study(tmp_path, seed=713)
    uid, paths, sent = write_study(tmp_path, seed=714)
    async with open_hub() as hub:
        archives = await archive_at(hub)
    async with open_box(archives, folder="one", sync=OFTEN) as one:
        async with open_hub() as hub:
            await send(one, before_paths)
            await until_custody(one, before, "VERIFIED")
            await until_custody(hub, before, "VERIFIED")
        await one.until_offline()
        await send(one, paths)
        assert await one.viewer.instances(f"/studies/{uid}") == sent
        status = await one.appliance.status()
        assert status.sentence == "1 study exists only here; the line is down, intake goes on."

        async with open_hub() as hub:
            await until_custody(one, uid, "VERIFIED")
            await until_custody(hub, uid, "VERIFIED")
            assert await hub.viewer.instances(f"/studies/{before}") == before_sent
    assert cloud.sop_uids() == sorted(before_sent | sent)


async def test_the_archive_may_be_down_behind_a_hub_that_is_up(cloud, open_box, open_hub, tmp_path):
    uid, paths, sent = write_study(tmp_path, seed=715)
    async with (
        open_hub() as hub,
        open_box(await archive_at(hub), folder="one", sync=OFTEN) as one,
    ):
        await cloud.stopped()
        await send(one, paths)
        await until_custody(one, uid, "VERIFIED")
        assert set(await hub.custody()) <= {"EDGE_ONLY", "SENT"}
        await cloud.started()
        await until_custody(hub, uid, "VERIFIED")
    assert cloud.sop_uids() == sorted(sent)


async def test_a_spoke_needs_a_token_that_may_store_and_can_delete_nothing_at_the_hub(
    open_box, open_hub, tmp_path
):
    uid, paths, sent = write_study(tmp_path, seed=716)
    async with open_hub() as hub:
        async with open_box(await archive_at(hub, Role.VIEWER), folder="one") as one:
            await send(one, paths)

            async def told():
                (state,) = (await one.appliance.cache.status()).archives
                return "403" in state.reason

            await one.until(told, "it is said that a right is missing")
            assert (await hub.summary()).instances == 0

        async with open_box(await archive_at(hub), folder="one") as one:
            await until_custody(one, uid, "VERIFIED")
            async with await one.client(Role.ADMIN) as admin:
                url = f"http://127.0.0.1:{one.appliance.http_port}/dicom-web/studies/{uid}"
                answer = await admin.http.delete(url, params={"archive": "true"})
                assert answer.status_code < 300, answer.text

            async def refused():
                return (await one.summary()).withdrawals_refused == SLICES

            await one.until(refused, "the hub deletes nothing for a spoke")
            assert await hub.viewer.instances(f"/studies/{uid}") == sent
