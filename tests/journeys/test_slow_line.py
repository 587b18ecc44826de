"""A line that is slow, or may not be used at all hours: sync keeps to it, a viewer never waits."""

from __future__ import annotations

import asyncio
import time
from collections import Counter

import pytest

from edge import others
from edge.cache.admission import Source
from edge.dicom.instance import Origin
from tests import samples
from tests.fakes import namespace
from tests.fakes.archive import FakeArchive
from tests.fakes.namespace import Namespace
from tests.journeys.modality import dcmsend
from tests.journeys.test_read_through import open_study, put
from tests.journeys.viewer import as_sent


async def test_while_it_is_off_sync_waits_and_a_viewers_miss_is_fetched_and_kept(
    cloud, line, open_box, tmp_path
):
    theirs = put(cloud, seed=51)
    paths = samples.write_series(tmp_path / "study", 5, rows=32, columns=32, seed=52)
    off = {"calendar": ("off",), "max_upload_kbps": 1000, "monthly_budget_mb": 1}
    async with open_box(line, sync=off) as box:
        await box.until_online()
        assert await dcmsend(box.dimse_port, *paths) == {"Success": 5}
        await open_study(box.viewer, theirs)
        status = await box.appliance.status()
        assert status.sentence == ("1 study exists only here; the calendar lets nothing through.")

        async def kept() -> bool:
            return await box.custody() == {"EDGE_ONLY": 5, "VERIFIED": 4}

        await box.until(kept, "what the viewer fetched is kept")
        assert len(box.files()) == 9
    assert not line.uploads()

    # What viewers fetched counts, and the count outlives the restart.
    async with open_box(line) as box:
        await box.until_verified(9)
        status = await box.appliance.status()
        assert status.line.month_received_bytes > 4 * 2048
    assert line.uploads() == Counter(as_sent(paths).keys())


@pytest.mark.alone
async def test_a_study_goes_up_and_is_read_back_as_slowly_as_it_may(line, open_box, tmp_path):
    paths = samples.write_series(tmp_path / "study", 10, rows=128, columns=128, seed=53)
    size = sum(path.stat().st_size for path in paths)
    slow = {"max_upload_kbps": 2000, "max_download_kbps": 4000}
    async with open_box(line, sync=slow) as box:
        await box.until_online()
        begun = time.monotonic()
        assert await dcmsend(box.dimse_port, *paths) == {"Success": 10}
        await box.until_verified(10)
        took = time.monotonic() - begun
        assert took > 0.9 * (size / 250_000 + size / 500_000) - 0.4
    async with open_box(line, sync=slow) as box:
        told = (await box.appliance.status()).line
        assert 0.3 * 250_000 < told.upload_speed < 1.3 * 250_000
        assert (told.upload_kbps, told.download_kbps) == (2000, 4000)
        assert told.month_sent_bytes > size
        assert told.month_received_bytes > size


# The kernel's own slow line ----------------------------------------------------------------------

SPEED = 2_000_000 / 8
"""Bytes a second of the cable."""


@pytest.fixture
async def far_away():
    """An archive behind a cable of 2 Mbit/s, and the cable."""
    if why := await asyncio.to_thread(namespace.missing):
        pytest.skip(why)
    cable = Namespace()
    await asyncio.to_thread(cable.__enter__)
    try:
        archive = FakeArchive()
        await archive.start(await asyncio.to_thread(cable.listen))
        try:
            yield archive, cable
        finally:
            await archive.stop()
    finally:
        await asyncio.to_thread(cable.__exit__)


def slices(count, *, seed):
    """Of some 36 KB each."""
    return list(samples.ct_series(count, rows=128, columns=136, seed=seed))


async def take_in(box, parts):
    for part in parts:
        source = Source(Origin.DIMSE, "CT")
        await box.appliance.admission.store_instance(samples.chunks(part.data), source)


def has_all(archive, parts):
    there = {uid: one.part10 for uid, one in archive.instances.items()}
    return there == {part.ref.sop_uid: part.data for part in parts}


async def until_received(box, archive, count):
    async def received() -> bool:
        return len(archive.instances) >= count

    await box.until(received, f"the archive has {count} instances")


@pytest.mark.alone
async def test_over_a_cable_of_2_mbit_all_arrives_and_its_speed_is_measured(far_away, open_box):
    archive, _ = far_away
    parts = slices(28, seed=54)
    size = sum(len(part.data) for part in parts)
    archives = (others.Archive("cloud", archive.url),)
    async with open_box(archives) as box:
        await box.until_online()
        begun = time.monotonic()
        await take_in(box, parts)
        await until_received(box, archive, len(parts))
        took = time.monotonic() - begun
        await box.until_verified(len(parts))
    async with open_box(archives) as box:
        told = (await box.appliance.status()).line
        print(f"{size} bytes in {took:.1f} s; measured {told.upload_speed:.0f} bytes a second up,")
        print(f"{told.download_speed:.0f} down, of {SPEED:.0f}")
        assert took > 0.9 * size / SPEED
        assert 0.75 * SPEED < told.upload_speed < 1.1 * SPEED
        assert 0.75 * SPEED < told.download_speed < 1.1 * SPEED
    assert has_all(archive, parts)
    assert set(archive.received.values()) == {1}


@pytest.mark.alone  # the cable comes and goes, at which a browser breaks off what it loads
async def test_a_limit_of_the_calendar_below_the_cables_holds(far_away, open_box):
    archive, cable = far_away
    parts = slices(16, seed=55)
    size = sum(len(part.data) for part in parts)
    archives = (others.Archive("cloud", archive.url),)
    half = {"calendar": ("up 1000 kbps",)}
    async with open_box(archives, sync=half) as box:
        await box.until_online()
        before, begun = await asyncio.to_thread(cable.carried_up), time.monotonic()
        await take_in(box, parts)
        await until_received(box, archive, len(parts))
        took = time.monotonic() - begun
        carried = await asyncio.to_thread(cable.carried_up) - before
        print(f"{carried} bytes in {took:.1f} s: {carried / took:.0f} a second of {SPEED / 2:.0f}")
        assert carried > size
        # A second's worth may go at once, and heads of packets are not counted.
        assert carried / took < 1.3 * SPEED / 2
        await box.until_verified(len(parts))
    assert has_all(archive, parts)


@pytest.mark.alone  # the cable comes and goes, at which a browser breaks off what it loads
async def test_a_cable_that_is_pulled_in_the_middle_of_an_upload_loses_nothing(far_away, open_box):
    archive, cable = far_away
    parts = slices(30, seed=56)
    size = sum(len(part.data) for part in parts)
    archives = (others.Archive("cloud", archive.url),)
    async with open_box(archives, sync={"batch_bytes": 200_000}) as box:
        await box.until_online()
        before = await asyncio.to_thread(cable.carried_up)
        await take_in(box, parts)
        await until_received(box, archive, 6)
        await asyncio.to_thread(cable.pull)
        await asyncio.sleep(1.5)
        there = len(archive.instances)
        await asyncio.to_thread(cable.plug)
        await until_received(box, archive, there + 6)
        # And once more; this time the archive is started anew meanwhile, so all connections die.
        await asyncio.to_thread(cable.pull)
        port = archive.port
        await archive.stop()
        await asyncio.sleep(1.0)
        await archive.start(await asyncio.to_thread(cable.listen, port))
        await asyncio.to_thread(cable.plug)
        await until_received(box, archive, len(parts))
        carried = await asyncio.to_thread(cable.carried_up) - before
        print(f"{carried} bytes went up for {size}, 200000 at a time")
        # What was in flight: a batch, and the beginning of the next.
        assert carried < 1.1 * size + 2 * 200_000
        await box.until_verified(len(parts))
    assert has_all(archive, parts)
    assert not archive.repeated
