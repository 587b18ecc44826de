"""The installer: what is on a disk, and which one a file on the stick may have erased.

Disks are files here, and what a machine says of its own is what lsblk would.
"""

from __future__ import annotations

import json
import os
import subprocess

import pytest

from tests.image.installing import LISTED, STICK, Person, Programs, loaded
from tests.image.test_tree import EXTRA, IMAGE, read

GIB = 1024**3
MIB = 1024**2


@pytest.fixture(scope="module")
def installer():
    return loaded()


@pytest.fixture
def blank(tmp_path):
    """A disk that nothing was ever written to."""
    path = tmp_path / "disk"
    with path.open("wb") as file:
        file.truncate(16 * GIB)
    return path


def write_at(path, start, data):
    with path.open("r+b") as file:
        file.seek(start)
        file.write(data)


def unreadable(*_):
    raise OSError(5, "Input/output error")


def disk(installer, name="sdb", *labels, **more):
    return installer.devices.Disk(name, 10**11, "Model", f"S-{name}", labels, **more)


def test_a_disk_of_zeros_is_empty(installer, blank):
    assert installer.traces.looked_for(str(blank), has_parts=False) == ()


@pytest.mark.parametrize("start", [0, 700_000, 2689 * MIB + 500_000, 8 * GIB + 100, 16 * GIB - 1])
def test_one_with_anything_on_it_is_not(installer, blank, start):
    write_at(blank, start, b"\x01")
    [said] = installer.traces.looked_for(str(blank), has_parts=False)
    assert said == installer.traces.UNTOLD


def test_a_table_without_partitions_and_a_file_system_without_a_table_are_something(
    installer, blank
):
    subprocess.run(["mkfs.ext4", "-q", "-F", str(blank), "64M"], check=True)
    assert installer.traces.looked_for(str(blank), has_parts=False) == ("ext4",)
    subprocess.run(["wipefs", "-q", "-a", str(blank)], check=True)
    subprocess.run(["sfdisk", "-q", str(blank)], input=b"label: gpt\n", check=True)
    assert "gpt" in installer.traces.looked_for(str(blank), has_parts=False)


def test_a_table_of_which_the_copy_at_the_end_alone_is_left_is_something(installer, blank):
    subprocess.run(["sfdisk", "-q", str(blank)], input=b"label: gpt\nsize=1GiB\n", check=True)
    write_at(blank, 0, bytes(MIB))
    assert "gpt" in installer.traces.looked_for(str(blank), has_parts=False)


def of_a_box(path, start):
    """A disk as a box has it, with what LUKS writes at the head of its data."""
    parts = ((MIB, "edge-esp"), (513 * MIB, "edge-root-1"), (start, "edge-data"))
    rows = "".join(f"start={at // 512}, size=400MiB, name={name}\n" for at, name in parts)
    subprocess.run(["sfdisk", "-q", str(path)], input=b"label: gpt\n" + rows.encode(), check=True)
    write_at(path, start, b"LUKS\xba\xbe\x00\x02")
    write_at(path, start + 16384, b"SKUL\xba\xbe\x00\x02")


@pytest.mark.parametrize("start", [2689 * MIB, 2753 * MIB])
@pytest.mark.parametrize("damaged", ["", "first", "both"])
def test_the_data_of_an_edge_is_found_without_any_table(installer, blank, start, damaged):
    of_a_box(blank, start)
    for place in (0, 16 * GIB - MIB):
        write_at(blank, place, bytes(MIB))
    if damaged:
        write_at(blank, start, bytes(4096))
    if damaged == "both":
        write_at(blank, start + 16384, bytes(4096))
        write_at(blank, start + 40000, b"encrypted")
    found = installer.traces.looked_for(str(blank), has_parts=False)
    assert found == (installer.traces.UNTOLD if damaged == "both" else installer.traces.EDGE,)


def test_nor_where_its_row_alone_is_gone(installer, blank):
    of_a_box(blank, 2689 * MIB)
    assert installer.traces.looked_for(str(blank), has_parts=True) == (installer.traces.EDGE,)
    write_at(blank, 2689 * MIB, bytes(32768))
    assert installer.traces.looked_for(str(blank), has_parts=True) == ()


def test_a_disk_that_can_not_be_read_is_not_called_empty(installer, tmp_path):
    gone = str(tmp_path / "gone")
    for has_parts in (False, True):
        assert installer.traces.looked_for(gone, has_parts=has_parts) == (installer.traces.UNREAD,)


@pytest.mark.parametrize("broken", ["wipefs", "a place"])
def test_the_data_of_an_edge_is_not_forgotten_where_something_else_can_not_be_read(
    installer, blank, monkeypatch, broken
):
    if broken == "wipefs":
        write_at(blank, 2689 * MIB, b"LUKS\xba\xbe\x00\x02")
        monkeypatch.setattr(installer.programs, "run", Programs(broken="wipefs"))
        found = (installer.traces.EDGE, installer.traces.UNREAD)
    else:
        monkeypatch.setattr(installer.traces, "is_zero", unreadable)
        found = (installer.traces.UNREAD,)
    assert installer.traces.looked_for(str(blank), has_parts=False) == found
    one = disk(installer, traces=found)
    assert ("HAS THE DATA OF AN EDGE" in str(one)) is (broken == "wipefs")
    for labels in ((), ("pictures",)):
        one = disk(installer, "sdb", *labels, traces=found)
        person = Person("1", "", "1", "erase")
        assert installer.main.asked(person, [one], STICK) == one
        assert not person.answers, "the number alone was not enough"


def test_nor_is_a_disk_with_partitions_known_where_the_place_of_data_can_not_be_read(
    installer, blank, monkeypatch
):
    monkeypatch.setattr(installer.traces, "has_luks", unreadable)
    found = installer.traces.looked_for(str(blank), has_parts=True)
    one = disk(installer, "sda", "edge-esp", "edge-root-1.3", traces=found)
    with pytest.raises(installer.programs.InstallError, match=r"can't be read.*erase_data = true"):
        installer.main.told({"disk": "only", "again": True}, [one], "1.3")
    person = Person("1", "erase")
    assert installer.main.asked(person, [one], STICK) == one
    assert any("is not known" in line for line in person.said)


def test_the_data_of_an_edge_is_where_the_partitions_leave_it(installer):
    own = [EXTRA / "usr/lib/edge/repart.d" / name for name in sorted(
        path.name for path in (EXTRA / "usr/lib/edge/repart.d").iterdir()
    )]  # fmt: skip
    theirs = IMAGE / "mkosi.profiles/rpi/mkosi.extra/usr/lib/edge/repart.d"
    other = {path.name: path for path in theirs.iterdir()}
    merged = {path.name: path for path in own} | other
    starts = []
    for files in (own, list(merged.values())):
        sizes = [read(path)["Partition"].get("SizeMaxBytes") for path in files]
        units = {"M": MIB, "G": GIB}
        starts.append(MIB + sum(int(size[:-1]) * units[size[-1]] for size in sizes if size))
    assert tuple(starts) == installer.traces.DATA_STARTS


def test_data_without_its_table_wants_the_word_of_who_stands_there(installer):
    one = disk(installer, traces=(installer.traces.EDGE,))
    assert str(one).endswith("HAS THE DATA OF AN EDGE, which its table does not tell")
    told = disk(installer, "sdb", "edge-data", traces=one.traces)
    assert str(told).endswith("HAS THE DATA OF AN EDGE"), "as each box has it"
    person = Person("1", "", "1", "erase")
    assert installer.main.asked(person, [one], STICK) == one
    assert not person.answers


@pytest.mark.parametrize(
    ("labels", "traces", "why"),
    [
        (("Praxis-Backup",), (), "sdb is not empty \\(Praxis-Backup\\)"),
        ((), ("gpt",), "sdb is not empty \\(gpt\\)"),
        ((), ("encrypted data where an edge has its own",), "has the data of an edge"),
        (("edge-esp", "edge-root-1.2"), (), "sdb is not empty"),
    ],
)
@pytest.mark.parametrize("word", ["only", "sdb", "S-sdb"])
def test_a_stick_erases_what_is_not_empty_only_if_it_says_so(installer, word, labels, traces, why):
    one = disk(installer, "sdb", *labels, traces=traces)
    with pytest.raises(installer.programs.InstallError, match=f"{why}.*erase_data = true"):
        installer.main.told({"disk": word}, [one], "1.3")
    assert installer.main.told({"disk": word, "erase_data": True}, [one], "1.3") == one


def test_a_system_that_has_no_data_is_installed_again_by_the_word_for_that(installer):
    one = disk(installer, "sda", "edge-esp", "edge-root-1.3", "edge-verity-1.3", "_empty", "_empty")
    assert installer.main.told({"disk": "only", "again": True}, [one], "1.3") == one
    beside = disk(installer, "sda", *one.labels, "pictures")
    with pytest.raises(installer.programs.InstallError, match="erase_data = true"):
        installer.main.told({"disk": "only", "again": True}, [beside], "1.3")


def test_the_only_disk_is_the_one_inside(installer):
    inner, outer = disk(installer, "sda"), disk(installer, "sdb", is_on_usb=True)
    assert installer.main.told({"disk": "only"}, [inner], "1.3") == inner
    assert installer.main.told({"disk": "only"}, [outer, inner], "1.3") == inner
    for disks in ([outer], [inner, disk(installer, "sdc")]):
        for more in ({}, {"erase_data": True}):
            with pytest.raises(installer.programs.InstallError, match="one disk inside") as said:
                installer.main.told({"disk": "only"} | more, disks, "1.3")
            assert '"sdb" or "S-sdb"' in str(said.value) or outer not in disks
    assert installer.main.told({"disk": "S-sdb"}, [outer], "1.3") == outer


def test_a_strangers_disk_on_usb_is_not_the_only_one_where_the_one_inside_is_hidden(installer):
    """One of 8 GB is none that could be installed to; what is at USB is somebody's backup."""
    rows = [
        {"name": "sda", "size": 8e9, "tran": "sata"},
        {"name": "sdb", "size": 4e12, "tran": "usb", "model": "Elements", "serial": "WX1",
         "children": [{"name": "sdb1", "partlabel": "Praxis-Backup"}]},
    ]  # fmt: skip
    rows = [row | {"type": "disk", "ro": False, "rm": False} for row in rows]
    disks = installer.devices.candidates(json.dumps({"blockdevices": rows}), "sdc")
    shown = "sdb, 4000 GB, on USB, Elements WX1; not empty: Praxis-Backup"
    assert list(map(str, disks)) == [shown]
    with pytest.raises(installer.programs.InstallError, match="exactly one disk inside"):
        installer.main.told({"disk": "only", "erase_data": True}, disks, "1.3")
    with pytest.raises(installer.programs.InstallError, match="erase_data = true"):
        installer.main.told({"disk": "WX1"}, disks, "1.3")
    assert installer.main.told({"disk": "WX1", "erase_data": True}, disks, "1.3") == disks[0]


def test_a_number_in_the_list_is_no_name_in_a_file(installer):
    disks = installer.devices.candidates(LISTED, "sde")
    with pytest.raises(installer.programs.InstallError) as said:
        installer.main.told({"disk": "2", "erase_data": True}, disks, "1.3")
    assert str(said.value) == (
        "EDGE-SETUP/install.toml: '2' names none of the disks. "
        'Possible are: "nvme0n1" or "N1"; "sdb" or "B"'
    )


def test_a_serial_number_that_two_disks_have_names_neither(installer):
    disks = [installer.devices.Disk(name, 10**11, "", "0000", ()) for name in ("sda", "sdb")]
    with pytest.raises(installer.programs.InstallError, match="names 2 of the disks"):
        installer.main.told({"disk": "0000"}, disks, "1.3")


def test_each_disk_is_looked_at(installer, monkeypatch, blank):
    write_at(blank, 4096, b"something")
    monkeypatch.setattr(installer.devices.Disk, "path", str(blank))
    assert str(installer.devices.looked_at(disk(installer))).endswith(
        "not empty: something, without a table of partitions"
    )
    assert installer.devices.looked_at(disk(installer, "sdb", "pictures")).traces == ()


def test_what_a_disk_calls_itself_is_shown_and_not_obeyed(installer):
    listed = json.loads(LISTED)
    listed["blockdevices"][2] |= {
        "model": "A\x1b[2J\rB\u202e",
        "serial": "1\n2",
        "children": [{"name": "sdb1", "partlabel": "x\x1b]0;\x07\x9b2Jy"}],
    }
    [_, one] = installer.devices.candidates(json.dumps(listed), "sde")
    assert str(one).isprintable()
    assert str(one) == "sdb, 32 GB, A?[2J B? 1 2; not empty: x?]0;??2Jy"


def test_names_that_are_no_utf_8_are_shown_all_the_same(installer, tmp_path):
    answer = b'{"blockdevices": [{"model": "caf\xe9", "partlabel": "a\tb"}]}'
    (tmp_path / "said").write_bytes(answer)
    said = installer.programs.run("cat", os.fspath(tmp_path / "said"))
    assert "caf\N{REPLACEMENT CHARACTER}" in said
    row = {"name": "sda", "size": 64e9, "type": "disk", "ro": False, "rm": False}
    raw = json.dumps({"blockdevices": [row | {"serial": "a-b"}]}).replace("a-b", "a\tb")
    [one] = installer.devices.candidates(raw, "sde")
    assert one.serial == "a b"
