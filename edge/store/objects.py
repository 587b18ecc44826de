"""Sealed objects on disk: put, open, delete, scan.

What it owns:

    data_dir/incoming/<name>    an object while it arrives
    data_dir/objects/           those that are whole, as `shelves` files them

The content is sealed before it reaches the disk, in pieces of a mebibyte, so memory stays bounded
whatever the size; by a process of its own, which also opens what is small. What an object is worth
is not known here: an object that the index does not name is litter, or the rest of a lost index,
and recovery decides which.
"""

from __future__ import annotations

import asyncio
import secrets
import shutil
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

from edge.crypto.keys import KeyRing, StudyKey
from edge.crypto.sealed import CHUNK, Algorithm, Header
from edge.store.allowance import Allowance
from edge.store.keeper import ProcessKeeper, alone_in
from edge.store.messages import Begin
from edge.store.opening import Opening, Wanted, abandon
from edge.store.reader import PIECE, ObjectReader
from edge.store.shelves import NAME, Shelves
from edge.store.spool import Spool
from edge.store.writer import ObjectWriter

__all__ = ["PIECE", "ObjectStore", "Wanted", "abandon"]

T = TypeVar("T")

ARRIVING = 16 * PIECE
"""Content that waits to be sealed, of all objects together; a chunk of each in any case."""
STREAMING = 16 * PIECE
"""Content that was opened and is not taken yet, of all streams together; likewise."""
SHARED = 32 * PIECE
"""Content of small objects that stays a moment for others who read the same."""


class ObjectStore:
    """The objects below one folder.

    Args:
        folder: ``data_dir``.
        keys: Where study keys are found.
        algorithm: What new objects are sealed with.
        threads: Workers that open, read and remove.
    """

    def __init__(
        self, folder: Path, keys: KeyRing, *, algorithm: Algorithm, threads: int = 4
    ) -> None:
        self._shelves = Shelves(folder / "objects")
        self._incoming = folder / "incoming"
        self._algorithm = algorithm
        self.allowance = Allowance(ARRIVING, most=PIECE, least=CHUNK)
        """Of content that is not sealed yet; entered by whoever has an object arriving."""
        self._workers = ThreadPoolExecutor(threads, thread_name_prefix="store")
        self.streaming = Allowance(STREAMING, most=8 * PIECE, least=CHUNK)
        """Of content that was opened ahead; entered by whoever reads one object after another."""
        self._keeper = ProcessKeeper(self._incoming, self._shelves.folder)
        self._opening = Opening(
            self._shelves, keys, self._workers, self._keeper, self.streaming, SHARED
        )

    async def __aenter__(self) -> Self:
        await _in(self._workers, self._prepare)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._opening.close()
        await self._keeper.stop()
        await asyncio.to_thread(self._workers.shutdown, wait=True, cancel_futures=True)

    @property
    def lacks(self) -> str:
        """What the kernel refused the cage of its process; empty if it is whole."""
        return self._keeper.lacks

    async def run(self) -> None:
        """Have the process ready, until cancelled; else the first object waits for one.

        Raises:
            EdgeError: It ended, or can't be started.
        """
        await self._keeper.run()

    def create(self, key: StudyKey, dataset_offset: int | None = None) -> ObjectWriter:
        """Begin an object, a Part 10 stream; the disk is first touched by its first piece.

        Args:
            key: The study key to seal it with.
            dataset_offset: Bytes of preamble and group 0002 (PS3.10 7.1), if they are known.
        """
        name = secrets.token_hex(16)
        begin = Begin(
            name,
            f"{self._incoming}/{name}",
            self._shelves.of(name),
            Header.new(self._algorithm, key.key_id).to_bytes(),
            key.secret,
            dataset_offset,
        )
        return ObjectWriter(self._keeper, self._workers, begin, key.key_id, self.allowance)

    def spool(self) -> Spool:
        """Begin a value that waits on the disk, and leaves no trace; the caller closes it."""
        return Spool(self._workers, self._incoming, self._algorithm)

    async def open(self, name: str) -> ObjectReader:
        """Open an object of which nothing else is known.

        Raises:
            InstanceNotFound: There is no object of this name.
            SealBroken: Its header or length is not that of a sealed object, or its key is gone.
        """
        return await self._opening.open(name)

    def start_opening(self, wanted: Wanted) -> asyncio.Future[ObjectReader]:
        """Open an object while the caller does other things; who gives up must ``abandon`` it.

        Returns:
            A future that raises as ``open`` does, and SealBroken for another length.
        """
        return self._opening.start(wanted)

    def open_all(self, wanted: Sequence[Wanted]) -> list[asyncio.Future[ObjectReader]]:
        """Open objects of which each will be read from its beginning; the first piece comes along.

        One that is small is opened once for all who have entered ``streaming`` now: a future may be
        others', too, and must be shielded.

        Returns:
            A future for each, as that of ``start_opening``.
        """
        return self._opening.start_all(wanted)

    async def delete(self, name: str) -> None:
        """Remove an object; it is no error if there is none."""
        try:
            await _in(self._workers, self._shelves.delete, name)
        finally:
            self._opening.forget(name)

    async def set_aside(self, name: str) -> None:
        """Mark an object as one that is kept beside another of its UID, for the index's rebuild.

        It is opened and deleted by its name as before. It is no error if there is none.
        """
        await _in(self._workers, self._shelves.set_aside, name)

    async def take_back(self, name: str) -> None:
        """Undo ``set_aside``: from now on it is the one of its UID. No error if there is none."""
        await _in(self._workers, self._shelves.take_back, name)

    async def free_bytes(self) -> int:
        """Free space on the disk, for programs without privileges."""
        return await _in(self._workers, lambda: shutil.disk_usage(self._shelves.folder).free)

    async def clear_incoming(self) -> int:
        """Remove what was arriving, in the last run or in this one; the number of files."""
        async with self._keeper.stopped():
            return await _in(self._workers, self._clear_incoming)

    def shelves(self) -> Iterator[str]:
        """The two-digit prefixes that names are filed under."""
        return iter(self._shelves)

    async def filled_shelves(self) -> set[str]:
        """Those of them under which anything lies."""
        return await _in(self._workers, self._shelves.filled)

    async def bring_home(self) -> int:
        """Move objects that somebody moved to where they belong; how many there were."""
        return await _in(self._workers, self._shelves.bring_home)

    async def aside(self, shelf: str) -> set[str]:
        """The objects of one shelf that were set aside."""
        return await _in(self._workers, self._shelves.aside, shelf)

    async def names(self, shelf: str) -> dict[str, int]:
        """The objects of one shelf: name -> bytes on disk."""
        return await _in(self._workers, self._shelves.names, shelf)

    def _prepare(self) -> None:
        self._incoming.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._shelves.prepare()

    def _clear_incoming(self) -> int:
        with alone_in(self._incoming):
            found = [path for path in self._incoming.iterdir() if NAME.fullmatch(path.name)]
            for path in found:
                path.unlink()
        return len(found)


async def _in(workers: ThreadPoolExecutor, call: Callable[..., T], *arguments: object) -> T:
    return await asyncio.get_running_loop().run_in_executor(workers, call, *arguments)
