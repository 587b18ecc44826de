"""The image's tree, as it is written: what can be said of it without building it."""

from __future__ import annotations

import configparser
import hmac
import json
import os
import pty
import re
import select
import shutil
import signal
import subprocess
import sys
import tomllib
import uuid
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Self

import pytest

import edge

ROOT = Path(edge.__file__).parent.parent
IMAGE = ROOT / "image"
EXTRA = IMAGE / "mkosi.extra"
UNITS = EXTRA / "usr/lib/systemd/system"
PROFILES = sorted(path.name for path in (IMAGE / "mkosi.profiles").iterdir())


def program(path: Path) -> ModuleType:
    """A program of ours whose file has no suffix, as a module."""
    module = ModuleType(path.name.replace("-", "_"))
    module.__file__ = str(path)
    sys.modules[module.__name__] = module  # dataclasses look there
    # Not by an import, which would leave compiled files in the image's tree.
    exec(compile(path.read_text(), path, "exec"), vars(module))
    return module


@pytest.fixture(scope="module")
def installer():
    return program(IMAGE / "libexec/install")


def read(path: Path) -> configparser.ConfigParser:
    """A file as systemd and mkosi write them; of what is said several times, the last."""
    parser = configparser.ConfigParser(strict=False, allow_no_value=True, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string(path.read_text())
    return parser


def packages() -> set[str]:
    """All that is named in any profile."""
    files = [IMAGE / "mkosi.conf", *IMAGE.glob("mkosi.profiles/*/mkosi.conf")]
    return {name for path in files for name in read(path)["Content"]["Packages"].split()}


def test_nothing_names_where_packages_come_from():
    for path in IMAGE.rglob("*"):
        if path.is_file() and "__pycache__" not in path.parts and path.name != "README.md":
            assert not re.search(r"deb\.debian\.org|https?://[^\s/]*mirror", path.read_text()), path
    assert not (IMAGE / "mkosi.sandbox").exists()


def test_there_is_neither_a_compiler_nor_a_way_to_log_in():
    forbidden = re.compile(
        r"gcc|g\+\+|clang|make$|build-essential|-dev$|openssh|dropbear|telnet|pip"
    )
    assert not [name for name in packages() if forbidden.search(name)]
    masked = {
        path.name
        for path in (EXTRA / "etc/systemd/system").iterdir()
        if path.is_symlink() and str(path.readlink()) == "/dev/null"
    }
    gettys = {"getty@.service", "serial-getty@.service", "console-getty.service"}
    assert gettys | {"autovt@.service", "debug-shell.service", "ctrl-alt-del.target"} <= masked
    assert "RootPassword" not in (IMAGE / "mkosi.conf").read_text()


def test_what_is_not_enabled_by_name_is_off():
    presets = EXTRA / "usr/lib/systemd/system-preset"
    assert (presets / "90-default.preset").read_text() == "disable *\n"
    words = (presets / "10-image.preset").read_text().split()
    enabled = {name for name in words if "." in name and name.startswith(("edge", "var", "efi"))}
    for name in enabled & {path.name for path in UNITS.iterdir()}:
        assert "Install" in read(UNITS / name), f"{name} is enabled, and says nowhere for what"


def test_the_slots_are_of_one_size_when_built_and_when_made():
    def sizes(path: Path) -> tuple[str, str, str]:
        part = read(path)["Partition"]
        return part["Type"], part["SizeMinBytes"], part["SizeMaxBytes"]

    built = [sizes(path) for path in sorted((IMAGE / "mkosi.repart").iterdir())]
    folder = EXTRA / "usr/lib/edge/repart.d"
    made = [sizes(path) for path in sorted(folder.iterdir()) if path.name < "30"]
    assert built == made[:3]
    assert made[1:3] == made[3:5]
    assert all(least == most for _, least, most in made)
    empty = [read(path)["Partition"]["Label"] for path in sorted(folder.glob("2*"))]
    assert empty == ["_empty", "_empty"]


def test_the_data_is_encrypted_whoever_keeps_its_key():
    for folder, kept in (("repart.d", "key-file"), ("repart-tpm2.d", "tpm2")):
        part = read(EXTRA / "usr/lib/edge" / folder / "30-data.conf")["Partition"]
        assert (part["Encrypt"], part["Label"], part["Format"]) == (kept, "edge-data", "ext4")
    for other in ("repart-tpm2.d", "repart-install.d"):
        for path in (EXTRA / "usr/lib/edge" / other).iterdir():
            assert path.exists(), f"{path} leads nowhere"
    assert not (EXTRA / "usr/lib/edge/repart-install.d/30-data.conf").exists()


def test_what_a_disk_is_given_other_uuids_for_is_what_is_built():
    program = (IMAGE / "libexec/disk").read_text()
    built = read(IMAGE / "mkosi.repart/00-esp.conf")["Partition"]["UUID"]
    assert f"built_esp={built}\n" in program
    # As repart makes the disk's of a seed (systemd's src/partition/repart.c, derive_uuid).
    seed = uuid.UUID(read(IMAGE / "mkosi.conf")["Output"]["Seed"])
    made = hmac.digest(seed.bytes, b"disk-uuid", "sha256")[:16]
    assert f"built_disk={uuid.UUID(bytes=made, version=4)}\n" in program


def test_the_esp_has_sectors_as_disks_have():
    said = read(IMAGE / "mkosi.conf")["Build"]["Environment"]
    assert said == "SYSTEMD_REPART_MKFS_OPTIONS_VFAT=-S512"


def test_a_version_has_room_in_every_name():
    longest = "9" * 23
    for path in (IMAGE / "mkosi.repart").iterdir():
        label = read(path)["Partition"]["Label"].replace("%A", longest)
        assert len(label) <= 36, f"{path.name}: a GPT label has room for 36 characters"
    assert read(IMAGE / "mkosi.conf")["Content"]["UnifiedKernelImageFormat"] == "edge_%v"


def test_the_data_is_mounted_so_that_nothing_in_it_is_executed():
    options = read(UNITS / "var.mount")["Mount"]["Options"].split(",")
    assert {"nodev", "nosuid", "noexec"} <= set(options)


def test_the_image_fixes_no_setting_that_people_shall_set():
    # What /etc/edge/edge.toml says can't be set by a stick, the page or the screen.
    assert tomllib.loads((EXTRA / "etc/edge/edge.toml").read_text()) == {}


def test_ports_of_the_service_are_open_and_no_others():
    rules = (EXTRA / "usr/lib/edge/firewall.nft").read_text()
    opened = re.findall(r"^\s*tcp dport (.*) accept", rules, re.MULTILINE)
    assert opened == ["{ 8443, 11112, 2762 }"]
    assert "policy drop" in rules.partition("chain input")[2].partition("}")[0]


@pytest.mark.skipif(not shutil.which("nft"), reason="needs nftables")
def test_the_firewall_is_understood():
    rules = EXTRA / "usr/lib/edge/firewall.nft"
    done = subprocess.run(
        ["unshare", "--net", "--map-root-user", "nft", "-c", "-f", str(rules)],
        capture_output=True,
        text=True,
        check=False,
    )
    if "Operation not" in done.stderr:
        pytest.skip("there is no network namespace to be had")
    assert not done.returncode, done.stderr


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="needs systemd-analyze")
def test_units_are_understood(tmp_path):
    units = [path for path in sorted(UNITS.iterdir()) if path.is_file()]
    folder = tmp_path / "units"
    folder.mkdir()
    for path in units:
        shutil.copy(path, folder)
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *map(str, sorted(folder.iterdir()))],
        capture_output=True,
        text=True,
        check=False,
    )
    # Programs and units of the image are not on this machine.
    known = re.compile(
        r"is not executable|not found|No such file|Unit .* not loaded|could not be found"
    )
    said = [line for line in done.stderr.splitlines() if not known.search(line)]
    assert not [line for line in said if any(path.name in line for path in units)], said


def test_wheels_of_the_lock_are_had_by_hash_for_the_images_python():
    wheels = program(ROOT / "scripts/wheels")
    for machine in wheels.MACHINES.values():
        text = wheels.locked(machine)
        names = re.findall(r"^([a-z0-9-]+)==", text, re.MULTILINE)
        assert len(names) == len(set(names)), "one version of each"
        assert {"aiohttp", "numpy", "pydicom", "sqlcipher3"} <= set(names)
        assert not {"setuptools", "pytest"} & set(names)
        assert all("--hash=sha256:" in entry for entry in re.split(r"\n(?=\S)", text.strip()))
        assert "://" not in text


LISTED = json.dumps(
    {
        "blockdevices": [
            {"name": "sda", "size": 64e9, "type": "disk", "ro": False, "rm": True, "serial": "S"},
            {
                "name": "nvme0n1",
                "size": 512e9,
                "type": "disk",
                "ro": False,
                "rm": False,
                "model": "Fast ",
                "serial": "N1",
                "children": [
                    {"name": "nvme0n1p1", "partlabel": "edge-esp"},
                    {"name": "nvme0n1p2", "partlabel": "edge-root-1.2"},
                    {"name": "nvme0n1p6", "partlabel": "edge-data"},
                ],
            },
            {"name": "sdb", "size": 32e9, "type": "disk", "ro": False, "rm": False, "serial": "B"},
            {"name": "sdc", "size": 32e9, "type": "disk", "ro": True, "rm": False, "serial": "C"},
            {"name": "sdd", "size": 1e9, "type": "disk", "ro": False, "rm": False, "serial": "D"},
            {"name": "sde", "size": 9e10, "type": "disk", "ro": False, "rm": False, "serial": "E"},
            {"name": "zram0", "size": 9e10, "type": "disk", "ro": False, "rm": False},
        ]
    }
)


def test_installer_offers_what_can_be_written_and_is_no_stick(installer):
    disks = installer.candidates(LISTED, "sde")
    assert [disk.name for disk in disks] == ["nvme0n1", "sdb"]
    assert "HAS THE DATA OF AN EDGE" in str(disks[0])
    assert disks[0].versions == ("1.2",)
    assert str(disks[1]) == "sdb, 32 GB, B; empty"


@pytest.mark.parametrize(
    ("word", "name"), [("1", "nvme0n1"), ("2", "sdb"), ("sdb", "sdb"), ("N1", "nvme0n1")]
)
def test_installer_takes_a_disk_by_any_name(installer, word, name):
    assert installer.chosen(word, installer.candidates(LISTED, "sde")).name == name


@pytest.mark.parametrize("word", ["", "0", "3", "sda", "y", "only", "/dev/sdz"])
def test_installer_takes_no_disk_that_was_not_meant(installer, word):
    with pytest.raises(installer.InstallError):
        installer.chosen(word, installer.candidates(LISTED, "sde"))


@pytest.mark.parametrize(
    "said",
    ['disk = ""', "disk = 1", 'disk = "only"\nthen = "sleep"', 'disk = "only"\nx = 1', "nonsense"],
)
def test_installer_refuses_answers_that_it_does_not_understand(
    installer, tmp_path, said, monkeypatch
):
    monkeypatch.setattr(installer, "SETUP", tmp_path)
    (tmp_path / "install.toml").write_text(said)
    with pytest.raises(installer.InstallError, match=r"install\.toml"):
        installer.answers()


def test_installer_offers_no_disk_that_the_system_runs_from(installer):
    listed = json.loads(LISTED)
    root = {"name": "root", "mountpoints": [None, "/"]}
    listed["blockdevices"][1]["children"][1]["children"] = [root]
    found = installer.candidates(json.dumps(listed), "sde")
    assert [disk.name for disk in found] == ["sdb"]


class Programs:
    """What the installer runs, of which nothing is run."""

    def __init__(self, *, mounted: str = "", broken: str = "") -> None:
        self.called: list[tuple[str, ...]] = []
        self.broken = broken
        part = {"name": "sdb1", "mountpoints": [mounted or None]}
        self.disk = {"name": "sdb", "mountpoints": [None], "children": [part]}

    def __call__(self, *words: str) -> str:
        self.called.append(words)
        if self.broken and self.broken == words[0]:
            raise sys.modules["install"].InstallError(f"{self.broken} is broken")
        return json.dumps({"blockdevices": [self.disk]})


STICK = Path("/sys/class/block/sde")


class Person:
    """Whoever stands before the screen."""

    def __init__(self, *answers: str) -> None:
        self.answers = list(answers)
        self.said: list[str] = []
        self.shown: list[tuple[str, int]] = []

    def say(self, text: str = "") -> None:
        self.said.append(text)

    def ask(self, text: str, stick: Path) -> str:
        assert stick == STICK
        self.said.append(text)
        return self.answers.pop(0)

    def typed(self, _seconds: float | None) -> str | None:
        return self.answers.pop(0) if self.answers else None

    def forget(self) -> None:
        pass

    def rises(self, what: str, percent: int) -> None:
        self.shown.append((what, percent))


def test_the_power_may_go_once_the_stick_has_its_note(installer, tmp_path, monkeypatch):
    programs = Programs()
    monkeypatch.setattr(installer, "run", programs)
    monkeypatch.setattr(installer, "parts", lambda _disk: {"esp": "/dev/sde1"})
    monkeypatch.setattr(installer, "SETUP", tmp_path / "EDGE-SETUP")
    monkeypatch.setattr(installer, "settle", lambda path: programs("settle", path))
    installer.note("sde", "installed")
    assert (tmp_path / "EDGE-SETUP/install.txt").read_text() == "installed\n"
    assert programs.called[-2:] == [("umount", "/efi"), ("settle", "/dev/sde")]


def test_a_disk_that_does_not_keep_what_it_was_sent_is_told(installer, tmp_path):
    with pytest.raises(installer.InstallError, match="gone does not keep what is written"):
        installer.settle(str(tmp_path / "gone"))


@pytest.mark.parametrize("damaged", [False, True])
def test_a_disk_with_larger_sectors_gets_an_esp_of_those(installer, tmp_path, monkeypatch, damaged):
    stick, target = tmp_path / "stick", tmp_path / "target"
    (stick / "EFI/Linux").mkdir(parents=True)
    (stick / "EFI/Linux/edge_1.efi").write_bytes(b"MZ" * 1000)
    programs = Programs()

    def run(*words: str) -> str:
        if damaged and words[:3] == ("mount", "-o", "ro,umask=0077,nosuid,nodev,noexec"):
            (target / "EFI/Linux/edge_1.efi").write_bytes(b"MZ")
        return programs(*words)

    monkeypatch.setattr(installer, "STICK", stick)
    monkeypatch.setattr(installer, "TARGET", target)
    monkeypatch.setattr(installer, "run", run)
    if damaged:
        with pytest.raises(installer.InstallError, match="does not hold what was copied"):
            installer.make_esp("/dev/nvme0n1p1", 4096)
    else:
        installer.make_esp("/dev/nvme0n1p1", 4096)
        assert (target / "EFI/Linux/edge_1.efi").read_bytes() == b"MZ" * 1000
    made = ("mkfs.vfat", "-F", "32", "-S", "4096", "-n", "EDGE-ESP", "/dev/nvme0n1p1")
    assert programs.called[0] == made
    assert programs.called[-2] == ("umount", str(target)), "it does not stay mounted"


@pytest.mark.parametrize("stick", ["sdb", "sde"])
def test_installer_writes_to_no_disk_that_the_system_runs_from(installer, stick, monkeypatch):
    programs = Programs(mounted="" if stick == "sdb" else "/")
    monkeypatch.setattr(installer, "run", programs)
    disk = installer.Disk("sdb", 10**11, "", "", ())
    with pytest.raises(installer.InstallError, match="runs from sdb: nothing was written"):
        installer.write(disk, stick, Person())
    assert {words[0] for words in programs.called} == {"lsblk"}


@pytest.mark.parametrize("lacks", ["", "esp"])
def test_a_disk_that_is_broken_is_not_started_in_the_stick_s_place(installer, monkeypatch, lacks):
    """It has the stick's system by then, and must not have its UUID as well."""
    called = []
    found = {kind: f"/dev/{kind}" for kind in ("esp", "root", "verity") if kind != lacks}
    theirs = {kind: f"/dev/stick-{kind}" for kind in ("esp", "root", "verity")}
    monkeypatch.setattr(installer, "run", Programs())
    monkeypatch.setattr(installer, "parts", lambda disk: theirs if disk == "sde" else found)
    monkeypatch.setattr(installer, "size_of", lambda _: 1)
    monkeypatch.setattr(installer, "sector_of", lambda _: 512)
    monkeypatch.setattr(installer, "lay_out", lambda *_: called.append("lay_out"))
    monkeypatch.setattr(installer, "give_uuid", lambda *words: called.append(words))
    monkeypatch.setattr(installer, "digest", lambda path, _: path)
    disk = installer.Disk("sdb", 10**11, "", "", ())
    why = "does not show what was written" if lacks else "does not hold what was written"
    with pytest.raises(installer.InstallError, match=why):
        installer.write(disk, "sde", Person())
    given = [] if lacks else [("/dev/sdb", "/dev/esp")]
    assert called == ["lay_out", *given]


@pytest.mark.parametrize("disk", ["nvme0n1", "N1", "1"])
def test_a_stick_erases_the_data_of_an_edge_only_if_it_says_so(installer, disk):
    disks = installer.candidates(LISTED, "sde")
    with pytest.raises(installer.InstallError, match="erase_data = true"):
        installer.told({"disk": disk}, disks, "1.3")
    with pytest.raises(installer.InstallError, match="erase_data = true"):
        installer.told({"disk": disk, "again": True}, disks, "1.2")
    assert installer.told({"disk": disk, "erase_data": True}, disks, "1.3").name == "nvme0n1"
    with pytest.raises(installer.InstallError, match="this version already"):
        installer.told({"disk": disk, "erase_data": True}, disks, "1.2")
    assert installer.told({"disk": "sdb"}, disks, "1.3").name == "sdb"


@pytest.mark.parametrize("label", ["edge-data-new-1a2b3c4d", "edge-data-old-1a2b3c4d"])
def test_nor_what_it_moves_to_or_moved_away_from(installer, label):
    """The new one is called so until the next start, and is the only one with the data then."""
    [disk] = installer.candidates(LISTED.replace("edge-data", label), "sde")[:1]
    assert "HAS THE DATA OF AN EDGE" in str(disk)
    with pytest.raises(installer.InstallError, match="erase_data = true"):
        installer.told({"disk": "1"}, [disk], "1.3")
    person = Person("1", "", "1", "erase")
    assert installer.asked(person, [disk], STICK) == disk
    assert not person.answers


def test_a_version_in_the_second_slot_is_there_already(installer):
    listed = json.loads(LISTED)
    parts = listed["blockdevices"][1]["children"]
    parts.insert(2, {"name": "nvme0n1p4", "partlabel": "edge-root-1.3"})
    disks = installer.candidates(json.dumps(listed), "sde")
    for version in ("1.2", "1.3"):
        with pytest.raises(installer.InstallError, match="this version already"):
            installer.told({"disk": "1", "erase_data": True}, disks, version)


@pytest.fixture
def stick(installer, tmp_path, monkeypatch):
    """The folder EDGE-SETUP on the stick; the one disk of the machine is installed to."""
    folder = tmp_path / "EDGE-SETUP"
    folder.mkdir()
    disk = installer.Disk("sdb", 10**11, "", "", ())
    monkeypatch.setattr(installer, "SETUP", folder)
    monkeypatch.setattr(installer, "run", Programs())
    monkeypatch.setattr(installer, "parts", lambda _: {"esp": "/dev/sde1"})
    monkeypatch.setattr(installer, "candidates", lambda *_: [disk])
    monkeypatch.setattr(installer, "write", lambda *_: None)
    monkeypatch.setattr(installer, "settle", lambda *_: None)
    monkeypatch.setattr(installer, "ended", lambda _say, _stick, seconds: f"waited {seconds}")
    return folder


def test_what_a_stick_says_holds_for_one_machine(installer, stick):
    """A firmware that starts it again, years later, comes to a question."""
    said = 'disk = "only"\nerase_data = true\nthen = "poweroff"\n'
    (stick / "install.toml").write_text(said)
    assert installer.install("sde", Person()) == "poweroff"
    assert not (stick / "install.toml").exists()
    assert (stick / "install.done.toml").read_text() == said, "it can be armed again"
    assert (stick / "install.txt").read_text().startswith("installed: ")
    person = Person("1")
    assert installer.install("sde", person) == f"waited {installer.PATIENCE}"
    assert not person.answers, "somebody was asked"
    assert any("is not done again" in line for line in person.said)


def test_a_stick_that_stays_armed_is_not_started_again_before_it_is_out(
    installer, stick, monkeypatch
):
    (stick / "install.toml").write_text('disk = "only"\n')
    monkeypatch.setattr(installer, "disarm", lambda _: False)
    person = Person()
    assert installer.install("sde", person) == "waited None"
    assert any("install.toml is still on it" in line for line in person.said)


def test_what_could_not_be_renamed_is_armed(installer, stick, monkeypatch):
    assert not installer.disarm("sde"), "there is no such file"
    (stick / "install.toml").write_text('disk = "only"\n')
    monkeypatch.setattr(installer, "run", Programs(broken="mount"))
    assert not installer.disarm("sde"), "a stick with a switch"
    monkeypatch.setattr(installer, "run", Programs())
    assert installer.disarm("sde")


def test_a_stick_that_is_taken_out_is_an_answer(installer, monkeypatch):
    monkeypatch.setattr(installer, "keep_in_memory", lambda: None)
    monkeypatch.setattr(installer, "TERMINALS", ())
    monkeypatch.setattr(installer.Terminals, "typed", lambda *_: None)
    with pytest.raises(installer.StickGoneError):
        installer.Terminals().ask("Which?", Path("/sys/class/block/gone"))
    asked = []

    def gone(*_: object) -> None:
        raise installer.StickGoneError

    monkeypatch.setattr(installer.os, "kill", lambda *_: None)
    monkeypatch.setattr(installer.os, "sync", lambda: None)
    monkeypatch.setattr(installer.ctypes, "CDLL", lambda _: SimpleNamespace(reboot=asked.append))
    monkeypatch.setattr(installer, "Terminals", Person)
    monkeypatch.setattr(installer, "run", lambda *_: "sda")
    monkeypatch.setattr(installer, "install", gone)
    monkeypatch.setattr(installer.subprocess, "run", lambda *_, **__: None)
    assert installer.main() == 0
    assert asked == [installer.RB_AUTOBOOT]


def test_a_person_types_a_word_before_the_data_of_an_edge_is_erased(installer):
    disks = installer.candidates(LISTED, "sde")
    person = Person("1", "y", "7", "1", "erase")
    assert installer.asked(person, disks, STICK).name == "nvme0n1"
    assert not person.answers
    assert any("HAS THE DATA OF AN EDGE" in line for line in person.said)
    person = Person("1", "", "2")
    assert installer.asked(person, disks, STICK).name == "sdb"


def test_what_went_along_to_the_machine_is_gone_from_the_stick(installer, tmp_path, monkeypatch):
    monkeypatch.setattr(installer, "SETUP", tmp_path)
    monkeypatch.setattr(installer, "run", Programs())
    monkeypatch.setattr(installer, "parts", lambda _: {"esp": "/dev/sde1"})
    assert installer.take_along("sde") == ""
    (tmp_path / "edge.toml").write_text('token = "7K2M-Q0XE-41TR-ZB9D"')
    (tmp_path / "ca.pem").write_text("a certificate")
    before = (tmp_path / "edge.toml").open("rb")
    assert "is gone from the stick" in installer.take_along("sde")
    assert [path.name for path in tmp_path.iterdir()] == ["ca.pem"]
    with before:
        assert not before.read().strip(b"\0"), "what was in it was overwritten"


def test_of_a_stick_that_can_not_be_written_it_is_said_what_stands_on_it(
    installer, tmp_path, monkeypatch
):
    monkeypatch.setattr(installer, "SETUP", tmp_path)
    monkeypatch.setattr(installer, "run", Programs(broken="mount"))
    monkeypatch.setattr(installer, "parts", lambda _: {"esp": "/dev/sde1"})
    assert "passwords stand in it. Delete it" in installer.take_along("sde")
    (tmp_path / "edge.toml").mkdir()
    monkeypatch.setattr(installer, "run", Programs())
    assert "passwords stand in it. Delete it" in installer.take_along("sde")


def test_a_root_that_cannot_be_read_ends_the_start_at_once():
    """Else each of the three tries of a broken update waits for its device for five minutes."""
    units = IMAGE / "mkosi.images/initrd/mkosi.extra/usr/lib/systemd/system"
    setup = read(units / "systemd-veritysetup@root.service.d/10-edge.conf")["Unit"]
    looks = read(units / setup["Wants"])
    assert looks["Unit"]["After"] == "systemd-veritysetup@root.service"
    for unit in (setup, looks["Unit"]):
        assert unit["OnFailure"] == "emergency.target"
    assert "if=/dev/mapper/root" in looks["Service"]["ExecStart"]
    over = read(units / "emergency.service.d/10-edge.conf")["Service"]
    assert "reboot" in over["ExecStopPost"]


def test_the_installer_has_the_screen_for_itself(installer, monkeypatch):
    sent = []
    monkeypatch.setattr(installer.os, "kill", lambda *words: sent.append(words))
    monkeypatch.setattr(installer, "Terminals", Person)
    monkeypatch.setattr(installer, "run", lambda *_: "sda")
    monkeypatch.setattr(installer, "install", lambda *_: "reboot")
    monkeypatch.setattr(installer.subprocess, "run", lambda *_, **__: None)
    assert installer.main() == 0
    assert sent == [(1, signal.SIGRTMIN + 21)]
    masked = (IMAGE / "libexec/boot-mode").read_text()
    for unit in ("timers.target", "paths.target", "edge.service"):
        assert f" {unit}" in masked


@pytest.fixture
def terminals(installer, monkeypatch):
    """A screen and a serial line, and what was written to each."""
    pairs = [pty.openpty() for _ in range(2)]
    names = tuple(os.ttyname(side) for _, side in pairs)
    monkeypatch.setattr(installer, "TERMINALS", (*names, "/dev/none"))
    made = installer.Terminals()
    yield made, pairs[0][0], pairs[1][0]
    for descriptor in (*made._open, *(one for pair in pairs for one in pair)):
        os.close(descriptor)


def read_to(descriptor: int, end: str) -> str:
    """All that comes, up to the line with some text; it may come in pieces."""
    found = ""
    while not (end in found and found.endswith("\n")):
        ready, _, _ = select.select([descriptor], [], [], 60)
        assert ready, found
        found += os.read(descriptor, 4096).decode()
    return found


def test_how_far_it_is_rises_on_one_line_of_the_screen_and_every_tenth_on_a_serial_line(terminals):
    say, screen, serial = terminals
    for percent in (0, 3, 3, 9, 12, 57, 99, 100, 100):
        say.rises("writing to vda", percent)
    shown = read_to(screen, "100 %")
    assert shown.count("\n") == 1
    assert [int(one) for one in re.findall(r"\rwriting to vda: +(\d+) %", shown)] == [
        *(0, 3, 9, 12, 57, 99, 100),
    ]
    lines = read_to(serial, "100 %").split("\r\n")
    tenths = (0, 12, 57, 99, 100)
    assert [line.strip() for line in lines] == [*(f"writing to vda: {n} %" for n in tenths), ""]


def test_enter_that_was_pressed_while_it_wrote_is_no_answer(terminals):
    say, screen, _ = terminals
    os.write(screen, b"\n")
    assert select.select(say._open[:1], [], [], 60)[0], "it has come"
    say.forget()
    assert say.typed(0) is None
    os.write(screen, b"2\n")
    assert say.typed(60) == "2"


def test_what_is_read_back_is_counted(installer, tmp_path, monkeypatch):
    monkeypatch.setattr(installer, "run", Programs())
    monkeypatch.setattr(installer, "CHUNK", 100)
    file = tmp_path / "part"
    file.write_bytes(bytes(1000))
    person = Person()
    read = installer.Compared(2000, person)
    assert installer.digest(str(file), read) == installer.digest(str(file), read)
    assert [percent for _, percent in person.shown] == [*range(0, 105, 5)]


class Layout:
    """systemd-repart that takes three looks, of a disk that is written meanwhile."""

    def __init__(self, status: int) -> None:
        self.returncode = status
        self.looks = 3

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def communicate(self, timeout: float) -> tuple[str, None]:
        self.looks -= 1
        if self.looks:
            raise subprocess.TimeoutExpired("systemd-repart", timeout)
        return "no room\n", None


@pytest.mark.parametrize("status", [0, 1])
def test_writing_shows_what_the_disk_has_of_it(installer, monkeypatch, status):
    sent = iter((5000, 5400, 9000))
    monkeypatch.setattr(installer, "written_to", lambda _: next(sent))
    monkeypatch.setattr(installer.subprocess, "Popen", lambda *_, **__: Layout(status))
    person, disk = Person(), installer.Disk("sdb", 10**11, "", "", ())
    if status:
        with pytest.raises(installer.InstallError, match="systemd-repart: no room"):
            installer.lay_out(disk, 1000, person)
    else:
        installer.lay_out(disk, 1000, person)
    assert [percent for _, percent in person.shown] == [0, 40, 99, *([] if status else [100])]


def test_it_waits_until_the_stick_is_out_or_enter_is_pressed(installer, tmp_path, monkeypatch):
    locked = []
    libc = SimpleNamespace(mlockall=locked.append)
    monkeypatch.setattr(installer.ctypes, "CDLL", lambda _: libc)
    assert installer.ended(Person(), tmp_path / "gone", None) == "gone"
    assert installer.ended(Person(""), tmp_path, None) == "reboot"
    assert installer.ended(Person(), tmp_path, 0.01) == "reboot"
    assert len(locked) == 3, "its programs are on the stick"


def test_without_its_stick_the_machine_starts_again_without_its_programs(installer, monkeypatch):
    asked, person = [], Person()
    libc = SimpleNamespace(reboot=asked.append)
    monkeypatch.setattr(installer.ctypes, "CDLL", lambda _: libc)
    monkeypatch.setattr(installer.os, "kill", lambda *_: None)
    monkeypatch.setattr(installer.os, "sync", lambda: asked.append("sync"))
    monkeypatch.setattr(installer, "Terminals", lambda: person)
    monkeypatch.setattr(installer, "run", lambda *_: "sda")
    monkeypatch.setattr(installer, "install", lambda *_: "gone")
    monkeypatch.setattr(installer.subprocess, "run", lambda *_, **__: None)
    assert installer.main() == 0
    assert asked == ["sync", 0x1234567]


def test_the_guide_and_the_installer_want_a_disk_of_one_size(installer):
    guide = (IMAGE / "README.md").read_text()
    assert "| disk | 16 GB |" in guide
    assert "no disk of 16 GB or more" in guide
    assert "no disk of 16 GB or more" in (IMAGE / "libexec/install").read_text()
    assert 14.5e9 < installer.LEAST < 16e9, "disks that are sold so have a little less"


TELL = IMAGE / "libexec/tell"


@pytest.mark.parametrize(
    ("consoles", "words", "said"),
    [
        ("tty0 ttyS0", ["begins"], {"tty0", "ttyS0"}),
        ("tty0 ttyS0", ["--screen", "begins"], {"tty0"}),
        ("tty0 ttyS0 ttyAMA0", ["--screen", "begins"], {"tty0", "ttyS0"}),
        ("tty0", ["--screen", "begins"], set()),
        ("tty0", ["begins"], {"tty0"}),
        ("", ["begins"], {"console"}),
        ("gone/tty0 ttyS0", ["begins"], {"ttyS0"}),
    ],
)
def test_who_stands_before_the_machine_is_told(tmp_path, consoles, words, said):
    (tmp_path / "active").write_text(f"{consoles}\n" if consoles else "")
    devices = tmp_path / "dev"
    devices.mkdir()
    subprocess.run(
        [TELL, *words],
        env=os.environ | {"EDGE_CONSOLES": str(tmp_path / "active"), "EDGE_DEVICES": str(devices)},
        check=True,
    )
    assert {path.name for path in devices.iterdir()} == said
    assert all(path.read_text().strip() == "begins" for path in devices.iterdir())


def test_the_screen_is_told_from_the_first_moment_to_the_page():
    initrd = IMAGE / "mkosi.images/initrd"
    assert (
        "ExtraTrees=../../libexec/tell:/usr/lib/edge/tell"
        in (initrd / "mkosi.conf").read_text().splitlines()
    )
    system = initrd / "mkosi.extra/usr/lib/systemd/system"
    first = system / "sysinit.target.wants/edge-begin.service"
    assert first.resolve() == system / "edge-begin.service"
    assert read(first)["Unit"]["DefaultDependencies"] == "no"
    last = read(UNITS / "edge-starting.service")
    assert last["Unit"]["Before"] == "edge.service"
    for said in (read(first), last):
        assert said["Service"]["ExecStart"].startswith("/usr/lib/edge/tell ")
    for folder in (system, UNITS):
        for path in folder.glob("*.service.d/10-edge.conf"):
            assert "/dev/console" not in path.read_text(), f"{path}: that is the serial line"
    disk = (IMAGE / "libexec/disk").read_text()
    assert '"$tell" --screen' in disk


def test_an_ups_is_commanded_only_where_one_ends_the_machine(tmp_path):
    removed = read(IMAGE / "mkosi.conf")["Content"]["RemoveFiles"].split()
    assert "/usr/lib/systemd/system-shutdown/nutshutdown" in removed
    own = (EXTRA / "usr/lib/systemd/system-shutdown/edge-ups").read_text()
    calls = tmp_path / "calls"
    program = tmp_path / "program"
    program.write_text(f'#!/bin/sh\necho "$@" "$NUT_CONFPATH" >>{calls}\n')
    program.chmod(0o755)
    own = own.replace("/run/edge-nut/killpower", f"{tmp_path}/killpower")
    own = re.sub(r"/usr/sbin/ups\w+", str(program), own)
    subprocess.run(["sh", "-c", own], check=True)
    assert not calls.exists()
    (tmp_path / "killpower").touch()
    subprocess.run(["sh", "-c", own], check=True)
    assert calls.read_text().splitlines() == ["-K /run/edge-nut", "shutdown /run/edge-nut"]


def test_the_start_greets_by_the_name_of_the_product(tmp_path):
    release = tmp_path / "usr/lib/os-release"
    release.parent.mkdir(parents=True)
    release.write_text('PRETTY_NAME="Debian GNU/Linux 13 (trixie)"\nNAME="Debian GNU/Linux"\n')
    for script in (IMAGE / "mkosi.images/initrd/mkosi.finalize", IMAGE / "mkosi.finalize"):
        [line] = re.findall(r"^sed .*PRETTY_NAME.*$", script.read_text(), re.MULTILINE)
        where = {"BUILDROOT": str(tmp_path), "root": str(tmp_path), "IMAGE_VERSION": "1.2"}
        subprocess.run(["bash", "-euc", line], env=os.environ | where, check=True)
        assert release.read_text().startswith('PRETTY_NAME="Edge')
    assert release.read_text().startswith('PRETTY_NAME="Edge 1.2"\n')
