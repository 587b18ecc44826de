"""Factory reset: the box forgets everything, and is as on its first day.

Owns the order. Promises that nothing which exists only here is lost by it unless somebody who was
told so forces it; that nothing more comes in once that was counted; that the record of it is
written (and has left the box, where it goes to another machine) before anything is destroyed; and
that the keys go first: whatever is left of the disk then, by a power cut or by wear, is noise.

Order: intake ends -> what exists only here is counted -> the audit -> ``keys.db``, both copies ->
what opens them -> on an appliance, root ends the service, destroys what opens the partition, and
restarts; elsewhere, what is in ``data_dir`` is removed. Cut short behind the keys, it is said again
until it is done; the box opens no more in any case.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import shutil
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from edge.access.audit.entry import Actor, Entry, Event
from edge.addresses import machine_name
from edge.admin.local import ask_service, parts_of_service
from edge.cache.status import Status
from edge.config import Config
from edge.crypto.durable import destroy_file, sync_folder
from edge.crypto.providers.choice import keeper_of
from edge.errors import DecisionRefused, EdgeError, KeyLocked, SecretError
from edge.machine.asking import ask, is_there
from edge.machine.places import Places
from edge.machine.wishes import Wipe
from edge.opening import Cache, lock_folder

__all__ = ["Resetting", "Standing", "standing_of"]

log = logging.getLogger(__name__)

_RING: Final = ("keys.db", "keys.db.copy")
_WHY: Final = "the box is being reset to its first day"
_PATIENCE: Final = 10.0
"""Seconds in which another machine should have the entry of it."""
_LOOK: Final = 0.2


@dataclass(frozen=True, slots=True)
class Standing:
    """What would be lost."""

    only_here: int
    """Studies that certainly exist nowhere else."""
    perhaps: int
    """Studies of which that is not known; those that travel by courier, too."""

    @property
    def words(self) -> str:
        """For people; empty if nothing would be."""
        said = []
        if self.only_here:
            said.append(f"{_count(self.only_here)} only here")
        if self.perhaps:
            said.append(f"{_count(self.perhaps)} perhaps only here")
        return ", ".join(said)


def standing_of(status: Status) -> Standing:
    """What would be lost of a box."""
    numbers = status.summary
    perhaps = numbers.studies_perhaps_only_here + numbers.studies_unproven
    perhaps += 1 if numbers.by_courier else 0
    return Standing(numbers.studies_only_here, perhaps)


class Resetting:
    """Of one box.

    Args:
        config: Its configuration.
        places: Of the machine.
        actor: Who does it.
        patience: Seconds in which another machine should have the record of it.
    """

    def __init__(
        self, config: Config, places: Places, actor: Actor, *, patience: float = _PATIENCE
    ) -> None:
        self._config = config
        self._folder = config.appliance.data_dir
        self._places = places
        self._actor = actor
        self._patience = patience

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
        async with self._quiet(has_machine=has_machine):
            standing = await self._record(is_forced=is_forced)
            left = await asyncio.to_thread(self._destroy_keys)
            if has_machine:
                await ask(self._places, Wipe(machine_name(self._config.appliance.name)))
            else:
                await asyncio.to_thread(self._remove_all)
        if left:
            raise SecretError(
                f"what opened the box could not all be destroyed: {left}",
                hint="nothing of it opens any more without keys.db, which is gone; remove it, too",
            )
        return standing

    @contextlib.asynccontextmanager
    async def _quiet(self, *, has_machine: bool) -> AsyncIterator[None]:
        """Nothing comes in meanwhile; afterwards it does again, if the box is still there."""
        if await parts_of_service(self._folder) is None:
            lock = await asyncio.to_thread(lock_folder, self._folder)
            try:
                yield
            finally:
                os.close(lock)
            return
        if not has_machine:
            raise DecisionRefused(
                "the service runs, and nobody here can end it", hint="systemctl stop edge, first"
            )
        is_locked = False
        try:
            await ask_service(self._folder, "intake", {"closed": _WHY})
        except KeyLocked:  # nothing comes in there anyway
            is_locked = True
        try:
            yield
        except EdgeError:
            if not is_locked:
                await ask_service(self._folder, "intake", {"closed": ""})
            raise

    async def _record(self, *, is_forced: bool) -> Standing:
        try:
            async with Cache(self._config) as cache:
                standing = standing_of(await cache.status({}))
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

    async def _sent(self, cache: Cache) -> None:
        """Wait until another machine has the record, if it goes to one and the way is there."""
        until = time.monotonic() + self._patience
        while (audit := (await cache.status({})).audit).server and audit.waiting:
            if audit.trouble or time.monotonic() > until:
                log.warning("the record of the reset did not reach %s", audit.server)
                return
            await asyncio.sleep(_LOOK)

    def _destroy_keys(self) -> str:
        """What could not be destroyed beside the ring, and why; empty if all is gone.

        Raises:
            SecretError: The ring itself is still there.
        """
        try:
            for name in _RING:
                destroy_file(self._folder / name)
        except OSError as error:
            raise SecretError(
                f"the keys can't be destroyed: {error.strerror}", hint="see to the disk"
            ) from error
        keeper, left = keeper_of(self._config), []
        for step in (keeper.destroy, keeper.forget):
            try:
                step()
            except OSError as error:
                left.append(f"{error.filename or ''} {error.strerror or error}".strip())
        return "; ".join(left)

    def _remove_all(self) -> None:
        left = []
        for path in self._folder.iterdir():
            try:
                _remove(path)
            except OSError as error:
                left.append(f"{path}: {error.strerror}")
        sync_folder(self._folder)
        if left:
            raise EdgeError(f"not everything could be removed: {'; '.join(left)}")


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
