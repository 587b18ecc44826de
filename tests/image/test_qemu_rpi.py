"""The card of a Raspberry Pi 4 or 5, file by file: whether its firmware finds what it asks for.

QEMU has neither machine's firmware, so that nothing is started here. What the firmware of a Pi 4
reads is documented by Raspberry Pi ("The boot folder", "config.txt", "autoboot.txt"); that of a
Pi 5 is on its board, and reads the same less ``start4.elf`` and ``fixup4.dat``.
"""

from __future__ import annotations

import json
import re
import struct
import subprocess
from pathlib import Path

import pytest

from tests.image.machine import built
from tests.image.media import on_stick

CARD = built("rpi")
pytestmark = pytest.mark.skipif(not CARD.exists(), reason="scripts/build-image rpi makes it")
BASIC_DATA = "EBD0A0A2-B9E5-4433-87C0-68B6B72699C7"
ESP = "C12A7328-F81F-11D2-BA4B-00A0C93EC93B"
TREES = {
    "bcm2711-rpi-4-b.dtb": b"raspberrypi,4-model-b\0",
    "bcm2711-rpi-400.dtb": b"raspberrypi,400\0",
    "bcm2711-rpi-cm4-io.dtb": b"raspberrypi,4-compute-module\0",
    "bcm2712-rpi-5-b.dtb": b"raspberrypi,5-model-b\0",
    "bcm2712-d-rpi-5-b.dtb": b"raspberrypi,5-model-b\0",
}
"""Of the machines that the image is for, by the kernel's names -> what it says that it is."""


BEFORE_ROOT = {
    "Pi 4": ("sdhci-iproc", "gpio-regulator", "fixed", "reset-raspberrypi", "xhci-pci"),
    "Pi 5": (
        *("sdhci-brcmstb", "pinctrl-brcmstb-bcm2712", "gpio-brcmstb", "gpio-regulator", "fixed"),
        *("irq-bcm2712-mip", "rp1_pci", "clk-rp1", "pinctrl-rp1", "dwc3", "xhci-plat-hcd", "nvme"),
    ),
    "both": ("dm-verity", "erofs", "usb-storage", "uas", "sd_mod"),
}
"""Modules that find the root: on a card, a stick, or an SSD."""


@pytest.fixture(scope="module")
def parts() -> list[dict[str, object]]:
    said = subprocess.run(["sfdisk", "--json", str(CARD)], capture_output=True, check=True)
    table = json.loads(said.stdout)["partitiontable"]
    assert table["label"] == "gpt"
    found: list[dict[str, object]] = table["partitions"]
    return found


def read(parts: list[dict[str, object]], number: int, name: str) -> bytes:
    """A file of a partition, by the number that the firmware gives that."""
    content = on_stick(Path(f"{CARD}@@{int(str(parts[number - 1]['start'])) * 512}"), name)
    assert content is not None, f"partition {number} has no {name}"
    assert content, f"{name} is empty"
    return content


def test_the_partitions_are_of_the_kinds_that_the_firmware_reads(parts):
    names = [re.sub(r"-[0-9].*", "", str(part["name"])) for part in parts]
    assert names == ["edge-select", "edge-boot-a", "edge-boot-b", "edge-root", "edge-verity"]
    # It looks at these two kinds alone, and at file systems that are FAT.
    assert [part["type"] for part in parts[:3]] == [ESP, BASIC_DATA, BASIC_DATA]
    with CARD.open("rb") as file:
        for part in parts[:3]:
            file.seek(int(str(part["start"])) * 512)
            sector = file.read(512)
            assert sector[510:] == b"\x55\xaa"
            assert sector[82:90] == b"FAT32   "
            size, per_cluster, reserved, fats = struct.unpack_from("<HBHB", sector, 11)
            sectors, fat_size = struct.unpack_from("<II", sector, 32)
            assert size == 512
            # With fewer it would be a FAT16, whatever stands in it.
            assert (sectors - reserved - fats * fat_size) // per_cluster >= 65525


def test_one_of_two_boot_partitions_is_chosen_and_the_other_is_tried(parts):
    chooses = read(parts, 1, "autoboot.txt")
    assert len(chooses) <= 512, "the boot loader reads no more"
    assert chooses.split() == [
        *(b"[all]", b"tryboot_a_b=1", b"boot_partition=2"),
        *(b"[tryboot]", b"boot_partition=3"),
    ]


def test_the_firmware_of_a_pi_4_is_there(parts):
    assert read(parts, 2, "start4.elf").startswith(b"\x7fELF")
    assert len(read(parts, 2, "fixup4.dat")) > 1000


def test_what_the_configuration_names_is_there(parts):
    said = dict(
        re.findall(r"^([a-z_0-9]+)[= ](\S+)", read(parts, 2, "config.txt").decode(), re.MULTILINE)
    )
    assert said["arm_64bit"] == "1"
    assert said["upstream_kernel"] == "1", "the names of the device trees are the kernel's"
    for name in ("kernel", "initramfs", "cmdline"):
        read(parts, 2, said[name])


def test_the_kernel_is_of_a_form_that_the_firmware_starts(parts):
    kernel = read(parts, 2, "vmlinuz")
    # Compressed by gzip, or as it is; that of EFI alone, which compresses itself, it does not know.
    assert kernel[:2] == b"\x1f\x8b" or kernel[56:60] == b"ARM\x64", kernel[:64]
    assert kernel[4:8] != b"zimg"
    initrd = read(parts, 2, "initrd")
    assert initrd[:4] == b"\x28\xb5\x2f\xfd" or initrd.startswith(b"0707"), initrd[:16]


@pytest.mark.parametrize("board", sorted(BEFORE_ROOT))
def test_what_finds_the_root_is_in_what_the_kernel_starts_first(parts, board):
    packed = read(parts, 2, "initrd")
    # Several archives, one behind the other; zstd stops at what fills up the space between them.
    starts = [0, *(each.end() - 4 for each in re.finditer(rb"\0\x28\xb5\x2f\xfd", packed))]
    initrd = b"".join(
        subprocess.run(["zstd", "-dc"], input=packed[at:], capture_output=True, check=False).stdout
        for at in starts
    )
    built_in = re.findall(rb"kernel/[\w/-]+/([\w-]+)\.ko\0?\n", initrd)  # modules.builtin
    found = {*re.findall(rb"/([\w-]+)\.ko(?:\.xz|\.zst)?\0", initrd), *built_in}
    assert {name for name in BEFORE_ROOT[board] if name.encode() not in found} == set()


@pytest.mark.parametrize("name", sorted(TREES))
def test_each_machine_has_its_device_tree(parts, name):
    tree = read(parts, 2, name)
    magic, size = struct.unpack(">II", tree[:8])
    assert (magic, size) == (0xD00DFEED, len(tree))
    assert TREES[name] in tree
    if name.startswith("bcm2712"):
        assert b"raspberrypi,rp1" in tree or b"pci1de4,1" in tree, (
            "its network and USB are behind it"
        )


def test_the_kernel_is_told_its_root_by_hash_on_one_line(parts):
    command = read(parts, 2, "cmdline.txt")
    assert b"\n" not in command.strip()
    root = re.search(rb"roothash=([0-9a-f]{64})", command)
    assert root, command
    assert b"console=tty0" in command
    # The root is found by its hash: partition UUIDs are its two halves.
    uuids = [str(part["uuid"]).replace("-", "").lower() for part in parts[3:]]
    assert "".join(uuids) == root[1].decode()


def test_an_update_fits_into_the_other_boot_partition(parts):
    sizes = [int(str(part["size"])) * 512 for part in parts[1:3]]
    assert sizes[0] == sizes[1]
    assert (CARD.parent / "edge.boot.raw").stat().st_size <= sizes[1]
