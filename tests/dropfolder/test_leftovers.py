"""What the service may read and not take away: told, tried again, and never admitted twice.

The files are real and so are the permissions: this process becomes another user meanwhile.
"""

import asyncio
import contextlib
import logging
import os
import shutil
import zipfile

import pytest

from edge import config
from edge.cache.leftovers import Leftovers
from edge.cache.reading_status import read_status
from edge.dropfolder import watcher
from edge.dropfolder.tree import REJECTED
from edge.index.leftovers import trouble
from tests import samples

CT = samples.packaged_file("CT_small.dcm")
MR = samples.packaged_file("MR_small.dcm")


@pytest.fixture(autouse=True)
def short_times(monkeypatch):
    monkeypatch.setattr(watcher, "_FIRST_RETRY", 0.1)
    monkeypatch.setattr(watcher, "_LAST_RETRY", 0.3)


@pytest.fixture
def told(leftovers):
    """What `edge status` will say."""

    async def read():
        return await trouble(leftovers._database)

    return read


@pytest.fixture
def until_told(told):
    async def wait(text):
        async with asyncio.timeout(60):
            while await told() != text:  # noqa: ASYNC110 - the index tells nobody
                await asyncio.sleep(0.02)

    return wait


REMAINS = "its files can't be taken away: 1 admitted file remains (Permission denied)"


async def test_what_can_not_be_deleted_is_told_once_and_tried_again(
    drop, admission, running, until, until_told, files, locked, caplog
):
    caplog.set_level(logging.INFO, "edge")
    (drop / "from root").mkdir()
    shutil.copy(CT, drop / "from root" / "a")
    async with running():
        with locked(drop / "from root"):
            await until_told(REMAINS)
            await asyncio.sleep(1)
            assert files(drop) == ["from root/a"]
        await until(lambda: not files(drop))
        await until_told("")
    assert admission.calls == 1
    assert caplog.text.count("is in trouble: " + REMAINS) == 1
    assert caplog.text.count("is in order again") == 1
    assert caplog.text.count("admitted, ") == 1


async def test_a_folder_that_can_not_be_written_is_told_before_a_file_comes(
    drop, running, until_told, locked, caplog
):
    with locked(drop):
        async with running():
            await until_told("its files can't be taken away: the service may not write the folder")
    assert caplog.text.count("the service may not write the folder") == 1


async def test_files_go_at_once_when_their_folder_was_mended(
    drop, running, until, until_told, files, locked, monkeypatch, caplog
):
    monkeypatch.setattr(watcher, "_FIRST_RETRY", 600.0)
    monkeypatch.setattr(watcher, "_LAST_RETRY", 600.0)
    (drop / "from root").mkdir()
    shutil.copy(CT, drop / "from root" / "a")
    async with running(patience_seconds=60):
        with locked(drop / "from root"):
            await until_told(REMAINS)
        await until(lambda: not files(drop))
        await until_told("")


async def test_the_first_file_that_stays_is_told_after_the_folder_was(
    drop, running, until_told, locked, caplog
):
    shutil.copy(CT, drop / "a")
    with locked(drop):
        async with running():
            await until_told(REMAINS)
    assert caplog.text.count("the service may not write the folder") == 1
    assert caplog.text.count(REMAINS) == 1


async def test_all_go_soon_after_one_could_be_deleted(
    drop, running, until, until_told, files, locked, monkeypatch
):
    monkeypatch.setattr(watcher, "_LAST_RETRY", 1.0)
    for number in range(20):
        shutil.copy(CT, drop / str(number))
    async with running(sweep_seconds=600):
        with locked(drop):
            await until_told(
                "its files can't be taken away: 20 admitted files remain (Permission denied)"
            )
            await asyncio.sleep(0.5)
        async with asyncio.timeout(60):  # one each second would take twenty
            await until(lambda: not files(drop))


async def test_a_changed_file_is_a_new_one(
    drop, admission, running, until, until_told, files, locked
):
    shutil.copy(CT, drop / "a")
    (drop / "a").chmod(0o666)
    with locked(drop):
        async with running():
            await until_told(REMAINS)
            (drop / "a").write_bytes(MR.read_bytes())
            await until(lambda: len(admission.stored) == 2)
    assert admission.calls == 2


async def test_a_leftover_is_not_admitted_after_a_restart(
    drop, admission, running, until, until_told, files, locked
):
    for name, path in (("a", CT), ("b", MR)):
        shutil.copy(path, drop / name)
    remain = "its files can't be taken away: 2 admitted files remain (Permission denied)"
    with locked(drop):
        async with running():
            await until_told(remain)
        for _ in range(2):
            async with running():
                await asyncio.sleep(0.5)
                await until_told(remain)
    assert admission.calls == 2
    async with running():
        await until(lambda: not files(drop))
        await until_told("")
    assert admission.calls == 2


async def test_a_file_with_the_numbers_of_a_leftover_and_other_content_is_admitted(
    drop, admission, running, until, until_told, files, locked
):
    shutil.copy(CT, drop / "a")
    status = (drop / "a").stat()
    with locked(drop):
        async with running():
            await until_told(REMAINS)
    data = bytearray(CT.read_bytes())
    data[-1] ^= 1
    with (drop / "a").open("r+b") as file:
        file.write(data)
    os.utime(drop / "a", ns=(status.st_mtime_ns, status.st_mtime_ns))
    assert (drop / "a").stat().st_ino == status.st_ino
    async with running():
        await until(lambda: not files(drop))
    assert admission.received == [CT.read_bytes(), bytes(data)]


async def test_a_file_that_was_taken_away_by_hand_and_comes_again_is_admitted(
    drop, admission, running, until, until_told, files, leftovers, locked
):
    shutil.copy2(CT, drop / "a")
    async with running():
        with locked(drop):
            await until_told(REMAINS)
            assert len(await leftovers.all()) == 1
        # From here on the service deletes it by itself, and forgets it.
        await until(lambda: not files(drop))
        await until_told("")
        async with asyncio.timeout(60):
            while await leftovers.all():  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        shutil.copy2(CT, drop / "a")
        await until(lambda: admission.calls == 2)


async def test_nothing_that_is_remembered_names_a_file(
    drop, running, until_told, leftovers, locked
):
    (drop / "MILLER_ANNA").mkdir()
    shutil.copy(CT, drop / "MILLER_ANNA" / "SMITH")
    with locked(drop / "MILLER_ANNA"):
        async with running():
            await until_told(REMAINS)
    rows = await leftovers._database.read("SELECT name, value FROM cursors")
    assert len(rows) == 2
    assert not any("MILLER" in str(row) or "SMITH" in str(row) for row in rows)


async def test_a_bad_file_that_can_not_be_moved_leaves_no_reason_and_is_tried_again(
    drop, running, until, until_told, files, locked, caplog
):
    (drop / "from root").mkdir()
    (drop / "from root" / "letter").write_bytes(b"text")
    async with running():
        with locked(drop / "from root"):
            await until_told(
                "1 file that is not admitted can't be moved to rejected/ (Permission denied)"
            )
            await asyncio.sleep(0.5)
            assert files(drop) == ["from root/letter"]
        await until((drop / REJECTED / "from root" / "letter.reason.txt").exists)
        await until_told("")
    assert files(drop) == [f"rejected/from root/letter{end}" for end in ("", ".reason.txt")]
    assert caplog.text.count("can't be moved to rejected/") == 1


async def test_the_good_files_of_a_bad_archive_are_not_admitted_after_a_restart(
    drop, admission, running, until, until_told, files, locked
):
    with zipfile.ZipFile(drop / "a.zip", "w") as archive:
        archive.write(CT, "ct")
        archive.writestr("letter", b"text")
    told = "1 file that is not admitted can't be moved to rejected/ (Permission denied)"
    with locked(drop):
        async with running():
            await until_told(
                f"its files can't be taken away: the service may not write the folder; {told}"
            )
    async with running():
        await until((drop / REJECTED / "a.zip.reason.txt").exists)
    assert admission.calls == 1
    assert "were admitted before" in (drop / REJECTED / "a.zip.reason.txt").read_text()


async def test_a_medium_that_can_not_be_deleted_stays_one(
    drop, admission, running, until, until_told, locked
):
    medium = drop / "CD"
    shutil.copytree(samples.dicomdir_media() / "TINY_ALPHA", medium)
    (medium / "README.TXT").write_bytes(b"of the viewer, and no DICOM")
    medium.chmod(0o777)
    inner = [path for path in medium.rglob("*") if path.is_dir()]
    remain = "its files can't be taken away: 50 admitted files remain (Permission denied)"
    with locked(*inner):
        async with running():
            await until_told(remain)
        async with running():
            await asyncio.sleep(0.5)
            await until_told(remain)
    assert admission.calls == 50
    assert (medium / "DICOMDIR").exists()
    assert not (drop / REJECTED).exists()
    async with running():
        await until(lambda: not medium.exists())
    assert admission.calls == 50


async def test_a_file_that_can_not_be_read_is_told_and_taken_later(
    drop, admission, running, until, until_told, files, locked, caplog
):
    shutil.copy(CT, drop / "a")
    (drop / "a").chmod(0o600 if os.geteuid() == 0 else 0)
    async with running():
        with locked():
            await until_told("1 file can't be read (Permission denied)")
            await asyncio.sleep(0.5)
            assert files(drop) == ["a"]
        (drop / "a").chmod(0o644)
        await until(lambda: not files(drop))
    assert len(admission.stored) == 1
    assert caplog.text.count("can't be read") == 1


async def test_what_an_admin_deleted_does_not_come_back_from_the_drop_folder(
    open_cache, drop, until, files, locked
):
    (sample,) = samples.ct_series(1, rows=16, columns=16)
    (drop / "a").write_bytes(sample.data)
    other = sample.data[:-1] + bytes([sample.data[-1] ^ 1])
    async with contextlib.AsyncExitStack() as stack:
        mend = stack.enter_context(locked(drop))  # the box belongs to that user, too
        cache = await stack.enter_async_context(open_cache())
        settings = config.Config(dropfolder=config.DropFolder(drop, settle_seconds=0.05))

        async def drop_folder():
            return (await read_status(settings, cache.database, cache.store, {})).drop_folder

        async def watch(condition):
            door = watcher.DropFolder(
                settings.dropfolder,
                cache.admission,
                Leftovers(cache.database),
                sweep_seconds=0.2,
                patience_seconds=0.1,
            )
            task = asyncio.create_task(door.run())
            try:
                async with asyncio.timeout(60):
                    while not await condition():  # noqa: ASYNC110
                        await asyncio.sleep(0.02)
                await asyncio.sleep(0.4)
            finally:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task

        async def is_told():
            return await trouble(cache.database) == REMAINS

        async def is_gone():
            return not files(drop)

        await watch(is_told)
        assert await drop_folder() == REMAINS
        await cache.deletion.delete(sample.ref.study_uid, only_copies=True)
        await cache.send(other)
        await watch(is_told)
        mend()
        await watch(is_gone)
        assert await drop_folder() == ""
        (kept,) = await cache.database.read("SELECT count(*) FROM quarantine")
        assert kept == (0,)
        assert await cache.read(sample.ref) == other
