"""Brings what only the archive has: one fetch per instance, however many wait for it.

Waiters are shielded from each other: one that goes away ends nothing. What was asked for by a
viewer starts at once; the rest of its series follows in the background, a few at a time. What is
brought for nobody yet comes at the pace of who brings it, until a viewer asks for it, too.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Iterator
from contextlib import aclosing, contextmanager
from functools import partial

from edge.cache.admission import Admission, Outcome, Source
from edge.cloud.archive import Archive
from edge.cloud.several import Several
from edge.dicom.instance import InstanceRef, Origin
from edge.errors import (
    CloudError,
    CloudUnauthorised,
    CloudUnreachable,
    EdgeError,
    InstanceNotFound,
    InvalidInstance,
    LineClosed,
)

__all__ = ["Fetching", "Pace", "blamed_on"]

log = logging.getLogger(__name__)

_BACKGROUND = 4
"""Fetches that nobody waits for, at a time."""

Pace = Callable[[AsyncIterator[bytes]], AsyncGenerator[bytes]]
"""Gives the same bytes, as fast as they may come; or raises, which ends the fetch."""


class _Fetch:
    """One under way.

    Args:
        pace: How it comes; None at full speed.
    """

    def __init__(self, pace: Pace | None) -> None:
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.pace = pace

    async def paced(self, pieces: AsyncIterator[bytes]) -> AsyncGenerator[bytes]:
        """At its pace, which ends once somebody is in a hurry."""
        async for piece in pieces:
            passed = 0
            if self.pace is not None:
                async with aclosing(self.pace(_single(piece))) as parts:
                    async for part in parts:
                        yield part
                        passed += len(part)
                        if self.pace is None:
                            break
            if passed < len(piece):
                yield piece[passed:]


class Fetching:
    """The fetches under way. ``run`` owns their tasks.

    Args:
        archives: Where to fetch from; None if there are none.
    """

    def __init__(self, archives: Several | None, admission: Admission) -> None:
        self._archives = archives
        self._admission = admission
        self._running: dict[str, _Fetch] = {}
        self._ahead: dict[str, InstanceRef] = {}
        self._wanted = asyncio.Event()
        self._tasks: asyncio.TaskGroup | None = None

    async def run(self) -> None:
        """Own the fetches until cancelled."""
        slots = asyncio.Semaphore(_BACKGROUND)
        async with asyncio.TaskGroup() as self._tasks:
            while True:
                await self._wanted.wait()
                self._wanted.clear()
                while self._ahead:
                    await slots.acquire()
                    done = self._next_ahead()
                    if done is None:
                        slots.release()
                    else:
                        done.add_done_callback(lambda _: slots.release())

    async def fetch(self, ref: InstanceRef) -> None:
        """Bring an instance; joins the fetch that is under way, or starts it.

        Raises:
            InstanceNotFound: The archive does not have it.
            CloudError: It can't be had now.
            StorageFull: There is no room to keep it.
        """
        self._ahead.pop(ref.sop_uid, None)
        while True:
            fetch = self._start(ref)
            fetch.pace = None
            try:
                await asyncio.shield(fetch.done)
                return
            except LineClosed:
                continue  # it was at the pace of somebody else, and is begun anew

    async def bring(self, ref: InstanceRef, pace: Pace) -> None:
        """Bring an instance that nobody waits for, at a pace; joins the fetch that is under way.

        Raises:
            LineClosed: As the pace says.
            EdgeError: As ``fetch``.
        """
        await asyncio.shield(self._start(ref, pace).done)

    def follow(self, refs: Iterable[InstanceRef]) -> None:
        """Bring these too, in this order, a few at a time."""
        for ref in refs:
            if ref.sop_uid not in self._running:
                self._ahead.setdefault(ref.sop_uid, ref)
        self._wanted.set()

    def _next_ahead(self) -> asyncio.Future[None] | None:
        while self._ahead:
            ref = self._ahead.pop(next(iter(self._ahead)))
            if ref.sop_uid not in self._running:
                return self._start(ref).done
        return None

    def _start(self, ref: InstanceRef, pace: Pace | None = None) -> _Fetch:
        fetch = self._running.get(ref.sop_uid)
        if fetch is None:
            if self._tasks is None:
                raise RuntimeError("Fetching.run is not running")
            fetch = self._running[ref.sop_uid] = _Fetch(pace)
            self._tasks.create_task(self._bring(ref, fetch), name="fetch")
        return fetch

    async def _bring(self, ref: InstanceRef, fetch: _Fetch) -> None:
        """Fetch, and tell the waiters; an error is theirs, never the task group's."""
        done = fetch.done
        try:
            await self._fetch(ref, fetch)
        except Exception as error:
            done.set_exception(error)
            done.exception()  # nobody may be waiting
            if isinstance(error, CloudUnreachable | CloudUnauthorised):
                self._ahead.clear()  # the rest would fail the same way; the next viewer asks again
            elif not isinstance(error, EdgeError):
                log.exception("a fetch failed")
        else:
            done.set_result(None)
        finally:
            self._running.pop(ref.sop_uid, None)
            done.cancel()

    async def _fetch(self, ref: InstanceRef, fetch: _Fetch) -> None:
        if self._archives is None:
            raise InstanceNotFound(
                f"instance {ref.sop_uid} is not here, and no archive is configured"
            )
        if await self._admission.has(ref):
            return  # it came between the look that found it missing and this fetch
        await self._archives.first_that_has(partial(self._fetch_from, ref, fetch))

    async def _fetch_from(self, ref: InstanceRef, fetch: _Fetch, archive: Archive) -> None:
        is_primary = self._archives is not None and archive is self._archives.primary
        async with (
            aclosing(archive.retrieve_instance(ref)) as pieces,
            aclosing(fetch.paced(pieces)) as chunks,
        ):
            with blamed_on(archive.name):
                admitted = await self._admission.store_instance(
                    chunks,
                    Source(Origin.CLOUD, archive.name, vouches=is_primary),
                    sop_uid=ref.sop_uid,
                    study_uid=ref.study_uid,
                )
        if admitted.outcome is Outcome.CONFLICT:
            log.error(
                "archive %s gave other bytes of an instance than it was proven to have; they are"
                " kept as a conflict",
                archive.name,
            )


async def _single(piece: bytes) -> AsyncGenerator[bytes]:
    yield piece


@contextmanager
def blamed_on(archive: str) -> Iterator[None]:
    """Bytes that are not the instance they should be are an error of the archive that gave them.

    Raises:
        CloudError: They are not.
    """
    try:
        yield
    except InvalidInstance as error:
        raise CloudError(f"archive {archive} gave what can't be used: {error}") from error
