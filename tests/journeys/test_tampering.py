"""Somebody changes what lies on the disk of a box: nothing false is served, and Orthanc helps out.

What comes back is compared byte for byte with what was sent, however it was damaged.
"""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import httpx
import pytest

from edge.crypto.sealed import CHUNK, HEADER_LENGTH, TAG
from edge.crypto.twin import copies
from tests import samples
from tests.journeys.modality import dcmsend
from tests.journeys.viewer import as_sent

PAGE = 4096
COUNT = 12
STUDY = f"/studies/{samples.sample_uid(81, 'study')}"


@pytest.fixture
def sent(tmp_path):
    """Of two chunks each."""
    return samples.write_series(tmp_path / "ct", COUNT, rows=256, columns=200, seed=81)


async def objects(box) -> dict[str, Path]:
    """SOP Instance UIDs -> the sealed files."""
    rows = await box.rows("SELECT sop_uid, object FROM instances WHERE object IS NOT NULL")
    files = {path.name: path for path in box.appliance.cache.folder.glob("objects/??/*")}
    return {uid: files[name] for uid, name in rows}


def flip(path: Path, at: int) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)


def swap(one: Path, other: Path) -> None:
    aside = one.with_name("aside")
    one.rename(aside)
    other.rename(one)
    aside.rename(other)


def damage(files: list[Path]) -> None:
    """Each of them in another way."""
    for path, at in zip(files, (0, 9, HEADER_LENGTH - 1, HEADER_LENGTH, 1000, -1), strict=False):
        flip(path, at)
    flip(files[6], HEADER_LENGTH + CHUNK + TAG + 5)  # in the second chunk
    for path, length in zip(files[7:10], (0, HEADER_LENGTH + CHUNK + TAG, 1000), strict=True):
        path.write_bytes(path.read_bytes()[:length])
    swap(files[10], files[11])


async def served(box) -> dict:
    """The study, by the instance; an answer that was begun and can't be ended is torn off."""
    found = {}
    for one in await box.viewer.search(f"{STUDY}/instances"):
        series, sop = one["0020000E"]["Value"][0], one["00080018"]["Value"][0]
        path = f"{STUDY}/series/{series}/instances/{sop}"
        for _ in range(2):
            try:
                found |= await box.viewer.instances(path)
                break
            except (httpx.RemoteProtocolError, httpx.ReadError):
                continue
    return found


async def test_damaged_images_are_never_served_and_fetched_again_from_orthanc(
    cloud, open_box, sent, caplog
):
    async with open_box(cloud) as box:
        assert await dcmsend(box.dimse_port, *sent) == {"Success": COUNT}
        await box.until_verified(COUNT)
        before = await objects(box)
        await asyncio.to_thread(damage, list(before.values()))
        assert await served(box) == as_sent(sent)
        after = await objects(box)
        assert after.keys() == before.keys()
        assert not set(after.values()) & set(before.values()), "every one was sealed anew"
        assert caplog.text.count("is damaged") == COUNT
    async with open_box(cloud) as box:
        # Nothing of it is left but what is sound.
        assert set((await objects(box)).values()) == set(after.values())
        assert await served(box) == as_sent(sent)
        assert await box.custody() == {"VERIFIED": COUNT}


async def test_damage_that_the_start_finds_is_fetched_again_too(cloud, open_box, sent):
    async with open_box(cloud) as box:
        assert await dcmsend(box.dimse_port, *sent) == {"Success": COUNT}
        await box.until_verified(COUNT)
        folder, files = box.appliance.cache.folder, await objects(box)
    # The index is gone, and some objects say nothing of themselves that can be believed.
    await asyncio.to_thread(damage, list(files.values()))
    await asyncio.to_thread(flip, folder / "index.db", 3 * PAGE + 100)
    async with open_box(cloud, sync={"sweep_minutes": 0.01}) as box:

        async def known():
            return len(await box.viewer.search(f"{STUDY}/instances")) == COUNT

        await box.until(known, "the archive is looked through")
        assert await served(box) == as_sent(sent)


async def test_keys_that_were_damaged_or_exchanged_cost_no_image(cloud, open_box, sent, tmp_path):
    other = samples.write_series(tmp_path / "other", 2, rows=16, columns=16, seed=82)
    async with open_box(cloud) as box:
        assert await dcmsend(box.dimse_port, *sent, *other) == {"Success": COUNT + 2}
        await box.until_verified(COUNT + 2)
        folder = box.appliance.cache.folder
        ring = [path.read_bytes() for path in copies(folder / "keys.db")]
    for copy in copies(folder / "keys.db"):
        whole = copy.read_bytes()
        for at in (0, len(whole) // 2, len(whole) - 1):
            flip(copy, at)
            async with open_box(cloud) as box:
                assert await served(box) == as_sent(sent)
            copy.write_bytes(whole)
    # Both copies of a study's key: it is lost, and the archive has the study.
    for path, content in zip(copies(folder / "keys.db"), ring, strict=True):
        path.write_bytes(content)
        await asyncio.to_thread(flip, path, len(content) - 20)
    async with open_box(cloud) as box:
        assert await served(box) == as_sent(sent)
        away = f"/studies/{samples.sample_uid(82, 'study')}"
        assert await box.viewer.instances(away) == as_sent(other)
    shutil.rmtree(tmp_path / "other")
