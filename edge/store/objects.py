"""Sealed objects on disk: put, open, delete, scan.

What it owns:

    data_dir/incoming/<name>        an object while it arrives
    data_dir/objects/<2>/<name>     an object that is whole
    data_dir/objects/<2>/<name>.aside   one that is not *the* instance of its UID

A name is 128 random bits in hexadecimal; nothing that was received shapes a path. The content is
sealed before it reaches the disk, in pieces of a mebibyte in worker threads, so memory stays
bounded whatever the size. What an object is worth is not known here: an object that the index does
not name is litter, or the rest of a lost index, and recovery decides which.

Crash order of a put: write incoming -> fsync file -> rename -> fsync directory. A crash before the
rename leaves a file in incoming, which the next start removes; one after it leaves an object that
nobody names.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import re
import secrets
import shutil
from collections.abc import AsyncGenerator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

from edge.crypto.keys import KeyRing, StudyKey
from edge.crypto.sealed import CHUNK, HEADER_LENGTH, Algorithm, Header, Opener, Sealer
from edge.errors import InstanceNotFound, StorageFull
from edge.store.allowance import Allowance
from edge.store.spool import Spool

__all__ = ["ObjectReader", "ObjectStore", "ObjectWriter", "StoredObject"]

T = TypeVar("T")

PIECE = 16 * CHUNK
"""Content that is sealed or opened in one go (1 MiB)."""
ARRIVING = 16 * PIECE
"""Content that waits to be sealed, of all objects together; a chunk of each in any case."""
CRUMB = 4096
"""Smaller pieces of content are joined: as objects they would weigh more than their bytes."""
STREAMING = 16 * PIECE
"""Content that was opened and is not taken yet, of all streams together; likewise."""
_ASIDE = ".aside"
_NAME = re.compile(r"[0-9a-f]{32}")
"""Anything else in the folders is not ours, and is let alone."""
_VECTOR = 256
"""Buffers that one writev is given; Linux takes 1024."""


@dataclass(frozen=True, slots=True)
class StoredObject:
    """What became of a put."""

    name: str
    key_id: bytes
    content_bytes: int
    sealed_bytes: int


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
        self._incoming = folder / "incoming"
        self._keys = keys
        self._algorithm = algorithm
        self.allowance = Allowance(ARRIVING, most=PIECE, least=CHUNK)
        """Of content that is not sealed yet; entered by whoever has an object arriving."""
        self._workers = ThreadPoolExecutor(threads, thread_name_prefix="store")
        self._streaming = Allowance(STREAMING, most=PIECE, least=CHUNK)

    async def __aenter__(self) -> Self:
        await _in(self._workers, self._prepare)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await asyncio.to_thread(self._workers.shutdown, wait=True, cancel_futures=True)

    def create(
        self, key: StudyKey, observe: Callable[[bytes | bytearray | memoryview], object]
    ) -> ObjectWriter:
        """Begin an object; the disk is first touched by its first piece.

        Args:
            key: The study key to seal it with.
            observe: Called with each piece of content, in order, in a worker thread (for digests).
        """
        name = secrets.token_hex(16)
        header = Header.new(self._algorithm, key.key_id)
        sealer = Sealer(header, key.secret, bytes.fromhex(name))
        path = self._incoming / name
        return ObjectWriter(
            self._workers, path, self._path(name), sealer, header, observe, self.allowance
        )

    def spool(self) -> Spool:
        """Begin a value that waits on the disk, and leaves no trace; the caller closes it."""
        return Spool(self._workers, self._incoming, self._algorithm)

    async def open(self, name: str) -> ObjectReader:
        """Open an object.

        Raises:
            InstanceNotFound: There is no object of this name.
            SealBroken: Its header or length is not that of a sealed object, or its key is gone.
        """
        return await _in(self._workers, self._open, name)

    async def delete(self, name: str) -> None:
        """Remove an object; it is no error if there is none."""
        await _in(self._workers, self._delete, name)

    async def set_aside(self, name: str) -> None:
        """Mark an object as one that is kept beside another of its UID, for the index's rebuild.

        It is opened and deleted by its name as before. It is no error if there is none.
        """
        await _in(self._workers, self._set_aside, name)

    async def free_bytes(self) -> int:
        """Free space on the disk, for programs without privileges."""
        return await _in(self._workers, lambda: shutil.disk_usage(self._objects).free)

    async def clear_incoming(self) -> int:
        """Remove what was arriving when the last run ended; the number of files."""
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
        _sync_folder(self._objects)

    def _open(self, name: str) -> ObjectReader:
        flags = os.O_RDONLY | os.O_CLOEXEC
        try:
            descriptor = os.open(self._path(name), flags)
        except FileNotFoundError:
            try:
                descriptor = os.open(self._aside_path(name), flags)
            except FileNotFoundError as error:
                raise InstanceNotFound(f"object {name} is not in the store") from error
        try:
            header = Header.from_bytes(os.pread(descriptor, HEADER_LENGTH, 0))
            key = self._keys.study_key(header.key_id)
            length = os.fstat(descriptor).st_size

            def read_at(offset: int, count: int) -> bytes:
                return os.pread(descriptor, count, offset)

            opener = Opener(header, key.secret, bytes.fromhex(name), length, read_at)
        except BaseException:
            os.close(descriptor)
            raise
        return ObjectReader(self._workers, descriptor, opener, header.key_id, self._streaming)

    def _delete(self, name: str) -> None:
        for path in (self._path(name), self._aside_path(name)):
            path.unlink(missing_ok=True)

    def _aside_path(self, name: str) -> Path:
        return self._path(name).with_suffix(_ASIDE)

    def _set_aside(self, name: str) -> None:
        path = self._path(name)
        if path.exists():
            path.rename(self._aside_path(name))
            _sync_folder(path.parent)

    def _aside(self, shelf: str) -> set[str]:
        return {path.stem for path in (self._objects / shelf).glob(f"*{_ASIDE}")}

    def _clear_incoming(self) -> int:
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


class ObjectWriter:
    """An object while it arrives. Exactly one of ``commit`` and ``discard`` ends it.

    At most one piece is being sealed while the next is collected; a faster sender waits.
    """

    def __init__(
        self,
        workers: ThreadPoolExecutor,
        incoming: Path,
        final: Path,
        sealer: Sealer,
        header: Header,
        observe: Callable[[bytes | bytearray | memoryview], object],
        allowance: Allowance,
    ) -> None:
        self._workers = workers
        self._allowance = allowance
        self._incoming = incoming
        self._final = final
        self._sealer = sealer
        self._header = header
        self._observe = observe
        self._descriptor = -1
        self._content = 0
        self._sealed = 0
        self._waiting: list[bytes | bytearray] = []
        self._waiting_bytes = 0
        self._job: asyncio.Future[None] | None = None

    async def write(self, data: bytes) -> None:
        """Take the next bytes of content.

        Raises:
            StorageFull: The disk is full.
        """
        last = self._waiting[-1] if self._waiting else b""
        if len(data) >= CRUMB:
            self._waiting.append(data)
        elif isinstance(last, bytearray):
            last += data
        else:
            self._waiting.append(bytearray(data))
        self._waiting_bytes += len(data)
        if self._waiting_bytes >= self._allowance.each:
            await self._settle()
            self._job = self._start(self._write)

    async def begin_commit(self) -> None:
        """Take no more content, and make the object durable while the caller does other things.

        Raises:
            StorageFull: The disk is full; the caller discards.
        """
        await self._settle()
        self._job = self._start(self._commit)

    async def commit(self) -> StoredObject:
        """Wait until the object is whole and durable, after ``begin_commit``.

        Raises:
            StorageFull: The disk is full; the caller discards.
        """
        await self._settle()
        return StoredObject(self._final.name, self._header.key_id, self._content, self._sealed)

    async def discard(self) -> None:
        """Leave nothing behind, whatever happened before."""
        with contextlib.suppress(StorageFull, OSError):
            await self._settle()
        await _in(self._workers, self._discard)

    def _start(self, step: Callable[[list[bytes | bytearray]], None]) -> asyncio.Future[None]:
        pieces, self._waiting, self._waiting_bytes = self._waiting, [], 0
        return asyncio.get_running_loop().run_in_executor(self._workers, step, pieces)

    async def _settle(self) -> None:
        """Wait for the piece under way; a caller that is cancelled leaves it running."""
        if (job := self._job) is None:
            return
        await asyncio.wait([job])
        self._job = None
        try:
            job.result()
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
                raise StorageFull("the disk is full") from error
            raise

    def _write(self, pieces: list[bytes | bytearray]) -> None:
        if self._descriptor < 0:
            flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC
            self._descriptor = os.open(self._incoming, flags, 0o600)
            self._put([self._header.to_bytes()])
        sealed: list[bytes] = []
        for piece in pieces:
            self._content += len(piece)
            self._observe(piece)
            sealed += self._sealer.seal(piece)
        self._put(sealed)

    def _put(self, parts: list[bytes]) -> None:
        for first in range(0, len(parts), _VECTOR):
            vector = parts[first : first + _VECTOR]
            total = sum(map(len, vector))
            written = os.writev(self._descriptor, vector)
            self._sealed += total
            if written < total:
                rest = memoryview(b"".join(vector))[written:]
                while rest:
                    rest = rest[os.write(self._descriptor, rest) :]

    def _commit(self, pieces: list[bytes | bytearray]) -> None:
        self._write(pieces)
        self._put([self._sealer.finish()])
        os.fsync(self._descriptor)
        os.close(self._descriptor)
        self._descriptor = -1
        self._incoming.rename(self._final)
        _sync_folder(self._final.parent)

    def _discard(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
        self._incoming.unlink(missing_ok=True)
        self._final.unlink(missing_ok=True)


class ObjectReader:
    """An open object; ``length`` is its content's. Close it when done."""

    def __init__(
        self,
        workers: ThreadPoolExecutor,
        descriptor: int,
        opener: Opener,
        key_id: bytes,
        streaming: Allowance,
    ) -> None:
        self._workers = workers
        self._streaming = streaming
        self._descriptor = descriptor
        self._opener = opener
        self._jobs: set[asyncio.Future[bytes]] = set()
        self.length = opener.length
        self.key_id = key_id

    async def read(self, offset: int, length: int) -> bytes:
        """Content from *offset*, *length* bytes of it or what there is.

        Raises:
            SealBroken: A chunk of this range does not open.
        """
        return await self._start(offset, length)

    async def stream(self, offset: int = 0, length: int | None = None) -> AsyncGenerator[bytes]:
        """The content of a range in pieces, aligned to chunks; one is read ahead.

        A piece is a mebibyte at the most, and less while many streams are read.

        Raises:
            SealBroken: A chunk does not open; what came before it was whole.
        """
        end = self.length if length is None else min(offset + length, self.length)
        ahead: asyncio.Future[bytes] | None = None
        with self._streaming:
            while offset < end or ahead is not None:
                whole = self._streaming.each // CHUNK * CHUNK
                step = min(whole - offset % CHUNK, end - offset)
                following = self._start(offset, step) if step > 0 else None
                offset += step
                if ahead is not None:
                    yield await ahead
                ahead = following

    async def close(self) -> None:
        """Close the file, after the last read that was begun."""
        if self._descriptor < 0:
            return
        descriptor, self._descriptor = self._descriptor, -1
        try:
            if self._jobs:
                await asyncio.wait(self._jobs)
        finally:
            os.close(descriptor)

    def _start(self, offset: int, length: int) -> asyncio.Future[bytes]:
        loop = asyncio.get_running_loop()
        job = loop.run_in_executor(self._workers, self._opener.read, offset, length)
        self._jobs.add(job)
        job.add_done_callback(self._done)
        return job

    def _done(self, job: asyncio.Future[bytes]) -> None:
        self._jobs.discard(job)
        if not job.cancelled():
            job.exception()  # a read ahead that nobody waits for any more is not an error


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


async def _in(workers: ThreadPoolExecutor, call: Callable[..., T], *arguments: object) -> T:
    return await asyncio.get_running_loop().run_in_executor(workers, call, *arguments)
