"""The way to files on a disk that anybody may have written: no link, no pipe, one process."""

from __future__ import annotations

import asyncio
import errno
import os
import subprocess
import sys

import pytest

from edge.cache.disk import DiskUnusable, Folder, held
from edge.errors import SealBroken


@pytest.fixture
def victim(tmp_path):
    """A file of the box, which no disk may have changed or read."""
    path = tmp_path / "root.key"
    path.write_bytes(b"of the box")
    return path


@pytest.fixture
def disk(tmp_path):
    path = tmp_path / "disk"
    path.mkdir()
    return path


def content(descriptor):
    with os.fdopen(descriptor, "rb") as file:
        return file.read()


def test_what_is_made_is_new_whatever_lies_there(disk, victim):
    os.mkfifo(disk / "pipe")
    (disk / "link").symlink_to(victim)
    (disk / "nowhere").symlink_to(disk / "not there")
    (disk / "twin").hardlink_to(victim)
    (disk / "folder").mkdir()
    with Folder.named(disk) as folder:
        for name in folder.names():
            with os.fdopen(folder.create(name), "wb") as file:
                file.write(b"ours")
            assert content(folder.open(name)) == b"ours"
            assert folder.size(name) == 4
    assert victim.read_bytes() == b"of the box"
    assert not (disk / "not there").exists()


def test_what_takes_the_place_of_a_link_replaces_it(disk, victim):
    (disk / "link").symlink_to(victim)
    with Folder.named(disk) as folder:
        os.close(folder.create("new"))
        folder.rename("new", "link")
        assert folder.is_file("link")
    assert victim.read_bytes() == b"of the box"


def test_only_regular_files_are_opened_and_measured_and_nothing_waits(disk, victim):
    os.mkfifo(disk / "pipe")
    (disk / "folder").mkdir()
    (disk / "link").symlink_to(victim)
    with Folder.named(disk) as folder:
        for name in ("pipe", "folder"):
            with pytest.raises(SealBroken, match=f"{name} of a bundle is no file"):
                folder.open(name)
        with pytest.raises(OSError, match="symbolic links"):
            folder.open("link")
        with pytest.raises(FileNotFoundError):
            folder.open("not there")
        for name in ("pipe", "folder", "link", "not there"):
            assert folder.size(name) == 0
            assert not folder.is_file(name)


def test_a_link_to_a_folder_is_no_folder(disk, tmp_path):
    (disk / "link").symlink_to(tmp_path)
    with Folder.named(disk) as folder:
        assert not folder.is_folder("link")
        with pytest.raises(OSError, match=r"Not a directory|symbolic links"):
            folder.folder("link")
        with pytest.raises(FileExistsError):
            folder.make_folder("link", 0o700)
        folder.remove("link")
    assert tmp_path.is_dir()


def test_what_is_opened_stays_the_folder_that_it_was(disk, tmp_path, victim):
    (disk / "bundle").mkdir()
    with Folder.named(disk) as folder, folder.folder("bundle") as own:
        (disk / "bundle").rename(disk / "aside")
        (disk / "bundle").symlink_to(tmp_path)
        os.close(own.create(victim.name))
    assert victim.read_bytes() == b"of the box"
    assert (disk / "aside" / victim.name).exists()


def test_removing_takes_a_link_and_not_what_it_names_and_no_folder_with_content(disk, victim):
    (disk / "link").symlink_to(victim)
    (disk / "folder").mkdir()
    (disk / "folder" / "holiday.jpg").write_bytes(b"of somebody")
    with Folder.named(disk) as folder:
        folder.remove("link")
        folder.remove("not there")
        with pytest.raises(OSError, match="not empty") as found:
            folder.remove("folder")
        assert found.value.errno == errno.ENOTEMPTY
        assert folder.names() == ["folder"]
    assert victim.exists()


_HOLD = """
import asyncio, sys
from pathlib import Path
from edge.cache.disk import held
async def main():
    async with held(Path(sys.argv[1])):
        print("held", flush=True)
        await asyncio.to_thread(sys.stdin.read)
asyncio.run(main())
"""


async def test_one_process_has_a_disk_and_the_next_one_is_told(disk):
    other = await asyncio.create_subprocess_exec(
        sys.executable, "-c", _HOLD, disk, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert await other.stdout.readline() == b"held\n"
    with pytest.raises(DiskUnusable, match="in use by another edge courier") as found:
        async with held(disk):
            pass
    assert "repeat" in found.value.hint
    await other.communicate(b"")
    async with held(disk):
        with pytest.raises(DiskUnusable):
            async with held(disk):
                pass
    async with held(disk):
        pass
    assert list(await asyncio.to_thread(os.listdir, disk)) == []


async def test_a_file_system_without_locks_will_do(disk, monkeypatch):
    def without(*_):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr("edge.cache.disk.fcntl.flock", without)
    async with held(disk):
        pass
