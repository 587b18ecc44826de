"""What lies in quarantine: thrown away, or made the instance of its UID.

Crash order of an exchange, of which the commit is the only point that counts:

    1  the object in quarantine is read to its end, and understood
    2  one transaction: it gets the instance's row, and what was kept its place in quarantine
    3  the marks on the files follow, first that of the new instance

A crash after 2 leaves marks that are not those of the rows: the next start puts them right. If the
index is lost before that, the exchange is as if it had not been, or the first that is found is the
instance; both objects are there in any case. Throwing away goes as in ``deletion``: a sealed
record, one transaction, the file, the record. So does an exchange that throws away what was kept:
its record comes before 2, and the file goes after 3.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

from edge.cache.admission import Source, new_instance
from edge.cache.rescan import rescan
from edge.dicom.instance import Custody, Origin
from edge.errors import DecisionRefused, SealBroken
from edge.index import disputes, instances, tombstones
from edge.index.database import Database
from edge.index.disputes import Aside
from edge.store.objects import ObjectStore
from edge.store.tombstones import DeletionRecord, TombstoneStore

__all__ = ["Exchange"]

_ATTEMPTS = 5
"""Looks at an instance that changes between looking and exchanging."""
_UNCERTAIN = {
    Custody.EDGE_ONLY: Custody.EDGE_ONLY,
    Custody.SENT: Custody.SENT,
    Custody.REFUSED: Custody.SENT,
}
"""Custody of the new instance by that of the old. Where the archive has something under this UID,
verification finds out what."""


class Exchange:
    """Acts on quarantine."""

    def __init__(
        self,
        store: ObjectStore,
        records: TombstoneStore,
        database: Database,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._records = records
        self._database = database
        self._clock = clock

    async def discard(self, aside: Aside) -> bool:
        """Throw it away; whether it was there.

        Raises:
            DecisionRefused: What was kept is lost, so that nothing would be left.
            StorageFull: There is not even room to write down what goes.
        """
        if aside.kept is None or not aside.kept[-1]:
            raise DecisionRefused(
                "what was kept under this UID is not here any more", hint="keep the other one"
            )
        record = await self._note(aside.object)
        try:
            gone = await self._database.write(lambda db: disputes.discard(db, aside.object))
            if gone:
                await self._store.delete(aside.object)
        finally:
            await self._records.remove(record)
        return gone

    async def swap(
        self, aside: Aside, custody: Custody | None = None, *, goes: int | None = None
    ) -> bool:
        """Make it the instance of its UID, and put what was kept into quarantine.

        Args:
            aside: What is in quarantine.
            custody: What is known of who has it; None: it follows from that of what was kept.
            goes: The instance that is thrown away, if it is still what was kept.

        Raises:
            DecisionRefused: It can't be read, or what is kept changes all the time.
            StorageFull: There is not even room to write down what goes.
        """
        try:
            scanned, stored = await rescan(self._store, aside.object, aside.sealed_bytes)
        except SealBroken as error:
            raise DecisionRefused(f"the one in quarantine is damaged: {error}") from error
        if stored.dataset_digest != aside.dataset_digest:
            raise DecisionRefused("the one in quarantine is not what it was when it came")
        source, document = (
            Source(Origin(aside.origin), aside.peer),
            instances.pack(scanned.attributes),
        )
        for _ in range(_ATTEMPTS):
            found = await tombstones.doomed_in(self._database, ("", None, scanned.ref.sop_uid))
            kept = found[0] if found else None
            if custody is None:
                before = Custody.SENT if kept is None else kept.custody
                known = _UNCERTAIN.get(before, Custody.ACKNOWLEDGED)
            else:
                known = custody
            new = new_instance(scanned, document, stored, source, known)
            gone = kept.object if kept is not None else None
            alone = kept is not None and kept.instance_id == goes
            record = await self._note(gone) if alone and gone is not None else None
            call = partial(
                disputes.swap,
                kept=kept,
                new=new,
                received=aside.received,
                now=self._clock(),
                alone=alone,
            )
            try:
                await self._database.write(call)
            except tombstones.Changed:
                if record is not None:
                    await self._records.remove(record)
                still = await disputes.find_aside(
                    self._database, disputes.Query((aside.ref.sop_uid,))
                )
                if all(one.object != aside.object for one in still):
                    return False
                continue
            await self._store.take_back(new.object)
            if gone is not None and record is not None:
                await self._store.delete(gone)
                await self._records.remove(record)
            elif gone is not None:
                await self._store.set_aside(gone)
            return True
        raise DecisionRefused(
            "what is kept changes all the time", hint="wait until it is settled, and decide again"
        )

    async def _note(self, name: str) -> str:
        """Write down that an object goes; the record's name."""
        return await self._records.write(DeletionRecord(self._clock(), False, (), (name,)))
