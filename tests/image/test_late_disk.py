"""The image's program that opens the data, where the disk that it moves to shows itself late.

The program itself, on a disk that is a file, as in `tests.image.test_erasing`.
"""

from __future__ import annotations

import shutil
import subprocess
from typing import get_args

import msgspec
import pytest

from edge.machine.moves import Move, State
from tests.image.test_erasing import DATA_TYPE, Box, box_in, put, put_program

pytestmark = pytest.mark.skipif(not shutil.which("sfdisk"), reason="needs sfdisk (fdisk)")

TABLE = "0b7d8b10-9b1c-4d3a-8f4e-3f1f5d0c2a11"
WISHED = Move("QEMU HARDDISK", table=TABLE)
_PLAYED = r"""#!/bin/bash
root={root}
echo "${{0##*/}} $*" >>$root/called
case ${{0##*/}} in
    debugfs) exec cat $root/move.json ;;
    edge) exit 0 ;;
    sleep)
        seconds=$(grep -cx 'sleep 1' $root/called)
        [ "$seconds" != 3 ] || mv $root/sda $root/sys/class/block/sda || true
        ;;
esac
"""


@pytest.fixture
def box(tmp_path):
    """One whose data is open, with a disk that its data was copied to, in three seconds."""
    made = box_in(tmp_path / "machine")
    root = made.root
    (root / "dev/mapper").mkdir()
    (root / "dev/mapper/edge-data").touch()
    asked = ["sfdisk", "--part-uuid", str(root / "dev/vda"), "6"]
    uuid = subprocess.run(asked, capture_output=True, text=True, check=True).stdout
    with (root / "dev/sda").open("wb") as opened:
        opened.truncate(16 * 1024 * 1024)
    table = (
        f"label: gpt\nlabel-id: {TABLE}\ntype={DATA_TYPE}, name=edge-data-new-{uuid[:8].lower()}\n"
    )
    subprocess.run(["sfdisk", "-q", str(root / "dev/sda")], input=table.encode(), check=True)
    (root / "sda/sda1").mkdir(parents=True)
    (root / "sda/sda1/partition").write_text("1\n")
    for disk in ("sda", "sdb"):
        (root / f"sys/class/block/{disk}1").symlink_to(f"{disk}/{disk}1")
    for name in ("debugfs", "edge", "sleep"):
        put(root / "programs" / name, _PLAYED.format(root=root))
    put_program(root, "disk")
    return made


def keep(box: Box, state: State) -> None:
    """How far the move is, as the data has it."""
    kept = msgspec.structs.replace(WISHED, state=state)
    (box.root / "move.json").write_bytes(msgspec.json.encode(kept))


def slept(box: Box) -> int:
    """Seconds."""
    return (box.root / "called").read_text().count("sleep 1\n")


def test_a_disk_that_the_data_is_ready_to_move_to_is_waited_for(box):
    keep(box, "ready")
    assert box.run("disk", "open") == 0, box.said
    assert slept(box) == 3
    assert "edge machine switch\n" in box.said


def test_the_copy_of_an_earlier_move_is_not_taken_for_it(box):
    keep(box, "ready")
    shutil.copy(box.root / "dev/sda", box.root / "dev/sdb")
    other = ["sfdisk", "-q", "--disk-id", str(box.root / "dev/sdb"), TABLE.replace("0", "1")]
    subprocess.run(other, check=True)
    (box.root / "sys/class/block/sdb/sdb1").mkdir(parents=True)
    (box.root / "sys/class/block/sdb/sdb1/partition").write_text("1\n")
    assert box.run("disk", "open") == 0, box.said
    assert slept(box) == 3
    assert "edge machine switch\n" in box.said


def test_whatever_ends_the_last_step_after_the_data_moved_the_machine_starts_anew(box):
    keep(box, "ready")
    disk, uuid = box.root / "dev/vda", ["sfdisk", "--part-uuid", str(box.root / "dev/sda"), "1"]
    new = subprocess.run(uuid, capture_output=True, text=True, check=True).stdout[:8].lower()
    words = f"sfdisk -q --part-label {disk} 6 edge-data-old-{new}; kill -9 $$"
    put(box.root / "programs/edge", f"#!/bin/sh\n{words}\n")
    box.run("disk", "open")
    assert "systemctl --force --force reboot\n" in box.said


def test_a_last_step_that_fails_before_that_has_the_machine_go_on_as_it_was(box):
    keep(box, "ready")
    put(box.root / "programs/edge", "#!/bin/sh\nexit 1\n")
    assert box.run("disk", "open") == 0, box.said
    assert "reboot" not in box.said


@pytest.mark.parametrize("state", ["", *(one for one in get_args(State) if one != "ready")])
def test_without_a_move_that_is_ready_a_start_waits_for_nothing(box, state):
    if state:
        keep(box, state)
    assert box.run("disk", "open") == 0, box.said
    assert slept(box) == 0
    assert "edge machine switch\n" not in box.said


def test_with_a_disk_that_is_not_there_it_starts_all_the_same(box):
    keep(box, "ready")
    shutil.rmtree(box.root / "sda")
    assert box.run("disk", "open") == 0, box.said
    assert slept(box) == 30
    assert "edge machine switch\n" not in box.said
    assert "its new disk is waited for" in box.said
