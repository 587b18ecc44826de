"""Gives the archive a sealed backup of the box: daily, and soon after keys or settings change.

It is an instance of a study of its own, whose UIDs follow from the recovery key, so that who has
that and the archive's address finds it. A backup counts as made once the archive gave it back as it
was. The newest few are kept, where the archive deletes; others are never touched.

Promises that one that fails stalls nothing else and is tried ever more rarely, and that what an
archive says of a backup is never taken for what it says of images.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

from edge import config
from edge.cache.backup import LABEL, Backups, number_of, reference
from edge.cloud.archive import Archive, Outgoing, StoreOutcome
from edge.cloud.listing import uid_of
from edge.cloud.retry import Backoff
from edge.crypto.recovery import Recipient
from edge.dicom.instance import InstanceRef
from edge.dicom.raw_data import bytes_in, to_part10
from edge.errors import (
    CloudError,
    CloudUnreachable,
    EdgeError,
    InstanceNotFound,
    NotDicom,
)
from edge.sync.link import Link

__all__ = ["ArchiveBackup"]

log = logging.getLogger(__name__)

KEPT = 7
"""Backups in an archive."""
_DAY = 86400.0
_LOOK = 15.0
"""Times the shortest pause: between two looks whether something changed."""
_LONGEST_PAUSE = 6 * 3600.0
_EPOCH = 1_700_000_000
"""Instance numbers count seconds from here: those of DICOM end at 2^31 (PS3.5 6.2, VR IS)."""
_MORE = 64 * 1024
"""Bytes by which what comes back may be longer than what went out."""
_MOST_DELETED = 50
"""At a time."""
_SOP_UID = "00080018"


class ArchiveBackup:
    """Makes and sends them while the link is online.

    Args:
        backups: Makes them, and remembers which were made.
        archive: Gets them.
        link: Is waited for, and told of failures.
        settings: The shortest pause.
        clock: POSIX seconds.
    """

    def __init__(
        self,
        backups: Backups,
        archive: Archive,
        link: Link,
        settings: config.Sync,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._backups = backups
        self._archive = archive
        self._link = link
        self._clock = clock
        self._look = _LOOK * settings.retry_min_seconds
        self._backoff = Backoff(self._look, _LONGEST_PAUSE)
        self._failures = 0
        self._resume_at = 0.0
        self._seen = ""
        self._deletes = True

    async def run(self) -> None:
        """Send until cancelled."""
        while True:
            await self._link.wait_open("up")
            try:
                await self.step()
            except CloudUnreachable as error:
                self._link.failed(error)
                continue
            await asyncio.sleep(self._look)

    async def step(self) -> bool:
        """Send a backup if one is due; whether the archive has it.

        Raises:
            CloudUnreachable: The archive can't be reached.
        """
        now = self._clock()
        if (kept := await self._backups.kept()) is None or now < self._resume_at:
            return False
        last, state = await self._backups.last(self._archive.name), await self._backups.state()
        settled, self._seen = state == self._seen, state
        if last is not None:
            is_old = not 0 <= now - last.made < _DAY
            # Changes come in groups: the last one is waited for.
            if not is_old and (state == last.state or not settled):
                return False
        try:
            await self._send(kept.recipient, state)
        except EdgeError as error:
            # An archive that takes them and gives none back must not get one after the other.
            self._failures += 1
            self._resume_at = now + self._backoff.delay(self._failures)
            if isinstance(error, CloudUnreachable):
                raise
            log.error("no backup in archive %s: %s", self._archive.name, error)
            return False
        self._failures = 0
        return True

    async def _send(self, recipient: Recipient, state: str) -> None:
        there = await self._listed(recipient)
        sealed, made = await self._backups.make()
        # The clock may have been wrong: a newer one always has a larger number.
        number = max(int(made) - _EPOCH, *there, 0) + 1
        ref = reference(recipient, number)
        data = await asyncio.to_thread(to_part10, ref, number, made, LABEL, sealed)

        async def stream() -> AsyncGenerator[bytes]:
            yield data

        (result,) = await self._archive.store_instances([Outgoing(ref, len(data), stream)])
        if result.outcome is StoreOutcome.FAILED:
            raise EdgeError(f"it was refused (HTTP {result.status}, reason {result.reason})")
        if await self._given_back(ref, len(data) + _MORE) != sealed:
            raise EdgeError("it does not give back what it was given")
        await self._backups.remember(self._archive.name, made, state)
        log.info("archive %s: has a backup of this box", self._archive.name)
        await self._thin_out({**there, number: ref})

    async def _listed(self, recipient: Recipient) -> dict[int, InstanceRef]:
        """The backups that are there, by their numbers."""
        place = reference(recipient, 0)
        rows = await self._archive.search_instances(place.study_uid, place.series_uid)
        found: dict[int, InstanceRef] = {}
        for row in rows:
            if (number := number_of(row)) is None:
                continue
            ref = reference(recipient, number)
            if uid_of(row, _SOP_UID) == ref.sop_uid:
                found[number] = ref
        return found

    async def _given_back(self, ref: InstanceRef, most: int) -> bytes | None:
        """What the archive has of it; None if that is nothing of use."""
        data = bytearray()
        try:
            async with aclosing(self._archive.retrieve_instance(ref)) as pieces:
                async for piece in pieces:
                    data += piece
                    if len(data) > most:
                        return None
            return await asyncio.to_thread(bytes_in, bytes(data))
        except (InstanceNotFound, NotDicom):
            return None

    async def _thin_out(self, there: dict[int, InstanceRef]) -> None:
        """Have older ones deleted; one that does not delete keeps them."""
        old = sorted(there)[:-KEPT]
        for number in old[:_MOST_DELETED] if self._deletes else ():
            try:
                await self._archive.delete_instance(there[number])
            except InstanceNotFound:
                continue
            except CloudUnreachable:
                raise
            except CloudError as error:
                self._deletes = False
                log.info("older backups stay in the archive: %s", error)
                return
