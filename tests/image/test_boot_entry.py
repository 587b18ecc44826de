"""The entry by which the firmware starts what was installed."""

from __future__ import annotations

import struct
import uuid

import pytest

from tests.image.test_tree import IMAGE, program

PART = uuid.UUID("0c1b9d9e-1111-4222-8333-444455556666")
LOADER = "\\EFI\\systemd\\systemd-bootx64.efi"


@pytest.fixture
def firmware(tmp_path):
    made = program(IMAGE / "libexec/boot-entry")
    made.VARIABLES = tmp_path
    return made


def put(firmware, name, value):
    path = firmware.VARIABLES / f"{name}-{firmware.GLOBAL}"
    path.write_bytes(struct.pack("<I", 7) + value)


def order(firmware):
    return [number for (number,) in struct.iter_unpack("<H", firmware.read("BootOrder"))]


def test_an_entry_is_as_the_standard_has_it(firmware):
    entry = firmware.option(1, 2048, 1048576, PART, LOADER)
    attributes, length = struct.unpack("<IH", entry[:6])
    name = "Edge\0".encode("utf-16-le")
    assert (attributes, entry[6 : 6 + len(name)]) == (1, name)
    places = entry[6 + len(name) :]
    assert len(places) == length
    assert places[:4] == bytes((4, 1, 42, 0))
    assert struct.unpack("<IQQ", places[4:24]) == (1, 2048, 1048576)
    assert places[24:40] == PART.bytes_le
    assert places[40:42] == bytes((2, 2))
    path = f"{LOADER}\0".encode("utf-16-le")
    assert places[42:46] == struct.pack("<BBH", 4, 4, 4 + len(path))
    assert places[46:-4] == path
    assert places[-4:] == bytes((0x7F, 0xFF, 4, 0))


def test_it_is_first_and_the_others_stay(firmware):
    stick = struct.pack("<IH", 1, 4) + "UEFI USB\0".encode("utf-16-le")
    put(firmware, "Boot0000", stick)
    put(firmware, "Boot0001", stick)
    put(firmware, "BootOrder", struct.pack("<2H", 1, 0))
    entry = firmware.option(1, 2048, 8, PART, LOADER)
    assert firmware.put_first(entry) == "Boot0002"
    assert firmware.read("Boot0002") == entry
    assert order(firmware) == [2, 1, 0]
    assert firmware.read("Boot0000") == stick


def test_a_machine_that_is_installed_again_has_one_entry(firmware):
    firmware.put_first(firmware.option(1, 2048, 8, PART, LOADER))
    another = firmware.option(1, 2048, 8, uuid.uuid4(), LOADER)
    assert firmware.put_first(another) == "Boot0000"
    assert firmware.read("Boot0000") == another
    assert order(firmware) == [0]


def test_without_any_order_there_is_one_afterwards(firmware):
    assert firmware.put_first(firmware.option(1, 2048, 8, PART, LOADER)) == "Boot0000"
    assert order(firmware) == [0]


def test_entries_go_on_meaning_a_partition_that_has_another_uuid(firmware):
    other = firmware.option(1, 2048, 8, uuid.uuid4(), LOADER)
    put(firmware, "Boot0000", other)
    put(firmware, "Boot0001", firmware.option(1, 2048, 8, PART, LOADER))
    put(firmware, "BootOrder", struct.pack("<2H", 1, 0))
    new = uuid.uuid4()
    assert firmware.main("--renamed", str(PART), str(new)) == 0
    assert firmware.read("Boot0001") == firmware.option(1, 2048, 8, new, LOADER)
    assert firmware.read("Boot0000") == other
    assert order(firmware) == [1, 0]


def test_without_a_firmware_that_has_entries_there_is_none_to_change(firmware, tmp_path):
    firmware.VARIABLES = tmp_path / "efivars"
    assert firmware.main("--renamed", str(PART), str(uuid.uuid4())) == 0
