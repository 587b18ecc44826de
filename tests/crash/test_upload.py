"""Killed between every two steps of an upload: the archive gets every instance, once."""

from __future__ import annotations

import asyncio
import itertools
import shutil

from edge.app import Appliance
from edge.cache.admission import Source
from edge.dicom.instance import Origin
from tests.crash.box import SAMPLES, everything_is_safe, settings
from tests.crash.doomed import doomed
from tests.fakes.archive import FakeArchive
from tests.samples import chunks


async def take_in(folder) -> None:
    """Have the samples on a box that knows of no archive."""
    async with Appliance(settings(folder)) as box:
        for sample in SAMPLES:
            await box.admission.store_instance(chunks(sample.data), Source(Origin.DIMSE, "CT"))


async def killed_or_done(service, archive) -> bool:
    """Wait for the end of the process, or of its work; whether it lives."""
    async with asyncio.timeout(30):
        while await asyncio.to_thread(lambda: service.alive):
            read_back = sum(
                path.endswith(tuple(archive.instances)) for _, path, _ in archive.requests
            )
            if len(archive.instances) == read_back == len(SAMPLES):
                return True
    return False


async def test_killed_at_every_step_of_an_upload(tmp_path):
    expected = {sample.ref.sop_uid: sample.data for sample in SAMPLES}
    await take_in(tmp_path / "before")
    for fatal in itertools.count(1):
        folder = tmp_path / str(fatal)
        shutil.copytree(tmp_path / "before", folder)
        async with FakeArchive() as archive:
            with doomed(settings(folder, archive=archive), fatal) as service:
                clean = await killed_or_done(service, archive)
            async with Appliance(settings(folder, archive=archive)) as box:
                await everything_is_safe(box)
            there = {uid: held.part10 for uid, held in archive.instances.items()}
            assert there == expected, f"step {fatal}"
            assert archive.received == dict.fromkeys(expected, 1), f"step {fatal}"
        if clean and service.steps:  # else it was killed after all, when it wrote that down
            break
    assert fatal > 5
    assert {"write", "COMMIT"} <= set(service.steps), service.steps
