"""Folders go once their files were taken, and no others."""

import asyncio
import os
import shutil
import time

import pytest

from edge.dropfolder.folders import Folders
from edge.dropfolder.tree import REJECTED, DropTree
from tests import samples

CT = samples.packaged_file("CT_small.dcm")
MR = samples.packaged_file("MR_small.dcm")


@pytest.fixture
def tree(drop):
    return DropTree(drop)


def test_neither_the_root_nor_rejected_nor_a_full_folder_goes(drop, tree):
    folders = Folders(tree, idle_seconds=60, clock=lambda: time.time() + 3000)
    for name in ("a", "b/c", "rejected/d"):
        (drop / name).mkdir(parents=True)
        folders.note_taken((*name.split("/"), "file"))
    (drop / "b" / "other").write_bytes(b"x")
    folders.note_taken(("file",))
    folders.tidy(tree.scan())
    assert sorted(path.name for path in drop.iterdir()) == ["b", "rejected"]
    assert [path.name for path in (drop / "b").iterdir()] == ["other"]
    assert (drop / "rejected" / "d").exists()


def test_a_folder_that_was_emptied_a_moment_ago_stays(drop, tree):
    (drop / "a").mkdir()
    folders = Folders(tree, idle_seconds=60)
    folders.note_taken(("a", "file"))
    folders.tidy(tree.scan())
    assert (drop / "a").exists()


async def test_folders_go_once_their_files_were_taken(drop, admission, running, until):
    (drop / "study" / "series" / "1").mkdir(parents=True)
    (drop / "study" / "series" / "2").mkdir()
    shutil.copy(CT, drop / "study" / "series" / "1" / "a")
    shutil.copy(MR, drop / "study" / "series" / "2" / "b")
    (drop / "other").mkdir()
    (drop / "other" / "note.txt").write_bytes(b"text")
    async with running(patience_seconds=0.5):
        await until(lambda: not (drop / "study").exists() and not (drop / "other").exists())
    assert drop.exists()
    assert (drop / REJECTED / "other" / "note.txt").exists()


async def test_a_folder_that_still_has_something_in_it_stays(drop, admission, running, until):
    for name in ("a", "b"):
        (drop / "study" / name).mkdir(parents=True)
        shutil.copy(CT, drop / "study" / name / "ct")
    (drop / "study" / "b" / "waits").write_bytes(b"bad, and patience is not at its end")
    async with running(patience_seconds=2.5):
        await until(lambda: not (drop / "study" / "a" / "ct").exists())
        await asyncio.sleep(0.5)
        assert (drop / "study" / "b" / "waits").exists()
        assert (drop / "study" / "a").exists()  # emptied a moment ago
        await until(lambda: not (drop / "study").exists())
    assert (drop / REJECTED / "study" / "b" / "waits").exists()


async def test_a_folder_that_was_made_in_advance_stays_a_target(
    drop, admission, running, until, files
):
    (drop / "CT 1").mkdir()
    async with running():
        await asyncio.sleep(0.5)
        shutil.copy(CT, drop / "CT 1" / "a")
        await until(lambda: not files(drop))
        await asyncio.sleep(0.5)
    assert (drop / "CT 1").exists()


async def test_an_empty_folder_goes_after_an_hour_unless_it_may_be_a_target(drop, running, until):
    (drop / "CT 1" / "study" / "series").mkdir(parents=True)
    long_ago = time.time() - 3700
    os.utime(drop / "CT 1" / "study" / "series", (long_ago, long_ago))
    async with running():
        await until(lambda: not (drop / "CT 1" / "study" / "series").exists())
        await asyncio.sleep(0.3)
        assert (drop / "CT 1" / "study").exists()
        os.utime(drop / "CT 1" / "study", (long_ago, long_ago))
        os.utime(drop / "CT 1", (long_ago, long_ago))
        await until(lambda: not (drop / "CT 1" / "study").exists())
        await asyncio.sleep(0.3)
    assert (drop / "CT 1").exists()
