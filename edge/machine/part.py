"""What the service itself wishes of the machine, and hears of it, as long as it runs.

Promises that a machine which refuses stops nothing: it is logged. Is started only where the machine
takes wishes at all.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final

import msgspec

from edge.errors import MachineRefused
from edge.machine.asking import ask
from edge.machine.lights import lights_of
from edge.machine.networks import read_network
from edge.machine.page_port import has_port
from edge.machine.places import Places
from edge.machine.power import IntakeStop, read_power
from edge.machine.wishes import Doors, Lights, Name, SetupTaken, Shown

__all__ = ["MachinePart"]

log = logging.getLogger(__name__)

_POWER: Final = 0.5
_LIGHTS: Final = 10.0
"""Seconds between two looks."""
_DOORS: Final = 60.0
"""Seconds to the next try, where the firewall took nothing."""
_PORT: Final = 5.0
"""Seconds between two looks at the page's port: a card comes, a VLAN is set or taken away."""
_SETUP: Final = 20.0
"""Seconds between two looks at whether the box is set up while a file waits to do that."""
_OTHERWISE: Final = (
    "This file changed nothing: the box was set up in another way meanwhile. The file was removed,"
    " for it may have had passwords in it, and the boot partition is not encrypted.\n"
)


class MachinePart:
    """It.

    Args:
        places: Of this machine.
        name: What the box is called.
        doors: What it listens on.
        level: Says how it is, for the lights.
        stop: Is told when the power ends.
        is_set_up: Whether the box is, in whatever way.
        every: Seconds between two looks at the power.
    """

    def __init__(
        self,
        places: Places,
        name: str,
        doors: Doors,
        level: Callable[[], Awaitable[str]],
        stop: IntakeStop,
        is_set_up: Callable[[], Awaitable[bool]],
        *,
        every: float = _POWER,
    ) -> None:
        self._places = places
        self._name = name
        self._doors = doors
        self._level = level
        self._stop = stop
        self._is_set_up = is_set_up
        self._every = every

    async def run(self) -> None:
        """Until cancelled."""
        await self._wish(Name(self._name))
        has_lights = await asyncio.to_thread(lights_of, self._places)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._watch_power())
            group.create_task(self._open())
            group.create_task(self._clear())
            if has_lights:
                group.create_task(self._light())

    async def _watch_power(self) -> None:
        while True:
            self._stop.power = await asyncio.to_thread(read_power, self._places)
            await asyncio.sleep(self._every)

    async def _open(self) -> None:
        by = self._doors.page_by
        asked = None
        while True:
            # As long as that port is not there, the page is reached by each.
            is_there = not by or await asyncio.to_thread(self._has_port, by)
            if is_there == asked:
                await asyncio.sleep(_PORT)
            elif await self._wish(self._doors):
                asked = is_there
                if not by:
                    return
            else:
                await asyncio.sleep(_DOORS)

    def _has_port(self, name: str) -> bool:
        return has_port(self._places, name, read_network(self._places).now)

    async def _clear(self) -> None:
        """A file that waits to set the box up for the next start goes once something else did."""
        while True:
            waits = await asyncio.to_thread(self._places.setup_waits.exists)
            if waits and await self._is_set_up():
                await self._wish(SetupTaken(_OTHERWISE, "refused"))
            await asyncio.sleep(_SETUP)

    async def _light(self) -> None:
        shown = None
        while True:
            level = await self._level()
            if level != shown and await self._wish(Lights(msgspec.convert(str(level), Shown))):
                shown = level
            await asyncio.sleep(_LIGHTS)

    async def _wish(self, wish: Name | Lights | Doors | SetupTaken) -> bool:
        try:
            await ask(self._places, wish)
        except MachineRefused as error:
            log.warning("the machine: %s", error)
            return False
        return True
