"""Other settings come into force: the service begins anew, and interrupts nobody by that.

Owns the wish for it, the wait for a moment in which no association is under way, and the news of
settings that had to be taken back. Promises that an association is never ended for it while
anything is under way in it: the wait is for a natural gap first; where devices follow upon each
other without one, new ones are told to come again in a moment (PS3.8 9.3.4, transient).
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from edge.dimse.server import DimseServer

__all__ = ["Applying"]

log = logging.getLogger(__name__)

_PATIENCE: Final = 60.0
"""Seconds for a natural gap."""
_LOOK: Final = 0.1
_ANSWERED: Final = 0.5
"""Seconds in which the answer to who asked for it goes out."""
_AWAY: Final = "the service begins anew with other settings: try again in a moment"


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
        self, dimse: DimseServer, is_over: Callable[[], bool], patience: float = _PATIENCE
    ) -> None:
        """Wait for the moment.

        Args:
            dimse: Whose associations they are.
            is_over: Whether there is nothing to wait for any more: the service ends anyway.
            patience: Seconds for a natural gap.
        """
        log.info("other settings come into force as soon as no association is under way")
        loop = asyncio.get_running_loop()
        until = loop.time() + patience
        while not dimse.is_quiet and not is_over():
            if loop.time() > until:
                dimse.turn_away(_AWAY)
            await asyncio.sleep(_LOOK)
