"""A folder of worklist files, as whoever keeps it fills, changes and empties it."""

import asyncio
import fcntl
import os
import shutil
from contextlib import asynccontextmanager

import pytest

from edge import config
from edge.cache.worklist import Worklist
from edge.dropfolder import worklist as door
from edge.dropfolder.worklist import WorklistFolder
from edge.index.database import Database
from tests.worklists import item, save


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "wl"
    folder.mkdir()
    return folder


@pytest.fixture
def source(folder):
    return config.WorklistSource("folder", "folder", path=folder, interval_seconds=60.0)


@pytest.fixture
async def worklist(tmp_path, source):
    async with Database(tmp_path / "index.db", bytes(32)) as database:
        worklist = Worklist(database, config.Worklist((source,)))
        await worklist.begin()
        yield worklist


async def ids(worklist):
    return {one.step_id for one in (await worklist.page(limit=1000, offset=0)).items}


async def state(worklist):
    return (await worklist.sources())[0]


@asynccontextmanager
async def watching(source, worklist):
    async with asyncio.TaskGroup() as group:
        task = group.create_task(WorklistFolder(source, worklist).run())
        yield
        task.cancel()


async def until(worklist, wanted):
    async with asyncio.timeout(20):
        while await ids(worklist) != wanted:  # noqa: ASYNC110 - there is no event to wait for
            await asyncio.sleep(0.05)


async def test_files_that_come_change_and_go_are_items_that_do_the_same(source, worklist, folder):
    save(item(1), folder / "one.wl")
    async with watching(source, worklist):
        await until(worklist, {"SPS1"})
        # The interval is a minute: only events can tell so soon.
        save(item(2), folder / "two.WL", implicit=True)
        await until(worklist, {"SPS1", "SPS2"})
        save(item(3), folder / "one.wl")
        await until(worklist, {"SPS2", "SPS3"})
        (folder / "one.wl").unlink()
        await until(worklist, {"SPS2"})
        (folder / "two.WL").unlink()
        await until(worklist, set())
    assert (await state(worklist)).error == ""


async def test_without_events_it_is_looked_at_now_and_then(worklist, folder, monkeypatch):
    @asynccontextmanager
    async def none(*_args, **_kwargs):
        yield

    monkeypatch.setattr(door, "events", none)
    quick = config.WorklistSource("folder", "folder", path=folder, interval_seconds=0.2)
    async with watching(quick, worklist):
        save(item(1), folder / "1.wl")
        await until(worklist, {"SPS1"})


async def test_broken_files_are_named_and_stop_no_other(source, worklist, folder, caplog):
    save(item(1), folder / "1.wl")
    (folder / "doe.wl").write_bytes(b"no DICOM")
    (folder / "long.wl").write_bytes(bytes(300 * 1024))
    (folder / "new\nline.wl").write_bytes(b"")
    unscheduled = item(2)
    del unscheduled.ScheduledProcedureStepSequence
    save(unscheduled, folder / "unscheduled.wl")
    for path in folder.iterdir():
        os.utime(path, (1e9, 1e9))
    (folder / "readme.txt").write_text("not looked at")
    (folder / "folder.wl").mkdir()
    (folder / "link.wl").symlink_to("/etc/passwd")
    await WorklistFolder(source, worklist).look()
    assert await ids(worklist) == {"SPS1"}
    names = [problem.partition(":")[0] for problem in (await state(worklist)).problems]
    assert names == ["doe.wl", "long.wl", "new\\nline.wl", "unscheduled.wl"]
    assert "longer than 256 KiB" in (await state(worklist)).problems[1]
    assert "4 of what worklist source folder has is not right" in caplog.text
    assert "doe" not in caplog.text
    save(item(3), folder / "doe.wl")
    for name in ("long.wl", "new\nline.wl", "unscheduled.wl"):
        (folder / name).unlink()
    await WorklistFolder(source, worklist).look()
    assert await ids(worklist) == {"SPS1", "SPS3"}
    assert (await state(worklist)).problems == ()


async def test_a_file_that_is_being_written_is_what_it_was_before(source, worklist, folder):
    whole = save(item(2), folder / "1.tmp2").read_bytes()
    save(item(1), folder / "1.wl")
    watcher = WorklistFolder(source, worklist)
    await watcher.look()
    (folder / "1.wl").write_bytes(whole[:-20])
    assert await watcher.look() < 5
    assert await ids(worklist) == {"SPS1"}
    assert (await state(worklist)).problems == ()
    (folder / "1.wl").write_bytes(whole)
    assert await watcher.look() == 60
    assert await ids(worklist) == {"SPS2"}
    (folder / "1.wl").write_bytes(whole[:-20])
    os.utime(folder / "1.wl", (1e9, 1e9))
    await watcher.look()
    assert await ids(worklist) == set()
    assert len((await state(worklist)).problems) == 1


async def test_a_folder_that_is_gone_empties_nothing_and_is_taken_up_again(
    source, worklist, folder, tmp_path
):
    save(item(1), folder / "1.wl")
    async with watching(source, worklist):
        await until(worklist, {"SPS1"})
    folder.rename(tmp_path / "aside")
    watcher = WorklistFolder(source, worklist)
    assert await watcher.look() == 60
    assert await ids(worklist) == {"SPS1"}
    assert "can't be read: No such file" in (await state(worklist)).error
    async with watching(
        config.WorklistSource("folder", "folder", path=folder, interval_seconds=0.2), worklist
    ):
        (tmp_path / "aside").rename(folder)
        save(item(2), folder / "2.wl")
        await until(worklist, {"SPS1", "SPS2"})
    assert (await state(worklist)).error == ""
    shutil.rmtree(folder)
    folder.mkdir()
    await watcher.look()
    assert await ids(worklist) == set()


async def test_whoever_rewrites_the_folder_under_its_lock_is_waited_for(
    source, worklist, folder, monkeypatch
):
    monkeypatch.setattr(door, "_LOCKED_TRIES", 3)
    save(item(1), folder / "1.wl")
    watcher = WorklistFolder(source, worklist)
    await watcher.look()
    with (folder / "lockfile").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        (folder / "1.wl").unlink()
        assert await watcher.look() < 1
        assert await ids(worklist) == {"SPS1"}
        assert (await state(worklist)).error == ""
        await watcher.look()
        await watcher.look()
        assert (await state(worklist)).error == "its lockfile is held by another program"
    await watcher.look()
    assert await ids(worklist) == set()
    assert (await state(worklist)).error == ""


async def test_what_did_not_change_is_not_read_again(source, worklist, folder, monkeypatch):
    for number in range(5):
        save(item(number), folder / f"{number}.wl")
    watcher = WorklistFolder(source, worklist)
    await watcher.look()
    read = []
    content = door._content
    monkeypatch.setattr(
        door, "_content", lambda folder, name: read.append(name) or content(folder, name)
    )
    save(item(9), folder / "3.wl")
    await watcher.look()
    assert read == ["3.wl"]
    assert await ids(worklist) == {"SPS0", "SPS1", "SPS2", "SPS4", "SPS9"}


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
async def test_a_file_without_the_right_to_read_it_is_named(source, worklist, folder):
    save(item(1), folder / "1.wl").chmod(0)
    await WorklistFolder(source, worklist).look()
    assert (await state(worklist)).problems == ("1.wl: Permission denied",)
