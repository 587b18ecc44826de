"""The recovery key as a code to be scanned: in a terminal where it fits, and as a file."""

from __future__ import annotations

import argparse
import asyncio
import fcntl
import os
import pty
import stat
import struct
import subprocess
import sys
import termios

import pytest

from edge import config
from edge.app import Appliance
from edge.commands.key import ask_for_key
from edge.commands.qr import write_code
from edge.crypto.recovery import RecoveryKey
from edge.errors import EdgeError
from tests import qr
from tests.commands import program

KEY = RecoveryKey.new()
TEXT = " ".join(KEY.to_groups())


@pytest.fixture
async def path(tmp_path):
    """The configuration of a box that does not run."""
    settings = config.Config(
        appliance=config.Appliance(data_dir=tmp_path / "box"),
        dimse=config.Dimse(listen="127.0.0.1:0"),
        http=config.Http(listen="127.0.0.1:0", tls="off"),
        cache=config.Cache(reserve_bytes=0),
    )
    async with Appliance(settings):
        pass
    path = tmp_path / "edge.toml"
    path.write_text(f'[appliance]\ndata_dir = "{tmp_path / "box"}"\n[cache]\nreserve_bytes = 0\n')
    return path


def in_terminal(path, rows, columns, *more, encoding="utf-8"):
    """What ``edge key recovery`` shows in a terminal of this size."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    said = {"COLUMNS", "LINES"}  # before the terminal itself is asked
    environment = {name: value for name, value in os.environ.items() if name not in said}
    with subprocess.Popen(
        [sys.executable, "-m", "edge", "key", "recovery", "--config", str(path), *more],
        stdin=subprocess.DEVNULL,
        stdout=theirs,
        stderr=subprocess.PIPE,
        env=environment | {"PYTHONIOENCODING": encoding},
        start_new_session=True,
    ) as running:
        os.close(theirs)
        shown = b""
        while True:
            try:
                piece = os.read(ours, 65536)
            except OSError:  # the other end is closed
                break
            shown += piece
        wrong = running.stderr.read().decode()
    os.close(ours)
    assert running.returncode == 0, wrong
    lines = shown.decode().replace("\r\n", "\n")
    written, _, code = lines.partition("\n\n")
    return RecoveryKey.from_text(written), code


async def test_scanned_from_a_terminal_it_is_the_key_that_is_printed_above_it(path):
    key, code = await asyncio.to_thread(in_terminal, path, 40, 80)
    scanned = qr.read(qr.of_terminal(code))
    assert RecoveryKey.from_text(scanned) == key


@pytest.mark.parametrize(
    ("rows", "columns", "encoding"),
    [(24, 80, "utf-8"), (40, 40, "utf-8"), (40, 80, "ascii")],
    ids=["too low", "too narrow", "without blocks"],
)
async def test_where_it_does_not_fit_the_key_alone_is_shown(path, rows, columns, encoding):
    _, code = await asyncio.to_thread(in_terminal, path, rows, columns, encoding=encoding)
    assert code == ""


@pytest.mark.parametrize("kind", ["svg", "png"])
async def test_a_file_has_the_key_and_its_owner_alone_may_read_it(path, tmp_path, kind):
    picture = tmp_path / f"key.{kind}"
    key, _ = await asyncio.to_thread(in_terminal, path, 40, 80, "--qr", str(picture))
    data = picture.read_bytes()
    modules = qr.of_svg(data.decode()) if kind == "svg" else qr.of_picture(data, scale=8)
    scanned = tmp_path / "scanned"
    scanned.write_text(qr.read(modules))
    # What `edge key restore --key-file` takes.
    assert await ask_for_key(argparse.Namespace(key_file=scanned)) == key
    assert stat.S_IMODE(picture.stat().st_mode) == 0o600


def edge(path, *arguments):
    return program.run(*arguments, "--config", path)


async def test_a_program_gets_the_key_without_a_code(path):
    done = await asyncio.to_thread(edge, path, "key", "recovery")
    assert len(done.stdout.splitlines()) == 3
    RecoveryKey.from_text(done.stdout)


async def test_a_file_that_can_t_be_written_leaves_the_box_without_a_new_key(path, tmp_path):
    taken = tmp_path / "taken.svg"
    taken.write_text("something")
    for name, words in (
        (taken, "is there already"),
        (tmp_path / "key.pdf", "it ends in .svg or .png"),
        (tmp_path / "no" / "key.svg", "can't be written"),
    ):
        done = await asyncio.to_thread(edge, path, "key", "recovery", "--qr", str(name))
        assert (done.returncode, done.stdout) == (1, "")
        assert words in done.stderr
    assert taken.read_text() == "something"
    assert not (tmp_path / "box" / "recovery.key").exists()


def test_a_code_says_what_it_shall(tmp_path):
    write_code(TEXT, tmp_path / "code.PNG")
    assert qr.read(qr.of_picture((tmp_path / "code.PNG").read_bytes(), scale=8)) == TEXT
    with pytest.raises(EdgeError, match="is there already"):
        write_code(TEXT, tmp_path / "code.PNG")
