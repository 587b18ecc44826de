"""Walks to the archives on a person's word, one at a time: each stores a test instance.

Owns that there is one. How a walk goes is `edge.cloud.diagnosis`'s.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing, asynccontextmanager

from edge.cloud.diagnosis import Diagnosis
from edge.cloud.findings import Finding
from edge.cloud.orthanc import archive_of
from edge.errors import DecisionRefused
from edge.others import Archive

__all__ = ["Trials"]


class Trials:
    """Walks.

    Args:
        archives: That are configured.
        opened: One of them with its secrets as they are used; blocks, and may raise a ConfigError.
    """

    def __init__(self, archives: Sequence[Archive], opened: Callable[[Archive], Archive]) -> None:
        self._archives = {one.name: one for one in archives}
        self._opened = opened
        self._walking = ""

    @asynccontextmanager
    async def walk(self, name: str) -> AsyncIterator[AsyncGenerator[Finding]]:
        """The steps to the archive of that name, each taken as it is asked for.

        Raises:
            DecisionRefused: There is no such archive, or another walk is not at its end.
            ConfigError: A secret, a certificate or a key can't be used.
        """
        if name not in self._archives:
            raise DecisionRefused(
                "no archive is called so",
                hint=f"there are: {', '.join(self._archives) or 'none'}",
            )
        archive = await asyncio.to_thread(self._opened, self._archives[name])
        async with self.walk_to(archive) as findings:
            yield findings

    @asynccontextmanager
    async def walk_to(self, archive: Archive) -> AsyncIterator[AsyncGenerator[Finding]]:
        """The same to an archive that may not be configured yet, its secrets open.

        Raises:
            DecisionRefused: Another walk is not at its end.
            ConfigError: A certificate or key can't be used.
        """
        if self._walking:
            raise DecisionRefused(
                f"the way to {self._walking} is being tested just now",
                hint="wait until that is over: it takes a minute at the most",
            )
        self._walking = archive.name
        try:
            async with (
                archive_of(archive) as driver,
                aclosing(Diagnosis(driver).findings()) as findings,
            ):
                yield findings
        finally:
            self._walking = ""
