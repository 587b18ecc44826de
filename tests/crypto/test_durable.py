"""Small files that are whole under their name, or not there."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from edge.crypto.durable import destroy_file, write_file


def test_a_file_is_for_its_owner_alone_and_replaces_the_one_before(tmp_path):
    path = tmp_path / "file"
    write_file(path, b"one")
    write_file(path, b"two")
    assert path.read_bytes() == b"two"
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [path]


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


def test_a_link_is_not_followed_when_something_is_destroyed(tmp_path):
    (tmp_path / "another").write_bytes(b"whole")
    (tmp_path / "file").symlink_to(tmp_path / "another")
    with pytest.raises(OSError, match="symbolic"):
        destroy_file(tmp_path / "file")
    assert (tmp_path / "another").read_bytes() == b"whole"
