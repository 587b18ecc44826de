"""Other settings come into force: the service begins anew, and interrupts nobody by that.

Owns the wish for it, the wait for a moment in which nothing is under way, and the news of settings
that had to be taken back. Promises that nothing that is under way is ended for it: no request of an
association, no study on its way to a peer, no upload and no download. The wait is for a natural gap
first, in which associations do nothing, too. Where devices follow upon each other without one, new
ones are told to come again in a moment (PS3.8 9.3.4, transient); where one keeps its association
open all the same, that is ended between two of its requests. Devices are not kept out for what they
can't end: while something else takes long, they are let in.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Protocol

__all__ = ["Applying", "Devices", "Work"]

log = logging.getLogger(__name__)

_PATIENCE: Final = 60.0
"""Seconds for a natural gap, and then for the end of associations while no new ones begin."""
_LONG: Final = 5.0
"""Seconds without a pause, after which devices need not wait for the end of something else."""
_LOOK: Final = 0.1
_ANSWERED: Final = 0.5
"""Seconds in which the answer to who asked for it goes out."""
_AWAY: Final = "the service begins anew with other settings: try again in a moment"


class Work(Protocol):
    """Something of the service that an end of it could interrupt."""

    @property
    def is_quiet(self) -> bool:
        """Whether an end would interrupt nobody."""
        ...


class Devices(Work, Protocol):
    """Those that are associated."""

    @property
    def is_idle(self) -> bool:
        """Whether no request is under way, whoever was heard a moment ago."""
        ...

    def turn_away(self, why: str) -> None:
        """Let nobody associate from now on; if *why* is empty, let them again."""
        ...


class Applying:
    """It, of one run of the service.

    Args:
        setback: Why the last settings were taken back; empty if they were not.
    """

    def __init__(self, setback: str = "") -> None:
        self.setback = setback
        self.since = time.time()
        self.asked = asyncio.Event()
        """Set once the service is to begin anew."""

    def ask(self) -> None:
        """Have it begin anew, once who asks has been answered."""
        asyncio.get_running_loop().call_later(_ANSWERED, self.asked.set)

    async def asked_by_command(self, _: Mapping[str, Any]) -> Mapping[str, Any]:
        """For a command on this machine, see `edge.admin.local`."""
        self.ask()
        return {}

    async def wait(
        self,
        devices: Devices,
        others: Sequence[Work],
        is_over: Callable[[], bool],
        patience: float = _PATIENCE,
        long: float = _LONG,
    ) -> None:
        """Wait for the moment; no device may associate from then on.

        Args:
            devices: Whose associations they are.
            others: What else may be under way.
            is_over: Whether there is nothing to wait for any more: the service ends anyway.
            patience: Seconds for a natural gap, and for what follows.
            long: Seconds, see above.
        """
        log.info("other settings come into force as soon as nothing is under way")
        loop = asyncio.get_running_loop()
        since = paused = loop.time()
        away: float | None = None
        while not is_over():
            now, are_quiet = loop.time(), all(one.is_quiet for one in others)
            if are_quiet:
                paused = now
                is_late = away is not None and now - away > patience
                if devices.is_quiet or (is_late and devices.is_idle):
                    devices.turn_away(_AWAY)
                    return
            if away is None and are_quiet and now - since > patience:
                devices.turn_away(_AWAY)
                away = now
            elif away is not None and now - paused > long:
                devices.turn_away("")
                away, since = None, now
            await asyncio.sleep(_LOOK)
