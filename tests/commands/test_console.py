"""``edge console``: on a terminal, and nowhere else."""

from __future__ import annotations

import contextlib
import os
import pty
import re
import signal
import subprocess
import sys
import termios
import time

import pytest

from tests import program

PATIENCE = 60.0


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "edge.toml"
    path.write_text(f'[appliance]\nname = "radiology"\ndata_dir = "{tmp_path / "box"}"\n')
    return path


def test_without_a_terminal_it_says_what_to_do(file):
    done = program.run("console", "--config", file)
    assert done.returncode == 1
    assert "this is no terminal" in done.stderr


def test_on_one_it_shows_the_page_of_a_box_whatever_state_that_is_in(file):
    """Needs two seconds: an interpreter of its own, as systemd starts it."""
    with page_of(file, b"The service is not running") as (running, master, seen):
        assert b"\x1b[1;97;41mThe service is not running" in seen  # white on red, of its 16 colours
        assert plain(seen).startswith(b"The page of this box comes"), "meanwhile it is not black"
        later = b""
        for odd in (b"\x03\x11q", b"\xff", b"\x1b[99999999u", b"\x1b[48;24;80;0;0t\x1b[<0;5;5M"):
            os.write(master, odd)  # nothing that comes from it ends it
        os.write(master, b"r")
        until = time.monotonic() + PATIENCE
        while b"Restart the box?" not in plain(later) and time.monotonic() < until:
            later += os.read(master, 65536)
        assert b"Restart the box?" in plain(later)
        assert running.poll() is None
        assert not termios.tcgetattr(master)[3] & termios.ECHO


def test_settings_that_are_refused_are_said_on_the_page_and_do_not_end_it(file):
    file.write_text("[appliance]\ncolour = 1\n")
    with page_of(file, b"colour") as (running, _, seen):
        assert b"The box can't be looked at" in plain(seen)
        assert running.poll() is None


@contextlib.contextmanager
def page_of(file, words):
    """The command on a terminal, once it shows these words; and what it had written by then."""
    master, slave = pty.openpty()
    linux = os.environ | {"TERM": "linux", "COLUMNS": "80", "LINES": "24", "COLORTERM": ""}
    running = subprocess.Popen(
        [sys.executable, "-m", "edge", "console", "--config", str(file)],
        stdin=slave,
        stdout=slave,
        stderr=slave,
        env=linux,
        start_new_session=True,
    )
    os.close(slave)
    try:
        seen, until = b"", time.monotonic() + PATIENCE
        while words not in plain(seen) and time.monotonic() < until:
            seen += os.read(master, 65536)
        assert words in plain(seen)
        yield running, master, seen
    finally:
        running.send_signal(signal.SIGKILL)
        running.wait()
        os.close(master)


def plain(text):
    """What stands on the screen, without where and how."""
    return re.sub(rb"\x1b\[[0-9;?>=<]*[A-Za-z]", b"", text)
