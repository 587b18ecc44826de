"""Over a terrible line everything arrives, once, and little of the line is wasted."""

from __future__ import annotations

import asyncio
import random
import shutil
import socket
import ssl
import subprocess
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trustme

from tests import samples
from tests.fakes.line import Fault, TerribleLine
from tests.journeys.box import Box
from tests.journeys.modality import dcmsend

SEED = 20240229
INSTANCES, STUDIES, CUTS = 1000, 20, 100
RATE = 1_150_000.0
"""Bytes a second each way: as much again goes down, for every instance is read back."""
QUICK = {"retry_min_seconds": 0.01, "retry_max_seconds": 0.02}
"""A day of a bad line in a minute: pauses are as much shorter."""


@asynccontextmanager
async def laid(cloud) -> AsyncIterator[TerribleLine]:
    async with TerribleLine(cloud.http_port, auth=cloud.auth) as line:
        yield line


def write_small(folder: Path, count: int, studies: int, *, seed: int) -> list[Path]:
    """Instances of 20 to 60 KB, in studies of one series each."""
    chance = random.Random(seed)
    paths = []
    for study in range(studies):
        side = 0
        for number in range(count // studies):
            side = chance.randint(98, 171)
            (part,) = samples.ct_series(
                1, rows=side, columns=side, seed=seed + study, series=1 + number
            )
            path = folder / f"{study:03}-{number:04}.dcm"
            paths.append(path)
            path.write_bytes(part.data)
    return paths


def created(cloud) -> Counter[str]:
    """How often Orthanc's own feed of changes shows an instance as new, by its own name."""
    found: Counter[str] = Counter()
    since, done = 0, False
    while not done:
        page = cloud.request("GET", f"/changes?since={since}&limit=1000").json()
        found.update(one["ID"] for one in page["Changes"] if one["ChangeType"] == "NewInstance")
        since, done = page["Last"], page["Done"]
    return found


async def arrived(cloud, paths: list[Path]) -> None:
    """All there exactly once: Orthanc's own REST says so, and its feed."""
    sops = await asyncio.to_thread(cloud.sop_uids)
    sent = sorted(sop_of(path) for path in paths)
    assert sops == sent
    changes = await asyncio.to_thread(created, cloud)
    assert len(changes) == len(paths)
    assert set(changes.values()) == {1}


def sop_of(path: Path) -> str:
    import pydicom

    return str(pydicom.dcmread(path, specific_tags=["SOPInstanceUID"]).SOPInstanceUID)


async def all_sent(box: Box, count: int) -> None:
    async def sent() -> bool:
        custody = await box.custody()
        return custody["ACKNOWLEDGED"] + custody["VERIFIED"] == count

    await box.until(sent, "all is sent", seconds=200)


async def test_a_hundred_cuts_waste_little_and_lose_nothing(cloud, open_box, tmp_path):
    paths = await asyncio.to_thread(write_small, tmp_path, INSTANCES, STUDIES, seed=SEED)
    sizes = sum(path.stat().st_size for path in paths)
    async with laid(cloud) as line, open_box(line, sync=QUICK) as box:
        await line.suffer(Fault.REFUSE)
        assert await dcmsend(box.dimse_port, *paths) == {"Success": INSTANCES}
        line.limit(RATE)
        line.up.carried = line.down.carried = 0
        before = line.seconds_up
        await line.heal()
        began = time.monotonic()
        async with asyncio.TaskGroup() as group:
            cutting = group.create_task(line.cut_at_random(SEED, CUTS, every=0.7, down_for=0.1))
            await all_sent(box, INSTANCES)
            up_seconds, carried = line.seconds_up - before, line.up.carried
            sent_after, cuts = time.monotonic() - began, line.cuts
            await box.until_verified(INSTANCES, seconds=200)
            took = time.monotonic() - began
            await cutting
    # What one good request over everything would carry: parts, their framing, one set of headers.
    needed = sizes + INSTANCES * 100 + 1000
    wasted = (carried - needed) / carried
    filled = carried / (RATE * up_seconds)
    print(
        f"seed {SEED}: sent within {sent_after:.0f} s and {cuts} cuts, verified after {took:.0f} s"
        f" and {line.cuts} cuts; {carried / 1e6:.2f} MB up for {needed / 1e6:.2f} MB needed:"
        f" {wasted:.1%} wasted; the line was up for {up_seconds:.1f} s and {filled:.1%} filled"
    )
    await arrived(cloud, paths)
    assert line.cuts == CUTS
    assert wasted < 0.05
    assert filled > 0.9
