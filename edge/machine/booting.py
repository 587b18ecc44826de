"""What holds at every start of the machine, before there is a network and a service; as root.

The root of an appliance can't be written, and ``/run`` is empty after a start: what is kept on the
data partition is put where the system reads it. Also takes what somebody put on the boot partition
to set the box up with to where the service may read it. Calls block.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import shutil
import socket
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Final

from edge.crypto.durable import sync_folder, write_file
from edge.errors import MachineRefused
from edge.machine.networks import Networks, write_open
from edge.machine.places import Places
from edge.machine.trust import begin_to_trust
from edge.machine.wishes import Name, checked

__all__ = ["SETUP_FILE", "begin", "call", "forget_setup"]

log = logging.getLogger(__name__)

SETUP_FILE: Final = "edge.toml"
SETUP_FOLDER: Final = "EDGE-SETUP"
_ANSWER: Final = "result.txt"
_LONGEST: Final = 64 * 1024
_MOST_FILES: Final = 32
"""Beside that file."""
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_PIECE: Final = 1024 * 1024


def begin(
    places: Places, networks: Networks, rename: Callable[[str], None] = socket.sethostname
) -> None:
    """All of it.

    Args:
        places: Of this machine.
        networks: Its network settings.
        rename: Tells the kernel what the machine is called.
    """
    networks.begin()
    begin_to_trust(places)
    with contextlib.suppress(OSError, MachineRefused, UnicodeDecodeError):
        name = places.name_kept.read_text(encoding="ascii").strip()
        checked(Name(name))
        rename(name)
    try:
        _fetch_setup(places)
    except OSError as error:  # the machine starts all the same
        log.error("what may set this box up can't be read: %s", error)


def call(places: Places, name: str, rename: Callable[[str], None] = socket.sethostname) -> None:
    """What the machine is called from now on."""
    places.kept.mkdir(mode=0o700, parents=True, exist_ok=True)
    said = f"{name}\n".encode("ascii")
    write_file(places.name_kept, said)
    if places.host_name.parent.is_dir():
        write_open(places.host_name, said)
    rename(name)


def _fetch_setup(places: Places) -> None:
    """Copy it: the boot partition is root's, and what is read there is not carried out by root.

    The service says what is wrong with a file. One that is too long it never sees: that is said
    here, and the file goes, for it may have passwords in it.
    """
    if places.setup.is_dir():
        shutil.rmtree(places.setup)
    for boot in places.boot:
        folder = boot / SETUP_FOLDER
        if not _is_file(folder / SETUP_FILE):
            continue
        said = _read(folder / SETUP_FILE)
        if said is None:
            with contextlib.suppress(OSError):
                forget_setup(places, _TOO_LONG)
            log.warning("what was to set this box up is refused: %s", _TOO_LONG)
            return
        places.setup.mkdir(mode=0o750)
        with contextlib.suppress(LookupError, PermissionError):
            shutil.chown(places.setup, group="edge")
        for name, data in {**_beside(folder), SETUP_FILE: said}.items():
            write_open(places.setup / name, data)  # the folder keeps others out
        return


_TOO_LONG: Final = (
    f"Nothing was changed: {SETUP_FOLDER}/{SETUP_FILE} is longer than {_LONGEST} bytes. It was "
    "removed, for it may have had passwords in it, and the boot partition is not encrypted.\n"
)


def _beside(folder: Path) -> dict[str, bytes]:
    """Regular files of a bounded size, and not too many: the clinic's authority is one of them."""
    found: dict[str, bytes] = {}
    for path in sorted(folder.iterdir()):
        name = path.name
        if len(found) == _MOST_FILES or not _NAME.fullmatch(name) or name == _ANSWER:
            continue
        if (data := _read(path)) is not None:
            found[name] = data
    return found


def _is_file(path: Path) -> bool:
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except OSError:
        return False


def _read(path: Path) -> bytes | None:
    """A regular file of a bounded size; None if there is none."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        return None
    with open(descriptor, "rb") as opened:  # noqa: PTH123 - of a descriptor
        data = opened.read(_LONGEST + 1)
    return data if len(data) <= _LONGEST else None


def forget_setup(places: Places, answer: str) -> bool:
    """What was on the boot partition was read: it goes, and an answer comes; whether it was there.

    It has a code and passwords in it, and the boot partition is not encrypted.
    """
    if places.setup.is_dir():
        shutil.rmtree(places.setup)
    was_there = False
    for boot in places.boot:
        folder = boot / SETUP_FOLDER
        file = folder / SETUP_FILE
        if not _is_file(file):
            continue
        was_there = True
        with contextlib.suppress(OSError):
            _overwrite(file)
        file.unlink()
        (folder / _ANSWER).write_text(answer, encoding="utf-8", newline="\r\n")
        with contextlib.suppress(OSError):
            sync_folder(folder)
    return was_there


def _overwrite(file: Path) -> None:
    with file.open("r+b") as opened:
        left = os.fstat(opened.fileno()).st_size
        while left > 0:
            left -= opened.write(bytes(min(left, _PIECE)))
        opened.flush()
        os.fsync(opened.fileno())
