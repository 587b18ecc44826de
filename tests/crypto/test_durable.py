"""Small files that are whole under their name, or not there."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from edge.crypto.durable import (
    destroy_file,
    hand_over,
    lock_at_once,
    lock_file,
    write_file,
)


def test_a_file_is_for_its_owner_alone_and_replaces_the_one_before(tmp_path):
    path = tmp_path / "file"
    write_file(path, b"one")
    write_file(path, b"two")
    assert path.read_bytes() == b"two"
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_what_root_writes_belongs_to_whoever_owns_the_folder(tmp_path):
    os.chown(tmp_path, 65534, 65534)
    path = tmp_path / "file"
    write_file(path, b"one")
    assert (path.stat().st_uid, path.stat().st_gid) == (65534, 65534)
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_what_has_another_name_elsewhere_is_not_given_away(tmp_path):
    folder, own = tmp_path / "folder", tmp_path / "of root"
    folder.mkdir()
    os.chown(folder, 65534, 65534)
    own.write_bytes(b"")
    os.link(own, folder / "lock")
    with (folder / "lock").open("rb") as file:
        hand_over(file.fileno(), folder)
    assert own.stat().st_uid == 0


def test_a_write_that_fails_leaves_the_file_before(tmp_path, monkeypatch):
    path = tmp_path / "file"
    write_file(path, b"one")

    def broken(_):
        raise OSError("on purpose")

    monkeypatch.setattr(os, "fsync", broken)
    with pytest.raises(OSError, match="on purpose"):
        write_file(path, b"two")
    assert path.read_bytes() == b"one"


def test_what_is_written_bit_by_bit_is_whole_all_the_same(tmp_path, monkeypatch):
    really = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: really(descriptor, data[:7]))
    write_file(tmp_path / "it", b"more than seven bytes")
    assert (tmp_path / "it").read_bytes() == b"more than seven bytes"


def test_what_is_destroyed_was_overwritten_first_its_unfinished_writing_too(tmp_path, monkeypatch):
    path = tmp_path / "file"
    write_file(path, b"secret")
    (tmp_path / "file.new").write_bytes(b"secret, half")
    overwritten = []
    unlink = Path.unlink
    monkeypatch.setattr(
        Path, "unlink", lambda self, **how: (overwritten.append(self.read_bytes()), unlink(self))
    )
    destroy_file(path)
    assert overwritten == [bytes(6), bytes(12)]
    assert not list(tmp_path.iterdir())
    destroy_file(path)
    destroy_file(tmp_path / "no such folder" / "file")


@pytest.mark.parametrize("target", ["media/key", "{}/media/key"], ids=["relative", "absolute"])
def test_what_a_link_leads_to_is_overwritten_and_the_link_removed(tmp_path, target):
    key = tmp_path / "media" / "key"
    key.parent.mkdir()
    key.write_bytes(b"secret")
    (tmp_path / "file").symlink_to(target.format(tmp_path))
    destroy_file(tmp_path / "file")
    assert key.read_bytes() == bytes(6)
    assert not (tmp_path / "file").is_symlink()
    (tmp_path / "file").symlink_to(tmp_path / "nowhere")
    destroy_file(tmp_path / "file")
    assert not (tmp_path / "file").is_symlink()


def test_a_link_in_place_of_what_is_unfinished_is_followed_by_nothing(tmp_path):
    (tmp_path / "another").write_bytes(b"whole")
    (tmp_path / "file.new").symlink_to(tmp_path / "another")
    destroy_file(tmp_path / "file")
    assert not (tmp_path / "file.new").is_symlink()
    (tmp_path / "file.new").symlink_to(tmp_path / "another")
    write_file(tmp_path / "file", b"mine")
    assert not (tmp_path / "file").is_symlink()
    assert (tmp_path / "file").read_bytes() == b"mine"
    assert (tmp_path / "another").read_bytes() == b"whole"


@pytest.mark.skipif(os.geteuid() != 0, reason="gives files to another user")
def test_root_is_led_to_no_file_of_another_by_a_link_of_a_third(tmp_path):
    (tmp_path / "another").write_bytes(b"whole")
    (tmp_path / "file").symlink_to(tmp_path / "another")
    os.chown(tmp_path / "file", 65534, 65534, follow_symlinks=False)
    with pytest.raises(PermissionError, match="another's file"):
        destroy_file(tmp_path / "file")
    assert (tmp_path / "another").read_bytes() == b"whole"
    os.chown(tmp_path / "another", 65534, 65534)
    destroy_file(tmp_path / "file")
    assert (tmp_path / "another").read_bytes() == bytes(5)


@pytest.mark.parametrize("is_link", [False, True], ids=["file", "link"])
def test_what_can_not_be_overwritten_is_told_and_of_a_link_tried_again(
    tmp_path, monkeypatch, is_link
):
    key = tmp_path / ("key" if is_link else "file")
    key.write_bytes(b"secret")
    if is_link:
        (tmp_path / "file").symlink_to(key)
    write_file(tmp_path / "file.new", b"half")

    def fails(*_):
        raise OSError(errno.EROFS, "Read-only file system")

    with monkeypatch.context() as patched:
        patched.setattr(os, "pwrite", fails)
        with pytest.raises(OSError, match="Read-only"):
            destroy_file(tmp_path / "file")
    assert not (tmp_path / "file.new").exists()
    assert (tmp_path / "file").exists() == is_link
    destroy_file(tmp_path / "file")
    assert not (tmp_path / "file").exists()
    assert not is_link or key.read_bytes() == bytes(6)


def test_what_its_owner_may_only_read_is_overwritten_too(tmp_path):
    path = tmp_path / "file"
    write_file(path, b"secret")
    path.chmod(0o400)
    (tmp_path / "twin").hardlink_to(path)
    destroy_file(path)
    assert (tmp_path / "twin").read_bytes() == bytes(6)


def test_who_has_a_file_locked_has_it_alone_until_it_is_closed(tmp_path):
    path = tmp_path / "lock"
    path.touch()
    with path.open() as one, path.open() as other:
        assert lock_at_once(one.fileno())
        assert not lock_at_once(other.fileno())
        with pytest.raises(TimeoutError, match="somebody else is at it"):
            lock_file(other.fileno(), 0.0)
        one.close()
        assert lock_at_once(other.fileno())
