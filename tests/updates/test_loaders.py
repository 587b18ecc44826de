"""What a machine starts from: a version on trial, and the one before it."""

from __future__ import annotations

import shutil

import pytest

from edge.errors import UpdateRefused
from edge.updates.bundle import open_bundle
from edge.updates.loaders import Pi, Uefi, version_of
from edge.updates.partitions import Disk
from tests.updates.makers import content_of, make_pi_disk


@pytest.fixture
def linux(tmp_path):
    folder = tmp_path / "esp" / "EFI" / "Linux"
    folder.mkdir(parents=True)
    (folder / "edge_1.0.efi").write_bytes(b"1.0")
    return folder


@pytest.mark.parametrize(
    ("name", "version"),
    [
        ("edge_1.0.efi", "1.0"),
        ("edge_1.0+3.efi", "1.0"),
        ("edge_1.0~rc1-2+0-3.efi", "1.0~rc1-2"),
        ("edge_1.0.new", ""),
        ("other_1.0.efi", ""),
        ("edge_.efi", ""),
    ],
)
def test_names_of_entries_are_understood(name, version):
    assert version_of(name) == version


def test_a_version_is_put_on_trial_beside_the_one_that_runs(linux, maker, keys):
    (linux / "edge_0.9+0-3.efi").write_bytes(b"old")
    (linux / "other.efi").write_bytes(b"no business of ours")
    loader = Uefi(linux.parent.parent)
    loader.forget_others("1.0")
    assert set(loader.entries()) == {"1.0"}
    with open_bundle(maker.bundle(), keys) as bundle:
        loader.put(None, bundle, "1.0")
        loader.put(None, bundle, "1.0")
    names = {path.name for path in linux.iterdir()}
    assert names == {"edge_1.0.efi", "edge_1.1+3.efi", "other.efi"}
    assert (linux / "edge_1.1+3.efi").read_bytes() == content_of("1.1", "uki", 300_000)


def test_one_that_has_not_proven_itself_starts_no_more(linux):
    (linux / "edge_1.1+2-1.efi").write_bytes(b"1.1")
    loader = Uefi(linux.parent.parent)
    loader.leave("1.1", "1.0")
    assert set(loader.entries()) == {"1.0"}


def test_one_that_has_proven_itself_is_not_gone_back_from(linux):
    (linux / "edge_1.1.efi").write_bytes(b"1.1")
    with pytest.raises(UpdateRefused, match="not on trial any more"):
        Uefi(linux.parent.parent).leave("1.1", "1.0")
    assert (linux / "edge_1.1.efi").exists()


def test_nothing_is_taken_away_if_nothing_else_would_start(linux):
    loader = Uefi(linux.parent.parent)
    with pytest.raises(UpdateRefused, match=r"nothing starts version 0\.9"):
        loader.leave("1.0", "0.9")
    with pytest.raises(UpdateRefused, match=r"starts version 1\.1, which runs"):
        loader.forget_others("1.1")
    assert set(loader.entries()) == {"1.0"}


AUTOBOOT = "[all]\ntryboot_a_b=1\nboot_partition=2\n[tryboot]\nboot_partition=3\n"


@pytest.mark.skipif(not shutil.which("sfdisk"), reason="needs sfdisk")
def test_a_pi_tries_the_other_boot_partition_once_and_keeps_it(tmp_path, maker, keys):
    disk = Disk(make_pi_disk(tmp_path / "pi"))
    (tmp_path / "autoboot.txt").write_text(AUTOBOOT)
    booted = tmp_path / "partition"
    loader = Pi(tmp_path, booted)
    with open_bundle(maker.bundle(machine="rpi"), keys) as bundle:
        loader.put(disk, bundle, "1.0")
    assert loader.numbers() == (2, 3)
    begin = disk.other_boot(2).begin
    expected = content_of("1.1", "boot", 300_000)
    assert disk.path.read_bytes()[begin : begin + len(expected)] == expected
    assert loader.restart == ("--reboot-argument=0 tryboot",)
    booted.write_bytes((3).to_bytes(4, "big"))
    for _ in range(2):  # a crash in between does not undo it
        loader.keep("1.1")
        assert loader.numbers() == (3, 2)
    assert disk.other_boot(3).label == "edge-boot-a"


def test_a_pi_that_came_back_keeps_what_it_started(tmp_path):
    (tmp_path / "autoboot.txt").write_text(AUTOBOOT)
    (tmp_path / "partition").write_bytes((2).to_bytes(4, "big"))
    loader = Pi(tmp_path, tmp_path / "partition")
    loader.keep("1.1")
    assert loader.numbers() == (2, 3)


@pytest.mark.parametrize("text", [None, "", "boot_partition=2\n"])
def test_a_pi_without_two_partitions_is_told_of(tmp_path, text):
    if text is not None:
        (tmp_path / "autoboot.txt").write_text(text)
    with pytest.raises(UpdateRefused, match=r"autoboot\.txt"):
        Pi(tmp_path).numbers()
