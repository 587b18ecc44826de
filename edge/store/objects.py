"""Sealed objects on disk: put, open, delete, scan.

What it owns:

    data_dir/incoming/<name>        an object while it arrives
    data_dir/objects/<2>/<name>     an object that is whole
    data_dir/objects/<2>/<name>.aside   one that is not *the* instance of its UID

A name is 128 random bits in hexadecimal; nothing that was received shapes a path. The content is
sealed before it reaches the disk, by a process of its own, and opened in worker threads, in pieces
of a mebibyte, so memory stays bounded whatever the size. What an object is worth is not known here:
an object that the index does not name is litter, or the rest of a lost index, and recovery decides
which.
"""

from __future__ import annotations

import asyncio
import os
import re
import secrets
import shutil
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

from edge.crypto.durable import sync_folder
from edge.crypto.keys import KeyRing, StudyKey
from edge.crypto.sealed import CHUNK, HEADER_LENGTH, Algorithm, Header, Opener
from edge.errors import InstanceNotFound, SealBroken
from edge.store.allowance import Allowance
from edge.store.reader import ObjectReader
from edge.store.recent import Recent
from edge.store.sealing import Sealing, alone_in
from edge.store.spool import Spool
from edge.store.writer import ObjectWriter

__all__ = ["ObjectStore", "abandon"]

T = TypeVar("T")

PIECE = 16 * CHUNK
"""Content that is sealed or opened in one go (1 MiB)."""
ARRIVING = 16 * PIECE
"""Content that waits to be sealed, of all objects together; a chunk of each in any case."""
STREAMING = 16 * PIECE
"""Content that was opened and is not taken yet, of all streams together; likewise."""
SHARED = 32 * PIECE
"""Content of small objects that stays a moment for others who read the same."""
_ASIDE = ".aside"
_NAME = re.compile(r"[0-9a-f]{32}")
"""Anything else in the folders is not ours, and is let alone."""


class ObjectStore:
    """The objects below one folder.

    Args:
        folder: ``data_dir``.
        keys: Where study keys are found.
        algorithm: What new objects are sealed with.
        threads: Workers that seal, open, write and read.
    """

    def __init__(
        self, folder: Path, keys: KeyRing, *, algorithm: Algorithm, threads: int = 4
    ) -> None:
        self._objects = folder / "objects"
        self._folder = str(self._objects)
        self._incoming = folder / "incoming"
        self._keys = keys
        self._algorithm = algorithm
        self.allowance = Allowance(ARRIVING, most=PIECE, least=CHUNK)
        """Of content that is not sealed yet; entered by whoever has an object arriving."""
        self._workers = ThreadPoolExecutor(threads, thread_name_prefix="store")
        self.streaming = Allowance(STREAMING, most=PIECE, least=CHUNK)
        """Of content that was opened ahead; entered by whoever reads one object after another."""
        self._recent = Recent(SHARED)
        self._sealing = Sealing(self._incoming)

    async def __aenter__(self) -> Self:
        await _in(self._workers, self._prepare)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._recent.clear()
        await self._sealing.stop()
        await asyncio.to_thread(self._workers.shutdown, wait=True, cancel_futures=True)

    async def run(self) -> None:
        """Have a sealing process ready, until cancelled; else the first object waits for one."""
        await self._sealing.run()

    def create(self, key: StudyKey, dataset_offset: int | None = None) -> ObjectWriter:
        """Begin an object, a Part 10 stream; the disk is first touched by its first piece.

        Args:
            key: The study key to seal it with.
            dataset_offset: Bytes of preamble and group 0002 (PS3.10 7.1), if they are known.
        """
        name = secrets.token_hex(16)
        return ObjectWriter(
            self._sealing,
            self._workers,
            self._incoming / name,
            self._path(name),
            Header.new(self._algorithm, key.key_id),
            key,
            self.allowance,
            dataset_offset,
        )

    def spool(self) -> Spool:
        """Begin a value that waits on the disk, and leaves no trace; the caller closes it."""
        return Spool(self._workers, self._incoming, self._algorithm)

    async def open(self, name: str, *, begin: int = 0) -> ObjectReader:
        """Open an object.

        Args:
            name: Its name.
            begin: So much of its content is opened at once, in whole chunks.

        Raises:
            InstanceNotFound: There is no object of this name.
            SealBroken: Its header or length is not that of a sealed object, its key is gone, or
                its beginning does not open.
        """
        opening = self.start_opening(name, begin)
        try:
            return await asyncio.shield(opening)
        except asyncio.CancelledError:
            opening.add_done_callback(abandon)
            raise

    def start_opening(self, name: str, begin: int) -> asyncio.Future[ObjectReader]:
        """As ``open``, while the caller does other things; who gives up must ``abandon`` it."""
        loop = asyncio.get_running_loop()
        return loop.run_in_executor(self._workers, self._open, name, begin)

    def open_all(self, wanted: Sequence[tuple[str, int]]) -> list[asyncio.Future[ObjectReader]]:
        """Open objects of which each will be read from its beginning; the first piece comes along.

        One worker opens them all, in one go. One that is small is opened once for all who have
        entered ``streaming`` now: a future may be others', too, and must be shielded.

        Args:
            wanted: Name and length of each.

        Returns:
            A future for each, that raises as ``open`` does, and SealBroken for another length.
        """
        loop = asyncio.get_running_loop()
        each, is_shared = self.streaming.each, self.streaming.count > 1
        found: list[asyncio.Future[ObjectReader]] = []
        missing: list[tuple[str, int, asyncio.Future[ObjectReader]]] = []
        for name, length in wanted:
            opening = self._recent.get(name)
            if opening is None:
                opening = loop.create_future()
                missing.append((name, length, opening))
                if is_shared and length <= each:
                    self._recent.keep(name, length, opening)
            found.append(opening)
        if missing:
            job = loop.run_in_executor(
                self._workers, self._open_each, [one[:2] for one in missing], each
            )
            job.add_done_callback(partial(self._hand_out, missing))
        return found

    async def delete(self, name: str) -> None:
        """Remove an object; it is no error if there is none."""
        try:
            await _in(self._workers, self._delete, name)
        finally:
            self._recent.drop(name)

    async def set_aside(self, name: str) -> None:
        """Mark an object as one that is kept beside another of its UID, for the index's rebuild.

        It is opened and deleted by its name as before. It is no error if there is none.
        """
        await _in(self._workers, self._set_aside, name)

    async def free_bytes(self) -> int:
        """Free space on the disk, for programs without privileges."""
        return await _in(self._workers, lambda: shutil.disk_usage(self._objects).free)

    async def clear_incoming(self) -> int:
        """Remove what was arriving, in the last run or in this one; the number of files."""
        async with self._sealing.stopped():
            return await _in(self._workers, self._clear_incoming)

    def shelves(self) -> Iterator[str]:
        """The two-digit prefixes that names are filed under."""
        return (f"{number:02x}" for number in range(256))

    async def aside(self, shelf: str) -> set[str]:
        """The objects of one shelf that were set aside."""
        return await _in(self._workers, self._aside, shelf)

    async def names(self, shelf: str) -> dict[str, int]:
        """The objects of one shelf: name -> bytes on disk."""
        return await _in(self._workers, self._names, shelf)

    def _path(self, name: str) -> Path:
        return self._objects / name[:2] / name

    def _prepare(self) -> None:
        self._incoming.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._objects.mkdir(exist_ok=True, mode=0o700)
        for shelf in self.shelves():
            (self._objects / shelf).mkdir(exist_ok=True, mode=0o700)
        sync_folder(self._objects)

    def _open_each(
        self, wanted: Sequence[tuple[str, int]], begin: int
    ) -> list[ObjectReader | Exception]:
        opened: list[ObjectReader | Exception] = []
        for name, length in wanted:
            try:
                opened.append(self._open(name, begin, length))
            except Exception as error:  # noqa: BLE001  (it is that of one object, not of all)
                opened.append(error)
        return opened

    def _hand_out(
        self,
        missing: list[tuple[str, int, asyncio.Future[ObjectReader]]],
        job: asyncio.Future[list[ObjectReader | Exception]],
    ) -> None:
        """Give everybody what a worker has opened, or could not open."""
        if job.cancelled():  # the store is being closed
            for _, _, opening in missing:
                opening.cancel()
            return
        for (name, _, opening), opened in zip(missing, job.result(), strict=True):
            if isinstance(opened, ObjectReader):
                opening.set_result(opened)
            else:
                self._recent.drop(name)
                opening.set_exception(opened)
                opening.exception()  # one that nobody waits for any more is not an error

    def _open(self, name: str, begin: int = 0, length: int | None = None) -> ObjectReader:
        """Open an object, and so much of its beginning; what is opened to its end holds no file."""
        descriptor = self._descriptor(name)
        try:
            header = Header.from_bytes(os.pread(descriptor, HEADER_LENGTH, 0))
            opener = self._opener(name, descriptor, header, length)
            is_whole = 0 < begin >= opener.length
            begun = opener.read(0, begin if is_whole else begin // CHUNK * CHUNK)
        except BaseException:
            os.close(descriptor)
            raise
        if is_whole:
            os.close(descriptor)
            descriptor = -1
        return ObjectReader(self._workers, descriptor, opener, header.key_id, self.streaming, begun)

    def _opener(self, name: str, descriptor: int, header: Header, length: int | None) -> Opener:
        key = self._keys.study_key(header.key_id)
        sealed = os.fstat(descriptor).st_size

        def read_at(offset: int, count: int) -> bytes:
            return os.pread(descriptor, count, offset)

        opener = Opener(header, key.secret, bytes.fromhex(name), sealed, read_at)
        if length not in (None, opener.length):
            raise SealBroken(f"object {name} has another length than it had")
        return opener

    def _descriptor(self, name: str) -> int:
        flags = os.O_RDONLY | os.O_CLOEXEC
        try:
            # For each of thousands, a Path takes as long as opening the file.
            return os.open(f"{self._folder}/{name[:2]}/{name}", flags)
        except FileNotFoundError:
            try:
                return os.open(self._aside_path(name), flags)
            except FileNotFoundError as error:
                raise InstanceNotFound(f"object {name} is not in the store") from error

    def _delete(self, name: str) -> None:
        for path in (self._path(name), self._aside_path(name)):
            path.unlink(missing_ok=True)

    def _aside_path(self, name: str) -> Path:
        return self._path(name).with_suffix(_ASIDE)

    def _set_aside(self, name: str) -> None:
        path = self._path(name)
        if path.exists():
            path.rename(self._aside_path(name))
            sync_folder(path.parent)

    def _aside(self, shelf: str) -> set[str]:
        return {path.stem for path in (self._objects / shelf).glob(f"*{_ASIDE}")}

    def _clear_incoming(self) -> int:
        with alone_in(self._incoming):
            found = [path for path in self._incoming.iterdir() if _NAME.fullmatch(path.name)]
            for path in found:
                path.unlink()
        return len(found)

    def _names(self, shelf: str) -> dict[str, int]:
        with os.scandir(self._objects / shelf) as entries:
            return {
                name: entry.stat(follow_symlinks=False).st_size
                for entry in entries
                if _NAME.fullmatch(name := entry.name.removesuffix(_ASIDE))
                and entry.is_file(follow_symlinks=False)
            }


def abandon(opening: asyncio.Future[ObjectReader]) -> None:
    """Close what was being opened, once it is done, as nobody waits for it any more."""
    if not opening.cancelled() and opening.exception() is None:
        opening.result().abandon()


async def _in(workers: ThreadPoolExecutor, call: Callable[..., T], *arguments: object) -> T:
    return await asyncio.get_running_loop().run_in_executor(workers, call, *arguments)
