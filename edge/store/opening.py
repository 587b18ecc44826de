"""How objects are opened: small ones whole, by the store's process; others in worker threads.

Owns the choice. A small object is opened as a whole whatever of it is wanted, by a process that has
an interpreter of its own; a long one is opened where its chunks are asked for. What the process
can't do at once, or does not open, is opened in a thread, which also knows why it does not: reading
never depends on the process. Keeps nothing but what others read at the same time (`recent`).
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import NamedTuple

from edge.crypto.keys import KeyRing
from edge.crypto.sealed import CHUNK, HEADER_LENGTH, Header, Opener
from edge.errors import EdgeError, SealBroken
from edge.store.allowance import Allowance
from edge.store.keeper import ProcessKeeper
from edge.store.process import PROMPT, TOGETHER, Enclosed, StoreProcess
from edge.store.reader import PIECE, FileReader, ObjectReader, WholeReader
from edge.store.recent import Recent
from edge.store.shelves import Shelves

__all__ = ["SMALL", "Opening", "Wanted", "abandon"]

SMALL = PIECE
"""Content of an object that is opened as a whole."""

Future = asyncio.Future[ObjectReader]


class Wanted(NamedTuple):
    """An object that is to be read."""

    name: str
    length: int
    """Bytes of content that it must have."""
    key_id: bytes
    """Of the study key that it is sealed with; empty if that is not known."""


_Asked = tuple[Wanted, Future]
"""An object, and what is to come of it."""
_Small = tuple[Enclosed, _Asked]
"""One that the process opens."""


class Opening:
    """Opens objects.

    Args:
        shelves: Where they are.
        keys: Where study keys are found.
        workers: Read and open.
        keeper: Has the process.
        streaming: What all streams may have opened and not given yet.
        shared: Bytes of small objects that stay a moment for others who read the same.
    """

    def __init__(
        self,
        shelves: Shelves,
        keys: KeyRing,
        workers: ThreadPoolExecutor,
        keeper: ProcessKeeper,
        streaming: Allowance,
        shared: int,
    ) -> None:
        self._shelves = shelves
        self._keys = keys
        self._workers = workers
        self._keeper = keeper
        self._streaming = streaming
        self._recent = Recent(shared)

    def close(self) -> None:
        """Keep nothing."""
        self._recent.clear()

    def forget(self, name: str) -> None:
        """It was deleted: the next who asks does not get it."""
        self._recent.drop(name)

    async def open(self, name: str) -> ObjectReader:
        """Open an object of which nothing else is known.

        Raises:
            InstanceNotFound: There is no object of this name.
            SealBroken: Its header or length is not that of a sealed object, or its key is gone.
        """
        loop = asyncio.get_running_loop()
        opening = loop.run_in_executor(self._workers, self._open, name)
        try:
            return await asyncio.shield(opening)
        except asyncio.CancelledError:
            opening.add_done_callback(abandon)
            raise

    def start(self, wanted: Wanted) -> Future:
        """Open an object while the caller does other things; who gives up must ``abandon`` it.

        Returns:
            A future that raises as ``open`` does, and SealBroken for another length.
        """
        opening: Future = asyncio.get_running_loop().create_future()
        self._begin([(wanted, opening)], 0)
        return opening

    def start_all(self, wanted: Sequence[Wanted]) -> list[Future]:
        """Open objects of which each will be read from its beginning; the first piece comes along.

        One that is small is opened once for all who have entered ``streaming`` now: a future may be
        others', too, and must be shielded.

        Returns:
            A future for each, as that of ``start``.
        """
        loop = asyncio.get_running_loop()
        most, is_shared = min(SMALL, self._streaming.each), self._streaming.count > 1
        found: list[Future] = []
        missing: list[_Asked] = []
        for one in wanted:
            opening = self._recent.get(one.name)
            if opening is None:
                opening = loop.create_future()
                missing.append((one, opening))
                if is_shared and one.length <= most:
                    self._recent.keep(one.name, one.length, opening)
            found.append(opening)
        self._begin(missing, most)
        return found

    def _begin(self, missing: Sequence[_Asked], begin: int) -> None:
        """Have objects opened, and so much of the beginning of long ones."""
        process, others = self._keeper.now, list(missing)
        if process is not None and process.opens_promptly:
            small, others = self._small_of(missing)
            for group in _grouped(small):
                self._ask(process, group, begin)
        self._begin_in_thread(others, begin)

    def _small_of(self, missing: Sequence[_Asked]) -> tuple[list[_Small], list[_Asked]]:
        """Those that the process is to open; and the others."""
        small, others = list[_Small](), list[_Asked]()
        for asked in missing:
            name, length, key_id = asked[0]
            if length <= SMALL and (key := self._keys.known(key_id)) is not None:
                enclosed = Enclosed(name, key.secret, length)
                small.append((enclosed, asked))
            else:
                others.append(asked)
        return small, others

    def _ask(self, process: StoreProcess, group: Sequence[_Small], begin: int) -> None:
        """Have the process open some; if it takes long, a thread does it meanwhile."""
        asked = [asked for _, asked in group]
        late = asyncio.get_running_loop().call_later(PROMPT, self._begin_in_thread, asked, begin)
        opened = process.open([enclosed for enclosed, _ in group])
        opened.add_done_callback(partial(self._take, asked, begin, late))

    def _take(
        self,
        group: Sequence[_Asked],
        begin: int,
        late: asyncio.TimerHandle,
        opened: asyncio.Future[list[bytes | None]],
    ) -> None:
        """Give everybody what the process has opened; the rest is tried in a thread."""
        late.cancel()
        contents = [None] * len(group) if opened.exception() else opened.result()
        others: list[_Asked] = []
        for (wanted, opening), content in zip(group, contents, strict=True):
            if opening.done():
                continue
            if content is None:
                others.append((wanted, opening))
            else:
                opening.set_result(WholeReader(content, wanted.key_id))
        self._begin_in_thread(others, begin)

    def _begin_in_thread(self, missing: Sequence[_Asked], begin: int) -> None:
        """One worker opens them all, in one go."""
        if not missing:
            return
        loop = asyncio.get_running_loop()
        job = loop.run_in_executor(
            self._workers, self._open_each, [wanted for wanted, _ in missing], begin
        )
        job.add_done_callback(partial(self._hand_out, missing))

    def _hand_out(
        self,
        missing: Sequence[_Asked],
        job: asyncio.Future[list[ObjectReader | Exception]],
    ) -> None:
        """Give everybody what a worker has opened, or could not open."""
        if job.cancelled():
            for _, opening in missing:
                if not opening.done():
                    opening.set_exception(EdgeError("the store is being closed"))
                    opening.exception()
            return
        for (wanted, opening), opened in zip(missing, job.result(), strict=True):
            if isinstance(opened, Exception):
                self._recent.drop(wanted.name)
                if not opening.done():
                    opening.set_exception(opened)
                    opening.exception()  # one that nobody waits for any more is not an error
            elif opening.done():
                opened.abandon()
            else:
                opening.set_result(opened)

    def _open_each(self, wanted: Sequence[Wanted], begin: int) -> list[ObjectReader | Exception]:
        opened: list[ObjectReader | Exception] = []
        for one in wanted:
            try:
                opened.append(self._open(one.name, one.length, begin))
            except Exception as error:  # noqa: BLE001  (it is that of one object, not of all)
                opened.append(error)
        return opened

    def _open(self, name: str, length: int | None = None, begin: int = 0) -> ObjectReader:
        """Open an object: as a whole if it is known to be small, or so much of its beginning."""
        descriptor = self._shelves.open(name)
        try:
            header = Header.from_bytes(os.pread(descriptor, HEADER_LENGTH, 0))
            opener = self._opener(name, descriptor, header, length)
            is_whole = length is not None and length <= SMALL
            begun = opener.read(0, opener.length if is_whole else begin // CHUNK * CHUNK)
        except BaseException:
            os.close(descriptor)
            raise
        if is_whole:
            os.close(descriptor)
            return WholeReader(begun, header.key_id)
        return FileReader(self._workers, descriptor, opener, header.key_id, self._streaming, begun)

    def _opener(self, name: str, descriptor: int, header: Header, length: int | None) -> Opener:
        key = self._keys.study_key(header.key_id)
        sealed = os.fstat(descriptor).st_size

        def read_at(offset: int, count: int) -> bytes:
            return os.pread(descriptor, count, offset)

        opener = Opener(header, key.secret, bytes.fromhex(name), sealed, read_at)
        if length not in (None, opener.length):
            raise SealBroken(f"object {name} has another length than it had")
        return opener


def abandon(opening: Future) -> None:
    """Close what was being opened, once it is done, as nobody waits for it any more."""
    if not opening.cancelled() and opening.exception() is None:
        opening.result().abandon()


def _grouped(small: Sequence[_Small]) -> Iterator[list[_Small]]:
    """Groups that one message may ask for."""
    group, slots = list[_Small](), 0
    for one in small:
        if slots + one[0].slots > TOGETHER:
            yield group
            group, slots = [], 0
        group.append(one)
        slots += one[0].slots
    if group:
        yield group
