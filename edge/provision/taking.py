"""A box is set up by a file, or it refuses the file as a whole and stays as it was.

Owns ``provisioned.json`` in ``data_dir``, which says by what the box was set up. Promises that no
file sets up a box that is set up: one that a file was taken for, or in which there is anybody; that
one file is taken at a time; and that of one which fails everything is undone, or it is said what is
not (`HalfTaken`).

Crash order: the network is tried, and works -> the clinic's authority is trusted -> the box is
still new -> the settings are written -> the token is the first admin's code -> the network is kept
-> ``provisioned.json``. Cut short in between, the same file does all of it once more, and a network
that nobody kept is gone.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

import msgspec

from edge.access.users import Users
from edge.authorities import text_of
from edge.cache.own_settings import Change, OwnSettings
from edge.crypto.durable import hand_over, lock_at_once, write_file
from edge.errors import ConfigError, DecisionRefused, EdgeError, MachineRefused, NotYet
from edge.machine.asking import NoAnswer, ask
from edge.machine.networks import VLAN
from edge.machine.places import Places
from edge.machine.ports import read_ports
from edge.machine.trust import only_authorities
from edge.machine.wishes import Back, Keep, Network, NetworkSettings, Trust, Wish
from edge.provision.file import Setup
from edge.provision.ports import holds

__all__ = [
    "HalfTaken",
    "NetworkAway",
    "Provisioned",
    "Taken",
    "Taking",
    "authority_of",
    "came_up",
    "may_pass",
    "read_provisioned",
]

log = logging.getLogger(__name__)

_FILE: Final = "provisioned.json"
_LOCK: Final = "provisioned.lock"
_PATIENCE: Final = 60.0
"""Seconds in which a network must come up."""
_APART: Final = 5.0
"""Seconds for which it must be up then: the address of before may still be there at first."""
_TURN: Final = 120.0
"""Seconds to wait for the end of another file; the units give 400 for all."""
_LOOK: Final = 0.5


class HalfTaken(EdgeError):
    """A file was not taken to its end, and something of it holds all the same."""


class NetworkAway(MachineRefused):
    """The network that a file sets did not come up in time."""


def may_pass(error: BaseException) -> bool:
    """Whether a file that was not taken may be taken at another time.

    What was said of the file, or of a box that is set up, is said the next time, too. A cable may
    be plugged in by then, another file read, and a machine that is too slow at its first start has
    done that.
    """
    if isinstance(error, HalfTaken):
        return error.__cause__ is not None and may_pass(error.__cause__)
    if isinstance(error, NoAnswer | NetworkAway | NotYet):
        return True
    return not isinstance(error, ConfigError | DecisionRefused | MachineRefused)


class Provisioned(msgspec.Struct, frozen=True):
    """By what a box was set up."""

    by: str
    """``stick`` or ``boot partition``."""
    at: float
    """POSIX seconds."""
    digest: str
    """Of the file."""


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of a file."""

    changes: list[Change]
    code_until: float | None
    """Until when the token makes the first admin; None if there is none."""
    is_new: bool
    """False: it was taken before, and nothing was changed now."""


class Machine(Protocol):
    """Whom the machine's part of it is asked of."""

    async def __call__(self, wish: Wish) -> object:
        """See `edge.machine.asking.ask`."""


def read_provisioned(folder: Path) -> Provisioned | None:
    """By what the box in ``data_dir`` was set up; None: by nothing of the kind. Blocks."""
    try:
        return msgspec.json.decode((folder / _FILE).read_bytes(), type=Provisioned)
    except FileNotFoundError:
        return None
    except msgspec.DecodeError:
        return Provisioned("something that can't be read any more", 0.0, "")


def came_up(settings: NetworkSettings) -> bool:
    """Whether the machine is on the network so, by the very port that was set. Blocks."""
    return holds(VLAN if settings.vlan else settings.interface, settings.address)


class _Done:
    """What was done by now for a file, and how it is undone."""

    def __init__(self) -> None:
        self._steps: list[tuple[str, Callable[[], Awaitable[object]] | None]] = []

    def add(self, what: str, undo: Callable[[], Awaitable[object]]) -> None:
        """It was done."""
        self._steps.append((what, undo))

    async def wish(self, what: str, machine: Callable[[Wish], Awaitable[object]], wish: Wish,
                   undo: Wish | None = None) -> None:  # fmt: skip
        """Have the machine do it.

        Raises:
            MachineRefused: It won't, could not, or does not answer.
        """
        back = None if undo is None else lambda: machine(undo)
        try:
            await machine(wish)
        except NoAnswer:  # it may have
            self._steps.append((f"perhaps {what}", back))
            raise
        if back is not None:
            self._steps.append((what, back))

    async def undo(self) -> list[str]:
        """Undo it, the last first; what could not be undone."""
        stays = []
        for what, undo in reversed(self._steps):
            try:
                if undo is None:
                    stays.append(what)
                else:
                    await undo()
            except (EdgeError, OSError) as error:
                log.warning("%s can't be undone: %s", what, error)
                stays.append(what)
        return stays


class Taking:
    """Of one box.

    Args:
        folder: ``data_dir``.
        users: Who may log in.
        own: The box's own settings.
        machine: Carries out wishes; None: those of this machine.
        is_up: Whether the network works, see `came_up`.
        patience: Seconds for that.
        apart: Seconds for which it must work then.
        clock: POSIX seconds.
        places: Of the machine; None: this one.
    """

    def __init__(
        self,
        folder: Path,
        users: Users,
        own: OwnSettings,
        *,
        machine: Machine | None = None,
        is_up: Callable[[NetworkSettings], bool] = came_up,
        patience: float = _PATIENCE,
        apart: float = _APART,
        clock: Callable[[], float] = time.time,
        places: Places | None = None,
    ) -> None:
        self._folder = folder
        self._places = places or Places()
        self._users = users
        self._own = own
        self._machine: Callable[[Wish], Awaitable[object]] = machine or _this_machine
        self._is_up = is_up
        self._patience = patience
        self._apart = apart
        self._clock = clock

    async def take(self, setup: Setup, by: str, beside: Mapping[str, bytes]) -> Taken:
        """Set the box up.

        Args:
            setup: By what.
            by: Where it was found: ``stick`` or ``boot partition``.
            beside: The files that lie beside it, by their names.

        Raises:
            DecisionRefused: The box is set up.
            NotYet: Another file is taken just now; or the last change of settings is not proven.
            ConfigError: It says nothing, or it can't be so, with what the file of the machine says.
            MachineRefused: The machine can't be so.
            HalfTaken: It failed, and not all of it could be undone; after any other error nothing
                is changed.
        """
        async with self._alone():
            before = await asyncio.to_thread(read_provisioned, self._folder)
            if before is not None and before.digest == setup.digest:
                return Taken([], None, is_new=False)
            await self._refuse_unless_new(before)
            if not (setup.changes or setup.token or setup.ca or setup.network):
                raise ConfigError(
                    "the file says nothing", hint="was the stick pulled out while it was written?"
                )
            pem = authority_of(setup, beside)
            await self._refuse_a_page_by_no_port(setup)
            await self._own.check(setup.changes, is_remote=False)
            done = _Done()
            try:
                taken = await self._do(setup, pem, done)
            except BaseException as error:
                stays = await done.undo()
                if stays and isinstance(error, Exception):
                    raise HalfTaken(
                        f"{error}; what holds all the same: {', '.join(stays)}",
                        hint=error.hint if isinstance(error, EdgeError) else "",
                    ) from error
                raise
            await self._mark(Provisioned(by, self._clock(), setup.digest))
        log.info("set up by the %s", by)
        return taken

    @contextlib.asynccontextmanager
    async def _alone(self) -> AsyncGenerator[None]:
        """One file at a time: a stick and the boot partition are found at the same start."""
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = await asyncio.to_thread(os.open, self._folder / _LOCK, flags, 0o600)
        try:
            await asyncio.to_thread(hand_over, descriptor, self._folder)
            # Looked at from time to time: nothing could break off a thread that waits for it.
            until = time.monotonic() + _TURN
            while not lock_at_once(descriptor):
                if time.monotonic() > until:
                    raise NotYet(
                        "this box is being set up by another file",
                        retry_after=_TURN,
                        hint="see what becomes of that",
                    )
                await asyncio.sleep(_LOOK)
            yield
        finally:
            os.close(descriptor)

    async def _refuse_unless_new(self, before: Provisioned | None) -> None:
        if before is not None or not await self._users.is_empty():
            by_what = f"by the {before.by}" if before is not None else "and has its people"
            raise DecisionRefused(
                f"this box is set up already, {by_what}",
                hint="change it on its page; or have it be as on its first day: the key f on its"
                " screen once an admin has logged in there, or edge reset in a shell",
            )

    async def _refuse_a_page_by_no_port(self, setup: Setup) -> None:
        """Nobody could reach the page any more, and so say another one."""
        named = setup.changes.get("http.interface", "")
        ports = [one.name for one in await asyncio.to_thread(read_ports, self._places)]
        is_vlan = setup.network is not None and setup.network.vlan and named == VLAN
        if named and named not in ports and not is_vlan:
            raise MachineRefused(
                f"http.interface: this machine has no network port {named}",
                hint=f"it has {', '.join(ports) or 'none'}",
            )

    async def _do(self, setup: Setup, pem: str, done: _Done) -> Taken:
        if setup.network is not None:
            network = "the network, for two minutes at the most"
            await done.wish(network, self._machine, Network(setup.network), Back())
            await self._wait_for(setup.network)
        if pem:
            await done.wish("the authority's trust", self._machine, Trust(pem), Trust(""))
        # Since the first look a minute may have gone by, and somebody have set it up on its page.
        await self._refuse_unless_new(None)
        before = await self._own.written()
        changes = await self._own.change(setup.changes, is_remote=False)
        after = await self._own.written()
        if changes:
            done.add("the settings", lambda: self._own.undo(before, after))
        until = None
        if setup.token:
            await self._refuse_unless_new(None)
            until = (await self._users.first_code(setup.token)).until
            done.add("the token", self._users.first_code)  # another code makes it worthless
        if setup.network is not None:
            await done.wish("the network", self._machine, Keep())
        return Taken(changes, until, is_new=True)

    async def _wait_for(self, settings: NetworkSettings) -> None:
        until, since = time.monotonic() + self._patience, None
        while True:
            is_up = await asyncio.to_thread(self._is_up, settings)
            now = time.monotonic()
            if not is_up:
                since = None
            elif since is None:
                since = now
            elif now - since >= self._apart:
                return
            if since is None and now > until:
                raise NetworkAway(
                    f"the network did not come up within {self._patience:.0f} s",
                    hint="is the cable plugged in? is the address free, and of this network?",
                )
            await asyncio.sleep(_LOOK)

    async def _mark(self, kept: Provisioned) -> None:
        try:
            await asyncio.to_thread(write_file, self._folder / _FILE, msgspec.json.encode(kept))
        except OSError as error:
            raise HalfTaken(
                f"this box was set up, but that can't be written down: {error.strerror or error}",
                hint="look at its disk, and put the file in once more",
            ) from error


async def _this_machine(wish: Wish) -> object:
    return await ask(Places(), wish)


def authority_of(setup: Setup, beside: Mapping[str, bytes]) -> str:
    """The clinic's own authorities, in PEM; empty if the file names none.

    Raises:
        MachineRefused: The file that it names is not there, or has others than those.
    """
    if not setup.ca:
        return ""
    # FAT, on which it lies, tells no case apart.
    known = {name.lower(): data for name, data in beside.items()} | dict(beside)
    data = known.get(setup.ca, known.get(setup.ca.lower()))
    if data is None:
        raise MachineRefused(
            f"{setup.ca_place}: setup.ca names {setup.ca}, which is not there, or too long",
            hint=f"put {setup.ca} into the folder of edge.toml, or leave setup.ca out",
        )
    try:
        return only_authorities(text_of(data))
    except MachineRefused as error:
        raise MachineRefused(
            f"{setup.ca_place}: setup.ca names {setup.ca}: {error}", hint=error.hint
        ) from error
