"""The installer of the image: what it offers, asks, writes and says, without a machine.

What is on disks, and what their names are, is in ``test_installer_disks``; what goes wrong in
``test_installer_failures``.
"""

from __future__ import annotations

import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Self

import pytest

from tests.image.installing import LISTED, STICK, Person, Programs, loaded
from tests.image.test_tree import IMAGE


@pytest.fixture(scope="module")
def installer():
    return loaded()


def test_its_parts_are_where_the_image_has_the_program(tmp_path):
    """Put there by what the build runs; a Python that is told of no other place finds them."""
    (tmp_path / "programs").mkdir()
    (tmp_path / "programs/python3").write_text("#!/bin/sh\n")  # compiles nothing
    (tmp_path / "programs/python3").chmod(0o755)
    environment = {
        "PATH": f"{tmp_path / 'programs'}:{os.environ['PATH']}",
        "BUILDROOT": str(tmp_path / "root"),
        "SRCDIR": str(IMAGE),
    }
    subprocess.run([IMAGE / "mkosi.postinst"], env=environment, check=True)
    there = tmp_path / "root/usr/lib/edge"
    first, *_ = (there / "install").read_text().splitlines()
    assert first == "#!/usr/bin/python3 -Es", "its own folder is looked at for its parts"
    load = f"import sys; sys.path[0] = {str(there)!r}; import runpy; runpy.run_path(sys.argv[1])"
    words = [sys.executable, "-Es", "-c", load, there / "install"]
    subprocess.run(words, env={}, cwd=tmp_path, check=True)


def test_installer_offers_what_can_be_written_and_is_no_stick(installer):
    disks = installer.devices.candidates(LISTED, "sde")
    assert [disk.name for disk in disks] == ["nvme0n1", "sdb"]
    assert "HAS THE DATA OF AN EDGE" in str(disks[0])
    assert disks[0].versions == ("1.2",)
    assert str(disks[1]) == "sdb, 32 GB, B; empty"


@pytest.mark.parametrize(
    ("word", "name"), [("1", "nvme0n1"), ("2", "sdb"), ("sdb", "sdb"), ("N1", "nvme0n1")]
)
def test_installer_takes_a_disk_by_any_name(installer, word, name):
    assert installer.devices.chosen(word, installer.devices.candidates(LISTED, "sde")).name == name


@pytest.mark.parametrize("word", ["", "0", "3", "sda", "y", "only", "/dev/sdz"])
def test_installer_takes_no_disk_that_was_not_meant(installer, word):
    with pytest.raises(installer.programs.InstallError):
        installer.devices.chosen(word, installer.devices.candidates(LISTED, "sde"))


@pytest.mark.parametrize(
    "said",
    ['disk = ""', "disk = 1", 'disk = "only"\nthen = "sleep"', 'disk = "only"\nx = 1', "nonsense"],
)
def test_installer_refuses_answers_that_it_does_not_understand(
    installer, tmp_path, said, monkeypatch
):
    monkeypatch.setattr(installer.medium, "SETUP", tmp_path)
    (tmp_path / "install.toml").write_text(said)
    with pytest.raises(installer.programs.InstallError, match=r"install\.toml"):
        installer.medium.answers()


def test_installer_offers_no_disk_that_the_system_runs_from(installer):
    listed = json.loads(LISTED)
    root = {"name": "root", "mountpoints": [None, "/"]}
    listed["blockdevices"][1]["children"][1]["children"] = [root]
    found = installer.devices.candidates(json.dumps(listed), "sde")
    assert [disk.name for disk in found] == ["sdb"]


def test_the_power_may_go_once_the_stick_has_its_note(installer, tmp_path, monkeypatch):
    programs = Programs()
    monkeypatch.setattr(installer.programs, "run", programs)
    monkeypatch.setattr(installer.devices, "parts", lambda _disk: {"esp": "/dev/sde1"})
    monkeypatch.setattr(installer.medium, "SETUP", tmp_path / "EDGE-SETUP")
    monkeypatch.setattr(installer.devices, "settle", lambda path: programs("settle", path))
    installer.medium.note("sde", "installed")
    assert (tmp_path / "EDGE-SETUP/install.txt").read_text() == "installed\n"
    assert programs.called[-2:] == [("umount", "/efi"), ("settle", "/dev/sde")]


def test_a_disk_that_does_not_keep_what_it_was_sent_is_told(installer, tmp_path):
    with pytest.raises(installer.programs.InstallError, match="gone does not keep what is written"):
        installer.devices.settle(str(tmp_path / "gone"))


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

    monkeypatch.setattr(installer.medium, "STICK", stick)
    monkeypatch.setattr(installer.writing, "TARGET", target)
    monkeypatch.setattr(installer.programs, "run", run)
    if damaged:
        with pytest.raises(installer.programs.InstallError, match="does not hold what was copied"):
            installer.writing.make_esp("/dev/nvme0n1p1", 4096)
    else:
        installer.writing.make_esp("/dev/nvme0n1p1", 4096)
        assert (target / "EFI/Linux/edge_1.efi").read_bytes() == b"MZ" * 1000
    made = ("mkfs.vfat", "-F", "32", "-S", "4096", "-n", "EDGE-ESP", "/dev/nvme0n1p1")
    assert programs.called[0] == made
    assert programs.called[-2] == ("umount", str(target)), "it does not stay mounted"


@pytest.mark.parametrize("stick", ["sdb", "sde"])
def test_installer_writes_to_no_disk_that_the_system_runs_from(installer, stick, monkeypatch):
    programs = Programs(mounted="" if stick == "sdb" else "/")
    monkeypatch.setattr(installer.programs, "run", programs)
    disk = installer.devices.Disk("sdb", 10**11, "", "", ())
    with pytest.raises(installer.programs.InstallError, match="runs from sdb: nothing was written"):
        installer.writing.write(disk, stick, Person())
    assert {words[0] for words in programs.called} == {"lsblk"}


@pytest.mark.parametrize("lacks", ["", "esp"])
def test_a_disk_that_is_broken_is_not_started_in_the_stick_s_place(installer, monkeypatch, lacks):
    """It has the stick's system by then, and must not have its UUID as well."""
    called = []
    found = {kind: f"/dev/{kind}" for kind in ("esp", "root", "verity") if kind != lacks}
    theirs = {kind: f"/dev/stick-{kind}" for kind in ("esp", "root", "verity")}
    monkeypatch.setattr(installer.programs, "run", Programs())
    monkeypatch.setattr(installer.devices, "parts", lambda disk: theirs if disk == "sde" else found)
    monkeypatch.setattr(installer.devices, "size_of", lambda _: 1)
    monkeypatch.setattr(installer.devices, "sector_of", lambda _: 512)
    monkeypatch.setattr(installer.writing, "lay_out", lambda *_: called.append("lay_out"))
    monkeypatch.setattr(installer.writing, "give_uuid", lambda *words: called.append(words))
    monkeypatch.setattr(installer.writing, "digest", lambda path, _: path)
    disk = installer.devices.Disk("sdb", 10**11, "", "", ())
    why = "does not show what was written" if lacks else "does not hold what was written"
    with pytest.raises(installer.programs.InstallError, match=why):
        installer.writing.write(disk, "sde", Person())
    given = [] if lacks else [("/dev/sdb", "/dev/esp")]
    assert called == ["lay_out", *given]


@pytest.mark.parametrize("disk", ["nvme0n1", "N1", "/dev/nvme0n1"])
def test_a_stick_erases_the_data_of_an_edge_only_if_it_says_so(installer, disk):
    disks = installer.devices.candidates(LISTED, "sde")
    with pytest.raises(installer.programs.InstallError, match="erase_data = true"):
        installer.main.told({"disk": disk}, disks, "1.3")
    with pytest.raises(installer.programs.InstallError, match="erase_data = true"):
        installer.main.told({"disk": disk, "again": True}, disks, "1.2")
    assert installer.main.told({"disk": disk, "erase_data": True}, disks, "1.3").name == "nvme0n1"
    with pytest.raises(installer.programs.InstallError, match="this version already"):
        installer.main.told({"disk": disk, "erase_data": True}, disks, "1.2")
    assert installer.main.told({"disk": "sdb"}, disks, "1.3").name == "sdb"


@pytest.mark.parametrize("label", ["edge-data-new-1a2b3c4d", "edge-data-old-1a2b3c4d"])
def test_nor_what_it_moves_to_or_moved_away_from(installer, label):
    """The new one is called so until the next start, and is the only one with the data then."""
    [disk] = installer.devices.candidates(LISTED.replace("edge-data", label), "sde")[:1]
    assert "HAS THE DATA OF AN EDGE" in str(disk)
    with pytest.raises(installer.programs.InstallError, match="erase_data = true"):
        installer.main.told({"disk": "N1"}, [disk], "1.3")
    person = Person("1", "", "1", "erase")
    assert installer.main.asked(person, [disk], STICK) == disk
    assert not person.answers


def test_a_version_in_the_second_slot_is_there_already(installer):
    listed = json.loads(LISTED)
    parts = listed["blockdevices"][1]["children"]
    parts.insert(2, {"name": "nvme0n1p4", "partlabel": "edge-root-1.3"})
    disks = installer.devices.candidates(json.dumps(listed), "sde")
    for version in ("1.2", "1.3"):
        with pytest.raises(installer.programs.InstallError, match="this version already"):
            installer.main.told({"disk": "N1", "erase_data": True}, disks, version)


@pytest.fixture
def stick(installer, tmp_path, monkeypatch):
    """The folder EDGE-SETUP on the stick; the one disk of the machine is installed to."""
    folder = tmp_path / "EDGE-SETUP"
    folder.mkdir()
    disk = installer.devices.Disk("sdb", 10**11, "", "", ())
    monkeypatch.setattr(installer.medium, "SETUP", folder)
    monkeypatch.setattr(installer.programs, "run", Programs())
    monkeypatch.setattr(installer.devices, "parts", lambda _: {"esp": "/dev/sde1"})
    monkeypatch.setattr(installer.devices, "candidates", lambda *_: [disk])
    monkeypatch.setattr(installer.devices, "looked_at", lambda each: each)
    monkeypatch.setattr(installer.writing, "write", lambda *_: None)
    monkeypatch.setattr(installer.devices, "settle", lambda *_: None)
    monkeypatch.setattr(installer.main, "ended", lambda _say, _stick, seconds: f"waited {seconds}")
    return folder


def test_what_a_stick_says_holds_for_one_machine(installer, stick):
    """A firmware that starts it again, years later, comes to a question."""
    said = 'disk = "only"\nerase_data = true\nthen = "poweroff"\n'
    (stick / "install.toml").write_text(said)
    assert installer.main.install("sde", Person()) == "poweroff"
    assert not (stick / "install.toml").exists()
    assert (stick / "install.done.toml").read_text() == said, "it can be armed again"
    assert (stick / "install.txt").read_text().startswith("installed: ")
    person = Person("1")
    assert installer.main.install("sde", person) == f"waited {installer.main.PATIENCE}"
    assert not person.answers, "somebody was asked"
    assert any("is not done again" in line for line in person.said)


def test_a_stick_that_stays_armed_is_not_started_again_before_it_is_out(
    installer, stick, monkeypatch
):
    (stick / "install.toml").write_text('disk = "only"\n')
    monkeypatch.setattr(installer.medium, "disarm", lambda _: False)
    person = Person()
    assert installer.main.install("sde", person) == "waited None"
    assert any("install.toml is still on it" in line for line in person.said)


def test_what_could_not_be_renamed_is_armed(installer, stick, monkeypatch):
    assert not installer.medium.disarm("sde"), "there is no such file"
    (stick / "install.toml").write_text('disk = "only"\n')
    monkeypatch.setattr(installer.programs, "run", Programs(broken="mount"))
    assert not installer.medium.disarm("sde"), "a stick with a switch"
    monkeypatch.setattr(installer.programs, "run", Programs())
    assert installer.medium.disarm("sde")


def test_a_stick_that_is_taken_out_is_an_answer(installer, monkeypatch):
    monkeypatch.setattr(installer.screen, "keep_in_memory", lambda: None)
    monkeypatch.setattr(installer.screen, "TERMINALS", ())
    monkeypatch.setattr(installer.screen.Terminals, "typed", lambda *_: None)
    with pytest.raises(installer.screen.StickGoneError):
        installer.screen.Terminals().ask("Which?", Path("/sys/class/block/gone"))
    asked = []

    def gone(*_: object) -> None:
        raise installer.screen.StickGoneError

    monkeypatch.setattr(installer.main.os, "kill", lambda *_: None)
    monkeypatch.setattr(installer.main.os, "sync", lambda: None)
    monkeypatch.setattr(
        installer.main.ctypes, "CDLL", lambda _: SimpleNamespace(reboot=asked.append)
    )
    monkeypatch.setattr(installer.screen, "Terminals", Person)
    monkeypatch.setattr(installer.programs, "run", lambda *_: "sda")
    monkeypatch.setattr(installer.main, "install", gone)
    monkeypatch.setattr(installer.main.subprocess, "run", lambda *_, **__: None)
    assert installer.main.main() == 0
    assert asked == [installer.main.RB_AUTOBOOT]


def test_a_person_types_a_word_before_the_data_of_an_edge_is_erased(installer):
    disks = installer.devices.candidates(LISTED, "sde")
    person = Person("1", "y", "7", "1", "erase")
    assert installer.main.asked(person, disks, STICK).name == "nvme0n1"
    assert not person.answers
    assert any("HAS THE DATA OF AN EDGE" in line for line in person.said)
    assert "Type the number of the disk to install on, and press Enter." in person.said[0]
    person = Person("1", "", "2")
    assert installer.main.asked(person, disks, STICK).name == "sdb"


def test_what_went_along_to_the_machine_is_gone_from_the_stick(installer, tmp_path, monkeypatch):
    monkeypatch.setattr(installer.medium, "SETUP", tmp_path)
    monkeypatch.setattr(installer.programs, "run", Programs())
    monkeypatch.setattr(installer.devices, "parts", lambda _: {"esp": "/dev/sde1"})
    assert installer.medium.take_along("sde") == ""
    (tmp_path / "edge.toml").write_text('token = "7K2M-Q0XE-41TR-ZB9D"')
    (tmp_path / "ca.pem").write_text("a certificate")
    before = (tmp_path / "edge.toml").open("rb")
    assert "is gone from the stick" in installer.medium.take_along("sde")
    assert [path.name for path in tmp_path.iterdir()] == ["ca.pem"]
    with before:
        assert not before.read().strip(b"\0"), "what was in it was overwritten"


def test_of_a_stick_that_can_not_be_written_it_is_said_what_stands_on_it(
    installer, tmp_path, monkeypatch
):
    monkeypatch.setattr(installer.medium, "SETUP", tmp_path)
    monkeypatch.setattr(installer.programs, "run", Programs(broken="mount"))
    monkeypatch.setattr(installer.devices, "parts", lambda _: {"esp": "/dev/sde1"})
    assert "passwords stand in it. Delete it" in installer.medium.take_along("sde")
    (tmp_path / "edge.toml").mkdir()
    monkeypatch.setattr(installer.programs, "run", Programs())
    assert "passwords stand in it. Delete it" in installer.medium.take_along("sde")


def test_the_installer_has_the_screen_for_itself(installer, monkeypatch):
    sent = []
    monkeypatch.setattr(installer.main.os, "kill", lambda *words: sent.append(words))
    monkeypatch.setattr(installer.screen, "Terminals", Person)
    monkeypatch.setattr(installer.programs, "run", lambda *_: "sda")
    monkeypatch.setattr(installer.main, "install", lambda *_: "reboot")
    monkeypatch.setattr(installer.main.subprocess, "run", lambda *_, **__: None)
    assert installer.main.main() == 0
    assert sent == [(1, signal.SIGRTMIN + 21)]
    masked = (IMAGE / "libexec/boot-mode").read_text()
    for unit in ("timers.target", "paths.target", "edge.service"):
        assert f" {unit}" in masked


@pytest.fixture
def terminals(installer, monkeypatch):
    """A screen and a serial line, and what was written to each."""
    pairs = [pty.openpty() for _ in range(2)]
    names = tuple(os.ttyname(side) for _, side in pairs)
    monkeypatch.setattr(installer.screen, "TERMINALS", (*names, "/dev/none"))
    made = installer.screen.Terminals()
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
    monkeypatch.setattr(installer.programs, "run", Programs())
    monkeypatch.setattr(installer.writing, "CHUNK", 100)
    file = tmp_path / "part"
    file.write_bytes(bytes(1000))
    person = Person()
    read = installer.writing.Compared(2000, person)
    assert installer.writing.digest(str(file), read) == installer.writing.digest(str(file), read)
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
    monkeypatch.setattr(installer.devices, "written_to", lambda _: next(sent))
    monkeypatch.setattr(installer.main.subprocess, "Popen", lambda *_, **__: Layout(status))
    person, disk = Person(), installer.devices.Disk("sdb", 10**11, "", "", ())
    if status:
        with pytest.raises(installer.programs.InstallError, match="systemd-repart: no room"):
            installer.writing.lay_out(disk, 1000, person)
    else:
        installer.writing.lay_out(disk, 1000, person)
    assert [percent for _, percent in person.shown] == [0, 40, 99, *([] if status else [100])]


def test_it_waits_until_the_stick_is_out_or_enter_is_pressed(installer, tmp_path, monkeypatch):
    locked = []
    libc = SimpleNamespace(mlockall=locked.append)
    monkeypatch.setattr(installer.main.ctypes, "CDLL", lambda _: libc)
    assert installer.main.ended(Person(), tmp_path / "gone", None) == "gone"
    assert installer.main.ended(Person(""), tmp_path, None) == "reboot"
    assert installer.main.ended(Person(), tmp_path, 0.01) == "reboot"
    assert len(locked) == 3, "its programs are on the stick"


def test_without_its_stick_the_machine_starts_again_without_its_programs(installer, monkeypatch):
    asked, person = [], Person()
    libc = SimpleNamespace(reboot=asked.append)
    monkeypatch.setattr(installer.main.ctypes, "CDLL", lambda _: libc)
    monkeypatch.setattr(installer.main.os, "kill", lambda *_: None)
    monkeypatch.setattr(installer.main.os, "sync", lambda: asked.append("sync"))
    monkeypatch.setattr(installer.screen, "Terminals", lambda: person)
    monkeypatch.setattr(installer.programs, "run", lambda *_: "sda")
    monkeypatch.setattr(installer.main, "install", lambda *_: "gone")
    monkeypatch.setattr(installer.main.subprocess, "run", lambda *_, **__: None)
    assert installer.main.main() == 0
    assert asked == ["sync", 0x1234567]


def test_the_guide_and_the_installer_want_a_disk_of_one_size(installer):
    guide = (IMAGE / "README.md").read_text()
    assert "| disk | 16 GB |" in guide
    assert "no disk of 16 GB or more" in guide
    assert "no disk of 16 GB or more" in (IMAGE / "libexec/install").read_text()
    assert 14.5e9 < installer.devices.LEAST < 16e9, "disks that are sold so have a little less"
