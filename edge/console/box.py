"""The box behind the page on its screen: looked at and asked as any command on the machine does.

Promises that the page shows something whatever state the box is in: a service that is locked, that
does not run or does not answer is what there is to show then. What is done here is in the audit.
As long as it only shows something it asks the service, and loads neither keys nor index: a small
box has no room for a second one of those.
"""

# ruff: noqa: PLC0415 - see above

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from edge.access.audit.entry import Entry, Event
from edge.access.throttle import Throttle
from edge.access.tls import Shown
from edge.access.tls import shown as shown_by
from edge.admin.local import ServiceSilent, ask_service, parts_of_service
from edge.admin.local_keys import Opening, open_service, state_of_service
from edge.cache.condition import Level
from edge.cache.machine import temperature
from edge.cache.network import look
from edge.cache.own_settings import in_force
from edge.cache.page_address import page_address
from edge.config import Config
from edge.console.advice import setup_refused
from edge.console.service import (
    ODD,
    ServiceState,
    fingerprint_of,
    former_of,
    headline,
    moment,
    state_of,
)
from edge.console.silence import BUSY, Silence
from edge.console.times import zone_of
from edge.console.updating import update_said
from edge.console.view import Code, Person, View
from edge.errors import EdgeError, KeyLocked, Needs
from edge.machine.asking import ask, disks_from, is_there
from edge.machine.disks import Disk
from edge.machine.health import MachineState, read_machine
from edge.machine.moves import MoveState, read_move
from edge.machine.networks import read_network
from edge.machine.page_port import page_ports
from edge.machine.places import Places
from edge.machine.ports import read_ports
from edge.machine.sticks import read_sticks
from edge.machine.wishes import (
    Back,
    Keep,
    Network,
    NetworkSettings,
    PowerOff,
    Restart,
    Wish,
    checked_network,
)

if TYPE_CHECKING:
    from edge.cache.status import Parts
    from edge.console.person import Door
    from edge.opening import Cache

__all__ = ["LocalBox"]

log = logging.getLogger(__name__)

_FREE: Final = (Restart, PowerOff)
"""For whoever stands before the box: it has a button, and a plug."""
_STATE: Final = 8.0
"""Seconds that the service has to say how it is: while images come in it reads that for long."""
_ANSWER: Final = 3.0
"""Seconds that it has for any other answer to who looks."""
_ASKED: Final = 20.0
"""Seconds that it has for what somebody asked for by a key, and waits for."""
_RECORD: Final = 20.0
"""Seconds in which the audit should have what is done here."""
_SOON: Final = 3600.0
"""A code that ends so soon is replaced before somebody writes it down."""


class LocalBox:
    """Of this machine.

    Args:
        load: Reads the configuration, as it is now.
        file: Of the machine; None if there is none.
        places: Of this machine.
    """

    def __init__(
        self, load: Callable[[], Config], file: Path | None, places: Places | None = None
    ) -> None:
        self._load = load
        self._file = file
        self._places = places or Places()
        self._throttle = Throttle()
        self._code: Code | None = None
        self._silence = Silence("The service")
        self._last: ServiceState | None = None
        """What it said when it last answered."""
        self._tried_shut: NetworkSettings | None = None
        """What was tried while the box was locked, by whoever stood there."""

    async def look(self) -> View:
        """See `edge.console.view.Box`."""
        config = await asyncio.to_thread(self._load)
        state = await self._state(config)
        machine, addresses, shown, network, move, has_machine = await asyncio.to_thread(
            self._facts, config
        )
        if not state.has_people:  # a service that begins anew does not say; it may yet hold then
            try:
                await self._have_code(config, state)
            except EdgeError as error:  # the rest can be shown all the same
                log.warning("there is no code to be had for the first admin: %s", error)
                self._code = None
        ports = await asyncio.to_thread(read_ports, self._places)
        for_page = await asyncio.to_thread(page_ports, self._places)
        # Without a router a box has no address that leads anywhere, and its neighbours reach it.
        is_cut_off = not addresses and bool(ports) and not any(one.has_cable for one in ports)
        sentence, level = headline(state, self._code, is_cut_off=is_cut_off)
        return View(
            name=config.appliance.name,
            sentence=sentence,
            level=level,
            address=await asyncio.to_thread(
                page_address, config, self._places.firewall, is_new=not state.has_people
            ),
            addresses=addresses,
            fingerprint=state.certificate or fingerprint_of(shown),
            former=None if state.certificate else former_of(shown),
            code=None if state.has_people else self._code,
            troubles=(
                *machine.troubles(),
                *state.worries,
                *(() if state.has_people else await asyncio.to_thread(setup_refused, self._places)),
            ),
            sticks=await asyncio.to_thread(read_sticks, self._places),
            network=network,
            ports=ports,
            page_by=config.http.interface if for_page else "",
            page_ports=for_page,
            page_waits=not await asyncio.to_thread(in_force, config.appliance.data_dir),
            update=await asyncio.to_thread(update_said, config.appliance.data_dir),
            move=move,
            has_machine=has_machine,
            needs_login=state.has_people,
            has_issuer=bool(config.access.oidc.issuer),
            is_lab=config.appliance.lab,
            zone=await asyncio.to_thread(zone_of, config.appliance.time_zone),
            needs=state.needs,
        )

    def _facts(
        self, config: Config
    ) -> tuple[MachineState, tuple[str, ...], Shown | None, Any, MoveState | None, bool]:
        address = next(one for one in look() if one.what == "address")
        return (
            read_machine(self._places, temperature()),
            tuple(address.found.split(", ")) if address.is_fine else (),
            shown_by(config.http, config.appliance.data_dir / "tls"),
            read_network(self._places),
            read_move(self._places),
            is_there(self._places),
        )

    async def _state(self, config: Config) -> ServiceState:
        try:
            folder = config.appliance.data_dir
            told = await ask_service(folder, "state", seconds=_STATE)
        except KeyLocked as error:
            self._silence.end()
            self._last = None
            said = str(error)
            certificate = await self._certificate(config)
            return ServiceState(
                f"{said[:1].upper()}{said[1:]}.", needs=error.needs, certificate=certificate
            )
        except EdgeError as error:
            parts = await self._parts(config)
            if "start" in parts:
                return ServiceState("The service is starting.", Level.BUSY)
            log.warning("the service can't say how it is: %s", error)
            if not isinstance(error, ServiceSilent):
                return ServiceState(ODD)
            return self._silent(is_alive="service" not in parts)
        self._silence.end()
        if told is None:
            self._last = None
            return ServiceState("The service is not running: nothing comes in. r restarts the box.")
        self._last = state_of(told)
        return self._last

    def _silent(self, *, is_alive: bool) -> ServiceState:
        """As it was when it last answered, until its silence is worth a word."""
        said = self._silence.grown(is_alive=is_alive)
        if said is None and self._last is not None:
            return self._last
        sentence, level = said or (BUSY, Level.BUSY)
        if self._last is None:
            return ServiceState(sentence, level)
        return replace(self._last, sentence=sentence, cut_off="", level=level, worries=())

    async def _parts(self, config: Config) -> Parts:
        """How its parts are; ``service`` is one that does not answer."""
        folder, silent = config.appliance.data_dir, {"service": "does not answer"}
        try:
            async with asyncio.timeout(_ANSWER):
                parts = await parts_of_service(folder)
        except TimeoutError:
            return silent
        return silent if parts is None else parts

    @staticmethod
    async def _certificate(config: Config) -> str:
        try:
            waiting = await asyncio.to_thread(state_of_service, config.appliance.data_dir)
        except EdgeError as error:
            log.warning("the locked service can't say by what it is known: %s", error)
            return ""
        return "" if waiting is None else waiting.certificate

    async def _have_code(self, config: Config, state: ServiceState) -> None:
        """A code for the first admin: the one that holds, or a new one if none can be shown.

        Args:
            config: Of the box.
            state: Of its service, which says when the one that there is ends.
        """
        until = state.code_until
        mine = self._code if self._code is not None and self._code.until == until else None
        if mine is not None and mine.text and mine.until - time.time() < _SOON:
            await self._new_code(config, _ANSWER)
        elif until is None or (state.code_is_shown and (mine is None or not mine.text)):
            await self._new_code(config, _ANSWER, "shown-code")
        elif mine is None:
            self._code = Code("", until)

    async def new_code(self) -> Code:
        """See `edge.console.view.Box`."""
        config = await asyncio.to_thread(self._load)
        if (await self._state(config)).has_people:
            raise EdgeError(
                "there is somebody already: no code makes the first admin here",
                hint="an admin invites others, on the web page",
            )
        return await self._new_code(config, _ASKED)

    async def _new_code(self, config: Config, seconds: float, act: str = "first-code") -> Code:
        said = await ask_service(config.appliance.data_dir, act, seconds=seconds)
        if said is None:
            raise EdgeError("the service is not running", hint="restart the box by r")
        text, until = said.get("code"), moment(said.get("until"))
        if not isinstance(text, str) or until is None:
            raise EdgeError("the service does not answer as it should", hint="restart the box by r")
        self._code = Code(text, until)
        return self._code

    async def log_in(self, name: str, password: str, second: str) -> Person:
        """See `edge.console.view.Box`."""
        return await self._door().log_in(name, password, second)

    async def log_out(self, person: Person) -> None:
        """See `edge.console.view.Box`."""
        await self._door().log_out(person)

    async def unlock(self, secret: str, needs: Needs) -> None:
        """See `edge.console.view.Box`."""
        config = await asyncio.to_thread(self._load)
        attempt = self._throttle.of_address("")
        is_key = needs is Needs.RECOVERY_KEY
        opening = Opening(
            passphrase="" if is_key else secret,
            recovery_key=secret if is_key else "",
            by="the screen of the box",
        )
        if not await asyncio.to_thread(open_service, config.appliance.data_dir, opening):
            attempt.take_back()
            raise EdgeError("the service is not running", hint="restart the box by r")
        attempt.succeeded()

    async def wish(self, wish: Wish, person: Person | None) -> None:
        """See `edge.console.view.Box`."""
        entry = self._entry(f"machine: {type(wish).__name__}", person)
        if await self._is_shut_before(wish):
            folder = (await asyncio.to_thread(self._load)).appliance.data_dir
            from edge.access.audit import shut

            await asyncio.to_thread(shut.keep, folder, entry)
            await ask(self._places, wish)
            return
        if not isinstance(wish, _FREE) and not await self._was_tried_before_shut(wish):
            await self._allow(person)
        try:
            async with asyncio.timeout(_RECORD), self._opened() as (cache, _):
                await cache.audit.record(entry)
        except (EdgeError, TimeoutError) as error:
            if not isinstance(wish, _FREE):
                raise
            log.warning("%s is not in the audit: %s", entry.what, error)  # the plug is not, either
        await ask(self._places, wish)

    async def keep_page(self, port: str, person: Person | None) -> None:
        """See `edge.console.view.Box`."""
        from edge.console.own import begin_anew, change_own

        await self._allow(person)
        entry = self._entry("settings", person)
        async with self._opened() as (cache, config):
            changes = {"http.interface": port or None}
            is_changed = await change_own(cache.audit, config, self._file, changes, entry)
        folder = config.appliance.data_dir
        # So already, it may have been written while the service did not answer.
        if is_changed or not await asyncio.to_thread(in_force, folder):
            await begin_anew(folder, _ASKED)

    async def _is_shut_before(self, wish: Wish) -> bool:
        """Whether the box waits for its network, and this is to give it another one.

        Nobody can log in there, and neither could come first. It opens nothing: the server that
        holds the other half of the key is known by that, not by the way to it; and a thief, or
        whoever stands there, has the cable, and with it the network on its other end, anyway. A box
        that is locked for another reason needs no network to be opened, and whoever pulled its
        plug to have it locked would get past the log-in: there it is no one's.
        """
        if not isinstance(wish, Network | Keep | Back):
            return False
        config = await asyncio.to_thread(self._load)
        is_shut = (await self._state(config)).needs is Needs.SERVER
        if isinstance(wish, Network):
            self._tried_shut = checked_network(wish.settings) if is_shut else None
        return is_shut

    async def _was_tried_before_shut(self, wish: Wish) -> bool:
        """Whether this ends such a trial, by which the box has opened."""
        if self._tried_shut is None or not isinstance(wish, Keep | Back):
            return False
        state = await asyncio.to_thread(read_network, self._places)
        return state.tried == self._tried_shut

    async def disks(self) -> list[Disk]:
        """See `edge.console.view.Box`."""
        return await disks_from(self._places)

    async def reset(self, person: Person, *, is_forced: bool) -> None:
        """See `edge.console.view.Box`."""
        from edge.console.person import actor_of
        from edge.resetting import Resetting

        await self._allow(person)
        config = await asyncio.to_thread(self._load)
        resetting = Resetting(config, self._places, actor_of(person))
        await resetting.reset(is_forced=is_forced)

    async def _allow(self, person: Person | None) -> None:
        """Do nothing if they may change something here.

        Raises:
            EdgeError: They may not.
        """
        if person is not None:
            async with self._door().acting(person):
                return
        async with self._opened() as (cache, _):
            if not await cache.users.is_empty():
                raise EdgeError("this is for admins", hint="log in first")

    def _door(self) -> Door:
        from edge.console.person import Door

        return Door(self._opened, self._throttle)

    @contextlib.asynccontextmanager
    async def _opened(self) -> AsyncIterator[tuple[Cache, Config]]:
        from edge.opening import Cache

        config = await asyncio.to_thread(self._load)
        async with Cache(config) as cache:
            yield cache, config

    @staticmethod
    def _entry(what: str, person: Person | None) -> Entry:
        from edge.console.person import actor_of

        return Entry(
            at=time.time(),
            event=Event.ADMINISTERED,
            actor=actor_of(person),
            what=f"console: {what}",
        )
