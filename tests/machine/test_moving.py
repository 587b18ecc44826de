"""The data moves to a bigger disk, and the power goes before every step of that."""

from __future__ import annotations

import os
import subprocess
import uuid
from pathlib import Path

import pytest

from edge.errors import MachineRefused
from edge.machine.asking import leave
from edge.machine.carrying import Carrier
from edge.machine.disks import disks_of
from edge.machine.erasing import ERASED
from edge.machine.layout import lay_out, table_of, table_on
from edge.machine.moves import read_move
from edge.machine.moving import Mover
from edge.machine.switching import erase_old, switch
from edge.machine.wishes import EraseOld
from tests.machine.two_disks import CUT, MIB, hindrance, two_disks

pytestmark = pytest.mark.skipif(bool(hindrance()), reason=hindrance())
INDEX = "lib/edge/index.db"
OBJECTS = {f"lib/edge/objects/{at:02x}/{at:032x}": bytes([at]) * (at * 700) for at in range(40)}
FILES = {**OBJECTS, INDEX: b"index " * 90_000, "log/journal/system": b"journal"}
COPY_STEPS = 5
SWITCH_STEPS = 10
DATA = "0fc63daf-8483-4772-8e79-3d69d8477de4"
CUTS = (0, 1, 6, 7, 8, 9)
"""Of those, without partitions of the system but the first: each is copied as that is."""


@pytest.fixture
def disks(tmp_path):
    with two_disks(tmp_path / "machine") as made:
        with made.mounted(made.data(made.old)) as place:
            write(place, FILES)
        yield made


def write(place, files):
    for name, content in files.items():
        path = place / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def found(disks, part):
    """What lies on a partition, but for what is kept of the move."""
    with disks.mounted(part) as place:
        return {
            str(path.relative_to(place)): path.read_bytes()
            for path in place.rglob("*")
            if path.is_file() and not path.match("edge-machine/move.*")
        }


def choose(disks, device=None, *, erase=False):
    name = (device or disks.new).name
    disk = next(one for one in disks_of(disks.places, disks.tools) if one.name == name)

    def act(step):
        Mover(disks.places, disks.tools, step=step).begin(disk.name, disk.seen, erase=erase)

    return disks.does(act, is_running=True)


def copy(disks, cut=-1):
    def act(step):
        Mover(disks.places, disks.tools, step=step).run(0.0, rounds=1)

    return disks.does(act, cut=cut, is_running=True)


def restart(disks, cut=-1):
    """What comes of the last step, at a start."""
    disks.starts()
    old = (disks.places.own_disk / "data").resolve()
    return disks.does(lambda step: switch(disks.places, disks.tools, old, step=step), cut=cut)


def goes_on(disks, kept):
    """Somebody works meanwhile; also in a way that leaves size and time of a file as they were."""
    with disks.mounted(disks.data(disks.old)) as place:
        name = f"lib/edge/objects/ff/{'f' * 32}"
        write(place, {name: b"new"})
        index = place / INDEX
        before = index.stat()
        with index.open("r+b") as file:
            file.seek(4096)
            file.write(b"CHANGED")
        os.utime(index, ns=(before.st_atime_ns, before.st_mtime_ns))
        gone = place / next(iter(OBJECTS))
        gone.unlink()
        changed = index.read_bytes()
    kept = {**kept, name: b"new", INDEX: changed}
    del kept[next(iter(OBJECTS))]
    return kept


def test_it_moves_while_people_work_and_the_old_copy_stays_until_it_is_erased(disks):
    assert choose(disks) == 0
    assert "systemctl --no-block restart edge-move.service" in called(disks)
    assert copy(disks) == 0
    assert read_move(disks.places).state == "ready"
    assert "restart the box" in read_move(disks.places).words
    wanted = goes_on(disks, FILES)
    old, new = f"{disks.old.name}p6", f"{disks.new.name}p6"
    assert disks.data(disks.old) == disks.data(disks.new) == old
    assert disks.copies(old) == [new]  # which a factory reset destroys, too
    assert restart(disks) == 0
    assert disks.data(disks.old) == disks.data(disks.new) == new
    assert disks.copies(new) == [old]
    assert found(disks, new) == wanted
    assert found(disks, old) == wanted
    for number in (1, 2, 3):
        assert same(f"{disks.old}p{number}", f"{disks.new}p{number}")
    before, after = (table_of(disk, disks.tools).partitions for disk in (disks.old, disks.new))
    assert [one.label for one in after[:5]] == [one.label for one in before[:5]]
    assert [one.uuid for one in after[1:3]] == [one.uuid for one in before[1:3]]
    assert after[0].uuid != before[0].uuid
    assert after[5].size > before[5].size
    assert f"boot-entry {disks.new}p1" in called(disks)
    disks.starts()
    roles = {disk.name: disk.role for disk in disks_of(disks.places, disks.tools)}
    assert roles[disks.old.name].startswith("has the data as it was before it moved")
    assert disks_of(disks.places, disks.tools)[0].is_left
    assert roles[disks.new.name] == "has the data; started from another disk"
    assert restart(disks) == 0
    assert disks.does(lambda _: erase_old(disks.places, disks.tools)) == 0
    assert f"cryptsetup luksErase --disable-locks --batch-mode {disks.old}p6" in called(disks)
    with Path(f"{disks.old}p6").open("rb") as file:
        assert file.read(16 * MIB).strip(b"\0") == ERASED
    erased = disks_of(disks.places, disks.tools)[0]
    assert not erased.is_left
    assert "its keys are destroyed" in erased.role
    assert disks.data(disks.old) == disks.data(disks.new) == new


def called(disks):
    return (disks.root / "called").read_text().splitlines()


def same(one, other):
    return subprocess.run(["cmp", "--quiet", one, other], check=False).returncode == 0


@pytest.mark.parametrize("cut", range(COPY_STEPS))
def test_when_the_power_goes_while_it_is_copied_the_data_is_where_it_was(disks, cut):
    assert choose(disks) == 0
    assert copy(disks, cut) == CUT
    assert disks.data(disks.old) == f"{disks.old.name}p6"
    assert disks.data(disks.new) in ("", f"{disks.old.name}p6")
    assert found(disks, f"{disks.old.name}p6") == FILES
    assert restart(disks) == 0
    assert copy(disks) == 0
    assert restart(disks) == 0
    assert disks.data(disks.old) == disks.data(disks.new) == f"{disks.new.name}p6"
    assert found(disks, f"{disks.new.name}p6") == FILES


@pytest.mark.parametrize("cut", CUTS)
def test_when_the_power_goes_in_the_last_step_exactly_one_partition_has_the_data(disks, cut):
    assert choose(disks) == 0
    assert copy(disks) == 0
    wanted = goes_on(disks, FILES)
    assert restart(disks, cut) == CUT
    data = disks.data(disks.old)
    assert disks.data(disks.new) == data
    labels = [
        one.label
        for disk in (disks.old, disks.new)
        for one in table_of(disk, disks.tools).partitions
        if one.label == "edge-data"
    ]
    assert labels == ["edge-data"]
    assert found(disks, data) == wanted
    assert restart(disks) == 0
    assert disks.data(disks.old) == disks.data(disks.new) == f"{disks.new.name}p6"
    assert found(disks, f"{disks.new.name}p6") == wanted


def test_of_two_disks_that_say_they_have_the_data_none_is_taken(disks):
    """A stick that pretends to be the other one, or its copy, block by block."""
    assert choose(disks) == 0
    assert copy(disks) == 0
    assert restart(disks) == 0
    uuid = table_of(disks.new, disks.tools).partitions[5].uuid
    table = f"label: gpt\ntype={DATA}, uuid={uuid}, name=edge-data\n"
    subprocess.run(["sfdisk", "--quiet", disks.third], input=table.encode(), check=True)
    subprocess.run(["partx", "--update", disks.third], capture_output=True, check=False)
    said = disks.data(disks.old)
    assert "two disks say that they have the data" in said
    assert f"{disks.new.name}p6" in said
    assert f"{disks.third.name}p1" in said
    assert disks.data(disks.new) == f"{disks.new.name}p6"  # it was started from


@pytest.mark.parametrize("cut", [0, 1])
def test_a_disk_that_is_called_otherwise_after_a_power_cut_is_the_one_that_is_written_to(
    disks, cut
):
    assert choose(disks) == 0
    assert copy(disks, cut) == CUT
    disks = disks.renamed()
    assert disks.data(disks.old) == f"{disks.old.name}p6"
    assert copy(disks) == 0, read_move(disks.places).words
    assert found(disks, f"{disks.old.name}p6") == FILES
    assert restart(disks) == 0
    assert disks.data(disks.old) == disks.data(disks.new) == f"{disks.new.name}p6"
    assert found(disks, f"{disks.new.name}p6") == FILES


def refused(disks, words):
    """Nothing was written to any disk; why is shown, and a disk that is chosen anew is taken."""
    before = table_of(disks.old, disks.tools)
    assert copy(disks) == 1
    assert words in read_move(disks.places).words
    assert table_of(disks.old, disks.tools) == before
    assert table_on(disks.new, disks.tools) == ""
    assert found(disks, f"{disks.old.name}p6") == FILES
    assert choose(disks, erase=True) == 0
    assert copy(disks) == 0
    assert read_move(disks.places).state == "ready"


def test_a_disk_without_a_serial_number_is_chosen_anew_after_a_restart(disks):
    (disks.root / "serial").write_text("")
    assert choose(disks) == 0
    disks.starts()
    refused(disks, "has no serial number")


def test_a_disk_without_a_serial_number_that_was_divided_is_known_by_that(disks):
    (disks.root / "serial").write_text("")
    assert choose(disks) == 0
    assert copy(disks, 1) == CUT
    disks = disks.renamed()
    assert copy(disks) == 0
    assert read_move(disks.places).state == "ready"


def test_what_came_onto_the_disk_since_it_was_chosen_stays(disks):
    assert choose(disks) == 0
    subprocess.run(["mkfs.ext4", "-q", "-F", disks.new], check=True)
    refused(disks, "something else on it")


def test_a_disk_that_was_chosen_by_its_name_alone_is_chosen_anew(disks):
    assert choose(disks) == 0
    disks.places.data.mkdir(exist_ok=True)
    with disks.mounted(f"{disks.old.name}p6") as place:
        kept = place / disks.places.move_kept.relative_to(disks.places.data)
        kept.write_text(f'{{"disk":"it","name":"{disks.old.name}","state":"wished"}}')
    refused(disks, "earlier version")


def test_another_blank_disk_is_not_taken_for_one_that_was_chosen_by_its_name_alone(disks):
    assert choose(disks) == 0
    with disks.mounted(f"{disks.old.name}p6") as place:
        kept = place / disks.places.move_kept.relative_to(disks.places.data)
        kept.write_text('{"disk":"it","name":"sdz","state":"wished"}')
    assert choose(disks) == 1
    assert "systemctl --no-block start edge-move.service" not in called(disks)


def test_no_disk_that_the_box_runs_from_or_that_is_in_use_is_divided(disks):
    whole = table_of(disks.old, disks.tools)
    data = whole.partitions[-1]

    def divide(target, *spared):
        identity = str(uuid.uuid4())
        lay_out(whole, data, target, disks.tools, identity=identity, spared=spared)

    for target, spared in ((disks.old, ()), (disks.new, (disks.new,))):
        with pytest.raises(MachineRefused, match="own disk"):
            divide(target, *spared)
    subprocess.run(["mkfs.ext4", "-q", "-F", disks.new], check=True)
    with disks.mounted(disks.new.name), pytest.raises(MachineRefused, match="busy"):
        divide(disks.new)
    with disks.mounted(disks.new.name) as place:
        assert (place / "lost+found").is_dir()


def test_there_are_no_more_steps_than_those(disks):
    assert choose(disks) == 0
    assert copy(disks, COPY_STEPS) == 0
    assert restart(disks, SWITCH_STEPS) == 0


def test_a_disk_that_is_not_empty_is_erased_only_if_that_was_said(disks):
    subprocess.run(["mkfs.ext4", "-q", "-F", disks.new], check=True)
    assert choose(disks) == 1
    assert read_move(disks.places) is None
    with disks.mounted(disks.new.name) as place:
        assert (place / "lost+found").is_dir()
    assert choose(disks, erase=True) == 0
    assert copy(disks) == 0
    assert read_move(disks.places).state == "ready"


def test_what_is_not_what_was_shown_is_left_alone(disks):
    shown = next(one for one in disks_of(disks.places, disks.tools) if one.name == disks.new.name)
    subprocess.run(["mkfs.ext4", "-q", "-F", disks.new], check=True)
    with pytest.raises(MachineRefused, match="not what it was"):
        Mover(disks.places, disks.tools).begin(shown.name, shown.seen, erase=True)
    own = next(one for one in disks_of(disks.places, disks.tools) if one.name == disks.old.name)
    with pytest.raises(MachineRefused, match="has the data of this box"):
        Mover(disks.places, disks.tools).begin(own.name, own.seen, erase=True)


def test_a_smaller_disk_is_refused(tmp_path):
    with two_disks(tmp_path / "machine", old_size=64 * MIB, new_size=48 * MIB) as disks:
        shown = disks_of(disks.places, disks.tools)[-1]
        with pytest.raises(MachineRefused, match="too small"):
            Mover(disks.places, disks.tools).begin(shown.name, shown.seen, erase=False)


def test_a_disk_with_other_sectors_is_refused(disks):
    program = disks.root / "programs/blockdev"
    asked = "--getss) echo 4096 ;; *) PATH=/usr/sbin:/sbin; exec blockdev"
    program.write_text(f'#!/bin/sh\ncase $1 in {asked} "$@" ;; esac\n')
    program.chmod(0o755)
    shown = disks_of(disks.places, disks.tools)[-1]
    with pytest.raises(MachineRefused, match="sectors of 4096 bytes"):
        Mover(disks.places, disks.tools).begin(shown.name, shown.seen, erase=False)


def test_who_stays_has_nothing_of_the_data_on_the_new_disk(disks):
    assert choose(disks) == 0
    assert copy(disks) == 0
    assert disks.does(lambda _: Mover(disks.places, disks.tools).stay(), is_running=True) == 0
    assert f"cryptsetup luksErase --disable-locks --batch-mode {disks.new}p6" in called(disks)
    assert read_move(disks.places) is None
    assert restart(disks) == 0
    assert disks.data(disks.old) == f"{disks.old.name}p6"
    assert choose(disks) == 0


def stay(disks, cut=-1):
    def act(step):
        Mover(disks.places, disks.tools, step=step).stay()

    return disks.does(act, cut=cut, is_running=True)


def has_copy(disks, device):
    return any(one.name == device.name and one.holds for one in disks_of(disks.places, disks.tools))


@pytest.mark.parametrize("cut", [0, 1])
def test_a_power_cut_while_a_move_is_ended_leaves_no_copy_for_good(disks, cut):
    assert choose(disks) == 0
    assert copy(disks) == 0
    assert stay(disks, cut) == CUT
    assert restart(disks) == 0
    assert disks.data(disks.old) == f"{disks.old.name}p6"
    assert copy(disks) == 0
    assert read_move(disks.places) is None
    assert not has_copy(disks, disks.new)
    assert choose(disks) == 0


def test_who_stays_is_told_of_a_copy_that_is_not_there_and_it_goes_when_it_is(disks):
    assert choose(disks) == 0
    assert copy(disks) == 0
    disks.plugged_in(disks.old)
    for _ in range(2):
        assert stay(disks) == 0
        assert read_move(disks.places).is_over
        assert "NEW still has a copy" in read_move(disks.places).words
    disks.plugged_in(disks.old, disks.new)
    assert restart(disks) == 0
    assert disks.data(disks.old) == f"{disks.old.name}p6"
    assert copy(disks) == 0
    assert read_move(disks.places) is None
    assert not has_copy(disks, disks.new)


def test_a_disk_that_was_not_there_when_a_move_was_ended_is_begun_with_from_the_start(disks):
    assert choose(disks) == 0
    assert copy(disks) == 0
    before = table_on(disks.new, disks.tools)
    disks.plugged_in(disks.old)
    assert stay(disks) == 0
    disks.plugged_in(disks.old, disks.new)
    assert choose(disks) == 0
    assert copy(disks) == 0
    assert table_on(disks.new, disks.tools) != before
    assert read_move(disks.places).state == "ready"
    assert "still has a copy" not in read_move(disks.places).words


def test_a_copy_on_the_disk_that_is_chosen_is_named_until_it_is_gone(disks):
    """Before, it was forgotten as its disk was chosen, also if that was never divided."""
    assert choose(disks) == 0
    assert copy(disks) == 0
    disks.plugged_in(disks.old)
    assert stay(disks) == 0
    disks.plugged_in(disks.old, disks.new)
    assert choose(disks) == 0
    assert "still has a copy" not in read_move(disks.places).words
    disks.plugged_in(disks.old)
    assert copy(disks) == 1
    assert "NEW still has a copy" in read_move(disks.places).words
    disks.plugged_in(disks.old, disks.new)
    assert copy(disks) == 0
    assert not has_copy(disks, disks.new)
    assert "still has a copy" not in read_move(disks.places).words


def test_a_copy_that_could_not_be_destroyed_is_not_named_once_its_disk_is_divided(disks):
    assert choose(disks) == 0
    assert copy(disks) == 0
    disks.plugged_in(disks.old)
    assert stay(disks) == 0
    disks.plugged_in(disks.old, disks.new)
    words = "--quiet", "--no-reread", "--no-tell-kernel", "--part-label"
    subprocess.run(["sfdisk", *words, disks.new, "6", "another"], check=True)
    assert choose(disks, erase=True) == 0
    assert copy(disks) == 0
    assert read_move(disks.places).state == "ready"
    assert "still has a copy" not in read_move(disks.places).words


def fail(disks):
    assert choose(disks) == 0
    assert copy(disks) == 0
    (disks.places.own_disk / "move-failed").write_text("no\n")
    assert copy(disks) == 0
    assert read_move(disks.places).state == "failed"


def test_a_second_try_on_another_disk_destroys_the_copy_on_the_first(disks):
    fail(disks)
    disks.plugged_in(disks.old, disks.new, disks.third)
    assert choose(disks, disks.third) == 0
    assert copy(disks) == 0
    assert f"cryptsetup luksErase --disable-locks --batch-mode {disks.new}p6" in called(disks)
    assert not has_copy(disks, disks.new)
    assert "still has a copy" not in read_move(disks.places).words
    assert restart(disks) == 0
    assert disks.data(disks.old) == f"{disks.third.name}p6"


def test_the_copy_of_a_first_try_is_neither_forgotten_nor_taken_for_the_second(disks):
    fail(disks)
    disks.plugged_in(disks.old, disks.third)
    assert choose(disks, disks.third) == 0
    assert copy(disks) == 0
    assert "NEW still has a copy" in read_move(disks.places).words
    disks.plugged_in(disks.old, disks.new, disks.third)
    assert restart(disks) == 0
    assert disks.data(disks.old) == f"{disks.third.name}p6"
    assert found(disks, f"{disks.third.name}p6") == FILES
    disks.starts()
    assert disks.does(lambda _: erase_old(disks.places, disks.tools)) == 0
    for disk in (disks.old, disks.new):
        assert f"cryptsetup luksErase --disable-locks --batch-mode {disk}p6" in called(disks)


def test_what_was_wished_already_changes_nothing(disks):
    assert stay(disks) == 0
    assert choose(disks) == 0
    assert choose(disks) == 0
    assert copy(disks) == 0
    assert choose(disks) == 0
    assert called(disks).count("systemctl --no-block restart edge-move.service") == 1
    assert called(disks).count("systemctl --no-block start edge-move.service") == 2
    assert read_move(disks.places).state == "ready"
    disks.plugged_in(disks.old, disks.new, disks.third)
    assert choose(disks, disks.third) == 1
    assert restart(disks) == 0
    disks.starts()
    for _ in range(2):
        assert disks.does(lambda _: erase_old(disks.places, disks.tools)) == 0


def fails(disks, words, *, afterwards=False):
    """The program that writes tables fails with such arguments; or once it did what it should."""
    program = disks.root / "programs/sfdisk"
    did = '/usr/sbin/sfdisk "$@"; ' if afterwards else ""
    text = f'case "$*" in *"{words}"*) {did}exit 1 ;; esac\nexec /usr/sbin/sfdisk "$@"\n'
    program.write_text(f"#!/bin/sh\n{text}")
    program.chmod(0o755)


def test_after_the_commit_no_fault_has_the_old_partition_be_written_to(disks):
    assert choose(disks) == 0
    assert copy(disks) == 0
    fails(disks, f"{disks.new} 6 edge-data")
    assert restart(disks) == 0
    assert disks.data(disks.old) == f"{disks.new.name}p6"  # which gives it its name
    assert found(disks, f"{disks.new.name}p6") == FILES


def test_a_commit_of_which_nobody_knows_whether_it_is_done_is_found_out_by_the_next_start(disks):
    assert choose(disks) == 0
    assert copy(disks) == 0
    new = table_of(disks.new, disks.tools).partitions[-1].uuid
    fails(disks, f"6 edge-data-old-{new[:8]}", afterwards=True)
    assert restart(disks) == 0
    assert table_of(disks.new, disks.tools).partitions[-1].label.startswith("edge-data-new-")
    assert disks.data(disks.old) == f"{disks.new.name}p6"


def test_a_commit_that_is_not_done_leaves_the_data_where_it_is(disks):
    assert choose(disks) == 0
    assert copy(disks) == 0
    new = table_of(disks.new, disks.tools).partitions[-1].uuid
    fails(disks, f"6 edge-data-old-{new[:8]}")
    assert restart(disks) == 1
    assert disks.data(disks.old) == f"{disks.old.name}p6"


def test_a_disk_that_went_away_is_said_and_when_it_is_back_it_goes_on(disks):
    assert choose(disks) == 0
    assert copy(disks) == 0
    disks.plugged_in(disks.old)
    assert copy(disks) == 1
    assert "is not there" in read_move(disks.places).words
    disks.plugged_in(disks.old, disks.new)
    assert choose(disks) == 0
    assert copy(disks) == 0
    assert read_move(disks.places).state == "ready"


def test_the_last_step_fails_and_the_data_stays_where_it_was(disks):
    assert choose(disks) == 0
    assert copy(disks) == 0
    program = disks.places.disk
    whole = program.read_text()
    program.write_text(whole.replace("attach)", "seal) echo no >&2; exit 1 ;;\n    attach)"))
    assert restart(disks) == 1
    assert disks.data(disks.old) == f"{disks.old.name}p6"
    assert found(disks, f"{disks.old.name}p6") == FILES
    (disks.places.own_disk / "move-failed").write_text("disk failed (1): no\n")
    assert copy(disks) == 0
    assert read_move(disks.places).state == "failed"
    assert restart(disks) == 0
    assert disks.data(disks.old) == f"{disks.old.name}p6"
    program.write_text(whole)
    assert choose(disks) == 0
    assert copy(disks) == 0
    assert restart(disks) == 0
    assert disks.data(disks.old) == f"{disks.new.name}p6"


def test_a_firmware_that_takes_no_entry_holds_nothing_up(disks):
    (disks.root / "broken-boot-entry").touch()
    assert choose(disks) == 0
    assert copy(disks) == 0
    assert restart(disks) == 0
    assert f"boot-entry {disks.new}p1" in called(disks)
    assert disks.data(disks.old) == f"{disks.new.name}p6"
    disks.starts()
    assert restart(disks) == 0


def test_a_machine_that_lacks_the_other_disk_does_not_begin_anew(disks):
    assert choose(disks) == 0
    assert copy(disks) == 0
    assert restart(disks) == 0
    subprocess.run(["wipefs", "--all", "--force", "--quiet", disks.new], check=True)
    subprocess.run(["partx", "--delete", disks.new], check=True)
    assert "the data has moved to another disk" in disks.data(disks.old)


def test_without_an_old_copy_there_is_nothing_to_erase(disks):
    request = leave(disks.places, EraseOld())
    assert Carrier(disks.places, disks.tools).carry_out() == 1
    assert b"not there" in (disks.places.answers / request.name).read_bytes()
