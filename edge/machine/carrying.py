"""Root's side: takes what was wished, reads it as what a stranger sent, and carries it out.

Promises that a wish is carried out once or not at all (its file is gone before anything is done),
that no link is followed and nothing but a regular file of a bounded size is read, that nobody has
done what is not for them to wish, and that whatever a wish is, the next one is looked at. What ends
the machine is answered before; once it is to be wiped, nothing else ends it. Calls block.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import secrets
import shutil
import socket
import stat
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

from edge.errors import EdgeError, MachineRefused
from edge.machine import booting, wishes
from edge.machine.asking import Answer
from edge.machine.clock import set_clock
from edge.machine.disks import disks_of
from edge.machine.erasing import wipe
from edge.machine.firewall import keep_doors
from edge.machine.lights import show
from edge.machine.moving import Mover
from edge.machine.networks import Networks, write_open
from edge.machine.places import Places
from edge.machine.power import note_power
from edge.machine.switching import erase_old
from edge.machine.tools import Tools
from edge.machine.trust import trust
from edge.machine.wishers import check_wisher, user_of

__all__ = ["Carrier"]

log = logging.getLogger(__name__)

_REQUEST: Final = re.compile(r"[0-9a-f]{32}\.json")
_FORGET: Final = 600.0
"""Seconds for which an answer is kept."""
_UNFINISHED: Final = 60.0
"""Seconds after which what is no wish goes."""
_ASIDE: Final = "odd"
_MOST: Final = 1000
"""Wishes in one run: whoever leaves more has the next run for them."""


class Carrier:
    """Carries out wishes.

    Args:
        places: Of this machine.
        tools: Its programs.
        rename: Tells the kernel what the machine is called.
        called: What that is now.
        who: Names the user of a number.
        set_time: Sets the clock, see `edge.machine.clock.set_clock`.
        clock: POSIX seconds.
    """

    def __init__(
        self,
        places: Places,
        tools: Tools,
        *,
        rename: Callable[[str], None] = socket.sethostname,
        called: Callable[[], str] = socket.gethostname,
        who: Callable[[int], str] = user_of,
        set_time: Callable[[Places, float, float], float] = set_clock,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._places = places
        self._tools = tools
        self._rename = rename
        self._called = called
        self._who = who
        self._set_time = set_time
        self._clock = clock
        self._networks = Networks(places, tools, clock=clock)
        self._ending: wishes.Restart | wishes.PowerOff | wishes.Wipe | None = None

    def carry_out(self) -> int:
        """All that was wished by now; how many wishes that were."""
        count = 0
        self._tidy()
        while count < _MOST and (waiting := self._waiting()):
            for path in waiting:
                self._answer(path)
                count += 1
        if self._ending is not None:
            self._end(self._ending)
        return count

    def _waiting(self) -> list[Path]:
        """Files that may be wishes, the oldest first."""
        found = []
        for path in self._places.requests.glob("*.json"):
            with contextlib.suppress(FileNotFoundError):
                if not path.name.startswith("."):
                    found.append((path.lstat().st_mtime_ns, path))
        return [path for _, path in sorted(found)]

    def _answer(self, path: Path) -> None:
        try:
            data, uid = _take(path)
            wish = wishes.from_bytes(data)
            check_wisher(self._who(uid), wish)
            answer = Answer(done=True, message=self._carry(wish))
        except EdgeError as error:
            log.warning("a wish is refused: %s", error)
            answer = Answer(done=False, message=str(error), hint=error.hint)
        except OSError as error:
            log.error("a wish can't be carried out: %s", error)
            answer = Answer(done=False, message=f"the machine can't: {error.strerror or error}")
        if _REQUEST.fullmatch(path.name):
            write_open(self._places.answers / path.name, msgspec.json.encode(answer))

    def _carry(self, wish: wishes.Wish) -> str:
        log.info("wished: %s", type(wish).__name__)
        match wish:
            case wishes.Network() | wishes.Keep() | wishes.Back():
                self._carry_network(wish)
            case wishes.Name(name):
                booting.call(self._places, name, self._rename)
            case wishes.Trust(pem):
                trust(self._places, pem)
            case wishes.Clock(utc, measured):
                return f"{self._set_time(self._places, utc, measured):.1f}"
            case wishes.Lights(level):
                return str(show(self._places, level))
            case wishes.Power(event):
                note_power(self._places, event, self._clock)
            case wishes.SetupTaken(answer, outcome):
                booting.answer_setup(self._places, answer, outcome)
            case wishes.Doors():
                keep_doors(self._places, self._tools, wish)
            case wishes.Disks() | wishes.Move() | wishes.Stay() | wishes.EraseOld():
                return self._carry_disks(wish)
            case wishes.Restart() | wishes.PowerOff():
                self._end_by(wish)
            case wishes.Wipe(name):
                if name not in (self._called(), _kept_name(self._places)):
                    raise MachineRefused(
                        f"this machine is not called {name}", hint="nothing was erased"
                    )
                self._ending = wish
        return ""

    def _end_by(self, wish: wishes.Restart | wishes.PowerOff) -> None:
        if isinstance(self._ending, wishes.Wipe):
            raise MachineRefused(
                "the machine is being reset to its first day", hint="it restarts by itself"
            )
        self._ending = wish

    def _carry_network(self, wish: wishes.Network | wishes.Keep | wishes.Back) -> None:
        match wish:
            case wishes.Network(settings):
                self._networks.offer(settings)
            case wishes.Keep():
                self._networks.keep()
            case wishes.Back():
                self._networks.back()

    def _carry_disks(self, wish: wishes.Disks | wishes.Move | wishes.Stay | wishes.EraseOld) -> str:
        mover = Mover(self._places, self._tools)
        match wish:
            case wishes.Disks():
                return msgspec.json.encode(disks_of(self._places, self._tools)).decode()
            case wishes.Move(disk, seen, erase):
                mover.begin(disk, seen, erase=erase)
            case wishes.Stay():
                mover.stay()
            case wishes.EraseOld():
                erase_old(self._places, self._tools)
        return ""

    def _end(self, wish: wishes.Restart | wishes.PowerOff | wishes.Wipe) -> None:
        """End the machine, once everybody was answered."""
        match wish:
            case wishes.Restart():
                self._tools.run("systemctl", "--no-block", "reboot")
            case wishes.PowerOff():
                note_power(self._places, "ending", self._clock)
                try:
                    self._tools.run("systemctl", "--no-block", "poweroff")
                except MachineRefused:  # it stays on, and takes what comes
                    note_power(self._places, "stays", self._clock)
                    raise
            case wishes.Wipe():
                wipe(self._places, self._tools)

    def _tidy(self) -> None:
        """What is too old goes: answers that nobody fetched, wishes that nobody finished."""
        now = time.time()
        for folder, age in ((self._places.answers, _FORGET), (self._places.requests, _UNFINISHED)):
            for path in folder.iterdir():
                with contextlib.suppress(OSError):
                    is_wish = folder == self._places.requests and path.suffix == ".json"
                    if now - path.lstat().st_mtime > age and not (
                        is_wish and not path.name.startswith(".")
                    ):
                        _remove(path)


def _kept_name(places: Places) -> str:
    try:
        return places.name_kept.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return ""


def _take(path: Path) -> tuple[bytes, int]:
    """What is in the file, which is gone then; and the number of the user whose file it was.

    Raises:
        MachineRefused: It is no file, or too long.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        _remove(path)
        raise MachineRefused(f"a wish can't be read: {error.strerror}") from error
    with contextlib.ExitStack() as stack:
        stack.callback(os.close, descriptor)
        found = os.fstat(descriptor)
        data = b""
        is_file = stat.S_ISREG(found.st_mode)
        if is_file and found.st_size <= wishes.LONGEST:
            with open(descriptor, "rb", closefd=False) as opened:
                data = opened.read(wishes.LONGEST + 1)
        _remove(path)
    if not is_file or not data or len(data) > wishes.LONGEST:
        raise MachineRefused("a wish is no file, empty, or too long")
    if found.st_nlink > 1:  # by another name, somebody else's would be carried out once more
        raise MachineRefused("a wish has a second name")
    return data, found.st_uid


def _remove(path: Path) -> None:
    """Take it away.

    A folder goes to where nobody looks for wishes first: it may be deeper than can be followed.
    """
    if path.is_dir() and not path.is_symlink():
        aside = path.parent.parent / _ASIDE
        aside.mkdir(mode=0o700, exist_ok=True)
        path = path.rename(aside / secrets.token_hex(8))
        with contextlib.suppress(OSError, RecursionError):
            shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
