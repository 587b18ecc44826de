"""A copy of a file system, in passes, while people write to it."""

from __future__ import annotations

import os
import socket

import pytest

from edge.errors import MachineRefused
from edge.machine.copying import TreeCopy

SETTLED = frozenset({"objects"})


@pytest.fixture
def source(tmp_path):
    source = tmp_path / "source"
    for name, content in {
        "index.db": b"index" * 1000,
        "objects/00/first": b"first",
        "objects/01/second": bytes(3_000_000) + b"end",
        "empty": b"",
    }.items():
        path = source / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    (source / "link").symlink_to("objects/00/first")
    (source / "empty").chmod(0o640)
    return source


@pytest.fixture
def target(tmp_path):
    target = tmp_path / "target"
    target.mkdir()
    return target


def copy_of(source, target, **more):
    return TreeCopy(source, target, settled=SETTLED, sync=lambda _: os.sync(), **more)


def told(root):
    """All that lies there: what each is, and what people would miss of it."""
    found = {}
    for path in sorted(root.rglob("*")):
        known = path.lstat()
        content = str(path.readlink()) if path.is_symlink() else ""
        if path.is_file() and not path.is_symlink():
            content = path.read_bytes()
        found[str(path.relative_to(root))] = (content, known.st_mode, known.st_mtime_ns)
    return found


def test_it_is_the_same_and_a_second_pass_copies_nothing(source, target):
    heard = []
    copy = copy_of(source, target, heard=heard.append)
    assert copy.go() == 5000 + 5 + 3_000_003
    assert told(target) == told(source)
    assert sum(heard) == 3_005_008
    assert copy.go() == 0
    assert copy.go(last=True) == 0


def test_what_is_nothing_takes_no_room(source, target):
    copy_of(source, target).go()
    assert (target / "objects/01/second").stat().st_blocks * 512 < 2_000_000


def test_what_changed_is_copied_and_what_went_goes(source, target):
    copy = copy_of(source, target)
    copy.go()
    (source / "objects/00/first").unlink()
    (source / "objects/00/third").write_bytes(b"third")
    (source / "link").unlink()
    (source / "link").mkdir()
    (source / "link/below").write_bytes(b"below")
    (source / "empty").chmod(0o600)
    os.setxattr(source / "index.db", "user.word", b"said")
    (source / "index.db").write_bytes(b"other")
    copy.go()
    assert told(target) == told(source)
    assert os.getxattr(target / "index.db", "user.word") == b"said"


def test_the_last_pass_finds_what_neither_size_nor_time_betrays(source, target):
    copy = copy_of(source, target)
    copy.go()
    index = source / "index.db"
    before = index.stat()
    with index.open("r+b") as file:
        file.write(b"INDEX")
    os.utime(index, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert copy.go() == 0
    assert copy.go(last=True) == 5000
    assert told(target) == told(source)


def test_a_pass_that_was_cut_leaves_what_the_next_one_copies_anew(source, target):
    def power_cut(_):
        raise OSError("the power went")

    with pytest.raises(OSError, match="power"):
        TreeCopy(source, target, settled=SETTLED, sync=power_cut).go()
    for path in (path for path in target.rglob("*") if path.is_file() and not path.is_symlink()):
        # As a file system may leave what nobody waited for: as long as it was, without its bytes.
        kept = path.lstat()
        path.write_bytes(bytes(kept.st_size))
        os.utime(path, ns=(kept.st_atime_ns, kept.st_mtime_ns))
    copy_of(source, target).go(last=True)
    assert told(target) == told(source)


def test_a_disk_that_gives_back_something_else_is_said_to_be_broken(source, target):
    def rots(_):
        with (target / "objects/00/first").open("r+b") as file:
            file.write(b"F")

    with pytest.raises(MachineRefused, match="does not give back"):
        TreeCopy(source, target, settled=SETTLED, sync=rots).go()
    # It is not taken for whole later, either.
    copy_of(source, target).go(last=True)
    assert told(target) == told(source)


def test_no_link_is_followed_and_nothing_but_files_is_copied(source, target, tmp_path):
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "key").write_bytes(b"secret")
    (source / "folder").symlink_to(secret)
    (source / "file").symlink_to(secret / "key")
    os.mkfifo(source / "pipe")
    with socket.socket(socket.AF_UNIX) as line:
        line.bind(str(source / "socket"))
        copy_of(source, target).go(last=True)
    assert (target / "folder").readlink() == secret
    assert (target / "file").readlink() == secret / "key"
    assert not (target / "pipe").exists()
    assert not (target / "socket").exists()
    assert (secret / "key").read_bytes() == b"secret"


def test_what_is_left_out_is_not_there_even_if_it_was(source, target):
    copy_of(source, target).go()
    copy_of(source, target, left_out=frozenset({"objects/00/first"})).go()
    assert not (target / "objects/00/first").exists()
    assert (target / "objects/01/second").exists()


def test_the_last_pass_can_not_do_without_what_vanishes(source, target, monkeypatch):
    real = os.stat

    def vanishes(path, *words, **more):
        if path == "first":
            raise FileNotFoundError(path)
        return real(path, *words, **more)

    monkeypatch.setattr("edge.machine.copying.os.stat", vanishes)
    copy_of(source, target).go()
    with pytest.raises(FileNotFoundError):
        copy_of(source, target).go(last=True)
