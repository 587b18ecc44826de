"""``scripts/boot-image`` as a program: how it ends, and what it says that is put into a file."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

from edge.provision.file import read_setup
from tests.documents import ROOT
from tests.fakes.orthanc import missing
from tests.image.accelerator import TRANSLATED
from tests.image.boot import settings_of
from tests.image.machine import lacking
from tests.ports import free_port

PATIENCE = 60.0
runs = pytest.mark.skipif(bool(lacking()), reason=lacking())


def test_the_file_that_it_prints_is_a_whole_one():
    setup = read_setup(settings_of(8042), "edge.toml")
    assert setup.config.appliance.lab
    assert setup.config.cloud.archive[0].url == "http://10.0.2.2:8042/dicom-web"
    assert setup.config.dimse.peer[0].host == "10.0.2.2"


class Running:
    """One that runs a machine whose disk is empty."""

    def __init__(self, folder: Path, *words: str) -> None:
        self._process = subprocess.Popen(
            [
                *(sys.executable, "-u", "-m", "tests.image.boot", "--empty", "--disk-size", "1M"),
                *("--folder", str(folder), "--memory", "256", "--cores", "1"),
                *("--accelerator", TRANSLATED, "--http", str(free_port())),
                *("--dicom", str(free_port()), *words),
            ],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.said = ""
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        for line in self._process.stdout:
            self.said += line

    def types(self, text: str) -> None:
        self._process.stdin.write(f"{text}\n")
        self._process.stdin.flush()

    def until(self, text: str) -> None:
        deadline = time.monotonic() + PATIENCE
        while text not in self.said:
            assert time.monotonic() < deadline, self.said
            time.sleep(0.05)

    def takes(self, picture: Path) -> None:
        """One of its screen, as soon as it has one."""
        deadline = time.monotonic() + PATIENCE
        while f"it is in {picture}" not in self.said:
            assert time.monotonic() < deadline, self.said
            self.types(f"picture {picture}")
            time.sleep(0.2)

    def signal(self, number: int) -> None:
        self._process.send_signal(number)

    @property
    def group(self) -> int:
        """To all of which the terminal gives Ctrl-C."""
        return os.getpgid(self._process.pid)

    @property
    def beside(self) -> dict[str, int]:
        """What it runs: name -> number."""
        own = self._process.pid
        numbers = Path(f"/proc/{own}/task/{own}/children").read_text().split()
        return {Path(f"/proc/{each}/comm").read_text().strip(): int(each) for each in numbers}

    @property
    def qemu(self) -> int:
        (number,) = (each for name, each in self.beside.items() if name.startswith("qemu"))
        return number

    def end(self) -> int:
        """Its status, once it ended."""
        status = self._process.wait(PATIENCE)
        self._reader.join(PATIENCE)
        return status


@contextmanager
def running(folder: Path, *words: str):
    """One, and no QEMU of it afterwards."""
    one = Running(folder, *words)
    try:
        yield one
    finally:
        if one._process.poll() is None:
            os.kill(one.qemu, signal.SIGKILL)
            one.end()


@runs
def test_when_qemu_is_gone_it_says_so_with_the_count_of_what_was_sent(tmp_path):
    with running(tmp_path) as program:
        program.types("send 500")
        program.until("CT1 sends 500 images")
        os.kill(program.qemu, signal.SIGKILL)
        began = time.monotonic()
        assert program.end() == 1
        assert time.monotonic() - began < 30
        assert "0 of 500 images of patient" in program.said
        assert "QEMU ended with -9" in program.said


@runs
def test_after_ctrl_c_what_is_typed_is_done_until_the_box_is_off(tmp_path):
    with running(tmp_path / "machine") as program:
        program.takes(tmp_path / "before.png")
        program.signal(signal.SIGINT)
        program.until("this ends once it is off")
        program.takes(tmp_path / "after.png")
        program.types("send 500")
        program.until("CT1 sends 500 images")
        program.signal(signal.SIGINT)
        assert program.end() == 1
        assert "0 of 500 images of patient" in program.said, "this cut it off"


@runs
@pytest.mark.skipif(bool(missing()), reason=missing())
def test_ctrl_c_at_the_terminal_leaves_the_machine_and_the_archive_to_it(tmp_path):
    """What the box has yet to send while it switches off comes in."""
    with running(tmp_path / "machine", "--archive", str(free_port())) as program:
        program.takes(tmp_path / "before.png")
        beside = program.beside
        assert sorted(beside) == ["Orthanc", "qemu-system-x86"]
        assert program.group not in {os.getpgid(number) for number in beside.values()}
        program.signal(signal.SIGINT)
        program.until("this ends once it is off")
        program.signal(signal.SIGINT)
        assert program.end() == 1
        assert not any(Path(f"/proc/{number}").exists() for number in beside.values())
