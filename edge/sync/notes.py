"""Reads rejection notes that the archive was seen to have, so that what they hide is hidden here.

A listing says that there is a Key Object Selection, and not what it says. Of each one that nobody
has opened here the metadata is asked for (WADO-RS), series by series; the bytes stay where they
are. Promises that a note which can't be had now is asked for again, and holds up no other.
"""

from __future__ import annotations

import logging
import time
from collections import defaultdict
from collections.abc import Callable

from edge.cache.changes import Changes
from edge.cache.custody import CustodyLedger
from edge.cloud.archive import Archive, Dataset
from edge.cloud.metadata import localised
from edge.dicom.instance import InstanceRef
from edge.errors import CloudError, CloudRefused, InstanceNotFound, LineClosed
from edge.sync.link import Link

__all__ = ["Notes"]

log = logging.getLogger(__name__)

_MOST = 100
"""Notes at a time."""
_AGAIN = 3600.0
"""Seconds before a note is asked for again that could not be had."""


class Notes:
    """Reads while the link is online.

    Args:
        ledger: Says which are unread, and keeps what they say.
        archive: Is asked.
        link: Is waited for, and told of failures.
        changes: Wakes it when something was learned.
        clock: POSIX seconds.
    """

    def __init__(
        self,
        ledger: CustodyLedger,
        archive: Archive,
        link: Link,
        changes: Changes,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._ledger = ledger
        self._archive = archive
        self._link = link
        self._changes = changes
        self._clock = clock
        # In memory only: after a restart each is asked for once more without delay.
        self._failed: dict[str, float] = {}

    async def run(self) -> None:
        """Read until cancelled."""
        with self._changes.subscribe() as woken:
            while True:
                await self._link.wait_open("down")
                try:
                    worked = await self.step()
                except LineClosed:
                    continue
                except CloudError as error:
                    self._link.failed(error)
                    continue
                if not worked:
                    await woken.wait(_AGAIN)

    async def step(self) -> bool:
        """Read some; False if there is nothing to read now.

        Raises:
            CloudError: The archive can't be reached, or will not talk to us.
            LineClosed: Nothing may go over the line now.
        """
        now = self._clock()
        self._failed = {uid: at for uid, at in self._failed.items() if 0 <= now - at < _AGAIN}
        unread = await self._ledger.unread_notes(max_count=_MOST + len(self._failed))
        series = defaultdict[tuple[str, str], list[InstanceRef]](list)
        for ref in unread:
            if ref.sop_uid not in self._failed:
                series[ref.study_uid, ref.series_uid].append(ref)
        for (study_uid, series_uid), notes in series.items():
            self._link.line.check("down")
            try:
                found = await self._archive.retrieve_metadata(study_uid, series_uid)
            except (CloudRefused, InstanceNotFound) as error:
                log.warning("archive %s: a note can't be read: %s", self._archive.name, error)
                found = []
            await self._keep(notes, found, now)
        return bool(series)

    async def _keep(self, notes: list[InstanceRef], found: list[Dataset], now: float) -> None:
        wanted = {ref.sop_uid for ref in notes}
        read = dict(one for dataset in found if (one := localised(dataset)) and one[0] in wanted)
        await self._ledger.keep_metadata(read)
        self._failed |= dict.fromkeys(wanted - read.keys(), now)
