"""How far a C-MOVE or C-GET is: the counts, and the answers that carry them (PS3.4 C.4.2.3).

Owns what the requestor is told and when: a pending answer after sub-operations, a few a second at
the most, and every other second whatever happens, so that a workstation which waits for the archive
knows that somebody is there. Owns the end, too: a C-CANCEL ends waiting at once and sending after
the instance under way, and a requestor that is gone ends everything.
"""

from __future__ import annotations

import asyncio
import struct
from collections import Counter
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager, suppress
from typing import Any, Final

from edge.dicom.uids import encoding_of
from edge.dimse.messages import Element, Status
from edge.dimse.services import Operation
from edge.errors import PeerError

__all__ = ["Cancelled", "Patience", "Progress", "RequestorGone"]

EVERY: Final = 2.0
"""Seconds without an answer, at the most."""
SELDOM: Final = 0.25
"""Seconds between two answers, at the least."""
_LOOK: Final = 0.1
"""Seconds between two looks for a C-CANCEL."""
_FAILED_LIST: Final = (0x0008, 0x0058)
_MOST_LIST_BYTES: Final = 0xFFFE
"""Of a value in explicit VR, where UI has a length of 16 bits (PS3.5 7.1.2)."""
_MOST_COUNT: Final = 0xFFFF


class RequestorGone(PeerError):
    """Nobody is there any more who could be told."""


class Cancelled(Exception):
    """The requestor asked to stop."""


class Patience:
    """For what may take long and can be given up at any moment."""

    def __init__(self) -> None:
        self._waiting: asyncio.Timeout | None = None

    @asynccontextmanager
    async def wait(self) -> AsyncIterator[None]:
        """Around it.

        Raises:
            Cancelled: It was given up.
        """
        waiting = asyncio.timeout(None)
        try:
            async with waiting:
                self._waiting = waiting
                try:
                    yield
                finally:
                    self._waiting = None
        except TimeoutError:
            if waiting.expired():
                raise Cancelled from None
            raise

    def end(self) -> None:
        """Give up what is waited for, if anything is."""
        if self._waiting is not None:
            with suppress(RuntimeError):  # it is just over
                self._waiting.reschedule(asyncio.get_running_loop().time())


class Progress:
    """The sub-operations of one request."""

    def __init__(self, operation: Operation) -> None:
        self.operation = operation
        self.total = 0
        self.completed = 0
        self.warned = 0
        self.failed = 0
        self.reasons: Counter[str] = Counter()
        """Why some failed, in sentences without patient data and UIDs of instances."""
        self._failed_uids: list[str] = []
        self._begun = False
        self._told = asyncio.get_running_loop().time()
        self._patience = Patience()

    @property
    def remaining(self) -> int:
        """How many are neither done nor failed; until they are counted, one."""
        return self.total - self.completed - self.warned - self.failed if self._begun else 1

    @property
    def is_cancelled(self) -> bool:
        """Whether the requestor asked to stop."""
        return self.operation.is_cancelled

    def summary(self) -> str:
        """A line for the log."""
        line = f"{self.completed + self.warned} of {self.total} instances sent"
        if self.warned:
            line += f" ({self.warned} with a warning)"
        if self.failed:
            reasons = (f"{why} ({count})" for why, count in self.reasons.most_common(3))
            line += f", {self.failed} failed: {'; '.join(reasons)}"
        return line

    async def begin(self, total: int) -> None:
        """So many there are."""
        self.total = total
        self._begun = True
        if total:
            await self._tell()

    async def complete(self, *, warning: bool = False) -> None:
        """One was stored; perhaps with a warning."""
        if warning:
            self.warned += 1
        else:
            self.completed += 1
        await self._tell_sometimes()

    async def fail(self, sop_uid: str, why: str) -> None:
        """One was not stored."""
        self.failed += 1
        self.reasons[why] += 1
        self._failed_uids.append(sop_uid)
        await self._tell_sometimes()

    @asynccontextmanager
    async def patience(self) -> AsyncIterator[None]:
        """Around what may take long and can be given up at any moment.

        Raises:
            Cancelled: The requestor asked to stop.
        """
        if self.is_cancelled:
            raise Cancelled
        async with self._patience.wait():
            yield

    async def accompany(self, work: Coroutine[Any, Any, None]) -> None:
        """Do the work, and keep the requestor told meanwhile.

        Raises:
            RequestorGone: Nobody waits for it any more; the work was stopped.
            Exception: Whatever the work raises.
        """
        try:
            async with asyncio.TaskGroup() as group:
                watch = group.create_task(self._watch(), name="retrieve: watch")
                try:
                    await work
                finally:
                    watch.cancel()
        except BaseExceptionGroup as errors:
            raise errors.exceptions[0]  # noqa: B904 - the group says nothing more

    async def conclude(self) -> None:
        """Send the final answer (PS3.4 C.4.2.1.5, C.4.3.1.4)."""
        status, comment = Status.SUCCESS, ""
        if self.is_cancelled and self.remaining:
            status = Status.CANCELLED
        elif self.failed == self.total and self.total:
            status = Status.UNABLE_TO_PERFORM
        elif self.failed or self.warned:
            status = Status.WARNING
        if self.failed and status is not Status.CANCELLED:
            ((why, _),) = self.reasons.most_common(1)
            comment = f"{self.failed} failed: {why}"
        await self.operation.respond(
            status,
            values=self._counts(with_remaining=status is Status.CANCELLED),
            data_set=self._failed_list(),
            comment=comment,
        )

    def _counts(self, *, with_remaining: bool) -> dict[Element, int | str | bytes]:
        counts = {
            Element.COMPLETED_SUBOPERATIONS: self.completed,
            Element.FAILED_SUBOPERATIONS: self.failed,
            Element.WARNING_SUBOPERATIONS: self.warned,
        }
        if with_remaining:
            counts[Element.REMAINING_SUBOPERATIONS] = self.remaining
        return {element: min(count, _MOST_COUNT) for element, count in counts.items()}

    def _failed_list(self) -> bytes:
        """Failed SOP Instance UID List (0008,0058), as long as a value may be."""
        value = b""
        for uid in self._failed_uids:
            longer = b"\\".join(filter(None, (value, uid.encode("ascii"))))
            if len(longer) > _MOST_LIST_BYTES:
                break
            value = longer
        if not value:
            return b""
        value += b"\0" * (len(value) % 2)
        encoding = encoding_of(self.operation.context.transfer_syntax)
        order = "<" if encoding.little_endian else ">"
        # By hand, since stored UIDs need not be flawless, and pydicom would say so in the log.
        if encoding.implicit_vr:
            return struct.pack(f"{order}HHI", *_FAILED_LIST, len(value)) + value
        return struct.pack(f"{order}HH2sH", *_FAILED_LIST, b"UI", len(value)) + value

    async def _tell_sometimes(self) -> None:
        if asyncio.get_running_loop().time() - self._told >= SELDOM:
            await self._tell()

    async def _tell(self) -> None:
        self._told = asyncio.get_running_loop().time()
        try:
            await self.operation.respond(Status.PENDING, values=self._counts(with_remaining=True))
        except PeerError as error:
            raise RequestorGone(str(error)) from error

    async def _watch(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(_LOOK)
            if self.is_cancelled:
                self._patience.end()
            if loop.time() - self._told >= EVERY:
                await self._tell()
