"""A folder of worklist files, as whoever keeps it fills, changes and empties it."""

import asyncio
import fcntl
import os
import shutil
from contextlib import asynccontextmanager

import pytest

from edge import config, others
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
    return others.WorklistSource("folder", "folder", path=folder, interval_seconds=60.0)


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
    async with asyncio.timeout(60):
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
    quick = others.WorklistSource("folder", "folder", path=folder, interval_seconds=0.2)
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


async def test_a_text_and_an_empty_file_are_called_what_they_are(source, worklist, folder):
    (folder / "empty.wl").write_bytes(b"")
    (folder / "text.wl").write_text("(0010,0010) PN DOE^JANE\n" * 20)
    for path in folder.iterdir():
        os.utime(path, (1e9, 1e9))
    await WorklistFolder(source, worklist).look()
    problems = (await state(worklist)).problems
    assert problems == ("empty.wl: empty", "text.wl: no DICOM file")


async def test_files_that_lack_what_scanners_need_are_listed_and_named(source, worklist, folder):
    flawed = {name: item(number) for number, name in enumerate(("date", "study", "step", "id"), 1)}
    del flawed["study"].StudyInstanceUID
    del flawed["step"].ScheduledProcedureStepSequence[0].ScheduledProcedureStepID
    del flawed["id"].PatientID
    element = flawed["date"].ScheduledProcedureStepSequence[0]["ScheduledProcedureStepStartDate"]
    element.validation_mode = 0
    element.value = "31.12.26"
    nobody = item(5)
    del nobody.PatientID, nobody.PatientName
    for name, one in {**flawed, "nobody": nobody}.items():
        save(one, folder / f"{name}.wl")
        os.utime(folder / f"{name}.wl", (1e9, 1e9))
    await WorklistFolder(source, worklist).look()
    assert await ids(worklist) == {"SPS1", "SPS2", "SPS4", ""}
    listed = {one.step_id: one.date for one in (await worklist.page(limit=9, offset=0)).items}
    assert listed["SPS1"] == "31.12.26"
    unreadable = "its Scheduled Procedure Step Start Date (0040,0002) can't be read"
    assert (await state(worklist)).problems == (
        f"date.wl: on the list, but {unreadable}",
        "id.wl: on the list, but it has no Patient ID (0010,0020)",
        "nobody.wl: it names no patient: neither Patient's Name nor Patient ID",
        "step.wl: on the list, but it has no Scheduled Procedure Step ID (0040,0009)",
        "study.wl: on the list, but it has no Study Instance UID (0020,000D)",
    )


async def test_of_two_files_with_the_same_ids_the_second_is_named(source, worklist, folder):
    save(item(1), folder / "a.wl")
    save(item(1, name="ROE^RICHARD"), folder / "b.wl")
    save(item(1), folder / "copy.wl")
    watcher = WorklistFolder(source, worklist)
    await watcher.look()
    page = await worklist.page(limit=9, offset=0)
    assert [one.patient_name for one in page.items] == ["DOE^JANE"]
    assert (await state(worklist)).problems == (
        "b.wl: left out: it has the Study Instance UID and the Scheduled Procedure Step ID of a.wl",
    )
    (folder / "a.wl").unlink()
    (folder / "copy.wl").unlink()
    await watcher.look()
    page = await worklist.page(limit=9, offset=0)
    assert [one.patient_name for one in page.items] == ["ROE^RICHARD"]
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
        others.WorklistSource("folder", "folder", path=folder, interval_seconds=0.2), worklist
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
