"""The files of a bundle: whole or not there, and nothing that lies on a disk is trusted."""

from __future__ import annotations

import contextlib
import errno
import os
import tempfile
import threading
from pathlib import Path

import pytest

from edge.cache import parts
from edge.cache.bundle import (
    FOLDER,
    Bundle,
    BundleForbidden,
    bundles_on,
)
from edge.cache.courier import describe, open_bundle
from edge.cache.disk import DiskUnusable, on_disk
from edge.cache.parts import PartReader, PartWriter
from edge.crypto.sealed import Algorithm
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


@pytest.fixture
def open_disk():
    """One that knows owners, and that everybody can reach."""
    with tempfile.TemporaryDirectory() as name:
        disk = Path(name)
        disk.chmod(0o755)
        yield disk


@contextlib.contextmanager
def another_user():
    """As on the box where the disk is plugged in next: who it is there has another number."""
    if os.geteuid():
        pytest.skip("only root can be somebody else")
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def test_on_another_box_everybody_may_read_it_and_add_receipts(open_disk, slices):
    before = os.umask(0o077)
    try:
        _, key = make_bundle(open_disk, BOX, [HOSPITAL], [slices])
    finally:
        os.umask(before)
    receipt = "0001.0123456789abcdef.receipt"
    with another_user():
        (found,) = bundles_on(open_disk)
        assert len(found.envelopes()) == 2
        assert key.stated("0001.list", found.read("0001.list"), [BOX.place])
        reader = PartReader(found, 1, key)
        assert reader.read(0, 8) == slices[0].data[:8]
        reader.close()
        found.write(receipt, b"first")
        found.write(receipt, b"second")
    # And whoever packed it may read and replace that.
    assert found.read(receipt) == b"second"
    found.write(receipt, b"third")
    with another_user():
        found.write(receipt, b"fourth")
        Bundle.make(open_disk, "0123456789abcdef")
        with pytest.raises(PermissionError):
            found.path.rename(open_disk / FOLDER / "0123456789abcde0")
    assert found.read(receipt) == b"fourth"


def test_what_another_user_may_not_read_is_not_called_damaged(open_disk, slices):
    bundle, _ = make_bundle(open_disk, BOX, [HOSPITAL], [slices])
    bundle.path.chmod(0o700)
    with another_user():
        with pytest.raises(BundleForbidden, match="Permission denied: this user may not read"):
            open_bundle(bundle, HOSPITAL)
        (said,) = describe(open_disk, HOSPITAL, [BOX.place])
        assert said.trouble.startswith("Permission denied")
    bundle.path.chmod(0o755)
    (bundle.path / "key").chmod(0o600)
    with another_user():
        assert open_bundle(bundle, HOSPITAL)
        with pytest.raises(DiskUnusable, match="Permission denied"), on_disk(open_disk):
            bundle.write("0001.0123456789abcdef.receipt", b"")


def test_a_link_where_a_file_is_to_be_is_replaced_and_not_followed(made):
    bundle, key = made
    secret = bundle.path.parent / "elsewhere"
    secret.write_text("of somebody else")
    (bundle.path / "0001.0123456789abcdef.receipt.new").symlink_to(secret)
    (bundle.path / "0003.part.new").symlink_to(secret)
    bundle.write("0001.0123456789abcdef.receipt", b"a receipt")
    writer = PartWriter(bundle, 3, key, Algorithm.AES_256_GCM)
    writer.write(b"content")
    writer.finish()
    assert secret.read_text() == "of somebody else"
    assert bundle.read("0001.0123456789abcdef.receipt") == b"a receipt"


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
    assert bundle.delete() == ["holiday.jpg"]
    assert list(bundle.path.iterdir()) == [other]
    other.unlink()
    assert bundle.delete() == []
    assert not (tmp_path / FOLDER).exists()


def test_what_is_in_the_place_of_a_file_is_told_and_the_envelope_waits_for_it(made, tmp_path):
    bundle, _ = made
    for name in ("0007.part", "0008.list"):
        (bundle.path / name).mkdir()
    (bundle.path / "0007.part" / "holiday.jpg").write_text("of somebody")
    (bundle.path / "0009.part").symlink_to(tmp_path)
    assert bundle.delete() == ["0007.part"]
    assert sorted(path.name for path in bundle.path.iterdir()) == ["0007.part", "key", "key.copy"]
    assert bundle.delete() == ["0007.part"]
    (bundle.path / "0007.part" / "holiday.jpg").unlink()
    assert bundle.delete() == []
    assert not (tmp_path / FOLDER).exists()


def test_a_deletion_that_was_interrupted_anywhere_leaves_an_envelope_or_nothing(
    made, monkeypatch, tmp_path
):
    bundle, _ = made
    (bundle.path / "0001.part.new").write_text("half")
    unlink, left = os.unlink, [0]

    def pulled_out(*arguments, **named):
        left[0] -= 1
        if left[0] < 0:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        unlink(*arguments, **named)

    monkeypatch.setattr(os, "unlink", pulled_out)
    for steps in range(10):
        left[0] = 1
        if steps == 9:
            left[0] = 10
        try:
            assert bundle.delete() == []
        except OSError:
            there = bundle.names()
            assert "key.copy" in there or set(there) == {"key"}
        else:
            break
    assert not (tmp_path / FOLDER).exists()


@pytest.mark.parametrize("kind", ["link", "pipe", "folder", "twin"])
def test_nothing_that_waits_under_a_name_of_ours_is_written_through(made, tmp_path, slices, kind):
    bundle, key = made
    victim = tmp_path / "root.key"
    victim.write_bytes(b"of the box")
    for name in ("0003.part.new", "complete.new", "complete"):
        path = bundle.path / name
        path.unlink(missing_ok=True)
        match kind:
            case "link":
                path.symlink_to(victim)
            case "pipe":
                os.mkfifo(path)
            case "folder" if name.endswith(".new"):
                path.mkdir()
            case "twin":
                path.hardlink_to(victim)
    bundle.write("complete", b"ours")
    writer = PartWriter(bundle, 3, key, Algorithm.AES_256_GCM)
    writer.write(slices[0].data)
    writer.finish()
    assert bundle.read("complete") == b"ours"
    reader = PartReader(bundle, 3, key)
    assert reader.read(0, reader.length) == slices[0].data
    reader.close()
    assert victim.read_bytes() == b"of the box"


def test_the_bundles_folder_is_no_link_to_elsewhere(made, tmp_path):
    bundle, _ = made
    (tmp_path / FOLDER).rename(tmp_path / "elsewhere")
    (tmp_path / FOLDER).symlink_to(tmp_path / "elsewhere")
    for disk in (tmp_path, tmp_path / FOLDER):
        with pytest.raises(DiskUnusable, match="no folder") as found:
            bundles_on(disk)
        assert "no link is followed" in found.value.hint
        with pytest.raises(DiskUnusable, match="no folder"):
            Bundle.make(disk, "0123456789abcdef")
    with pytest.raises(DiskUnusable):
        bundle.write("complete", b"new")


def test_a_bundle_that_became_a_link_is_not_followed(made, tmp_path):
    bundle, _ = made
    bundle.path.rename(tmp_path / "elsewhere")
    bundle.path.symlink_to(tmp_path / "elsewhere")
    before = sorted((tmp_path / "elsewhere").iterdir())
    with pytest.raises(OSError, match=r"Not a directory|symbolic links"):
        bundle.write("complete", b"new")
    assert sorted((tmp_path / "elsewhere").iterdir()) == before


def test_a_link_has_no_length_and_is_named(made, tmp_path):
    bundle, _ = made
    size = bundle.size()
    (bundle.path / "0002.part").unlink()
    (bundle.path / "0002.part").symlink_to("/nonexistent")
    (bundle.path / "0003.part").mkdir()
    assert bundle.strange() == ["0002.part", "0003.part"]
    assert (bundle.length("0002.part"), bundle.length("0004.part")) == (0, 0)
    assert 0 < bundle.size() < size


def test_two_threads_that_write_the_same_file_wait_for_each_other(made):
    bundle, _ = made
    contents = [bytes([number]) * 5000 for number in range(8)]
    threads = [threading.Thread(target=bundle.write, args=("complete", each)) for each in contents]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert bundle.read("complete") in contents
    assert not list(bundle.path.glob("*.new"))


@pytest.mark.parametrize(
    ("number", "kind", "words"),
    [
        (errno.EISDIR, DiskUnusable, "directory"),
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
    assert parts.PART * 2 < 4 * 1024**3
