"""Carries out what a person decided of conflicts with the archive.

What is decided is a column of the index, so no restart forgets it. Either way the archive's bytes
are fetched first, into quarantine: only when they lie here, sealed, synced and read once more, ours
give way to them, or the archive is told to delete them. So nothing is lost by a decision that was
wrong, unless a person said that ours shall be thrown away; and a crash between two steps leads to
the same step again. Promises that a decision which can't be carried out is ended, both are kept,
and its listing says why.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import AsyncGenerator
from contextlib import aclosing

from edge.cache.admission import Admission, Source
from edge.cache.changes import Changes
from edge.cache.fetching import blamed_on
from edge.cache.settlement import Case, Settling
from edge.cloud.archive import Archive
from edge.dicom.digest import Digester
from edge.dicom.instance import InstanceRef, Origin
from edge.errors import (
    CloudError,
    CloudUnauthorised,
    CloudUnreachable,
    DecisionRefused,
    InstanceNotFound,
    StorageFull,
)
from edge.sync.link import Link

__all__ = ["Arbitration"]

log = logging.getLogger(__name__)

_AGAIN = 60.0
"""Seconds until what there was no room for is tried again."""
_BESIDE = 1024 * 1024
"""Bytes by which it may have grown since the archive was looked at."""
_LONGEST = 4 * 1024**3
"""Bytes of one whose length was not seen."""
_TOO_LONG = "the archive gives more bytes than an instance has; its answer may have no end"
_ASIDE = "lies in quarantine until edge sync keep-kept or keep-other"
_NOT_THERE = "the archive has nothing under this UID"


class Arbitration:
    """Carries out while the link is online.

    Args:
        settling: Says what was decided, and keeps what became of it.
        admission: Takes in what the archive has.
        archive: Is asked, and told.
        link: Is waited for, and told of failures.
        changes: Wakes it when something was decided.
    """

    def __init__(
        self,
        settling: Settling,
        admission: Admission,
        archive: Archive,
        link: Link,
        changes: Changes,
    ) -> None:
        self._settling = settling
        self._admission = admission
        self._archive = archive
        self._link = link
        self._changes = changes

    async def run(self) -> None:
        """Carry out until cancelled."""
        with self._changes.subscribe() as woken:
            while True:
                await self._link.wait_online()
                try:
                    left = await self.step()
                except CloudError as error:
                    self._link.failed(error)
                    continue
                await woken.wait(_AGAIN if left else None)

    async def step(self) -> bool:
        """Carry out all that was decided; whether some of it must wait for room.

        Raises:
            CloudError: The archive can't be reached, or will not talk to us.
        """
        left = False
        for case in await self._settling.undone():
            try:
                aside = await self._carry_out(case)
            except StorageFull as error:
                log.warning("a decision about a conflict waits: %s", error)
                left = True
            except (CloudUnreachable, CloudUnauthorised):
                raise
            except (CloudError, DecisionRefused) as error:
                await self._settling.fail(case, str(error))
                log.warning("a decision about a conflict could not be carried out: %s", case.wish)
            else:
                log.info("archive %s: done: %s%s", self._archive.name, case.wish, aside)
            self._changes.wake()
        return left

    async def _carry_out(self, case: Case) -> str:
        """Do what a case asks for; what lies in quarantine for it, in words.

        Raises:
            CloudError: The archive can't be asked, or will not do it.
            DecisionRefused: It can't be done.
            StorageFull: There is no room for what the archive has.
        """
        digest = await self._fetch(case.ref, case.length + _BESIDE if case.length else _LONGEST)
        if digest is None and not case.keeps_ours:
            raise DecisionRefused(_NOT_THERE)
        if digest is not None and case.is_another(digest):
            raise DecisionRefused("the archive has other bytes now than when this was decided")
        if not await self._settling.stands(case):
            return ", which was taken back meanwhile"
        if digest is not None and await self._settling.is_ours(case, digest):
            await self._settling.agree(case)
        elif not case.keeps_ours:
            await self._settling.take_theirs(case, digest or b"")
            return "" if case.throws_ours_away else f"; ours {_ASIDE}"
        else:
            if digest is not None:
                with contextlib.suppress(InstanceNotFound):  # it went by itself
                    await self._archive.delete_instance(case.ref)
            await self._settling.give_ours(case)
            return "" if digest is None else f"; the archive's {_ASIDE}"
        return ""

    async def _fetch(self, ref: InstanceRef, most: int) -> bytes | None:
        """Bring what the archive has into the box; the digest of its data set, None if it has none.

        Beside other bytes of this UID it lies in quarantine.

        Raises:
            DecisionRefused: The archive gives more than *most* bytes.
        """
        digester, length = Digester(), 0

        async def passing() -> AsyncGenerator[bytes]:
            nonlocal length
            async with aclosing(self._archive.retrieve_instance(ref)) as pieces:
                async for piece in pieces:
                    length += len(piece)
                    if length > most:
                        raise DecisionRefused(_TOO_LONG)
                    digester.update(piece)
                    yield piece

        try:
            async with aclosing(passing()) as pieces:
                with blamed_on(self._archive.name):
                    source = Source(Origin.CLOUD, self._archive.name, vouches=True)
                    await self._admission.store_instance(pieces, source, sop_uid=ref.sop_uid)
        except InstanceNotFound:
            return None
        return digester.digests()[1]
