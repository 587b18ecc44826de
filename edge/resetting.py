"""Factory reset: the box forgets everything, and is as on its first day.

Owns the order. Promises that nothing which exists only here is lost by it unless somebody who was
told so forces it; that nothing more comes in once that was counted (`closing`); that its record is
written (and has left the box, where it goes to another machine) before anything is destroyed; that
the keys go first: whatever is left of the disk then, by a power cut or by wear, is noise; and that
what has begun to be destroyed is destroyed, whoever is cancelled and whatever fails.

Order: the machine answers -> intake ends -> what is under way has ended -> what exists only here is
counted -> the audit -> intake ends for good -> ``reset.begun`` -> ``keys.db``, both copies -> what
opens them -> on an appliance, root ends the service, destroys what opens the partition, and
restarts; elsewhere, what is in ``data_dir`` is removed, ``reset.begun`` last. Cut short behind
that, or where the data has no partition of its own to destroy, the next start of the service
finishes it (`finish`); until the service is told that intake ends for good, it opens it again by
itself if who resets is gone.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import os
import shutil
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final, TypeVar

from edge.access.audit.entry import BOX, Actor, Entry, Event
from edge.addresses import machine_name
from edge.admin.local import parts_of_service, wake_service
from edge.cache.eviction import TRUSTED
from edge.cache.status import Status
from edge.closing import LEASE, Closed, closed
from edge.config import Config
from edge.crypto.durable import destroy_file, sync_folder, write_file
from edge.crypto.providers.choice import keeper_of
from edge.errors import DecisionRefused, EdgeError, MachineRefused, SecretError
from edge.index.residence import studies_believed_no_more
from edge.machine.asking import NoAnswer, answer_to, ask, is_there, leave
from edge.machine.places import Places
from edge.machine.wishes import Name, Wipe
from edge.opening import Cache, lock_folder

__all__ = ["BEGUN", "Resetting", "Standing", "finish", "standing_of"]

log = logging.getLogger(__name__)

BEGUN: Final = "reset.begun"
"""A file of ``data_dir``: what is there is to be destroyed."""
_RING: Final = ("keys.db", "keys.db.copy")
_PATIENCE: Final = 20.0
"""Seconds in which another machine should have the entry of it."""
_QUIET: Final = 60.0
"""Seconds in which what is under way should have ended."""
_LOOK: Final = 0.2

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Standing:
    """What would be lost."""

    only_here: int
    """Studies that certainly exist nowhere else."""
    perhaps: int
    """Studies of which that is not known; those that travel by courier, and those that an archive
    had once which can't be asked for long, too."""
    trashed: int = 0
    """Images in the trash: the archive deleted them, and nowhere else are they to be restored."""

    @property
    def words(self) -> str:
        """For people; empty if nothing would be."""
        said = []
        if self.only_here:
            said.append(f"{_count(self.only_here)} only here")
        if self.perhaps:
            said.append(f"{_count(self.perhaps)} perhaps only here")
        if self.trashed:
            lie = "1 image lies" if self.trashed == 1 else f"{self.trashed} images lie"
            said.append(f"{lie} in the trash, and can be restored from nowhere else")
        return ", ".join(said)


def standing_of(status: Status, believed_no_more: int = 0) -> Standing:
    """What would be lost of a box.

    Args:
        status: Its state.
        believed_no_more: Studies that were verified too long ago for an archive that can't be
            asked, as eviction has it.
    """
    numbers = status.summary
    perhaps = numbers.studies_perhaps_only_here + numbers.studies_unproven
    perhaps += 1 if numbers.by_courier else 0
    return Standing(numbers.studies_only_here, perhaps + believed_no_more, numbers.trashed)


class Resetting:
    """Of one box.

    Args:
        config: Its configuration.
        places: Of the machine.
        actor: Who does it.
        patience: Seconds in which another machine should have the record of it.
        quiet: Seconds in which what is under way should have ended.
        lease: Seconds after which a service takes things in again if nobody resets any more.
    """

    def __init__(
        self,
        config: Config,
        places: Places,
        actor: Actor,
        *,
        patience: float = _PATIENCE,
        quiet: float = _QUIET,
        lease: float = LEASE,
    ) -> None:
        self._config = config
        self._folder = config.appliance.data_dir
        self._places = places
        self._actor = actor
        self._patience = patience
        self._seconds = quiet
        self._lease = lease
        self._is_begun = False
        self._name = machine_name(config.appliance.name)

    async def reset(self, *, is_forced: bool) -> Standing:
        """Do it; what was lost by it.

        Args:
            is_forced: Even if something exists only here, or nobody can tell.

        Raises:
            DecisionRefused: Something exists only here, or it can't be done now; nothing has
                changed.
            EdgeError: It could not be done wholly; the message says what is left.
        """
        has_machine = await asyncio.to_thread(is_there, self._places)
        if has_machine:
            # Whoever can't be reached, or is called otherwise, can't end what would begin here.
            await ask(self._places, Name(self._name))
        async with self._quiet(has_machine=has_machine, is_forced=is_forced) as closing:
            standing = Standing(0, 0)
            if not await asyncio.to_thread(self.has_begun):
                standing = await self._record(is_forced=is_forced)
            if closing is not None:
                await closing.for_good()
            await self._destroy(has_machine=has_machine)
        return standing

    def has_begun(self) -> bool:
        """Whether what is there is to be destroyed, and all that is left is to do it. Blocks."""
        return self._is_begun or (self._folder / BEGUN).exists()

    async def finish(self) -> None:
        """Do what was begun and cut short; for who holds the folder's lock.

        Raises:
            EdgeError: It could not be done wholly; or the machine is about to start anew.
        """
        lies_apart = await asyncio.to_thread(self._lies_apart)
        if lies_apart:
            with contextlib.suppress(MachineRefused):
                await ask(self._places, Name(self._name))  # it wipes none that is called otherwise
        await self._destroy(has_machine=lies_apart)
        if lies_apart:
            raise DecisionRefused(
                "this box is being reset to its first day", hint="the machine starts anew by itself"
            )

    def _lies_apart(self) -> bool:
        """Whether the data has a partition that the machine erases as a whole. Blocks."""
        # The service may see no device, but the link to it.
        return is_there(self._places) and self._places.data_disk.is_symlink()

    async def _destroy(self, *, has_machine: bool) -> None:
        """From here on there is no way back: nothing that happens to who waits breaks it off.

        Raises:
            EdgeError: Something is left.
        """
        left, request = await _to_its_end(lambda: self._destroy_all(has_machine=has_machine))
        if request is not None:
            try:
                await answer_to(self._places, request)
            except NoAnswer as error:
                raise NoAnswer(
                    "the keys are destroyed, and the machine does not say that it does the rest",
                    hint="restart it: the next start goes on",
                ) from error
        if left:
            raise SecretError(
                f"what opened the box could not all be destroyed: {left}",
                hint="nothing of it opens any more without keys.db; if that is gone, remove the"
                " rest; else restart the box, which tries again",
            )

    def _destroy_all(self, *, has_machine: bool) -> tuple[str, Path | None]:
        """What is left, and the file of the machine's wish."""
        try:
            write_file(self._folder / BEGUN, b"")
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise SecretError(
                    f"the keys can't be destroyed: {error.strerror}",
                    hint="see to the disk; nothing was changed",
                ) from error
            # A full disk is no reason to keep what is to go; cut short, it has to be said again.
            log.warning("the next start can't be told to finish the reset: %s", error)
        self._is_begun = True
        ring, left = self._destroy_keys()
        if has_machine:  # which destroys what it lies on, whatever of it is left
            return "; ".join([*ring, *left]), leave(self._places, Wipe(self._name))
        if ring:
            raise SecretError(
                f"the keys can't be destroyed: {'; '.join(ring)}",
                hint="see to the disk; the next start of the box tries again",
            )
        self._remove_all()
        return "; ".join(left), None

    @contextlib.asynccontextmanager
    async def _quiet(self, *, has_machine: bool, is_forced: bool) -> AsyncIterator[Closed | None]:
        """Nothing comes in meanwhile; afterwards it does again, if nothing was destroyed.

        Gives what holds the intake of a service that runs; None: none runs, nor can one start.
        """
        if await parts_of_service(self._folder) is None:
            lock = await asyncio.to_thread(lock_folder, self._folder)
            try:
                yield None
            finally:
                os.close(lock)
            return
        if not has_machine:
            raise DecisionRefused(
                "the service runs, and nobody here can end it", hint="systemctl stop edge, first"
            )
        async with closed(self._folder, self._lease, is_forced=is_forced) as closing:
            try:
                await closing.until_quiet(self._seconds)
                yield closing
            except BaseException:
                if not await asyncio.to_thread(self.has_begun):
                    await closing.open()
                raise

    async def _record(self, *, is_forced: bool) -> Standing:
        try:
            async with Cache(self._config) as cache:
                standing = await self._standing(cache)
                if not is_forced:
                    _refuse_loss(standing)
                detail = {"lost": standing.words or "nothing", "forced": str(is_forced)}
                entry = Entry(
                    at=time.time(),
                    event=Event.KEY,
                    actor=self._actor,
                    what="factory reset",
                    detail=detail,
                )
                await cache.audit.record(entry)
                await wake_service(self._folder)  # which sends it
                await self._sent(cache)
        except DecisionRefused:
            raise
        except EdgeError as error:
            if not is_forced:
                raise DecisionRefused(
                    f"the box is not reset: what exists only here can't be told: {error}",
                    hint="open the box, or force it: what is only here is lost for good",
                ) from error
            log.warning("factory reset without a record of it: %s", error)
            return Standing(0, 0)
        return standing

    async def _standing(self, cache: Cache) -> Standing:
        status = await cache.status({})
        askable = {one.name: one.role for one in status.archives if one.online}
        if "primary" in askable.values():
            return standing_of(status)
        since = time.time() - TRUSTED
        return standing_of(
            status,
            await studies_believed_no_more(
                cache.database, verified_since=since, askable=list(askable)
            ),
        )

    async def _sent(self, cache: Cache) -> None:
        """Wait until another machine has the record, if it goes to one and the way is there."""
        until = time.monotonic() + self._patience
        while (audit := (await cache.status({})).audit).server and audit.waiting:
            if audit.trouble or time.monotonic() > until:
                log.warning("the record of the reset did not reach %s", audit.server)
                return
            await asyncio.sleep(_LOOK)

    def _destroy_keys(self) -> tuple[list[str], list[str]]:
        """What could not be destroyed of the ring, and of what opens it."""
        keeper = keeper_of(self._config)
        ring = [partial(destroy_file, self._folder / name) for name in _RING]
        return _undone(*ring), _undone(keeper.destroy, keeper.forget)

    def _remove_all(self) -> None:
        paths = [path for path in self._folder.iterdir() if path.name != BEGUN]
        if left := _undone(*(partial(_remove, path) for path in paths)):
            raise EdgeError(f"not everything could be removed: {'; '.join(left)}")
        sync_folder(self._folder)
        (self._folder / BEGUN).unlink(missing_ok=True)
        sync_folder(self._folder)


async def finish(config: Config, places: Places | None = None) -> bool:
    """What a start does first: a reset that was cut short is finished; whether there was one.

    Raises:
        EdgeError: It could not be done wholly; or the machine is about to start anew.
    """
    resetting = Resetting(config, places or Places(), BOX)
    if not await asyncio.to_thread(resetting.has_begun):
        return False
    log.warning("a factory reset was cut short, and is finished")
    lock = await asyncio.to_thread(lock_folder, config.appliance.data_dir)
    try:
        await resetting.finish()
    finally:
        os.close(lock)
    return True


async def _to_its_end(doing: Callable[[], _T]) -> _T:
    """What a thread does, waited for to its end, by who is cancelled meanwhile, too."""
    done = asyncio.get_running_loop().run_in_executor(None, doing)
    cancelled: asyncio.CancelledError | None = None
    while not done.done():
        try:
            await asyncio.wait([done])
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        if failed := done.exception():
            log.error("factory reset: %s", failed)
        raise cancelled
    return done.result()


def _undone(*steps: Callable[[], object]) -> list[str]:
    """Take all of these steps; why those failed that did."""
    left = []
    for step in steps:
        try:
            step()
        except OSError as error:
            left.append(f"{error.filename or ''} {error.strerror or error}".strip())
    return left


def _refuse_loss(standing: Standing) -> None:
    if standing.words:
        raise DecisionRefused(
            f"the box is not reset: {standing.words}",
            hint="bring the line to the archive up, and wait; or force it, and they are lost"
            " for good",
        )


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _count(number: int) -> str:
    return "1 study exists" if number == 1 else f"{number} studies exist"
