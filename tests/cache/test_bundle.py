"""The files of a bundle: whole or not there, and nothing that lies on a disk is trusted."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from edge.cache import bundle as bundles
from edge.cache.bundle import FOLDER, Bundle, PartReader, bundles_on
from edge.cache.disk import DiskUnusable, on_disk
from edge.errors import SealBroken, StorageFull
from tests.fakes.courier import make_bundle, place
from tests.samples import ct_series

BOX, HOSPITAL = place("box"), place("hospital")


@pytest.fixture
def slices():
    return list(ct_series(3, rows=64, columns=64))


@pytest.fixture
def made(tmp_path, slices):
    return make_bundle(tmp_path, BOX, [HOSPITAL], [slices[:2], slices[2:]])


def test_a_bundle_is_found_by_its_name_and_nothing_else_is(tmp_path, made):
    bundle, _ = made
    folder = tmp_path / FOLDER
    (folder / "0123456789abcdef").symlink_to(bundle.path)
    (folder / "0123456789abcde0").write_text("a file")
    (folder / "photos").mkdir()
    for disk in (tmp_path, folder):
        assert [one.number for one in bundles_on(disk)] == [bundle.number]
    assert bundles_on(folder / "photos") == []
    with pytest.raises(NotADirectoryError):
        bundles_on(tmp_path / "nothing")


def test_names_in_upper_case_are_the_same_files(made):
    bundle, key = made
    for path in list(bundle.path.iterdir()):
        path.rename(path.with_name(path.name.upper()))
    upper = bundle.path.rename(bundle.path.with_name(bundle.path.name.upper()))
    (found,) = bundles_on(upper.parent.parent)
    assert found.number == bundle.number
    assert found.parts() == [1, 2]
    assert len(found.envelopes()) == 2
    reader = PartReader(found, 2, key)
    assert reader.length
    reader.close()


def test_every_name_is_short_plain_and_in_lower_case(made):
    bundle, _ = made
    for path in (bundle.path, *bundle.path.iterdir()):
        assert path.name == path.name.lower()
        assert len(path.name) < 32
        assert not set(path.name) & set('\\/:*?"<>| ')


def test_a_part_gives_back_what_was_put_in(made, slices):
    bundle, key = made
    reader = PartReader(bundle, 1, key)
    first = len(slices[0].data)
    assert reader.read(0, first) == slices[0].data
    assert reader.read(first, len(slices[1].data)) == slices[1].data
    assert reader.read(reader.length, 10) == b""
    reader.close()


def test_a_part_that_was_changed_cut_or_exchanged_does_not_open(made):
    bundle, key = made
    path = bundle.path / "0001.part"
    whole = path.read_bytes()

    def read():
        reader = PartReader(bundle, 1, key)
        try:
            return reader.read(0, reader.length)
        finally:
            reader.close()

    for at in (9, 20, 40, 64, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        with pytest.raises(SealBroken):
            read()
    for cut in (whole[:-1], whole[: len(whole) // 2], whole[:63], b""):
        path.write_bytes(cut)
        with pytest.raises(SealBroken):
            read()
    path.write_bytes((bundle.path / "0002.part").read_bytes())
    with pytest.raises(SealBroken):
        read()


def test_what_is_no_file_or_too_long_is_not_read(made, monkeypatch):
    bundle, _ = made
    with pytest.raises(SealBroken, match="too long"):
        bundle.read("0001.part", 100)
    secret = bundle.path.parent / "elsewhere"
    secret.write_text("of somebody else")
    (bundle.path / "complete").unlink()
    (bundle.path / "complete").symlink_to(secret)
    with pytest.raises(OSError, match="symbolic links"):
        bundle.read("complete")
    (bundle.path / "key").unlink()
    os.mkfifo(bundle.path / "key")
    with pytest.raises(SealBroken, match="no file"):
        bundle.read("key")
    assert len(bundle.envelopes()) == 1


def test_a_file_is_replaced_whole_or_stays(made, monkeypatch):
    bundle, _ = made
    before = bundle.read("complete")

    def pulled_out(_):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "fsync", pulled_out)
    with pytest.raises(OSError, match="Input/output"):
        bundle.write("complete", b"new")
    monkeypatch.undo()
    assert bundle.read("complete") == before
    bundle.sweep()
    assert not list(bundle.path.glob("*.new"))


def test_a_file_system_that_can_not_sync_names_will_do(made, monkeypatch):
    bundle, _ = made
    sync = os.fsync

    def only_files(descriptor):
        if Path(f"/proc/self/fd/{descriptor}").is_dir():
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", only_files)
    bundle.write("complete", b"new")
    assert bundle.read("complete") == b"new"


def test_deleting_takes_what_is_ours_and_leaves_the_rest(made, tmp_path):
    bundle, _ = made
    other = bundle.path / "holiday.jpg"
    other.write_text("of the courier")
    (bundle.path / "0003.part.new").write_text("half")
    bundle.delete()
    assert list(bundle.path.iterdir()) == [other]
    other.unlink()
    bundle.delete()
    assert not (tmp_path / FOLDER).exists()


@pytest.mark.parametrize(
    ("number", "kind", "words"),
    [
        (errno.ENOSPC, StorageFull, "full"),
        (errno.EFBIG, StorageFull, "full"),
        (errno.EROFS, DiskUnusable, "Read-only"),
        (errno.ENOENT, DiskUnusable, "No such file"),
        (errno.EIO, DiskUnusable, "Input/output"),
    ],
)
def test_what_is_wrong_with_a_disk_is_said_with_what_to_do(tmp_path, number, kind, words):
    with pytest.raises(kind, match=words) as found, on_disk(tmp_path):
        raise OSError(number, os.strerror(number))
    assert str(tmp_path) in str(found.value)
    assert found.value.hint or kind is StorageFull


def test_a_bundle_that_is_there_is_not_made_again(tmp_path, made):
    bundle, _ = made
    with pytest.raises(FileExistsError):
        Bundle.make(tmp_path, bundle.number)
    assert bundles.PART * 2 < 4 * 1024**3
