"""Intake, closed by a reset: who holds it, of which run of the service, and what a restart finds.

Owns ``reset.counting`` in ``data_dir``, from before the count until the reset gives up; who resets
keeps it locked, so that a mark nobody locks is of somebody who is gone. A service that starts while
it is locked starts with its intake closed. Promises that whoever was told that intake ended for
good was told so by the service that had it closed for them all the time since they began.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import secrets
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

from edge.admin.local import ask_service
from edge.crypto.durable import lock_at_once, sync_folder, write_file
from edge.errors import DecisionRefused, EdgeError, KeyLocked

__all__ = ["LEASE", "MARK", "WHY", "Closed", "closed", "owner_of_mark"]

log = logging.getLogger(__name__)

MARK: Final = "reset.counting"
WHY: Final = "the box is being reset to its first day"
LEASE: Final = 600.0
"""Seconds after which the service takes things in again if who resets is gone by then."""
_ANSWER: Final = 5.0
"""Seconds that a service has to say that it closed."""
_LOOK: Final = 0.2
_CLOSED: Final = {"is_quiet": True, "holds": True, "run": ""}
"""What one that is locked would say: nothing comes in there."""


class Closed:
    """Intake of the service that works on *folder*, closed.

    Args:
        folder: The data folder.
        lease: Seconds after which the service opens it by itself, until it ends for good.
        is_forced: Whatever is lost: a service that does not hold it is gone past.
    """

    def __init__(self, folder: Path, lease: float, *, is_forced: bool) -> None:
        self._folder = folder
        self._lease = lease
        self._is_forced = is_forced
        self.owner = secrets.token_hex(16)
        self._run: str | None = None

    async def until_quiet(self, seconds: float) -> None:
        """Close it, and wait for the end of what is under way.

        Raises:
            DecisionRefused: It does not end, or the service does not answer; and nobody forces it.
        """
        said = await self._tell(closed=WHY, seconds=self._lease)
        until = time.monotonic() + seconds
        while said is not None and not said["is_quiet"]:
            if time.monotonic() > until:
                if self._is_forced:
                    return
                raise DecisionRefused(
                    "the box is not reset: images are still coming in",
                    hint="wait for their end; or force it, and they are lost for good",
                )
            await asyncio.sleep(_LOOK)
            said = await self._tell()

    async def for_good(self) -> None:
        """Have it stay closed: only the service that had it closed since the count may say so.

        Raises:
            DecisionRefused: It was open meanwhile, or nobody can tell; and nobody forces it.
        """
        await self._tell(closed=WHY, held=True)

    async def open(self) -> None:
        """Let things in again, unless somebody else has it closed."""
        with contextlib.suppress(EdgeError):
            await self._ask({"closed": ""})

    async def _tell(self, **wish: Any) -> dict[str, Any] | None:
        """What the service says; None if it does not, and that is forced.

        Raises:
            DecisionRefused: It is another run of it, or does not hold intake; or is not there.
        """
        try:
            said = await self._ask(wish)
            self._refuse_other(said)
        except DecisionRefused as error:
            if not self._is_forced:
                raise
            log.warning("the reset goes on, for it is forced: %s", error)
            return None
        return said

    def _refuse_other(self, said: dict[str, Any]) -> None:
        if self._run is None:
            self._run = said["run"]
        if said["run"] != self._run or not said["holds"]:
            what = "its intake was open" if said["run"] == self._run else "it was started anew"
            raise DecisionRefused(
                f"the box is not reset: {what} meanwhile",
                hint="ask again, and all is counted again",
            )

    async def _ask(self, wish: dict[str, Any]) -> dict[str, Any]:
        try:
            said = await ask_service(
                self._folder, "intake", {"owner": self.owner} | wish, seconds=_ANSWER
            )
        except KeyLocked:
            return _CLOSED
        except EdgeError as error:
            raise DecisionRefused(f"the box is not reset: {error}", hint=error.hint) from error
        if said is None:
            raise DecisionRefused(
                "the box is not reset: the service ended meanwhile",
                hint="ask again, and all is counted again",
            )
        if not all(name in said for name in _CLOSED):
            raise DecisionRefused(
                "the box is not reset: the service does not say who holds its intake",
                hint="restart it; or force it, and what comes in meanwhile is lost",
            )
        return said


@contextlib.asynccontextmanager
async def closed(folder: Path, lease: float, *, is_forced: bool) -> AsyncIterator[Closed]:
    """Leave the mark, and take it away.

    Raises:
        DecisionRefused: Another reset is under way, or the mark can't be left and nobody forces it.
    """
    one = Closed(folder, lease, is_forced=is_forced)
    mark: int | None = None
    try:
        mark = await asyncio.to_thread(_leave_mark, folder, one.owner)
    except OSError as error:
        if not is_forced:
            raise DecisionRefused(
                f"the box is not reset: {MARK} can't be written: {error.strerror or error}",
                hint="see to the disk; or force it",
            ) from error
        log.warning("a service that starts anew will not know of the reset: %s", error)
    try:
        yield one
    finally:
        if mark is not None:
            await asyncio.to_thread(_take_mark, folder, mark)


def owner_of_mark(folder: Path) -> str:
    """Who counts what is here just now; empty: nobody. A mark that nobody locks is removed. Blocks.

    For who holds the folder's lock, before anything may come in.
    """
    try:
        mark = os.open(folder / MARK, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return ""
    except OSError as error:
        log.warning("%s can't be read: %s", MARK, error)
        return ""
    try:
        if lock_at_once(mark):
            (folder / MARK).unlink(missing_ok=True)
            return ""
        return os.read(mark, 64).decode("ascii", "replace")
    finally:
        os.close(mark)


def _leave_mark(folder: Path, owner: str) -> int:
    """Its descriptor, locked."""
    while True:
        if owner_of_mark(folder):
            raise DecisionRefused(
                "the box is not reset: another reset is under way", hint="wait for its end"
            )
        write_file(folder / MARK, owner.encode())
        mark = os.open(folder / MARK, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        if lock_at_once(mark) and _is_there(folder, mark):
            return mark
        os.close(mark)  # a service that starts, or another reset, came between


def _take_mark(folder: Path, mark: int) -> None:
    try:
        if _is_there(folder, mark):
            with contextlib.suppress(OSError):
                (folder / MARK).unlink()
                sync_folder(folder)
    finally:
        os.close(mark)


def _is_there(folder: Path, mark: int) -> bool:
    try:
        return os.path.samestat((folder / MARK).lstat(), os.fstat(mark))
    except OSError:
        return False
