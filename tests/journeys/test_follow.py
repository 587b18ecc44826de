"""What others do in the archive shows up here within seconds, where its kind has a feed."""

from __future__ import annotations

import asyncio
import dataclasses
import io
import time

import pydicom
import pytest

from edge import others
from edge.cloud.archive import Outgoing
from edge.cloud.orthanc import archive_of
from tests import samples
from tests.fakes.edge import EdgeServer
from tests.fakes.orthanc import Orthanc
from tests.journeys.modality import dcmsend
from tests.journeys.viewer import Part10

pytestmark = pytest.mark.alone

SECONDS = 15.0
"""By far less than the pause between two sweeps, which is an hour."""


@dataclasses.dataclass
class Other:
    """An archive, and somebody else who works in it."""

    server: EdgeServer | Orthanc
    settings: others.Archive

    async def store(self, *parts):
        if isinstance(self.server, Orthanc):
            for part in parts:
                await asyncio.to_thread(self.server.store, part.data)
            return
        async with archive_of(self.settings) as archive:
            await archive.store_instances(
                [
                    Outgoing(part.ref, len(part.data), lambda part=part: samples.chunks(part.data))
                    for part in parts
                ]
            )

    async def replace(self, part):
        """Have other bytes under a UID that is there."""
        if isinstance(self.server, EdgeServer):
            admin = others.Auth("bearer", token=self.server.admin_token)
            async with archive_of(dataclasses.replace(self.settings, auth=admin)) as archive:
                await archive.delete_instance(part.ref)
        await self.store(part)


@pytest.fixture(params=["edge", "orthanc"])
async def other(request, tmp_path):
    if request.param == "edge":
        edge = EdgeServer(tmp_path / "archive")
        await edge.start()
        auth = others.Auth("bearer", token=edge.token)
        yield Other(edge, others.Archive("cloud", edge.dicomweb, "edge", auth=auth))
        await edge.stop()
    else:
        request.getfixturevalue("cloud")  # skips where there is none
        server = await Orthanc(tmp_path / "archive", {"OverwriteInstances": True}).started()
        user, password = server.auth
        auth = others.Auth("basic", user=user, password=password)
        yield Other(server, others.Archive("cloud", server.dicomweb, "orthanc", auth=auth))
        await server.stopped()


@pytest.fixture
def open_follower(open_box, other):
    return lambda: open_box(
        (other.settings,), sync={"feed_seconds": 0.2, "sweep_minutes": 60, "verify": "all"}
    )


def study(seed, count=3):
    return list(samples.ct_series(count, rows=64, columns=64, seed=seed))


def changed(part):
    """The same UIDs, another comment."""
    dataset = pydicom.dcmread(io.BytesIO(part.data))
    dataset.ImageComments = "corrected"
    written = io.BytesIO()
    dataset.save_as(written, enforce_file_format=True)
    return dataclasses.replace(part, data=written.getvalue())


async def until_followed(box, kind):
    async def followed():
        return await box.rows("SELECT 1 FROM cursors WHERE name = ?", f"feed:{kind}:cloud")

    await box.until(followed, "the feed is followed")


async def until_known(box, parts):
    uids = {part.ref.sop_uid for part in parts}

    async def known():
        rows = await box.rows("SELECT sop_uid FROM instances")
        return uids <= {row[0] for row in rows}

    await box.until(known, "what another stored is known", seconds=SECONDS)


async def test_a_study_that_another_stores_can_be_opened_within_seconds(open_follower, other):
    earlier, later = study(61), study(62)
    await other.store(*earlier)
    async with open_follower() as box:
        await until_known(box, earlier)
        await until_followed(box, other.settings.kind)
        begun = time.monotonic()
        await other.store(*later)
        await until_known(box, later)
        assert time.monotonic() - begun < SECONDS
        where = await box.rows("SELECT DISTINCT availability, custody FROM instances")
        assert where == [("NEARLINE", "ACKNOWLEDGED")]
        await as_seen(box, later)


async def as_seen(box, parts):
    """They are opened, and are what was stored."""
    got = await box.viewer.instances(f"/studies/{parts[0].ref.study_uid}")
    assert got == {part.ref.sop_uid: Part10.of(part.data) for part in parts}


async def test_an_instance_that_is_added_to_a_study_is_met_alone(open_follower, other):
    *first, last = study(63, 4)
    await other.store(*first)
    async with open_follower() as box:
        await until_known(box, first)
        await until_followed(box, other.settings.kind)
        await other.store(last)
        await until_known(box, [last])
        assert (await box.summary()).studies == 1


async def test_what_came_while_the_box_was_off_is_met_after_its_start(open_follower, other):
    async with open_follower() as box:
        await until_followed(box, other.settings.kind)
    missed = study(64)
    await other.store(*missed)
    async with open_follower() as box:
        await until_known(box, missed)


async def test_own_uploads_are_passed_over(open_follower, other, tmp_path):
    paths = samples.write_series(tmp_path / "own", 5, rows=64, columns=64, seed=65)
    async with open_follower() as box:
        await until_followed(box, other.settings.kind)
        await dcmsend(box.dimse_port, *paths)
        await box.until_verified(5)
        mine = await box.rows("SELECT custody, availability FROM instances")
        strange = study(66)
        await other.store(*strange)
        await until_known(box, strange)  # So the feed was read past our own.
        after = await box.rows(
            "SELECT custody, availability FROM instances WHERE origin <> 'CLOUD'"
        )
        assert after == mine == [("VERIFIED", "ONLINE")] * 5
        looked_into = await box.rows("SELECT fingerprint FROM studies WHERE online_count > 0")
        assert looked_into == [("",)]  # Nobody listed it.


async def test_metadata_of_what_was_replaced_there_is_that_of_today(open_follower, other):
    parts = study(67, 2)
    await other.store(*parts)
    uid = parts[0].ref.sop_uid
    async with open_follower() as box:
        await until_known(box, parts)
        await until_followed(box, other.settings.kind)
        assert (await comments(box, parts))[uid] == "synthetic"
        await asyncio.sleep(5)  # Orthanc's times are whole seconds.
        await other.replace(changed(parts[0]))

        async def renewed():
            # Between the deletion and what comes in its place there may be none.
            return (await comments(box, parts)).get(uid) == "corrected"

        await box.until(renewed, "the metadata are those of today", seconds=SECONDS)


async def comments(box, parts):
    found = await box.viewer.metadata(f"/studies/{parts[0].ref.study_uid}")
    return {one["00080018"]["Value"][0]: one["00204000"]["Value"][0] for one in found}


async def test_what_was_verified_and_is_replaced_there_becomes_a_conflict(
    open_follower, other, tmp_path
):
    parts = study(68, 2)
    paths = []
    for number, part in enumerate(parts):
        path = tmp_path / f"{number}.dcm"
        path.write_bytes(part.data)
        paths.append(path)
    async with open_follower() as box:
        await until_followed(box, other.settings.kind)
        await dcmsend(box.dimse_port, *paths)
        await box.until_verified(2)
        await asyncio.sleep(5)  # Orthanc's times are whole seconds.
        await other.replace(changed(parts[0]))

        async def conflict():
            return await box.custody_of(parts[0].ref.sop_uid) == "CONFLICT"

        await box.until(conflict, "the replaced instance is a conflict", seconds=SECONDS)
        assert await box.custody_of(parts[1].ref.sop_uid) == "VERIFIED"


async def test_an_archive_without_the_feed_of_its_kind_is_swept(open_box, other):
    settings = dataclasses.replace(other.settings, kind="azure")  # Nothing is below DICOMweb.
    parts = study(69)
    await other.store(*parts)
    async with open_box((settings,), sync={"feed_seconds": 0.2, "sweep_minutes": 0.01}) as box:
        await until_known(box, parts)
        later = study(70)
        await other.store(*later)
        await until_known(box, later)
        assert all(one.online for one in (await box.appliance.cache.status()).archives)
