"""What a machine starts from: a version on trial, and the one before it."""

from __future__ import annotations

import contextlib
import shutil
from pathlib import Path

import pytest

from edge.errors import UpdateRefused
from edge.updates.bundle import open_bundle
from edge.updates.loaders import NotNow, Pi, Uefi, version_of
from edge.updates.partitions import Disk
from edge.updates.versions import Version
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


class SystemdBoot:
    """What the loader does with the names of entries, as its source has it (systemd 257)."""

    def __init__(self, folder):
        self.folder = folder

    def start(self):
        """The version that is started; its count goes down."""

        def order(path):
            left = self._tries(path)[0]
            return left != 0, Version(version_of(path.name))

        path = max((p for p in self.folder.iterdir() if version_of(p.name)), key=order)
        version, (left, done) = version_of(path.name), self._tries(path)
        if left is not None:
            path.rename(self.folder / f"edge_{version}+{max(0, left - 1)}-{done + 1}.efi")
        return version

    def bless(self, version):
        """systemd-bless-boot."""
        [path] = [p for p in self.folder.iterdir() if version_of(p.name) == version]
        path.rename(self.folder / f"edge_{version}.efi")

    @staticmethod
    def _tries(path):
        _, plus, count = path.stem.partition("+")
        left, _, done = count.partition("-")
        return (int(left) if plus else None), int(done or 0)


def put(loader, maker, keys, version, running, disk=None, machine="x86-64"):
    path = maker.bundle(version, minimum="0.1", machine=machine)
    with open_bundle(path, keys) as bundle:
        loader.forget_others(running)
        loader.put(disk, bundle, running)


@pytest.mark.parametrize("version", ["0.9", "1.1"])
def test_a_version_is_started_three_times_and_then_the_one_from_before(linux, maker, keys, version):
    boot = SystemdBoot(linux)
    put(Uefi(linux.parent.parent), maker, keys, version, "1.0")
    assert [boot.start() for _ in range(4)] == [version] * 3 + ["1.0"]
    boot.bless("1.0")
    assert boot.start() == "1.0"


@pytest.mark.parametrize("version", ["0.9", "1.1"])
def test_a_version_that_proves_itself_is_started_from_then_on(linux, maker, keys, version):
    boot = SystemdBoot(linux)
    put(Uefi(linux.parent.parent), maker, keys, version, "1.0")
    assert boot.start() == version
    boot.bless(version)
    assert [boot.start() for _ in range(4)] == [version] * 4


@pytest.mark.parametrize("version", ["0.9", "1.1"])
def test_what_is_left_is_not_started_any_more(linux, maker, keys, version):
    boot, loader = SystemdBoot(linux), Uefi(linux.parent.parent)
    put(loader, maker, keys, version, "1.0")
    assert boot.start() == version
    loader.leave(version, "1.0")
    assert {path.name for path in linux.iterdir()} == {"edge_1.0.efi"}


class _Cut(BaseException):
    """The power goes."""


@pytest.mark.parametrize("version", ["0.9", "1.1"])
@pytest.mark.parametrize("renames", range(3))
def test_a_power_cut_leaves_no_version_startable_that_is_not_tried(
    linux, maker, keys, monkeypatch, version, renames
):
    """What could be started later would be on no trial by then: the one that runs ends that."""
    replace, left = Path.replace, iter([True] * renames)

    def cut(path, target):
        if not next(left, False):
            raise _Cut
        return replace(path, target)

    monkeypatch.setattr(Path, "replace", cut)
    with contextlib.suppress(_Cut):
        put(Uefi(linux.parent.parent), maker, keys, version, "1.0")
    monkeypatch.undo()
    loader, boot = Uefi(linux.parent.parent), SystemdBoot(linux)
    is_startable = version in loader.entries()
    assert boot.start() == (version if is_startable else "1.0")
    if not is_startable:  # and the one that runs is as it was
        boot.bless("1.0")
        put(loader, maker, keys, "1.1", "1.0")
        assert [boot.start() for _ in range(4)] == ["1.1"] * 3 + ["1.0"]


def test_after_an_older_one_was_put_a_newer_one_may_fail_too(linux, maker, keys):
    boot, loader = SystemdBoot(linux), Uefi(linux.parent.parent)
    put(loader, maker, keys, "0.9", "1.0")
    put(loader, maker, keys, "1.1", "1.0")  # somebody thought again, before it was started
    assert [boot.start() for _ in range(4)] == ["1.1"] * 3 + ["1.0"]


def test_nothing_is_written_while_what_runs_is_on_trial(linux, maker, keys):
    (linux / "edge_1.1+2-1.efi").write_bytes(b"1.1")
    before = {path: path.read_bytes() for path in linux.iterdir()}
    loader = Uefi(linux.parent.parent)
    with pytest.raises(NotNow, match=r"1\.1, which runs, is on trial"):
        loader.forget_others("1.1")
    with (
        open_bundle(maker.bundle("1.2"), keys) as bundle,
        pytest.raises(NotNow, match="is on trial"),
    ):
        loader.put(None, bundle, "1.1")
    assert {path: path.read_bytes() for path in linux.iterdir()} == before


AUTOBOOT = "[all]\ntryboot_a_b=1\nboot_partition=2\n[tryboot]\nboot_partition=3\n"


class Card:
    """A Pi's card, and what its firmware says."""

    def __init__(self, folder):
        self.folder, self.booted = folder / "select", folder / "partition"
        self.folder.mkdir()
        (self.folder / "autoboot.txt").write_text(AUTOBOOT)
        self.disk = Disk(make_pi_disk(folder / "pi"))
        self.loader = Pi(self.folder, self.booted)
        self.runs(2)

    def runs(self, number):
        self.booted.write_bytes(number.to_bytes(4, "big"))

    def put(self, maker, keys, version="1.1", running="1.0"):
        put(self.loader, maker, keys, version, running, self.disk, "rpi")

    def content(self, number):
        part = next(part for part in self.disk.partitions() if part.number == number)
        with self.disk.path.open("rb") as file:
            file.seek(part.begin)
            return file.read(300_000)


@pytest.fixture
def card(tmp_path):
    if not shutil.which("sfdisk"):
        pytest.skip("needs sfdisk")
    return Card(tmp_path)


def test_a_pi_tries_the_other_boot_partition_and_keeps_it(card, maker, keys):
    card.put(maker, keys)
    assert card.loader.numbers() == (2, 3)
    assert card.content(3) == content_of("1.1", "boot", 300_000)
    assert card.loader.restart == ("--reboot-argument=0 tryboot",)
    card.loader.refuse_untried("1.1")
    card.runs(3)
    for _ in range(2):  # a crash in between does not undo it
        card.loader.keep("1.1")
        assert card.loader.numbers() == (3, 2)
    with pytest.raises(UpdateRefused, match="not on trial any more"):
        card.loader.refuse_untried("1.1")
    assert card.disk.other_boot(3).label == "edge-boot-a"
    card.put(maker, keys, "1.2", "1.1")
    assert card.content(2) == content_of("1.2", "boot", 300_000)


def test_a_pi_does_not_write_what_it_runs_from_while_that_is_on_trial(card, maker, keys):
    card.put(maker, keys)
    card.runs(3)
    with pytest.raises(NotNow, match=r"1\.1, which runs, is on trial"):
        card.put(maker, keys, "1.2", "1.1")
    with (
        open_bundle(maker.bundle("1.2", machine="rpi"), keys) as bundle,
        pytest.raises(NotNow),
    ):
        card.loader.put(card.disk, bundle, "1.1")
    assert card.content(3) == content_of("1.1", "boot", 300_000)
    assert card.loader.numbers() == (2, 3)
    card.loader.refuse_untried("1.1")  # it goes on


@pytest.mark.parametrize("runs", [None, 7])
def test_a_pi_that_can_t_tell_what_it_runs_from_writes_nothing(card, maker, keys, runs):
    card.booted.unlink() if runs is None else card.runs(runs)
    with pytest.raises(UpdateRefused):
        card.put(maker, keys)
    assert card.content(3) == bytes(300_000)


def test_a_pi_leaves_a_version_once(card, maker, keys):
    card.put(maker, keys)
    card.runs(3)
    card.loader.leave("1.1", "1.0")
    with pytest.raises(UpdateRefused, match="not on trial any more"):  # no start after the other
        card.loader.leave("1.1", "1.0")
    assert card.loader.numbers() == (2, 3)


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
