"""Records of deletions: sealed, durable, and read with the oldest first."""

from __future__ import annotations

import errno

import pytest

from edge.crypto.sealed import Algorithm
from edge.dicom.instance import InstanceRef
from edge.errors import StorageFull
from edge.store.tombstones import DeletionRecord, TombstoneStore


@pytest.fixture
def records(tmp_path, keys):
    return TombstoneStore(tmp_path, keys, algorithm=Algorithm.AES_256_GCM)


def record(at, count=1):
    refs = tuple(InstanceRef("1.2", "1.2.3", f"1.2.3.{number}") for number in range(count))
    return DeletionRecord(at, True, refs, ("ab" * 16,))


async def test_what_was_written_is_read_the_oldest_first(records):
    later, earlier = record(2.0, 5000), record(1.0)
    names = [await records.write(later), await records.write(earlier)]
    found = await records.read_all()
    assert list(found.items()) == [(names[1], earlier), (names[0], later)]
    await records.remove(names[0])
    await records.remove(names[0])
    assert list(await records.read_all()) == [names[1]]


async def test_nothing_in_it_can_be_read_or_exchanged(records, tmp_path):
    names = [await records.write(record(1.0)), await records.write(record(2.0))]
    first, second = (tmp_path / "tombstones" / name for name in names)
    assert b"1.2.3" not in first.read_bytes()
    first.write_bytes(second.read_bytes())
    assert list(await records.read_all()) == [names[1]]


async def test_what_was_half_written_is_removed_and_what_is_not_ours_stays(records, tmp_path):
    name = await records.write(record(1.0))
    folder = tmp_path / "tombstones"
    (folder / f"{'0' * 32}.new").write_bytes(b"half")
    (folder / "lost+found").mkdir()
    assert list(await records.read_all()) == [name]
    assert {path.name for path in folder.iterdir()} == {name, "lost+found"}


async def test_a_full_disk_deletes_nothing(records, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr("edge.store.records.write_file", full)
    with pytest.raises(StorageFull, match="nothing was deleted"):
        await records.write(record(1.0))


async def test_before_the_first_deletion_there_is_nothing(records):
    assert await records.read_all() == {}
