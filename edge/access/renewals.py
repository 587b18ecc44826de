"""Certificates, looked after while the service runs.

They are renewed before their end, and taken anew from files that the clinic replaced: within
seconds by themselves, and at once when a command says so (``edge tls reload``, for the hooks of
ACME clients). Files are looked at rather than watched: links to other folders, as ACME clients make
them, and folders on other machines give no notice.

A certificate and its key are two files, and for a moment they do not fit. What can't be loaded then
is tried again as long as it takes; once it does not fit for a minute, the part fails, which
everybody sees. What was loaded before is served all the while.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge.errors import EdgeError

__all__ = ["Renewals"]

log = logging.getLogger(__name__)

_DAY = 86400.0
_LOOK = 10.0
_PATIENCE = 60.0

_Signature = tuple[tuple[int, int, int, int] | None, ...]


@dataclass(slots=True)
class _Renewal:
    """One thing that is looked after."""

    load: Callable[[], None]
    files: Sequence[Path]
    signature: _Signature
    """Of the files as they were when they were last loaded, or that was tried."""
    due: float
    failing_since: float | None = None


class Renewals:
    """Everything that wants to be looked after.

    Args:
        clock: Monotonic seconds.
    """

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._renewals: list[_Renewal] = []
        self._lock = asyncio.Lock()

    def __len__(self) -> int:
        return len(self._renewals)

    def add(self, load: Callable[[], None], files: Sequence[Path] = ()) -> None:
        """Have this called once a day from now on, in a thread, and whenever a file changes.

        Blocks: it looks at the files, which were loaded a moment ago.

        Args:
            load: It may raise an ``EdgeError``, and then goes on with what it has.
            files: That it loads, if they are not its own.
        """
        known = [path for path in files if path != Path()]
        self._renewals.append(_Renewal(load, known, _signature(known), self._clock() + _DAY))

    async def reload(self) -> None:
        """Call each now, whatever becomes of the others.

        Raises:
            EdgeError: The first that was raised.
        """
        async with self._lock:
            errors = [await self._try(each) for each in self._renewals]
        for error in errors:
            if error is not None:
                raise error

    async def asked(self, _: Mapping[str, Any]) -> Mapping[str, Any]:
        """The same for a command."""
        await self.reload()
        return {"certificates": len(self)}

    async def run(self) -> None:
        """Look at them every few seconds.

        Raises:
            EdgeError: One can't be loaded for a minute; the part that fails so is started again.
        """
        while True:
            await asyncio.sleep(_LOOK)
            async with self._lock:
                for error in [await self._look(each) for each in self._renewals]:
                    if error is not None:
                        raise error

    async def _look(self, renewal: _Renewal) -> EdgeError | None:
        """Load it if it is time; the error that lasts."""
        seen = await asyncio.to_thread(_signature, renewal.files)
        is_due = self._clock() >= renewal.due or renewal.failing_since is not None
        if seen == renewal.signature and not is_due:
            return None
        error = await self._try(renewal)
        since = renewal.failing_since
        return error if since is not None and self._clock() - since >= _PATIENCE else None

    async def _try(self, renewal: _Renewal) -> EdgeError | None:
        # Before it is loaded: what is replaced meanwhile is seen by the next look.
        renewal.signature = await asyncio.to_thread(_signature, renewal.files)
        try:
            await asyncio.to_thread(renewal.load)
        except EdgeError as error:
            if renewal.failing_since is None:
                renewal.failing_since = self._clock()
                log.warning("a certificate can't be loaded, the one before is served: %s", error)
            return error
        if renewal.files or renewal.failing_since is not None:
            log.info("certificates were loaded anew")
        renewal.failing_since = None
        renewal.due = self._clock() + _DAY
        return None


def _signature(files: Sequence[Path]) -> _Signature:
    """What of files differs once they were replaced or written; None of one that is missing."""
    found: list[tuple[int, int, int, int] | None] = []
    for path in files:
        try:
            state = path.stat()
        except OSError:
            found.append(None)
        else:
            found.append((state.st_dev, state.st_ino, state.st_mtime_ns, state.st_size))
    return tuple(found)
