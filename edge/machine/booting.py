"""What holds at every start of the machine, before there is a network and a service; as root.

The root of an appliance can't be written, and ``/run`` is empty after a start: what is kept on the
data partition is put where the system reads it. Also takes what somebody put on the boot partition
to set the box up with to where the service may read it. Calls block.
"""

from __future__ import annotations

import contextlib
import os
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

__all__ = ["SETUP_FILES", "begin", "call", "forget_setup"]

SETUP_FILES: Final = ("edge.toml", "ca.pem")
SETUP_FOLDER: Final = "EDGE-SETUP"
_ANSWER: Final = "result.txt"
_LONGEST: Final = 64 * 1024


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
    _fetch_setup(places)


def call(places: Places, name: str, rename: Callable[[str], None] = socket.sethostname) -> None:
    """What the machine is called from now on."""
    places.kept.mkdir(mode=0o700, parents=True, exist_ok=True)
    said = f"{name}\n".encode("ascii")
    write_file(places.name_kept, said)
    if places.host_name.parent.is_dir():
        write_open(places.host_name, said)
    rename(name)


def _fetch_setup(places: Places) -> None:
    """Copy it: the boot partition is root's, and what is read there is not carried out by root."""
    if places.setup.is_dir():
        shutil.rmtree(places.setup)
    for boot in places.boot:
        folder = boot / SETUP_FOLDER
        found = {name: data for name in SETUP_FILES if (data := _read(folder / name)) is not None}
        if SETUP_FILES[0] not in found:
            continue
        places.setup.mkdir(mode=0o750)
        with contextlib.suppress(LookupError, PermissionError):
            shutil.chown(places.setup, group="edge")
        for name, data in found.items():
            write_open(places.setup / name, data)  # the folder keeps others out
        return


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
    was_there = False
    for boot in places.boot:
        folder = boot / SETUP_FOLDER
        file = folder / SETUP_FILES[0]
        if not file.is_file() or file.is_symlink():
            continue
        was_there = True
        size = file.stat().st_size
        with contextlib.suppress(OSError), file.open("r+b") as opened:
            opened.write(bytes(size))
            opened.flush()
            os.fsync(opened.fileno())
        file.unlink()
        (folder / _ANSWER).write_text(answer, encoding="utf-8")
        with contextlib.suppress(OSError):
            sync_folder(folder)
    if places.setup.is_dir():
        shutil.rmtree(places.setup)
    return was_there
