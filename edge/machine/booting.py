"""What holds at every start of the machine, before there is a network and a service; as root.

The root of an appliance can't be written, and ``/run`` is empty after a start: what is kept on the
data partition is put where the system reads it. Also takes what somebody put on the boot partition
to set the box up with to where the service may read it. Calls block.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import re
import shutil
import socket
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Final, Literal

import msgspec

from edge.crypto.durable import sync_folder, write_file
from edge.errors import MachineRefused
from edge.machine.networks import Networks, write_open
from edge.machine.places import Places
from edge.machine.trust import begin_to_trust
from edge.machine.wishes import Name, checked

__all__ = ["MOST_STARTS", "SETUP_FILE", "answer_setup", "begin", "call", "forget_setup"]

log = logging.getLogger(__name__)

SETUP_FILE: Final = "edge.toml"
SETUP_FOLDER: Final = "EDGE-SETUP"
_ANSWER: Final = "result.txt"
MOST_STARTS: Final = 5
"""At which one file is tried that something stood in the way of: it has passwords in it."""
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
            _refuse(places, _TOO_LONG)
            return
        if not _may_try(places, said):
            _refuse(places, _TOO_OFTEN, f"\n{_IN_THE_WAY}\n{_answer_in(folder)}")
            return
        places.setup.mkdir(mode=0o750)
        with contextlib.suppress(LookupError, PermissionError):
            shutil.chown(places.setup, group="edge")
        for name, data in {**_beside(folder), SETUP_FILE: said}.items():
            write_open(places.setup / name, data)  # the folder keeps others out
        return


_TOO_LONG: Final = (
    f"Nothing was changed: {SETUP_FOLDER}/{SETUP_FILE} is longer than {_LONGEST} bytes."
)
_TOO_OFTEN: Final = (
    f"This box was not set up: {SETUP_FOLDER}/{SETUP_FILE} was tried at {MOST_STARTS} starts."
)
_IN_THE_WAY: Final = "What was in the way the last time:"
_WENT: Final = (
    " It was removed, for it may have had passwords in it, and the boot partition is not encrypted."
)
_LIES: Final = (
    " It could not be removed ({why}): it may have passwords in it, and the boot partition is not"
    " encrypted. The next start tries again to remove it."
)


def _refuse(places: Places, why: str, last: str = "\n") -> None:
    """It goes, unless that can't be; and the answer says which."""
    try:
        forget_setup(places, f"{why}{_WENT}{last}", is_refused=True)
    except OSError as error:
        log.error("what may set this box up can't be removed: %s", error)
        if _setup_folders(places):
            lies = _LIES.format(why=error.strerror or error)
            _tell_answer(places, f"{why}{lies}{last}", is_refused=True)
    log.warning("what was to set this box up is refused: %s", why)


class _Tries(msgspec.Struct):
    digest: str
    starts: int


def _may_try(places: Places, said: bytes) -> bool:
    """Count a start with this file; False after too many."""
    digest = hashlib.sha256(said).hexdigest()
    try:
        found = msgspec.json.decode(places.setup_tries.read_bytes(), type=_Tries)
    except (OSError, msgspec.DecodeError):
        found = _Tries("", 0)
    starts = found.starts + 1 if found.digest == digest else 1
    places.kept.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_file(places.setup_tries, msgspec.json.encode(_Tries(digest, starts)))
    return starts <= MOST_STARTS


def _answer_in(folder: Path) -> str:
    return (_read(folder / _ANSWER) or b"").decode("utf-8", "replace").replace("\r\n", "\n")


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


def answer_setup(
    places: Places, answer: str, outcome: Literal["taken", "refused", "later"]
) -> None:
    """What was on the boot partition was read, and this became of it.

    Args:
        places: Of this machine.
        answer: For people.
        outcome: ``later``: it stays for the next start; else it goes.
    """
    if outcome != "later":
        forget_setup(places, answer, is_refused=outcome == "refused")
        return
    _tell_answer(places, answer, is_refused=True)
    for folder in _setup_folders(places):
        _write_answer(folder, answer)
        write_open(places.setup_waits, b"")


def forget_setup(places: Places, answer: str, *, is_refused: bool = False) -> bool:
    """What was on the boot partition was read: it goes, and an answer comes; whether it was there.

    It has a code and passwords in it, and the boot partition is not encrypted.
    """
    _tell_answer(places, answer, is_refused=is_refused)
    was_there = False
    for folder in _setup_folders(places):
        was_there = True
        with contextlib.suppress(OSError):
            _overwrite(folder / SETUP_FILE)
        (folder / SETUP_FILE).unlink()
        _write_answer(folder, answer)
    places.setup_waits.unlink(missing_ok=True)
    places.setup_tries.unlink(missing_ok=True)
    return was_there


def _setup_folders(places: Places) -> list[Path]:
    folders = [boot / SETUP_FOLDER for boot in places.boot]
    return [folder for folder in folders if _is_file(folder / SETUP_FILE)]


def _tell_answer(places: Places, answer: str, *, is_refused: bool) -> None:
    """To who stands before the screen; and the copy of the file goes in any case."""
    if places.setup.is_dir():
        shutil.rmtree(places.setup)
    if is_refused:
        write_open(places.setup_answer, answer.encode())
    else:
        places.setup_answer.unlink(missing_ok=True)


def _write_answer(folder: Path, answer: str) -> None:
    (folder / _ANSWER).write_text(answer, encoding="utf-8", newline="\r\n")
    with contextlib.suppress(OSError):
        sync_folder(folder)


def _overwrite(file: Path) -> None:
    with file.open("r+b") as opened:
        left = os.fstat(opened.fileno()).st_size
        while left > 0:
            left -= opened.write(bytes(min(left, _PIECE)))
        opened.flush()
        os.fsync(opened.fileno())
