"""A box is set up by a file, or it refuses the file as a whole and stays as it was.

Owns ``provisioned.json`` in ``data_dir``, which says by what the box was set up. Promises that no
file sets up a box that is set up: one that a file was taken for, or in which there is anybody.

Crash order: the network is tried, works and is kept -> the clinic's authority is trusted -> the
settings are written -> the token is the first admin's code -> ``provisioned.json``. Cut short in
between, the same file does all of it once more.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

import msgspec

from edge.access.users import Users
from edge.cache.network import look
from edge.cache.own_settings import Change, OwnSettings
from edge.crypto.durable import write_file
from edge.errors import DecisionRefused, MachineRefused
from edge.machine.asking import ask
from edge.machine.places import Places
from edge.machine.trust import authorities_in
from edge.machine.wishes import Back, Keep, Network, NetworkSettings, Trust, Wish
from edge.provision.file import Setup

__all__ = ["Provisioned", "Taken", "Taking", "came_up", "read_provisioned"]

log = logging.getLogger(__name__)

_FILE: Final = "provisioned.json"
_PATIENCE: Final = 60.0
"""Seconds in which a network must come up."""
_LOOK: Final = 0.5


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
    """Whether the machine is on the network so. Blocks."""
    if not settings.address:
        return next(one.is_fine for one in look() if one.what == "address")
    return all(_is_ours(one.partition("/")[0]) for one in settings.address)


def _is_ours(address: str) -> bool:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as trying:
        try:
            trying.bind((address, 0))
        except OSError:
            return False
    return True


class Taking:
    """Of one box.

    Args:
        folder: ``data_dir``.
        users: Who may log in.
        own: The box's own settings.
        machine: Carries out wishes; None: those of this machine.
        is_up: Whether the network works, see `came_up`.
        patience: Seconds for that.
        clock: POSIX seconds.
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
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._folder = folder
        self._users = users
        self._own = own
        self._machine: Callable[[Wish], Awaitable[object]] = machine or _this_machine
        self._is_up = is_up
        self._patience = patience
        self._clock = clock

    async def take(self, setup: Setup, by: str, beside: Mapping[str, bytes]) -> Taken:
        """Set the box up.

        Args:
            setup: By what.
            by: Where it was found: ``stick`` or ``boot partition``.
            beside: The files that lie beside it, by their names.

        Raises:
            DecisionRefused: The box is set up.
            ConfigError: It can't be so, with what the file of the machine says.
            MachineRefused: The machine can't be so.
        """
        before = await asyncio.to_thread(read_provisioned, self._folder)
        if before is not None and before.digest == setup.digest:
            return Taken([], None, is_new=False)
        if before is not None or not await self._users.is_empty():
            by_what = f"by the {before.by}" if before is not None else "and has its people"
            raise DecisionRefused(
                f"this box is set up already, {by_what}",
                hint="change it on its page; or have it be as on its first day: edge reset",
            )
        await self._own.check(setup.changes, is_remote=False)
        pem = _authority(setup, beside)
        if setup.network is not None:
            await self._try_network(setup.network)
        if pem:
            await self._machine(Trust(pem))
        changes = await self._own.change(setup.changes, is_remote=False)
        until = None
        if setup.token:
            until = (await self._users.first_code(setup.token)).until
        kept = Provisioned(by, self._clock(), setup.digest)
        await asyncio.to_thread(write_file, self._folder / _FILE, msgspec.json.encode(kept))
        log.info("set up by the %s", by)
        return Taken(changes, until, is_new=True)

    async def _try_network(self, settings: NetworkSettings) -> None:
        await self._machine(Network(settings))
        until = time.monotonic() + self._patience
        while not await asyncio.to_thread(self._is_up, settings):
            if time.monotonic() > until:
                with contextlib.suppress(MachineRefused):
                    await self._machine(Back())
                raise MachineRefused(
                    f"the network did not come up within {self._patience:.0f} s",
                    hint="is the cable plugged in? is the address free, and of this network?",
                )
            await asyncio.sleep(_LOOK)
        await self._machine(Keep())


async def _this_machine(wish: Wish) -> object:
    return await ask(Places(), wish)


def _authority(setup: Setup, beside: Mapping[str, bytes]) -> str:
    if not setup.ca:
        return ""
    data: Any = beside.get(setup.ca)
    if data is None:
        raise MachineRefused(
            f"setup.ca names {setup.ca}, which is not there", hint="put it beside edge.toml"
        )
    pem = bytes(data).decode("ascii", "replace")
    authorities_in(pem)
    return pem
