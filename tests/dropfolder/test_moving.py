"""A file is whole in one of two folders, also over file systems."""

import os
import tempfile
from pathlib import Path

import pytest

from edge.dropfolder.moving import move


@pytest.fixture
def folders(tmp_path):
    """Two open folders on different file systems, and their paths."""
    with tempfile.TemporaryDirectory(dir="/dev/shm") as other:
        if Path(other).stat().st_dev == tmp_path.stat().st_dev:
            pytest.skip("/dev/shm and the temporary folder are on one file system")
        Path(other).chmod(0o777)
        handles = [os.open(folder, os.O_RDONLY | os.O_DIRECTORY) for folder in (tmp_path, other)]
        yield (*handles, tmp_path, Path(other))
        for handle in handles:
            os.close(handle)


def test_a_file_moves_over_file_systems_with_its_time(folders):
    source, target, here, there = folders
    (here / "a").write_bytes(bytes(range(256)) * 1000)
    os.utime(here / "a", ns=(1, 2_000_000_000))
    move("a", source, "b", target)
    assert list(here.iterdir()) == []
    assert (there / "b").read_bytes() == bytes(range(256)) * 1000
    assert (there / "b").stat().st_mtime_ns == 2_000_000_000


def test_a_link_moves_as_the_link_that_it_is(folders):
    source, target, here, there = folders
    (here / "a").symlink_to("/etc/passwd")
    move("a", source, "b", target)
    assert list(here.iterdir()) == []
    assert (there / "b").readlink() == Path("/etc/passwd")


def test_a_copy_goes_if_the_file_can_not(folders, locked):
    source, target, here, there = folders
    (here / "a").write_bytes(b"x")
    with locked(here), pytest.raises(PermissionError):
        move("a", source, "b", target)
    assert (here / "a").read_bytes() == b"x"
    assert list(there.iterdir()) == []


def test_nothing_that_is_there_is_written_over(folders):
    source, target, here, there = folders
    (here / "a").write_bytes(b"x")
    (there / "b").write_bytes(b"y")
    with pytest.raises(FileExistsError):
        move("a", source, "b", target)
    assert (here / "a").read_bytes() == b"x"
    assert (there / "b").read_bytes() == b"y"


def test_what_is_no_file_stays(folders):
    source, target, here, there = folders
    os.mkfifo(here / "a")
    with pytest.raises(OSError, match="cross-device"):
        move("a", source, "b", target)
    assert (here / "a").exists()
    assert list(there.iterdir()) == []
