"""The drop folder at work: a real folder, real files, real events."""

import asyncio
import logging
import math
import os
import shutil
import time
import zipfile

import pytest

from edge.dicom.instance import Origin
from edge.dropfolder import events, watcher
from edge.dropfolder.tree import REJECTED
from edge.errors import KeyUnavailable
from tests import samples

CT = samples.packaged_file("CT_small.dcm")
MR = samples.packaged_file("MR_small.dcm")


async def test_a_file_is_admitted_and_deleted(drop, admission, running, until, files):
    async with running():
        shutil.copy(CT, drop / "a.dcm")
        await until(lambda: not files(drop))
    assert list(admission.stored.values()) == [CT.read_bytes()]
    assert admission.source.origin is Origin.MEDIA


async def test_what_was_there_at_the_start_is_admitted(drop, admission, running, until, files):
    shutil.copy(CT, drop / "a")
    (drop / "sub" / "deeper").mkdir(parents=True)
    shutil.copy(MR, drop / "sub" / "deeper" / "b")
    async with running():
        await until(lambda: not files(drop))
    assert len(admission.stored) == 2


async def test_more_files_than_are_listed_at_once_come_in_one_after_the_other(
    drop, admission, running, until, files, monkeypatch, caplog
):
    monkeypatch.setattr("edge.dropfolder.tree._MOST", 3)
    slices = samples.ct_series(8, rows=16, columns=16)
    for number, one in enumerate(slices):
        (drop / f"{number}.dcm").write_bytes(one.data)
    async with running():
        await until(lambda: not files(drop))
    assert len(admission.stored) == 8
    assert caplog.text.count("more files than are looked at at once") == 1


async def test_files_come_in_without_events_too(
    drop, admission, running, until, files, monkeypatch
):
    class Deaf(events.Observer):
        def start(self):
            raise OSError(28, "inotify watch limit reached")

    monkeypatch.setattr(events, "Observer", Deaf)
    async with running():
        await asyncio.sleep(0.1)
        shutil.copy(CT, drop / "a.dcm")
        await until(lambda: not files(drop))
    assert len(admission.stored) == 1


async def test_an_event_wakes_the_sweep(drop, admission, running, until, files):
    async with running(sweep_seconds=600):
        await asyncio.sleep(0.2)
        shutil.copy(CT, drop / "a.dcm")
        await until(lambda: not files(drop))
    assert len(admission.stored) == 1


async def test_a_quiet_folder_is_not_swept_without_end(drop, running, monkeypatch):
    sweeps = 0
    scan = watcher.DropTree.scan

    def counted(tree):
        nonlocal sweeps
        sweeps += 1
        return scan(tree)

    monkeypatch.setattr(watcher.DropTree, "scan", counted)
    (drop / "sub").mkdir()
    async with running(sweep_seconds=600):
        await asyncio.sleep(0.5)
    assert sweeps <= 3


async def test_the_folder_is_made(drop, admission, running, until, files):
    drop.rmdir()
    async with running():
        await until(drop.is_dir)
        shutil.copy(CT, drop / "a.dcm")
        await until(lambda: not files(drop))
    assert len(admission.stored) == 1


async def test_a_folder_that_goes_away_and_comes_back_is_served(
    drop, admission, running, until, files, caplog
):
    caplog.set_level(logging.INFO, "edge")
    async with running():
        await asyncio.sleep(0.1)
        drop.rmdir()
        await until(lambda: "can't be read" in caplog.text)
        await asyncio.sleep(0.5)
        drop.mkdir()
        shutil.copy(CT, drop / "a.dcm")
        await until(lambda: not files(drop))
    assert len(admission.stored) == 1
    assert caplog.text.count("can't be read") == 1
    assert caplog.text.count("is there again") == 1


async def test_a_folder_that_is_missing_at_the_start_is_said_once(
    drop, admission, running, until, files, caplog
):
    caplog.set_level(logging.INFO, "edge")
    drop.rmdir()
    drop.symlink_to(drop.parent / "usb")  # of a disk that is not there
    async with running():
        await until(lambda: "the drop folder can't be read: No such file" in caplog.text)
        await asyncio.sleep(0.5)
        (drop.parent / "usb").mkdir()
        shutil.copy(CT, drop / "a.dcm")
        await until(lambda: not files(drop))
    warnings = [each for each in caplog.records if each.levelname == "WARNING"]
    assert len(warnings) == 1
    assert caplog.text.count("is there again") == 1


async def test_a_folder_that_can_not_be_made_is_said_once(drop, running, until, locked, caplog):
    drop.rmdir()
    with locked(drop.parent):
        async with running():
            await until(lambda: "the drop folder can't be made: Permission denied" in caplog.text)
            await asyncio.sleep(0.5)
    assert len(caplog.records) == 1


async def test_another_folder_in_its_place_wakes_the_sweep_too(
    drop, admission, running, until, files
):
    async with running(sweep_seconds=600):
        await asyncio.sleep(0.2)
        drop.rename(drop.parent / "before")
        (drop.parent / "before" / "late").write_bytes(b"")  # an event, of a folder that is gone
        drop.mkdir()
        await asyncio.sleep(0.2)
        (drop.parent / "before" / "later").write_bytes(b"")
        await asyncio.sleep(0.2)
        shutil.copy(CT, drop / "a.dcm")
        await until(lambda: not files(drop))
    assert len(admission.stored) == 1


async def test_one_is_one_instance_and_one_file(drop, admission, running, until, caplog):
    caplog.set_level(logging.INFO, "edge")
    shutil.copy(CT, drop / "a")
    async with running():
        await until(lambda: "drop folder: 1 instance admitted, 0 files rejected" in caplog.text)
        (drop / "b").write_bytes(b"")
        await until(lambda: "drop folder: 0 instances admitted, 1 file rejected" in caplog.text)


async def test_a_growing_file_is_left_alone_until_it_is_whole(
    drop, admission, running, until, files
):
    data = CT.read_bytes()
    # It grows for longer than it may rest, and never rests for nearly so long.
    async with running(settle_seconds=1.5):
        with (drop / "slow.dcm").open("wb") as file:
            for start in range(0, len(data), 4000):
                file.write(data[start : start + 4000])
                file.flush()
                await asyncio.sleep(0.2)
                assert admission.calls == 0
        await until(lambda: not files(drop))
    assert admission.calls == 1
    assert list(admission.stored.values()) == [data]


async def test_a_copy_that_stalls_is_not_rejected_in_the_middle(
    drop, admission, running, until, files
):
    data = CT.read_bytes()
    async with running(patience_seconds=5):
        with (drop / "stalled.dcm").open("wb") as file:
            file.write(data[:20000])
            file.flush()
            await until(lambda: admission.calls == 1)  # looked at, and found to be cut short
            await asyncio.sleep(0.2)
            assert files(drop) == ["stalled.dcm"]
            file.write(data[20000:])
        await until(lambda: not files(drop))
    assert list(admission.stored.values()) == [data]


async def test_a_bad_file_is_looked_at_once_while_it_waits(drop, admission, running, until):
    (drop / "cut.dcm").write_bytes(CT.read_bytes()[:20000])
    async with running(patience_seconds=5):
        await until(lambda: admission.calls == 1)
        await asyncio.sleep(0.5)
    assert admission.calls == 1


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "it is empty"),
        (b"just text", "it is not DICOM"),
        (bytes(128) + b"DICM", "ends before"),
        (CT.read_bytes()[:20000], ""),
    ],
    ids=["empty", "text", "preamble only", "truncated"],
)
async def test_a_bad_file_moves_to_rejected_with_a_reason(
    drop, admission, running, until, files, content, reason
):
    (drop / "from CT 1").mkdir()
    (drop / "from CT 1" / "bad.dcm").write_bytes(content)
    async with running():
        await until((drop / REJECTED / "from CT 1" / "bad.dcm").exists)
        await asyncio.sleep(0.3)  # and there it stays
    names = ["from CT 1/bad.dcm", "from CT 1/bad.dcm.reason.txt"]
    assert files(drop) == [f"rejected/{name}" for name in names]
    assert (drop / "rejected" / names[0]).read_bytes() == content
    text = (drop / "rejected" / names[1]).read_text()
    assert text.startswith("Not admitted (")
    assert reason in text
    assert not admission.stored


async def test_every_packaged_legal_file_is_admitted_as_it_is(
    drop, admission, running, until, files
):
    for number, path in enumerate(samples.legal_files()):
        (drop / str(number)).mkdir()
        shutil.copy(path, drop / str(number))
    async with running():
        await until(lambda: not files(drop))
    assert sorted(admission.received) == sorted(p.read_bytes() for p in samples.legal_files())


async def test_every_illegal_packaged_file_is_rejected_with_a_reason(
    drop, admission, running, until
):
    for name in samples.ILLEGAL:
        shutil.copy(samples.packaged_file(name), drop)
    rejected = drop / "rejected"
    async with running():
        await until(
            lambda: all((rejected / f"{name}.reason.txt").exists() for name in samples.ILLEGAL)
        )
    assert not admission.stored


async def test_a_zip_is_admitted_and_deleted(drop, admission, running, until, files):
    with zipfile.ZipFile(drop / "study.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for item in samples.ct_series(5, rows=64, columns=64):
            archive.writestr(f"images/{item.ref.sop_uid}", item.data)
    async with running():
        await until(lambda: not files(drop))
    assert len(admission.stored) == 5


async def test_a_medium_is_admitted_and_goes_with_all_it_carries(drop, admission, running, until):
    shutil.copytree(samples.dicomdir_media() / "TINY_ALPHA", drop / "CD 7")
    for name in ("VIEWER/run.exe", "autorun.inf", "README.TXT", ".DS_Store", "VIEWER/Thumbs.db"):
        path = drop / "CD 7" / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"MZ" + bytes(1000))
    async with running():
        await until(lambda: not (drop / "CD 7").exists())
    assert len(admission.stored) == 50
    assert not (drop / REJECTED).exists()


async def test_a_medium_with_other_media_in_it_is_admitted(drop, admission, running, until):
    shutil.copytree(samples.dicomdir_media(), drop / "media")
    async with running():
        await until(lambda: not (drop / "media").exists())
    assert len(admission.stored) == 81
    assert not (drop / REJECTED).exists()


async def test_a_bad_instance_of_a_medium_is_rejected_and_the_rest_admitted(
    drop, admission, running, until, files
):
    medium = drop / "CD"
    shutil.copytree(samples.dicomdir_media() / "TINY_ALPHA", medium)
    series = medium / "PT000000/ST000000/SE000000"
    (series / "IM000003").write_bytes((series / "IM000003").read_bytes()[:600])  # cut short
    (series / "IM000004").write_bytes(b"unreadable sector")  # listed, so it is no viewer's file
    async with running():
        await until(lambda: not medium.exists())
    assert len(admission.stored) == 48
    assert files(drop) == [
        f"rejected/CD/PT000000/ST000000/SE000000/{name}"
        for name in ("IM000003", "IM000003.reason.txt", "IM000004", "IM000004.reason.txt")
    ]


async def test_a_full_cache_leaves_everything_and_tries_again(
    drop, admission, running, until, files, monkeypatch, caplog
):
    monkeypatch.setattr(watcher, "_FIRST_RETRY", 0.1)
    admission.is_full = True
    for name in ("a", "b", "c"):
        shutil.copy(CT, drop / name)
    async with running():
        await until(lambda: "waits for" in caplog.text)
        assert files(drop) == ["a", "b", "c"]
        admission.is_full = False
        await until(lambda: not files(drop))
    assert not (drop / REJECTED).exists()


async def test_waiting_grows_and_does_not_hammer_the_cache(
    drop, admission, running, until, monkeypatch
):
    monkeypatch.setattr(watcher, "_FIRST_RETRY", 0.2)
    admission.error = KeyUnavailable("the key is locked")
    for number in range(50):
        shutil.copy(CT, drop / str(number))
    async with running():
        began = time.monotonic()
        await until(lambda: admission.calls > 0)
        await asyncio.sleep(0.7)
        calls, passed = admission.calls, time.monotonic() - began
    # Rounds of four workers at most, each twice as long after the one before: at 0, 0.2, 0.6 s …
    assert calls <= 4 * (1 + math.floor(math.log2(1 + passed / 0.2)))


async def test_a_file_replaced_while_it_is_admitted_is_kept_and_admitted_too(
    drop, admission, running, until, files
):
    shutil.copy(CT, drop / "a")
    original = admission.store_instance

    async def replacing(chunks, source, **more):
        if admission.calls == 0:
            await asyncio.to_thread((drop / "a").unlink)
            await asyncio.to_thread(shutil.copy, MR, drop / "a")
        return await original(chunks, source, **more)

    admission.store_instance = replacing
    async with running():
        await until(lambda: not files(drop))
    assert sorted(admission.stored.values()) == sorted([CT.read_bytes(), MR.read_bytes()])


async def test_symbolic_links_are_rejected_and_never_followed(
    drop, tmp_path, admission, running, until
):
    outside = tmp_path / "outside"
    outside.mkdir()
    shutil.copy(CT, outside / "ct.dcm")
    (drop / "file").symlink_to(outside / "ct.dcm")
    (drop / "folder").symlink_to(outside)
    os.mkfifo(drop / "pipe")
    async with running():
        await until(lambda: len(list((drop / REJECTED).glob("*.reason.txt"))) == 3)
    assert (drop / REJECTED / "folder").is_symlink()
    assert "symbolic link" in (drop / REJECTED / "file.reason.txt").read_text()
    assert (outside / "ct.dcm").exists()
    assert not admission.stored


async def test_memory_stays_small_whatever_the_size(drop, admission, running, until, files):
    samples.write_multiframe(drop / "big.dcm", 16 * 1024 * 1024)
    async with running():
        await until(lambda: not files(drop))
    assert admission.largest_piece <= 256 * 1024


async def test_names_of_files_stand_in_no_log(drop, admission, running, until, caplog, recwarn):
    with caplog.at_level(logging.DEBUG, "edge"):
        shutil.copy(CT, drop / "MILLER_ANNA_1970.dcm")
        (drop / "SMITH_JOHN").mkdir()
        (drop / "SMITH_JOHN" / "scan.pdf").write_bytes(b"%PDF")
        async with running():
            await until((drop / REJECTED / "SMITH_JOHN" / "scan.pdf").exists)
            await until(lambda: admission.stored)
    ours = [record.getMessage() for record in caplog.records if record.name.startswith("edge")]
    assert ours
    ours += [str(warning.message) for warning in recwarn]
    assert not any("MILLER" in line or "SMITH" in line or "pdf" in line for line in ours)


async def test_an_unknown_failure_is_not_hidden(drop, admission, running):
    admission.error = ZeroDivisionError("a bug")
    shutil.copy(CT, drop / "a")
    with pytest.raises(ExceptionGroup) as caught:
        async with running() as task:
            await asyncio.wait([task], timeout=10)
    assert caught.group_contains(ZeroDivisionError)


async def test_a_file_that_meets_a_defect_stops_no_other(drop, admission, running, monkeypatch):
    store_instance, small = admission.store_instance, MR.stat().st_size

    async def stumbling(chunks, source, **options):
        pieces = [piece async for piece in chunks]
        if sum(map(len, pieces)) != small:
            raise ZeroDivisionError("a bug")

        async def again():
            for piece in pieces:
                yield piece

        return await store_instance(again(), source, **options)

    monkeypatch.setattr(admission, "store_instance", stumbling)
    for number in range(6):  # more than are looked at at once
        shutil.copy(CT, drop / f"a{number}")
    shutil.copy(MR, drop / "b")
    with pytest.raises(ExceptionGroup) as caught:
        async with running() as task:
            await asyncio.wait([task], timeout=10)
    assert caught.group_contains(ZeroDivisionError)
    assert len(admission.stored) == 1
