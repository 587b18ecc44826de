"""Killed between every two steps of a deletion: it happened whole or not at all, and stays so."""

from __future__ import annotations

import asyncio
import itertools
import shutil

import httpx

from edge.app import Appliance
from edge.cache.admission import Source
from edge.cache.pictures import PictureCache
from edge.dicom.instance import Origin
from edge.index import lookup
from edge.opening import ring
from edge.pixels.presentation import Picture
from tests.crash.box import SAMPLES, contents, settings
from tests.crash.doomed import doomed
from tests.samples import chunks


async def take_in(folder) -> None:
    async with Appliance(settings(folder)) as box:
        for sample in SAMPLES:
            await box.admission.store_instance(chunks(sample.data), Source(Origin.DIMSE, "CT"))
        cache, uid = box.cache, SAMPLES[0].ref.sop_uid
        pictures = PictureCache(settings(folder).cache, folder, cache.keys, cache.algorithm)
        row = await lookup.find_one(cache.database, uid)
        picture = Picture("image/png", b"patient", 1, 1)
        pictures.keep(pictures.name(uid), row.key_id, picture, pictures.deletions)
        await pictures.flush()


def key_ids(folder) -> set[bytes]:
    """What is in the ring of a box that does not run."""
    with ring(settings(folder)) as keys:
        return keys.key_ids()


def delete(service, *, whole: bool = False) -> bool:
    """Delete one of the samples, or its study; whether that was answered with success."""
    ref = SAMPLES[0].ref
    path = f"studies/{ref.study_uid}"
    if not whole:
        path += f"/series/{ref.series_uid}/instances/{ref.sop_uid}"
    try:
        answer = httpx.delete(f"http://127.0.0.1:{service.http_port}/dicom-web/{path}")
    except httpx.TransportError:
        return False
    return answer.status_code == 204


async def test_killed_at_every_step_of_the_deletion_of_a_whole_study_its_key_goes_with_it(tmp_path):
    outcomes = set()
    await take_in(tmp_path / "before")
    for fatal in itertools.count(1):
        folder = tmp_path / str(fatal)
        shutil.copytree(tmp_path / "before", folder)
        with doomed(settings(folder), fatal) as service:
            answered = await asyncio.to_thread(delete, service, whole=True)
        if answered:  # not at the next start only
            assert await asyncio.to_thread(key_ids, folder) == set(), f"step {fatal}"
        async with Appliance(settings(folder)) as box:
            there = await lookup.find(box.cache.database, SAMPLES[0].ref.study_uid)
            kept = box.cache.keys.key_ids()
            assert kept == {row.key_id for row in there}, f"step {fatal}"
            if there:
                assert len(await contents(box)) == len(SAMPLES), f"step {fatal}"
        outcomes.add(len(there))
        if service.steps:
            assert answered
            break
    assert outcomes == {0, 2}
    assert "pwrite" in service.steps


async def test_killed_at_every_step_of_a_deletion(tmp_path):
    everything = {sample.ref.sop_uid: sample.data for sample in SAMPLES}
    rest = {uid: data for uid, data in everything.items() if uid != SAMPLES[0].ref.sop_uid}
    outcomes = set()
    await take_in(tmp_path / "before")
    for fatal in itertools.count(1):
        folder = tmp_path / str(fatal)
        shutil.copytree(tmp_path / "before", folder)
        with doomed(settings(folder), fatal) as service:
            answered = await asyncio.to_thread(delete, service)
        for _ in range(2):  # what one start finds, the next finds, too
            async with Appliance(settings(folder)) as box:
                there = await contents(box)
                rows = await box.cache.database.read(
                    "SELECT count(*) FROM changes WHERE action = 'DELETE'"
                )
            assert there == rest or (there == everything and not answered), f"step {fatal}"
            assert rows == [(len(everything) - len(there),)], f"step {fatal}"
            objects = [path for path in (folder / "objects").glob("??/*") if path.is_file()]
            assert len(objects) == len(there), f"step {fatal}"
            records = list((folder / "tombstones").glob("*"))
            assert len(records) == len(everything) - len(there), f"step {fatal}"
            pictures = list((folder / "rendered").glob("*"))
            assert not pictures or there == everything, f"step {fatal}"
        outcomes.add(len(there))
        if service.steps:  # it told them at its end: it was not killed
            assert answered
            break
    assert outcomes == {1, 2}
    assert {"open", "write", "fsync", "replace", "COMMIT", "unlink"} <= set(service.steps)
