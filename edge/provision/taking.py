"""A box is set up by a file, or it refuses the file as a whole and stays as it was.

Promises that no file sets up a box that is set up: one that a file was taken for, or in which there
is anybody; that one file is taken at a time; that of one which fails, or whose stick is pulled out
meanwhile, everything is undone, or it is said what is not (`HalfTaken`); and that a token which was
taken opens nothing from where it was found: it is struck out there before the box is set up by it.

Crash order: the network is tried, and works -> the clinic's authority is trusted -> the box is
still new -> the settings are written -> the token is the first admin's code -> the network is kept
-> the token is struck out -> ``provisioned.json``. Where another box's place is taken: ... -> the
box is still new -> all files of that box -> the network is kept -> the recovery key is struck out
-> it is decided (`edge.cache.replacing`). Each is in the journal before (`Journal`): cut
short in between, all of it is undone.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Final, Protocol

from edge.access.users import Users
from edge.cache import replacing
from edge.cache.own_settings import Change, OwnSettings
from edge.cache.undone_settings import digest_of
from edge.errors import (
    ConfigError,
    DecisionRefused,
    EdgeError,
    MachineRefused,
    NotYet,
    StorageFull,
)
from edge.machine.asking import NoAnswer, ask
from edge.machine.held import holds
from edge.machine.networks import VLAN, read_network
from edge.machine.places import Places
from edge.machine.wishes import Keep, Network, NetworkSettings, Trust, Wish
from edge.provision.authority import authority_of
from edge.provision.file import Setup
from edge.provision.journal import (
    HalfTaken,
    Journal,
    Machine,
    Networks,
    Provisioned,
    alone,
    read_provisioned,
)
from edge.provision.reach import NetworkAway, refuse_out_of_reach

__all__ = ["CutShort", "Restorer", "Taken", "Taking", "TokenPlace", "came_up", "may_pass"]

log = logging.getLogger(__name__)

_PATIENCE: Final = 60.0
"""Seconds in which a network must come up."""
_APART: Final = 5.0
"""Seconds for which it must be up then: the address of before may still be there at first."""
_TURN: Final = 120.0
"""Seconds to wait for the end of another file; the units give 400 for all."""
_LOOK: Final = 0.5


class CutShort(EdgeError):
    """Whoever had a file taken was told to stop before it was."""


def may_pass(error: BaseException) -> bool:
    """Whether a file that was not taken may be taken at another time.

    What was said of the file, or of a box that is set up, is said the next time, too. A cable may
    be plugged in by then, another file read, and a machine that is too slow at its first start has
    done that.
    """
    if isinstance(error, HalfTaken):
        return error.__cause__ is not None and may_pass(error.__cause__)
    if isinstance(error, NoAnswer | NetworkAway | NotYet | CutShort):
        return True
    return not isinstance(error, ConfigError | DecisionRefused | MachineRefused)


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of a file."""

    changes: list[Change]
    code_until: float | None
    """Until when the token makes the first admin; None if there is none."""
    is_new: bool
    """False: it was taken before, and nothing was changed now."""
    restored: str = ""
    """What the box is called whose place it takes at its next start; empty if it takes none."""
    stays: tuple[str, ...] = ()
    """Of another file, that was not taken to its end: what holds all the same."""


class TokenPlace(Protocol):
    """Where the token stands that a file brought."""

    async def strike_out(self) -> None:
        """It stands there no more, durably.

        Raises:
            EdgeError: That can't be done; it stands there as before.
        """

    async def put_back(self) -> None:
        """It stands there again.

        Raises:
            EdgeError: That can't be done.
        """


class Restorer(Protocol):
    """Has the box take another one's place, see `edge.provision.restoring`."""

    async def refuse_unless_empty(self) -> None:
        """Do nothing if nothing is in the box.

        Raises:
            DecisionRefused: Something is.
        """

    async def stage(self, setup: Setup, mark: Provisioned) -> str:
        """Write all files of the restored box, beside those of this one; what that is called.

        Raises:
            EdgeError: There is no backup, the key is another, or it can't be so here.
        """

    async def decide(self) -> None:
        """From now on that is the box which starts next."""

    async def drop(self) -> None:
        """What was staged goes, unless it is decided."""


def came_up(settings: NetworkSettings) -> bool:
    """Whether the machine is on the network so, by the very port that was set. Blocks."""
    return holds(VLAN if settings.vlan else settings.interface, settings.address)


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
        is_stopped: Whether nothing more is to be begun with: the stick is being pulled out.
        restorer: Has the box take another one's place.
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
        is_stopped: Callable[[], bool] = lambda: False,
        restorer: Restorer | None = None,
    ) -> None:
        self._folder = folder
        self._places = places or Places()
        self._users = users
        self._own = own
        self._machine: Machine = machine or _this_machine
        self._journal = Journal(folder, users, self._machine, self._places)
        self._is_stopped = is_stopped
        self._restorer = restorer
        self._is_up = is_up
        self._patience = patience
        self._apart = apart
        self._clock = clock

    async def take(
        self, setup: Setup, by: str, beside: Mapping[str, bytes], token: TokenPlace | None = None
    ) -> Taken:
        """Set the box up.

        Args:
            setup: By what.
            by: Where it was found: ``stick`` or ``boot partition``.
            beside: The files that lie beside it, by their names.
            token: Where its token stands; None: whoever has it taken sees to that.

        Raises:
            DecisionRefused: The box is set up.
            NotYet: Another file is taken just now; another box is about to take this one's place;
                or the last change of settings is not proven.
            ConfigError: It says nothing, or it can't be so, with what the file of the machine says.
            MachineRefused: The machine can't be so.
            CutShort: It was told to stop.
            HalfTaken: It failed, and not all of it could be undone, or not all of an earlier one;
                after any other error nothing is changed.
        """
        async with alone(self._folder, _TURN, self._go_on):
            stays = await self._journal.settle()
            await self._refuse_while_replaced()
            before = await asyncio.to_thread(read_provisioned, self._folder)
            if before is not None and before.digest == setup.digest:
                return Taken([], None, is_new=False)
            await self._refuse_unless_new(before)
            if setup.restore is not None:
                await self._refuse_unless_empty()
            elif not (setup.changes or setup.token or setup.ca or setup.network):
                raise ConfigError(
                    "the file says nothing", hint="was the stick pulled out while it was written?"
                )
            pem = authority_of(setup.ca, setup.ca_place, beside)
            look = partial(refuse_out_of_reach, setup.changes, setup.network, self._places)
            await asyncio.to_thread(look)
            if setup.restore is None:
                await self._own.check(setup.changes, is_remote=False)
            taken = await self._do_or_undo(setup, by, pem, token)
        log.info("set up by the %s", by)
        return replace(taken, stays=tuple(stays))

    async def settle(self) -> bool:
        """See to a file whose settings were to come into force; whether the box is set up by it.

        Raises:
            NotYet: Another file is taken just now.
            HalfTaken: The box is not, and something of the file holds all the same.
        """
        async with alone(self._folder, _TURN):
            await self._journal.settle()
            return await asyncio.to_thread(read_provisioned, self._folder) is not None

    async def _refuse_while_replaced(self) -> None:
        """What it changed would be gone with this box, whose place is taken at the next start."""
        if await asyncio.to_thread(replacing.read, self._folder) is not None:
            raise NotYet(
                "another box takes this one's place already",
                retry_after=_TURN,
                hint="wait until the screen says so",
            )

    async def _refuse_unless_new(self, before: Provisioned | None) -> None:
        if before is not None or not await self._users.is_empty():
            by_what = f"by the {before.by}" if before is not None else "and has its people"
            raise DecisionRefused(
                f"this box is set up already, {by_what}",
                hint="change it on its page; or have it be as on its first day: the key f on its"
                " screen once an admin has logged in there, or edge reset in a shell",
            )

    async def _refuse_unless_empty(self) -> Restorer:
        if self._restorer is None:
            raise ConfigError("this box can't take the place of another", hint="")
        await self._restorer.refuse_unless_empty()
        return self._restorer

    async def _do_or_undo(self, setup: Setup, by: str, pem: str, token: TokenPlace | None) -> Taken:
        struck = token if setup.secret else None
        try:
            return await self._do(setup, by, pem, struck)
        except BaseException as error:
            stays = [words for words, _ in await self._journal.undo()]
            if struck is not None:
                try:
                    await struck.put_back()
                except EdgeError:
                    what = "token" if setup.token else "recovery key"
                    stays.append(f"the {what} is struck out of the file")
            if self._restorer is not None:
                with contextlib.suppress(EdgeError, OSError):  # the next start does it
                    await self._restorer.drop()
            if stays and isinstance(error, Exception):
                raise HalfTaken(
                    f"{error}; what holds all the same: {', '.join(stays)}",
                    hint=error.hint if isinstance(error, EdgeError) else "",
                ) from error
            raise

    async def _do(self, setup: Setup, by: str, pem: str, token: TokenPlace | None) -> Taken:
        journal = self._journal
        if setup.network is not None:
            self._go_on()
            before_it = (await asyncio.to_thread(read_network, self._places)).kept
            await journal.about_to(network=Networks(before_it, setup.network))
            await self._wish("network", Network(setup.network))
            await self._wait_for(setup.network)
        if pem:
            self._go_on()
            await journal.about_to(trust=True)
            await self._wish("trust", Trust(pem))
        # Since the first look a minute may have gone by, and somebody have set it up on its page.
        self._go_on()
        await self._refuse_unless_new(None)
        if setup.restore is not None:
            return await self._replace(setup, by, token)
        changes = await self._own.change(
            setup.changes, is_remote=False, about_to=journal.about_to_set
        )
        until = None
        if setup.token:
            self._go_on()
            await self._refuse_unless_new(None)
            await journal.about_to(token=True)
            until = (await self._users.first_code(setup.token)).until
        if setup.network is not None:
            await self._machine(Keep())
        self._go_on()
        if token is not None:
            await token.strike_out()
        settings = digest_of(journal.settings.after.text) if journal.settings else ""
        try:
            await journal.mark(Provisioned(by, self._clock(), setup.digest, settings))
        except OSError as error:
            raise StorageFull(
                f"that this box is set up can't be written down: {error.strerror or error}",
                hint="look at its disk, and have the file taken once more",
            ) from error
        if not changes:
            await journal.close()
        return Taken(changes, until, is_new=True)

    async def _replace(self, setup: Setup, by: str, token: TokenPlace | None) -> Taken:
        """Another box takes this one's place at the next start of the service."""
        restorer = await self._refuse_unless_empty()
        mark = Provisioned(by, self._clock(), setup.digest)
        called = await restorer.stage(setup, mark)
        self._go_on()
        await self._refuse_unless_new(None)
        if setup.network is not None:
            await self._machine(Keep())
        if token is not None:
            await token.strike_out()
        await restorer.decide()  # from here on nothing is undone, but by a start that fails
        return Taken([], None, is_new=True, restored=called)

    async def _wish(self, what: str, wish: Wish) -> None:
        try:
            await self._machine(wish)
        except NoAnswer:  # it may have done it
            raise
        except MachineRefused:
            await self._journal.did_not(what)
            raise

    def _go_on(self) -> None:
        if self._is_stopped():
            raise CutShort(
                "it was told to stop before this was taken: the stick was pulled out, or the"
                " machine switched off",
                hint="begin once more; leave a stick in for as long as the screen says so",
            )

    async def _wait_for(self, settings: NetworkSettings) -> None:
        until, since = time.monotonic() + self._patience, None
        while True:
            self._go_on()
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


async def _this_machine(wish: Wish) -> object:
    return await ask(Places(), wish)
