"""Killed between every two steps of keeping the index of before, and of taking it back."""

from __future__ import annotations

import itertools
import shutil

import pytest

from edge.app import Appliance
from edge.cache.admission import Source
from edge.dicom.instance import Origin
from edge.index.connection import SCHEMA_VERSION, connect
from edge.index.former import find_former
from edge.opening import ring
from tests.crash.box import SAMPLES, contents, settings
from tests.crash.doomed_index import NEWER, doomed_index, keep, take_back
from tests.samples import chunks

pytestmark = pytest.mark.blocks  # the tests look into the files themselves

FIRST = SAMPLES[0]


async def take_in(folder, sample) -> None:
    async with Appliance(settings(folder)) as box:
        await box.admission.store_instance(chunks(sample.data), Source(Origin.DIMSE, "CT"))


def version_of(path, key) -> int:
    db = connect(path, key, cache_kib=1024)
    try:
        return int(db.execute("PRAGMA user_version").fetchone()[0])
    finally:
        db.close()


async def test_killed_at_every_step_the_index_is_of_one_version_and_nothing_is_lost(tmp_path):
    before = tmp_path / "before"
    await take_in(before, FIRST)
    with ring(settings(before)) as keys:
        key = keys.derive("index")
    kept = set()
    for fatal in itertools.count(1):
        folder = tmp_path / f"keep-{fatal}"
        shutil.copytree(before, folder)
        steps = doomed_index(keep, folder / "index.db", key, fatal)
        version = version_of(folder / "index.db", key)
        kept.add(version)
        # What was migrated can be gone back from.
        if version == NEWER:
            assert find_former(folder / "index.db", SCHEMA_VERSION), f"step {fatal}"
        async with Appliance(settings(folder)) as box:
            assert await contents(box) == {FIRST.ref.sop_uid: FIRST.data}, f"step {fatal}"
            assert box.cache.database.taken_back_from == (NEWER if version == NEWER else 0)
        left = {path.name for path in folder.glob("index.db*")} - {"index.db"}
        assert left <= {"index.db-wal", "index.db-shm", f"index.db.newer-{NEWER}"} | (
            {f"index.db.v{SCHEMA_VERSION}"} if version == SCHEMA_VERSION else set()
        ), f"step {fatal}: {left}"
        if steps:
            break
    assert kept == {SCHEMA_VERSION, NEWER}
    assert {"open", "fsync", "replace", "COMMIT"} <= set(steps)


async def test_killed_at_every_step_of_taking_it_back_nothing_is_lost(tmp_path):
    before = tmp_path / "before"
    await take_in(before, FIRST)
    with ring(settings(before)) as keys:
        key = keys.derive("index")
    keep(before / "index.db", key)
    outcomes = set()
    for fatal in itertools.count(1):
        folder = tmp_path / f"back-{fatal}"
        shutil.copytree(before, folder)
        steps = doomed_index(take_back, folder / "index.db", key, fatal)
        version = version_of(folder / "index.db", key)
        outcomes.add(version)
        for _ in range(2):  # what one start finds, the next finds, too
            async with Appliance(settings(folder)) as box:
                assert await contents(box) == {FIRST.ref.sop_uid: FIRST.data}, f"step {fatal}"
            assert version_of(folder / "index.db", key) == SCHEMA_VERSION, f"step {fatal}"
            left = {path.name for path in folder.glob("index.db.*")}
            assert not [name for name in left if "back" in name], f"step {fatal}"
            assert f"index.db.newer-{NEWER}" in left, f"step {fatal}"
        if steps:
            break
    assert outcomes == {SCHEMA_VERSION, NEWER}
    assert {"link", "replace", "fsync", "COMMIT", "unlink"} <= set(steps)
