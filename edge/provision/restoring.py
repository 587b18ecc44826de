"""A file has the box take the place of one that was stolen or burnt.

Promises that before anything is decided the backup was read and opened by its key, all files of the
restored box are on the disk, and nobody and nothing is in the box whose place it takes. The key is
in memory alone, and on the stick until it is struck out there.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from functools import partial
from pathlib import Path

import msgspec

from edge.cache import replacing
from edge.cache.backup import Contents
from edge.cache.replacing import Replacing, is_first_day
from edge.cache.restore import newest_in, open_backup, stage
from edge.cloud.orthanc import archive_of
from edge.config import Config
from edge.crypto.durable import write_file
from edge.crypto.recovery import RecoveryKey
from edge.errors import ConfigError, DecisionRefused, EdgeError
from edge.index.database import Database
from edge.others import Archive
from edge.provision.file import Restore, Setup
from edge.provision.journal import MARK, Provisioned

__all__ = ["Restoring"]


class Restoring:
    """Of one box.

    Args:
        config: As it is on its first day.
        file: The configuration of the machine; None if there is none.
        database: The index.
        read: Gives a file that lies beside that which sets the box up; None: only an archive can
            have the backup.
    """

    def __init__(
        self,
        config: Config,
        file: Path | None,
        database: Database,
        read: Callable[[str], bytes] | None,
    ) -> None:
        self._config = config
        self._folder = config.appliance.data_dir
        self._file = file
        self._database = database
        self._read = read
        self._next: Replacing | None = None
        self._staged = contextlib.ExitStack()

    async def refuse_unless_empty(self) -> None:
        """Do nothing if nobody is in the box, and nothing.

        Raises:
            DecisionRefused: Somebody is, or something.
        """
        if not await is_first_day(self._database):
            raise DecisionRefused(
                "this box has images or programs of its own: no other takes its place",
                hint="have it be as on its first day before, see image/README.md",
            )

    async def stage(self, setup: Setup, mark: Provisioned) -> str:
        """Write all files of the restored box; what that is called.

        Raises:
            ConfigError: It can't be so on this machine, or the file says no key.
            EdgeError: There is no backup, it can't be read, or the key is another one's.
        """
        restore = setup.restore
        if restore is None or not restore.key:
            raise ConfigError(
                "the file says no recovery key: it was struck out when it was taken, or left out",
                hint='write it from paper: [setup.restore], key = "…"',
            )
        contents = await self._contents(restore, setup.config.cloud.archive)
        # Until it is decided: a service that starts anew before took the files for a leftover.
        held = replacing.held(self._folder)
        place = await asyncio.to_thread(self._staged.enter_context, held)
        lost = await stage(contents, place, self._config, self._file)
        write = partial(write_file, place / MARK, msgspec.json.encode(mark))
        await asyncio.to_thread(write)
        self._next = Replacing(contents.box, contents.made, mark.by, lost)
        return contents.box

    async def decide(self) -> None:
        """From now on the restored box is the one that starts next."""
        if self._next is None:
            raise DecisionRefused("nothing was restored that could take this box's place", hint="")
        await asyncio.to_thread(replacing.decide, self._folder, self._next)
        self._staged.close()

    async def drop(self) -> None:
        """What was staged goes, unless it is decided."""
        try:
            await asyncio.to_thread(replacing.drop, self._folder)
        finally:
            self._staged.close()

    async def _contents(self, restore: Restore, archives: tuple[Archive, ...]) -> Contents:
        key = RecoveryKey.from_text(restore.key)
        if restore.file:
            if self._read is None:
                raise ConfigError(
                    f"a backup beside the file, {restore.file}, is taken from a stick alone",
                    hint="put it into EDGE-SETUP on a stick, or name the archive that has it",
                )
            data = await asyncio.to_thread(self._read, restore.file)
            return await asyncio.to_thread(open_backup, data, key)
        failed: EdgeError | None = None
        for settings in archives:
            archive = archive_of(settings)
            try:
                return await newest_in(archive, key)
            except EdgeError as error:
                failed = failed or error
            finally:
                await archive.close()
        raise failed or ConfigError("the file names no archive", hint="")
