"""The encrypted database: one writer with group commit, a few readers.

What it owns is ``index.db`` (SQLCipher, WAL, synchronous FULL). One thread owns the one write
connection. Writes that arrive while a commit is under way share the next one: each is a function
of the connection, run in a savepoint of its own, so that one that fails takes nothing of the others
with it. ``write`` returns after the commit is durable, and not before; that is the crash story.

Reads go to connections of their own and see the last commit; they never wait for a writer. What may
take long (``scan``) has others than what is quick (``read``), so that no search holds up intake.

A disk that is full costs the ballast, if there is one, and the write is done again. A page that
does not authenticate makes its connection useless for good, so damage that is met sets ``broken``:
who owns the index opens it anew, which checks it.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import aiosqlite

from edge.errors import StorageFull
from edge.index.ballast import Ballast
from edge.index.connection import (
    Connection,
    DatabaseBroken,
    check,
    connect,
    connect_writer,
    damage,
    roll_back,
    suspicion,
    translated,
)

__all__ = ["Connection", "Database", "DatabaseBroken"]

T = TypeVar("T")

_BATCH = 512
"""Writes that share a commit at the most."""


class _Write:
    """One function that waits for the writer."""

    def __init__(self, call: Callable[[Connection], Any]) -> None:
        self.call = call
        self.loop = asyncio.get_running_loop()
        self.answer: asyncio.Future[Any] = self.loop.create_future()
        self.result: Any = None
        self.error: BaseException | None = None

    def deliver(self) -> None:
        if self.answer.done():
            return
        if self.error is not None:
            self.answer.set_exception(self.error)
        else:
            self.answer.set_result(self.result)


class _Readers:
    """Connections that share one kind of reading."""

    def __init__(self, connect: Callable[[], Connection], count: int) -> None:
        self._connect = connect
        self._count = count
        self._opened: list[aiosqlite.Connection] = []
        self._idle: asyncio.Queue[aiosqlite.Connection] = asyncio.Queue()

    async def open(self) -> None:
        for _ in range(self._count):
            reader = aiosqlite.Connection(self._connect, iter_chunk_size=256)
            self._opened.append(reader)
            await reader
            self._idle.put_nowait(reader)

    async def close(self) -> None:
        for reader in self._opened:
            await reader.close()

    async def fetch(self, sql: str, parameters: Sequence[object]) -> list[tuple[Any, ...]]:
        reader = await self._idle.get()
        try:
            # aiosqlite's types want an iterable of Any, and any sequence is one.
            return list(await reader.execute_fetchall(sql, parameters))  # type: ignore[arg-type]
        except asyncio.CancelledError:
            await reader.interrupt()  # nobody waits for the rows: the next one need not either
            raise
        finally:
            self._idle.put_nowait(reader)


class Database:
    """The index's file, open.

    Args:
        path: ``index.db``; made if it is not there.
        key: 32 bytes, used as they are (no passphrase derivation).
        checked: Authenticate every page before anything else.
        ballast: Released when the disk is full.
    """

    def __init__(
        self, path: Path, key: bytes, *, checked: bool = False, ballast: Ballast | None = None
    ) -> None:
        self._path = path
        self._key = key
        self._checked = checked
        self._ballast = ballast
        self._quick = _Readers(partial(connect, path, key, cache_kib=4 * 1024), 2)
        # The narrow rows of 100,000 studies stay in memory, decrypted.
        self._slow = _Readers(partial(connect, path, key, cache_kib=16 * 1024), 2)
        self._computing = asyncio.Semaphore(1)
        self._writes: queue.SimpleQueue[_Write | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._serve, name="index-writer", daemon=True)
        self._db: Connection = None
        self.created = False
        """Whether this start made the file."""
        self.taken_back_from = 0
        """Schema of a newer version, if the index of before took the place of its index;"""
        self.not_taken_over = ""
        """and what of that could not be read."""
        self.broken = asyncio.Event()
        """Damage was met; every connection may be useless from now on."""

    async def __aenter__(self) -> Self:
        """Open, and migrate forward.

        Raises:
            DatabaseBroken: The file was damaged, or is not ours.
            NewerIndex: The file was written by a newer version.
            StorageFull: The disk is full.
        """
        try:
            self._db = await asyncio.to_thread(self._open)
            self._thread.start()
            await self._quick.open()
            await self._slow.open()
        except BaseException:
            await self._close()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._close()

    async def _close(self) -> None:
        """End every thread that was begun, however far opening got."""
        await self._quick.close()
        await self._slow.close()
        if self._thread.ident is not None:
            self._writes.put(None)
            await asyncio.to_thread(self._thread.join)
        if self._db is not None:
            self._db.close()
        if self.broken.is_set():
            await asyncio.to_thread(suspicion(self._path).touch, 0o600)

    @property
    def missing_ballast(self) -> int:
        """Free bytes of the disk that are not to be used, because the ballast lacks them."""
        return 0 if self._ballast is None else self._ballast.missing

    async def write(self, call: Callable[[Connection], T]) -> T:
        """Run *call* in a transaction; its result is returned once that is durable.

        *call* runs in the writer's thread, must be quick, and may be run a second time if what it
        did the first time could not be kept. A caller that is cancelled while it waits does not
        know whether it happened.

        Raises:
            StorageFull: The disk is full.
            DatabaseBroken: The file is damaged.
            Exception: What *call* raised; nothing that it did is kept.
        """
        write = _Write(call)
        self._writes.put(write)
        try:
            answer: T = await write.answer
        except DatabaseBroken:
            self.broken.set()
            raise
        return answer

    async def read(self, sql: str, parameters: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """The rows of a query that is quick.

        Raises:
            DatabaseBroken: The file is damaged.
        """
        return await self._fetch(self._quick, sql, parameters)

    async def scan(self, sql: str, parameters: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """The rows of a query that may take long; it ends when its caller is cancelled.

        Raises:
            DatabaseBroken: The file is damaged.
        """
        return await self._fetch(self._slow, sql, parameters)

    async def compute(self, call: Callable[..., T], *arguments: object) -> T:
        """Make something of rows in a worker thread, one at a time.

        Whoever else needs a thread finds one, however many pages of answers are being made.
        """
        async with self._computing:
            return await asyncio.to_thread(call, *arguments)

    async def _fetch(
        self, readers: _Readers, sql: str, parameters: Sequence[object]
    ) -> list[tuple[Any, ...]]:
        try:
            return await readers.fetch(sql, parameters)
        except Exception as error:
            if (meaning := damage(error, self._path)) is None:
                raise
            self.broken.set()
            raise meaning from error

    def _open(self) -> Connection:
        self.created = not self._path.exists() or self._path.stat().st_size == 0
        try:
            db = connect_writer(self._path, self._key)
        except StorageFull:
            if self._ballast is None or not self._ballast.release():
                raise
            db = connect_writer(self._path, self._key)
        if self._ballast is not None:
            self._ballast.restore()
        if self._checked:
            try:
                check(self._path, self._key)
            except BaseException:
                db.close()
                raise
        return db

    def _serve(self) -> None:
        """The writer's thread."""
        while (first := self._writes.get()) is not None:
            batch, stop = [first], False
            while len(batch) < _BATCH:
                try:
                    following = self._writes.get_nowait()
                except queue.Empty:
                    break
                if following is None:
                    stop = True
                    break
                batch.append(following)
            self._keep(batch)
            for loop in {write.loop for write in batch}:
                deliveries = [write for write in batch if write.loop is loop]
                loop.call_soon_threadsafe(_deliver, deliveries)
            if stop:
                return

    def _keep(self, batch: list[_Write]) -> None:
        """Commit a batch; whatever goes wrong is the callers', never the thread's."""
        ballast = self._ballast
        full = self._commit(batch)
        if ballast is not None:
            if full and ballast.release():
                self._commit(batch)
            elif ballast.missing:
                ballast.restore()

    def _commit(self, batch: list[_Write]) -> bool:
        """Run all of a batch in one transaction; whether the disk was too full for that."""
        db = self._db
        try:
            db.execute("BEGIN IMMEDIATE")
            for write in batch:
                write.result = write.error = None
                db.execute("SAVEPOINT one")
                try:
                    write.result = write.call(db)
                except Exception as error:
                    write.error = translated(error, self._path)
                    # The caller's own error goes to it alone; one of the disk concerns them all,
                    # and has ended the transaction already.
                    if isinstance(write.error, StorageFull | DatabaseBroken):
                        raise
                    db.execute("ROLLBACK TO one")
                db.execute("RELEASE one")
            db.execute("COMMIT")
        except Exception as error:  # noqa: BLE001 - the whole batch failed, and each caller learns it
            roll_back(db)
            meaning = translated(error, self._path)
            for write in batch:
                write.error = meaning
            return isinstance(meaning, StorageFull)
        return False


def _deliver(writes: list[_Write]) -> None:
    for write in writes:
        write.deliver()
