"""The installer: whatever goes wrong ends in words on the screen, and with what is to be done."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import sys
import threading
from types import SimpleNamespace

import pytest

from tests.image.installing import Person, Programs, loaded
from tests.image.test_tree import EXTRA, read


@pytest.fixture(scope="module")
def installer():
    return loaded()


@pytest.fixture
def started(installer, tmp_path, monkeypatch):
    """The installer with somebody before it who presses Enter, and what becomes of the machine."""
    machine = SimpleNamespace(person=Person(""), stick=tmp_path / "EDGE-SETUP", ended=[])
    libc = SimpleNamespace(reboot=machine.ended.append, mlockall=lambda _: None)
    monkeypatch.setattr(installer.main.os, "kill", lambda *_: None)
    monkeypatch.setattr(installer.main.os, "sync", lambda: None)
    monkeypatch.setattr(installer.main.ctypes, "CDLL", lambda _: libc)
    monkeypatch.setattr(installer.screen, "Terminals", lambda: machine.person)
    monkeypatch.setattr(installer.programs, "run", Programs())
    monkeypatch.setattr(installer.devices, "parts", lambda _: {"esp": "/dev/sde1"})
    monkeypatch.setattr(installer.devices, "settle", lambda _: None)
    monkeypatch.setattr(installer.devices, "sysfs", lambda _: tmp_path)
    monkeypatch.setattr(installer.medium, "SETUP", machine.stick)
    monkeypatch.setattr(
        installer.main.subprocess, "run", lambda words, **_: machine.ended.append(words[-1])
    )
    return machine


UNTHOUGHT = [
    OSError(5, "Input/output error"),
    FileNotFoundError(2, "No such file or directory", "/sys/class/block/sda/stat"),
    UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"),
    RecursionError("maximum recursion depth exceeded"),
    KeyError("esp"),
    MemoryError(),
]


@pytest.mark.parametrize("error", UNTHOUGHT, ids=lambda each: type(each).__name__)
def test_what_nobody_thought_of_is_said_and_tried_again(installer, started, monkeypatch, error):
    def install(*_: object) -> str:
        raise error

    monkeypatch.setattr(installer.main, "install", install)
    assert installer.main.main() == 0
    [why] = [line for line in started.person.said if "Not installed: " in line]
    assert f"{type(error).__name__}: {error}" in why
    assert "write the stick anew" in why
    assert any("Press Enter to try again" in line for line in started.person.said)
    assert started.ended == ["reboot"], "Enter was pressed"
    note = (started.stick / "install.txt").read_text()
    assert note.startswith("not installed: something happened")
    assert "raise error" in note, "and where it was"


def test_a_stick_that_is_not_found_is_said(installer, started, monkeypatch):
    broken = Programs(broken="/usr/lib/edge/boot-disk")
    monkeypatch.setattr(installer.programs, "run", broken)
    assert installer.main.main() == 0
    assert any("Not installed: /usr/lib/edge/boot-disk" in line for line in started.person.said)
    assert started.ended == ["reboot"]


def test_a_note_that_can_not_be_written_takes_no_word_from_the_screen(
    installer, started, monkeypatch
):
    started.stick.write_text("a file in the folder's place")
    monkeypatch.setattr(installer.main, "install", lambda *_: 1 / 0)
    assert installer.main.main() == 0
    assert any("Not installed: " in line for line in started.person.said)
    assert any("Press Enter to try again" in line for line in started.person.said)


@pytest.mark.parametrize(("then", "how"), [("reboot", 0x1234567), ("poweroff", 0x4321FEDC)])
@pytest.mark.parametrize(
    "error", [OSError(5, "Input/output error"), subprocess.CalledProcessError(1, "systemctl")]
)
def test_a_machine_whose_programs_are_gone_ends_by_the_kernel(
    installer, started, monkeypatch, then, how, error
):
    def run(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(installer.main, "install", lambda *_: then)
    monkeypatch.setattr(installer.main.subprocess, "run", run)
    assert installer.main.main() == 0
    assert started.ended == [how]


def test_a_program_that_can_not_be_read_from_the_stick_is_named(installer):
    with pytest.raises(installer.programs.InstallError, match="/usr/gone can't be run: No such"):
        installer.programs.run("/usr/gone")


def test_a_note_is_as_many_lines_as_it_was_given(installer, started):
    installer.medium.note("sde", "not installed: a\x1b[2Jb\rinstalled: no\nsecond\u202e")
    lines = (started.stick / "install.txt").read_bytes().decode().split("\n")
    assert lines == ["not installed: a?[2Jb installed: no", "second?", ""]


def test_what_can_not_be_read_back_is_a_broken_disk(installer, monkeypatch):
    monkeypatch.setattr(installer.programs, "run", Programs())
    monkeypatch.setattr(installer.writing.os, "posix_fadvise", lambda *_: None)
    with pytest.raises(installer.programs.InstallError, match=r"Input/output error.*replace it"):
        installer.writing.digest("/proc/self/mem", lambda _: None)  # its first page is nobody's


@pytest.mark.parametrize("call", ["written_to", "sector_of", "size_of"])
def test_a_disk_that_is_gone_is_said(installer, call):
    with pytest.raises(installer.programs.InstallError, match="gone is not there any more"):
        getattr(installer.devices, call)("gone")


def test_a_disk_that_goes_while_it_is_written_ends_the_writing(installer, monkeypatch, tmp_path):
    popen, started = subprocess.Popen, []
    (tmp_path / "stat").write_text("0 0 0 0 0 0 9")

    def repart(_words: object, **how: object) -> subprocess.Popen[str]:
        (tmp_path / "stat").unlink()
        started.append(popen([sys.executable, "-c", "import time; time.sleep(600)"], **how))
        return started[0]

    monkeypatch.setattr(installer.devices, "sysfs", lambda _: tmp_path)
    monkeypatch.setattr(installer.writing.subprocess, "Popen", repart)
    disk = installer.devices.Disk("sdb", 10**11, "", "", ())
    with pytest.raises(installer.programs.InstallError, match="sdb is not there any more"):
        installer.writing.lay_out(disk, 1000, Person())
    assert started[0].returncode == -9


FORMS = {
    "UTF-8 with its mark": 'disk = "sdb"\n'.encode("utf-8-sig"),
    "UTF-16": 'disk = "sdb"\r\n'.encode("utf-16"),
    "UTF-16, as others order it": b"\xfe\xff" + 'disk = "sdb"\n'.encode("utf-16-be"),
}


@pytest.mark.parametrize("data", FORMS.values(), ids=FORMS)
def test_answers_are_taken_as_editors_write_them(installer, tmp_path, monkeypatch, data):
    monkeypatch.setattr(installer.medium, "SETUP", tmp_path)
    (tmp_path / "install.toml").write_bytes(data)
    assert installer.medium.answers() == {"disk": "sdb"}


WRONG = {
    "a list in lists": b"disk = " + b"[" * 20_000,
    "a number of 5000 digits": b"disk = " + b"9" * 5000,
    "another code page": 'disk = "Größe"'.encode("latin-1"),
    "half a character": b"\xff\xfed",
    "longer than it can be": b"#" * 70_000,
    "no text": b"\x00" * 100,
}


@pytest.mark.parametrize("data", WRONG.values(), ids=WRONG)
def test_answers_that_can_not_be_read_are_refused_in_words(installer, tmp_path, monkeypatch, data):
    monkeypatch.setattr(installer.medium, "SETUP", tmp_path)
    (tmp_path / "install.toml").write_bytes(data)
    with pytest.raises(installer.programs.InstallError, match=r"EDGE-SETUP/install\.toml") as said:
        installer.medium.answers()
    assert "codec" not in str(said.value)


def test_a_folder_in_the_place_of_the_answers_is_no_empty_file(installer, tmp_path, monkeypatch):
    monkeypatch.setattr(installer.medium, "SETUP", tmp_path)
    assert installer.medium.answers() == {}
    (tmp_path / "install.toml").mkdir()
    with pytest.raises(installer.programs.InstallError, match=r"install\.toml can't be read"):
        installer.medium.answers()


@pytest.fixture
def terminal(installer, monkeypatch):
    """A terminal, and who sits before it."""
    person, side = pty.openpty()
    monkeypatch.setattr(installer.screen, "TERMINALS", (os.ttyname(side),))
    made = installer.screen.Terminals()
    yield made, person
    for descriptor in (*made._open, person, side):
        os.close(descriptor)


def read_to(descriptor, end):
    found = b""
    while end not in found:
        assert select.select([descriptor], [], [], 60)[0], found
        found += os.read(descriptor, 65536)
    return found.decode()


@pytest.mark.parametrize("key", [b"\x13", b"\x04"], ids=["Ctrl-S", "Ctrl-D"])
def test_no_key_and_no_noise_makes_a_terminal_dumb_or_deaf(terminal, key):
    say, person = terminal
    os.write(person, key)
    speaking = threading.Thread(target=say.say, args=("Not installed: so",), daemon=True)
    speaking.start()
    read_to(person, b"Not installed: so")
    speaking.join(60)
    os.write(person, b"\n2\n")
    said = say.typed(60)
    while said != "2":
        said = say.typed(60)
        assert said is not None


def test_a_terminal_that_takes_nothing_holds_up_nothing(installer, terminal, monkeypatch):
    say, person = terminal
    monkeypatch.setattr(installer.screen, "PATIENCE", 0.05)
    for _ in range(50):  # nobody reads: more than there is room for
        say.say("x" * 4000)
    while select.select([person], [], [], 0.1)[0]:
        os.read(person, 65536)
    say.say("it goes on")
    read_to(person, b"it goes on")


def test_what_is_said_has_nothing_that_a_terminal_obeys(terminal):
    say, person = terminal
    say.say("one\x1b[2J\rtwo\x9b\nthree\udcff")
    said = read_to(person, b"three").replace("\r", "")
    assert said.startswith("one?[2J two?\nthree?")


def test_an_installer_that_ends_is_started_again():
    unit = read(EXTRA / "usr/lib/systemd/system/edge-install.service")
    assert unit["Service"]["Restart"] == "on-failure"
    assert unit["Unit"]["StartLimitIntervalSec"] == "0"
    assert "console" in unit["Service"]["StandardError"]
