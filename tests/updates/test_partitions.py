"""The slots of a disk, on images with real partition tables."""

from __future__ import annotations

import hashlib
import shutil

import pytest

from edge.errors import UpdateRefused
from edge.updates.partitions import EMPTY, Disk, disk_of, ids_of
from tests.updates.makers import MIB, make_disk, make_pi_disk

pytestmark = pytest.mark.skipif(not shutil.which("sfdisk"), reason="needs sfdisk")


@pytest.fixture
def disk(tmp_path):
    return Disk(make_disk(tmp_path / "disk"))


def test_the_other_slot_is_the_one_that_does_not_run(disk):
    slot = disk.other_slot("1.0")
    assert slot.is_empty
    assert (slot.root.number, slot.verity.number) == (4, 5)
    assert slot.root.size == 2 * MIB
    with pytest.raises(UpdateRefused, match=r"no slot of version 1\.1"):
        disk.other_slot("1.1")


def test_it_is_the_other_one_again_after_an_update(disk):
    slot = disk.other_slot("1.0")
    disk.name(slot.root, "edge-root-1.1")
    disk.name(slot.verity, "edge-verity-1.1")
    back = disk.other_slot("1.1")
    assert (back.root.number, back.verity.number) == (2, 3)
    assert not back.is_empty


def test_a_disk_with_one_slot_is_refused(tmp_path):
    disk = Disk(make_disk(tmp_path / "one", slots=1))
    with pytest.raises(UpdateRefused, match="does not have two slots"):
        disk.other_slot("1.0")


def test_a_partition_is_written_and_read_again(disk):
    slot = disk.other_slot("1.0")
    content = b"content" * 100_000
    before = disk.path.read_bytes()
    disk.write(slot.root, [content[:5], content[5:]], hashlib.sha256(content).hexdigest())
    after = disk.path.read_bytes()
    begin = slot.root.begin
    assert after[begin : begin + len(content)] == content
    assert after[:begin] == before[:begin]
    assert after[begin + len(content) :] == before[begin + len(content) :]


def test_what_does_not_fit_is_refused_before_it_touches_the_next_partition(disk):
    slot = disk.other_slot("1.0")
    end = slot.root.begin + slot.root.size
    before = disk.path.read_bytes()[end:]
    with pytest.raises(UpdateRefused, match="the update needs more"):
        disk.write(slot.root, [b"x" * MIB] * 3, "")
    assert disk.path.read_bytes()[end:] == before


def test_a_disk_that_lies_is_found_out(disk):
    with pytest.raises(UpdateRefused, match="does not give back"):
        disk.write(disk.other_slot("1.0").root, [b"x"], hashlib.sha256(b"y").hexdigest())


def test_names_and_uuids_stand_in_the_table(disk):
    slot = disk.other_slot("1.0")
    root_id, verity_id = ids_of("0123456789abcdef" * 4)
    disk.name(slot.root, "edge-root-1.1", root_id)
    disk.name(slot.verity, "edge-verity-1.1", verity_id)
    found = {one.number: one.label for one in disk.partitions()}
    assert (found[4], found[5]) == ("edge-root-1.1", "edge-verity-1.1")
    assert root_id == "01234567-89ab-cdef-0123-456789abcdef"
    disk.name(slot.root, EMPTY)
    assert disk.other_slot("1.0").root.label == EMPTY


def test_the_other_boot_partition_of_a_pi(tmp_path):
    disk = Disk(make_pi_disk(tmp_path / "pi"))
    assert disk.other_boot(2).number == 3
    assert disk.other_boot(3).number == 2
    assert disk.other_slot("1.0").root.number == 6


def test_what_is_no_disk_is_told_of(tmp_path):
    (tmp_path / "none").write_bytes(bytes(MIB))
    with pytest.raises(UpdateRefused, match="sfdisk"):
        Disk(tmp_path / "none").partitions()
    with pytest.raises(UpdateRefused, match=r"no partition edge-root-0\.0\.none"):
        disk_of("0.0.none")


def test_a_disk_that_the_data_was_moved_away_from_takes_no_update(tmp_path):
    for name in ("sda", "sdb"):
        (tmp_path / name).touch()
    for name in ("whole", "data-whole"):
        (tmp_path / name).symlink_to(tmp_path / "sda")
    assert disk_of("1.0", tmp_path).path == tmp_path / "sda"
    (tmp_path / "data-whole").unlink()
    (tmp_path / "data-whole").symlink_to(tmp_path / "sdb")
    with pytest.raises(UpdateRefused, match="was moved away from"):
        disk_of("1.0", tmp_path)
