"""Killed between every two steps of putting into the trash, of taking back, and of emptying it."""

from __future__ import annotations

import asyncio
import itertools
import shutil
import time

import httpx
import pytest

from edge.app import Appliance
from edge.cache.admission import Source
from edge.cache.trash import Query
from edge.dicom.instance import Origin
from edge.index import lookup
from tests.crash.box import SAMPLES, contents, settings
from tests.crash.doomed import doomed
from tests.samples import chunks

FIRST = SAMPLES[0].ref


async def take_in(folder, *, trashed: bool) -> None:
    """Two verified images, the first one in the trash if that is wanted."""
    async with Appliance(settings(folder)) as box:
        for sample in SAMPLES:
            source = Source(Origin.CLOUD, "cloud", vouches=True)
            await box.admission.store_instance(chunks(sample.data), source)
        if trashed:
            await box.cache.trash.put([FIRST], archive="cloud", reason="gone")


def decide(service, decision: str) -> bool:
    """Decide about what is in the trash; whether that was answered with success."""
    wish = {"decision": decision, "all": True, "confirmed": True}
    try:
        answer = httpx.post(
            f"http://127.0.0.1:{service.http_port}/api/v1/trash", json=wish, timeout=60
        )
    except httpx.TransportError:
        return False
    return answer.status_code == 200


async def state(box) -> str:
    """What became of the first image; the second one is as it was in any case."""
    there = await contents(box)
    assert there[SAMPLES[1].ref.sop_uid] == SAMPLES[1].data
    row = await lookup.find_one(box.cache.database, FIRST.sop_uid)
    if row is None:
        return "erased"
    if row.withheld:
        assert row.custody == "VERIFIED"
        assert (await box.cache.trash.contents(Query())).total == 1
        return "hidden"
    assert there[FIRST.sop_uid] == SAMPLES[0].data
    return "shown"


async def settled(box) -> str:
    """The same, once what a person wanted erased is."""
    deadline = time.monotonic() + 20
    with box.changes.subscribe() as woken:
        while await box.cache.database.read("SELECT 1 FROM trash WHERE since = 0"):
            assert time.monotonic() < deadline
            await woken.wait(0.05)
    return await state(box)


def files(folder, name) -> list[str]:
    return [path.name for path in (folder / name).rglob("*") if path.is_file()]


@pytest.mark.parametrize(("decision", "wanted"), [("restore", "shown"), ("empty", "erased")])
async def test_killed_at_every_step_of_a_decision(tmp_path, decision, wanted):
    outcomes = set()
    await take_in(tmp_path / "before", trashed=True)
    for fatal in itertools.count(1):
        folder = tmp_path / str(fatal)
        shutil.copytree(tmp_path / "before", folder)
        with doomed(settings(folder), fatal) as service:
            answered = await asyncio.to_thread(decide, service, decision)
            if answered and decision == "empty":
                await asyncio.sleep(0.5)  # the part erases after the answer
        for _ in range(2):  # what one start finds, the next finds, too
            async with Appliance(settings(folder)) as box:
                found = await settled(box)
                await box.cache.trash.tidy()
            assert found == wanted or (found == "hidden" and not answered), f"step {fatal}"
            assert len(files(folder, "objects")) == 2 - (found == "erased"), f"step {fatal}"
            assert len(files(folder, "trash")) == (found == "hidden"), f"step {fatal}"
            assert files(folder, "tombstones") == [], f"step {fatal}"
        outcomes.add(found)
        if service.steps:  # it told them at its end: it was not killed
            break
    assert outcomes == {"hidden", wanted}
    assert {"COMMIT", "unlink"} <= set(service.steps)


async def test_killed_at_every_step_of_putting(tmp_path):
    outcomes = set()
    await take_in(tmp_path / "before", trashed=False)
    for fatal in itertools.count(1):
        folder = tmp_path / str(fatal)
        shutil.copytree(tmp_path / "before", folder)
        with doomed(settings(folder), fatal) as service:
            done = await asyncio.to_thread(service.trash, FIRST)
        for lost in (False, True):
            if lost:  # the index, too
                for path in folder.glob("index.db*"):
                    path.unlink()
            async with Appliance(settings(folder)) as box:
                rows = await lookup.find_one(box.cache.database, FIRST.sop_uid)
                found = "hidden" if rows.withheld else "shown"
                assert len(files(folder, "trash")) == (found == "hidden"), f"step {fatal}"
            if not lost:
                first = found
            assert found == first, f"step {fatal}"
            assert found == "hidden" or not done, f"step {fatal}"
            assert len(files(folder, "objects")) == 2, f"step {fatal}"
        outcomes.add(found)
        if service.steps:  # it told them at its end: it was not killed
            break
    assert outcomes == {"hidden", "shown"}
    assert {"open", "write", "fsync", "replace", "COMMIT"} <= set(service.steps)
