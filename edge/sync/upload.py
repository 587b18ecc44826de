"""One store request under way: what of it went out, how much, and for how long.

What the request has not begun to read can't have left, whatever became of the rest: after a cut
that is owed as it was before, and nobody need be asked about it. Never changes custody.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing

from edge.cache.ledger import Owed
from edge.cache.opened import InstanceEntry
from edge.cache.remedies import Copy
from edge.cloud.archive import Outgoing
from edge.dicom.instance import Availability
from edge.sync.owing import Opener

__all__ = ["Upload", "entry_of"]


class Upload:
    """A batch on its way.

    Args:
        batch: What goes, in this order.
        retrieval: Opens it.
        left: Called once, when its last byte was given away or the request is over.
        clock: Any seconds.
    """

    def __init__(
        self,
        batch: Sequence[Owed],
        retrieval: Opener,
        left: Callable[[], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.batch = tuple(batch)
        self.size = sum(one.size for one in batch)
        self._retrieval = retrieval
        self._left: Callable[[], None] | None = left
        self._clock = clock
        self._begun_at = clock()
        self._begun = set[int]()
        self._sources: list[Outgoing] | None = None

    @property
    def seconds(self) -> float:
        """Since it began."""
        return self._clock() - self._begun_at

    @property
    def begun(self) -> list[Owed]:
        """Those that may have left, in part or whole."""
        return [one for one in self.batch if one.instance_id in self._begun]

    @property
    def unbegun(self) -> list[Owed]:
        """Those of which no byte left."""
        return [one for one in self.batch if one.instance_id not in self._begun]

    def over(self) -> None:
        """Nothing more of it leaves."""
        left, self._left = self._left, None
        if left is not None:
            left()

    def send_instead(self, copy: Copy) -> None:
        """Its one instance goes as this copy, which stays valid until the request is over."""
        (one,) = self.batch
        self._sources = [Outgoing(one.ref, copy.size, copy.stream)]
        self.size = copy.size

    def outgoing(self) -> list[Outgoing]:
        """For the archive; from now on the seconds count."""
        self._begun_at = self._clock()
        sources = self._sources or [self._source(one) for one in self.batch]
        return [self._watched(one, it) for one, it in zip(self.batch, sources, strict=True)]

    def _source(self, one: Owed) -> Outgoing:
        async def stream() -> AsyncGenerator[bytes]:
            async with self._retrieval.open_instance(entry_of(one)) as opened:
                async for piece in opened.stream():
                    yield piece

        return Outgoing(one.ref, one.size, stream)

    def _watched(self, one: Owed, source: Outgoing) -> Outgoing:
        async def stream() -> AsyncGenerator[bytes]:
            self._begun.add(one.instance_id)
            async with aclosing(source.open()) as pieces:
                async for piece in pieces:
                    yield piece
            if one is self.batch[-1]:
                self.over()

        return Outgoing(source.ref, source.size, stream)


def entry_of(one: Owed) -> InstanceEntry:
    """The instance, as retrieval opens it."""
    return InstanceEntry(
        instance_id=one.instance_id,
        ref=one.ref,
        sop_class_uid=one.sop_class_uid,
        transfer_syntax=one.transfer_syntax,
        size=one.size,
        number_of_frames=0,
        availability=Availability.ONLINE,
    )
